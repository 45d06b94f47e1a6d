"""`logitmus selftest`: measure how many planted bugs the harness detects."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import STDOUT, Json


def selftest(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these planted functions; globs allowed.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every planted function with its result.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the planted functions, and run nothing.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Quick problems only: a third of the time; the score is not stored.")
    ] = False,
    ship: Annotated[
        bool, typer.Option("--ship", help="Also store the score in the package, for the wheel of a release.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    json: Json = None,
) -> None:
    """Test functions with planted bugs: are they detected and correctly explained, without false alarms?

    Exits with 0 if so. The score of a complete run is stored, and shown in every report.
    """
    from logitmus.checking import selftest as planted
    from logitmus.cli.output import stdout
    from logitmus.cli.progress import shown
    from logitmus.reports.terminal import selftest as report
    from logitmus.results import detection_power

    if ship and (names or quick or seed):
        raise typer.BadParameter("--ship takes the score of a complete run; leave out names, --quick and --seed")
    if list_only:
        for function in planted.chosen(names or ()):
            typer.echo(f"{function.framework}:{function.name}  {function.kind}  {function.incident}")
        return
    score = planted.selftest(seed=seed, only=names or (), thorough=not quick, watch=shown)
    if json != STDOUT:
        report.render(score, stdout(), every=every)
    if not (names or quick) and seed == 0:
        try:
            detection_power.keep(score.power)
            if ship:
                typer.echo(f"wrote {detection_power.keep(score.power, detection_power.SHIPPED)}", err=True)
        except OSError as error:
            typer.echo(f"the score could not be stored, so reports will not show it: {error}", err=True)
    if json is not None:
        text = json_module.dumps(report.as_dict(score), indent=1, allow_nan=False)
        if json == STDOUT:
            typer.echo(text)
        else:
            json.write_text(text + "\n", encoding="utf-8")
            typer.echo(f"wrote {json}", err=True)
    raise typer.Exit(Exit.OK if score.perfect else Exit.FINDINGS)
