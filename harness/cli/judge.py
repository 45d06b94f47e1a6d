"""`logitmus judge`: derive the findings of an old run anew; needs no framework."""

from __future__ import annotations

import typer

from logitmus.cli.exits import FailOn
from logitmus.cli.options import Expect, FailOnOption, Html, Json, JUnit, Markdown, Outputs, RunFile


def judge(
    run: RunFile,
    html: Html = None,
    json: Json = None,
    junit: JUnit = None,
    markdown: Markdown = None,
    expect: Expect = None,
    fail_on: FailOnOption = FailOn.DIFFERENCE,
) -> None:
    """Judge an old run again, with this version's judge; no framework is needed."""
    from logitmus.cli.delivery import acceptance, deliver
    from logitmus.engine.run import judge_run
    from logitmus.storage.store import Store

    accepted = acceptance(expect)
    with Store.open(run) as store:
        outputs = Outputs(html=html, json=json, junit=junit, markdown=markdown)
        code = deliver(judge_run(store), accepted, outputs=outputs, fail_on=fail_on, store=store)
    raise typer.Exit(code)
