"""`logitmus report`: write reports of an old run; what it found is no failure here."""

from __future__ import annotations

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import Html, Json, JUnit, Markdown, Outputs, RunFile


def report(run: RunFile, html: Html = None, json: Json = None, junit: JUnit = None, markdown: Markdown = None) -> None:
    """Write reports of a run's file (HTML beside it, unless another is asked for). Exits with 0 whatever was found."""
    from logitmus.cli.delivery import deliver
    from logitmus.engine.run import judge_run
    from logitmus.results.expectations import Acceptance
    from logitmus.storage.store import Store

    if html is json is junit is markdown is None:
        html = run.with_suffix(".html")
    with Store.open(run) as store:
        outputs = Outputs(html=html, json=json, junit=junit, markdown=markdown)
        deliver(judge_run(store), Acceptance(()), outputs=outputs, fail_on=FailOn.DIFFERENCE, quiet=True, store=store)
    raise typer.Exit(Exit.OK)
