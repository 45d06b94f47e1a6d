"""`logitmus report`: write reports from a run file; findings do not affect its exit code."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import REPORTS, Expect, Outputs, RunFile, with_outputs


def _json_schema(requested: bool) -> None:
    if requested:
        from logitmus.reports.json_report import schema

        typer.echo(schema(), nl=False)
        raise typer.Exit


@with_outputs
def report(
    run: RunFile,
    outputs: Outputs,
    json_schema: Annotated[
        bool,
        typer.Option(
            "--json-schema",
            callback=_json_schema,
            is_eager=True,
            help="Print the schema of --json and exit.",
            rich_help_panel=REPORTS,
        ),
    ] = False,
    expect: Expect = None,
) -> None:
    """Write reports from a run file: HTML beside it by default. Exits with 0 whatever the findings."""
    from logitmus.cli.delivery import acceptance, deliver
    from logitmus.engine.run import judge_run
    from logitmus.storage.store import Store

    if outputs == Outputs():
        outputs = replace(outputs, html=run.with_suffix(".html"))
    accepted = acceptance(expect)
    outputs.refuse_overwriting(run_file=run, file_of_expectations=accepted.file)
    with Store.open(run) as store:
        deliver(judge_run(store), accepted, outputs=outputs, fail_on=FailOn.DIFFERENCE, quiet=True, store=store)
    raise typer.Exit(Exit.OK)
