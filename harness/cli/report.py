"""`logitmus report`: write reports from a run file, or from a folder of them; findings do not affect its exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import REPORTS, Expect, Outputs, with_outputs

_INDEX: Final = "index.html"


def _json_schema(requested: bool) -> None:
    if requested:
        from logitmus.reports.json_report import schema

        typer.echo(schema(), nl=False)
        raise typer.Exit


@with_outputs
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run file, or a folder of run files.", show_default=False)],
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
    """Write reports from a run file: HTML beside it by default. Exits with 0 whatever the findings.

    For a folder: a page for each run file in it, and index.html with all of them.
    """
    from logitmus.cli.delivery import acceptance, deliver
    from logitmus.engine.run import judge_run
    from logitmus.storage.store import Store

    if run.is_dir():
        if outputs != Outputs():
            raise typer.BadParameter("a folder gets HTML pages only; name a run file for other reports")
        _index(run, expect)
        raise typer.Exit(Exit.OK)
    if outputs == Outputs():
        outputs = replace(outputs, html=run.with_suffix(".html"))
    accepted = acceptance(expect)
    outputs.refuse_overwriting(run_file=run, file_of_expectations=accepted.file)
    with Store.open(run) as store:
        deliver(judge_run(store), accepted, outputs=outputs, fail_on=FailOn.DIFFERENCE, quiet=True, store=store)
    raise typer.Exit(Exit.OK)


def _index(folder: Path, expect: Path | None) -> None:
    """Write a page for each run in a folder, and the index of them."""
    from logitmus.cli.delivery import acceptance, write_page
    from logitmus.reports.html import index_page
    from logitmus.storage.store import SUFFIX, Store, StoreError

    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise typer.BadParameter(f"{folder} holds no run files (*{SUFFIX})", param_hint="RUN")
    entries = []
    for file in files:
        page = file.with_suffix(".html")
        if page.name == _INDEX:  # a run that is called like the index
            page = file.with_suffix(f"{SUFFIX}.html")
        try:
            with Store.open(file) as store:
                summary = write_page(store, page, acceptance(expect))
                entries.append(index_page.RunEntry.of(file, page, summary, store.created))
        except StoreError as error:  # the index says so, and has all others
            entries.append(index_page.RunEntry(file=file.name, problem=error.message))
        typer.echo(f"wrote {page}" if page.exists() and not entries[-1].problem else entries[-1].problem, err=True)
    (folder / _INDEX).write_text(index_page.render(entries), encoding="utf-8")
    typer.echo(f"wrote {folder / _INDEX}", err=True)
