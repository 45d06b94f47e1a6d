"""`logitmus compare`: the differences between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import JsonFlag, Markdown, refuse_overwriting


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Run file of the earlier run.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Run file of the later run.")],
    json: JsonFlag = False,
    markdown: Markdown = None,
    fail_on: Annotated[
        FailOn,
        typer.Option("--fail-on", help="Exit with 1 on new findings of at least this severity; new: any but notes."),
    ] = FailOn.DIFFERENCE,
    bits: Annotated[bool, typer.Option("--bits", help="Also exit with 1 if any result differs in its bits.")] = False,
) -> None:
    """Show what changed between two runs: findings, grades, bits. Exits with 1 if there are new findings."""
    from logitmus.cli.output import stdout
    from logitmus.reports.terminal import run_diff
    from logitmus.results.run_diff import compare as compare_runs
    from logitmus.storage.store import Store

    if markdown is not None:
        refuse_overwriting({"--markdown": markdown}, earlier_run=before, later_run=after)
    with Store.open(before) as old, Store.open(after) as new:
        difference = compare_runs(old, new)
    if json:
        typer.echo(run_diff.to_json(difference))
    else:
        run_diff.render(difference, stdout())
    if markdown is not None:
        markdown.write_text(run_diff.to_markdown(difference), encoding="utf-8")
    if not difference.pairs:
        typer.echo("logitmus: the runs have no call in common, so nothing was compared", err=True)
        raise typer.Exit(Exit.USAGE)
    least = fail_on.severity
    failed = least is not None and any(change.example.severity.rank <= least.rank for change in difference.appeared)
    raise typer.Exit(Exit.FINDINGS if failed or (bits and difference.bits) else Exit.OK)
