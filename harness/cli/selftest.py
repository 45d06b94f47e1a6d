"""`logitmus selftest`: proof that the harness sees."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import STDOUT, Json


def selftest(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only planted functions called so; globs do.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Tell of every planted function.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="Say what is planted, and ask nothing.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random numbers.")] = 0,
    json: Json = None,
) -> None:
    """Plant faults, and see whether they are found and rightly explained: exit 0 if so, and without a false alarm.

    What the whole of it comes to is remembered, and stands in every report.
    """
    from logitmus.checking import selftest as testing
    from logitmus.cli.output import stdout
    from logitmus.cli.progress import shown
    from logitmus.reports.terminal import selftest as report
    from logitmus.results import detection_power

    if list_only:
        for one in testing.chosen(names or ()):
            typer.echo(f"{one.framework}:{one.name}  {one.kind}  {one.incident}")
        return
    score = testing.selftest(seed=seed, only=names or (), watch=shown)
    if json != STDOUT:
        report.render(score, stdout(), every=every)
    if not names and seed == 0:
        try:
            detection_power.keep(score.power)
        except OSError as error:
            typer.echo(f"reports will not tell this score, for it could not be kept: {error}", err=True)
    if json is not None:
        text = json_module.dumps(report.as_dict(score), indent=1, allow_nan=False)
        if json == STDOUT:
            typer.echo(text)
        else:
            json.write_text(text + "\n", encoding="utf-8")
            typer.echo(f"wrote {json}", err=True)
    raise typer.Exit(Exit.OK if score.perfect else Exit.FINDINGS)
