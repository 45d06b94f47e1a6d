"""`logitmus identify`: measure the convention of a loss function."""

from __future__ import annotations

import json as json_module
from contextlib import nullcontext
from typing import Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import Device, Framework, FunctionName, JsonFlag, ParameterNames, TargetsChoice


def identify(
    function: FunctionName,
    framework: Framework,
    targets: Annotated[TargetsChoice, typer.Option(help="Kind of targets to test with.")] = TargetsChoice.BOTH,
    option: ParameterNames = None,
    class_axis: Annotated[
        str | None, typer.Option(metavar="AXIS", help="Class axis of the logits: last or 1.  [default: detected]")
    ] = None,
    device: Device = "cpu",
    why: Annotated[bool, typer.Option("--why", help="Show which problem determined each field.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure the convention of a loss function of your own, with about a hundred small problems."""
    from rich.console import Console

    from logitmus.cli.output import stdout
    from logitmus.conventions.identify import KINDS
    from logitmus.conventions.identify import identify as measure
    from logitmus.execution.registry import named_options
    from logitmus.reports.terminal import card as report

    progress = Console(stderr=True)
    with progress.status(f"testing {function}") if progress.is_terminal else nullcontext():
        cards = measure(
            function,
            framework,
            targets=KINDS if targets is TargetsChoice.BOTH else (targets.value,),
            options=named_options(option or ()),
            class_axis=class_axis or "",
            device=device,
        )
    if json:
        typer.echo(json_module.dumps({"schema": 1, "cards": [card.as_dict() for card in cards]}, indent=1))
    else:
        report.render(cards, stdout(), why=why)
    raise typer.Exit(Exit.OK if report.understood(cards) else Exit.FINDINGS)
