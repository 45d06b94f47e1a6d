"""`logitmus compare`: two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import FailOnOption, JsonFlag, Markdown


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The file of the earlier run.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The file of the later run.")],
    json: JsonFlag = False,
    markdown: Markdown = None,
    fail_on: FailOnOption = FailOn.DIFFERENCE,
    bits: Annotated[bool, typer.Option("--bits", help="Exit with 1 on any changed bit, too.")] = False,
) -> None:
    """Tell what changed between two runs: findings, grades, bits. Exits with 1 on new findings."""
    from logitmus.cli.output import stdout
    from logitmus.core.finding import Severity
    from logitmus.reports.terminal import run_diff
    from logitmus.results.run_diff import compare as compare_runs
    from logitmus.storage.store import Store

    with Store.open(before) as old, Store.open(after) as new:
        found = compare_runs(old, new)
    if json:
        typer.echo(run_diff.to_json(found))
    else:
        run_diff.render(found, stdout())
    if markdown is not None:
        markdown.write_text(run_diff.to_markdown(found), encoding="utf-8")
    if not found.pairs:
        typer.echo(
            "logitmus: the runs have no call in common: this tells of no change, nor that there is none", err=True
        )
        raise typer.Exit(Exit.USAGE)
    worse = [change for change in (*found.new, *found.changed) if change.appeared]
    failed = fail_on is not FailOn.NEVER and any(
        change.example.severity.rank <= Severity(fail_on.value).rank for change in worse
    )
    raise typer.Exit(Exit.FINDINGS if failed or (bits and found.bits) else Exit.OK)
