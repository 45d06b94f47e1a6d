"""`logitmus identify`: the measured convention of any function."""

from __future__ import annotations

import json as json_module
from contextlib import nullcontext
from enum import StrEnum
from typing import Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag


class TargetsChoice(StrEnum):
    """The kinds of targets that a function is asked with."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"
    BOTH = "both"


def identify(
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="FILE.py:NAME or package.module:NAME.", show_default=False)
    ],
    framework: Annotated[
        str,
        typer.Option(
            "--framework", "-f", metavar="NAME", help="torch, tensorflow, jax or numpy; also NAME@/path/to/python."
        ),
    ],
    targets: Annotated[TargetsChoice, typer.Option(help="What it is asked with.")] = TargetsChoice.BOTH,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="Its own name for an argument: weight=class_weights. Repeatable."),
    ] = None,
    class_axis: Annotated[
        str | None, typer.Option(metavar="AXIS", help="Where it gets its classes: last or 1.  [default: found out]")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="One that the framework has.")] = "cpu",
    why: Annotated[bool, typer.Option("--why", help="Show what told each choice apart.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure the convention that a function of yours keeps: it is asked some hundred small problems."""
    from rich.console import Console

    from logitmus.cli.output import stdout
    from logitmus.conventions.identify import KINDS
    from logitmus.conventions.identify import identify as measured
    from logitmus.execution.ask_backend import InquiryError
    from logitmus.execution.registry import named_options
    from logitmus.reports.terminal import card as report

    progress = Console(stderr=True)
    try:
        with progress.status(f"asking {function}") if progress.is_terminal else nullcontext():
            cards = measured(
                function,
                framework,
                targets=KINDS if targets is TargetsChoice.BOTH else (targets.value,),
                options=named_options(option or ()),
                class_axis=class_axis or "",
                device=device,
            )
    except InquiryError as error:
        typer.echo(f"logitmus: {error}", err=True)
        raise typer.Exit(Exit.BACKEND) from None
    if json:
        typer.echo(json_module.dumps({"schema": 1, "cards": [card.as_dict() for card in cards]}, indent=1))
    else:
        console = stdout()
        report.render(cards, console, why=why)
    raise typer.Exit(Exit.OK if report.understood(cards) else Exit.FINDINGS)
