"""`logitmus report`: write reports from a run file; findings do not affect its exit code."""

from __future__ import annotations

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import Html, Json, JUnit, Markdown, Outputs, RunFile


def report(run: RunFile, html: Html = None, json: Json = None, junit: JUnit = None, markdown: Markdown = None) -> None:
    """Write reports from a run file: HTML beside it by default. Exits with 0 whatever the findings."""
    from logitmus.cli.delivery import deliver
    from logitmus.engine.run import judge_run
    from logitmus.results.acceptance import Acceptance
    from logitmus.storage.store import Store

    if html is json is junit is markdown is None:
        html = run.with_suffix(".html")
    with Store.open(run) as store:
        outputs = Outputs(html=html, json=json, junit=junit, markdown=markdown)
        deliver(judge_run(store), Acceptance(()), outputs=outputs, fail_on=FailOn.DIFFERENCE, quiet=True, store=store)
    raise typer.Exit(Exit.OK)
