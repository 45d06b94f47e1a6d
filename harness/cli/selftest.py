"""`logitmus selftest`: measure how many planted bugs the harness detects."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

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
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Test mutants instead: correct functions with one change, made by rule.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    json: Json = None,
) -> None:
    """Test functions with planted bugs: are they detected and correctly explained, without false alarms?

    Exits with 0 if so. The score of a complete run is stored, and shown in every report.
    """
    from logitmus.checking import mutant_score
    from logitmus.checking import selftest as planted
    from logitmus.cli.output import stdout
    from logitmus.cli.progress import shown
    from logitmus.reports.terminal import mutants as mutants_report
    from logitmus.reports.terminal import selftest as report
    from logitmus.results import detection_power

    if ship and (names or quick or seed or mutants):
        raise typer.BadParameter("--ship takes the complete score; leave out names, --quick, --seed and --mutants")
    if list_only:
        for mutant in mutant_score.chosen(names or ()) if mutants else ():
            typer.echo(f"{mutant.name}  {mutant.rule}  {mutant.place}  {mutant.after}")
        for function in () if mutants else planted.chosen(names or ()):
            typer.echo(f"{function.framework}:{function.name}  {function.kind}  {function.incident}")
        return
    if mutants:
        mutated = mutant_score.measure(seed=seed, only=names or (), thorough=not quick, watch=shown)
        if json != STDOUT:
            mutants_report.render(mutated, stdout(), every=every)
        _write(mutants_report.as_dict(mutated), json)
        raise typer.Exit(Exit.OK if mutated.complete else Exit.FINDINGS)
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
    _write(report.as_dict(score), json)
    raise typer.Exit(Exit.OK if score.perfect else Exit.FINDINGS)


def _write(score: dict[str, Any], path: Path | None) -> None:
    if path is None:
        return
    text = json_module.dumps(score, indent=1, allow_nan=False)
    if path == STDOUT:
        typer.echo(text)
    else:
        path.write_text(text + "\n", encoding="utf-8")
        typer.echo(f"wrote {path}", err=True)
