"""`logitmus port`: what to change when code moves from one function to another."""

from __future__ import annotations

import json as json_module
from contextlib import nullcontext
from typing import Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag


def port(
    source: Annotated[
        str,
        typer.Argument(metavar="FROM", help="torch:cross_entropy; what is plain may be left out.", show_default=False),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="keras.losses.SparseCategoricalCrossentropy, or a whole id.", show_default=False
        ),
    ],
    declared: Annotated[
        bool, typer.Option("--declared", help="Take both at their word: runs nothing, needs no framework.")
    ] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Where to look, as for run: old=torch@/path. Repeatable.  [default: all]"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Tell what to change when code moves from one function to another, shown on numbers."""
    from rich.console import Console

    from logitmus.cli.choices import chosen_backends
    from logitmus.cli.output import stdout
    from logitmus.execution.ask_backend import InquiryError
    from logitmus.porting.port import port as ported
    from logitmus.reports.terminal import port as report

    progress = Console(stderr=True)
    try:
        with progress.status(f"asking {source} and {target}") if progress.is_terminal else nullcontext():
            found = ported(source, target, declared=declared, backends=chosen_backends(backend or ()))
    except InquiryError as error:
        typer.echo(f"logitmus: {error}", err=True)
        raise typer.Exit(Exit.BACKEND) from None
    if json:
        typer.echo(json_module.dumps(report.as_dict(found), indent=1))
    else:
        report.render(found, stdout())
