"""`logitmus port`: how to replace a loss function by another."""

from __future__ import annotations

import json as json_module
from contextlib import nullcontext
from typing import Annotated

import typer

from logitmus.cli.options import JsonFlag


def port(
    source: Annotated[
        str,
        typer.Argument(metavar="FROM", help="Current function, e.g. torch:cross_entropy.", show_default=False),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="New function, e.g. keras.losses.SparseCategoricalCrossentropy.", show_default=False
        ),
    ],
    declared: Annotated[
        bool, typer.Option("--declared", help="Use the documented conventions; runs nothing, needs no framework.")
    ] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As for `run`, e.g. old=torch@/path; repeatable.  [default: all]"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show what to change in code that replaces a loss function by another, with example numbers."""
    from rich.console import Console

    from logitmus.cli.choices import chosen_backends
    from logitmus.cli.output import stdout
    from logitmus.porting.port import port as plan_port
    from logitmus.reports.terminal import port as report

    progress = Console(stderr=True)
    with progress.status(f"testing {source} and {target}") if progress.is_terminal else nullcontext():
        plan = plan_port(source, target, declared=declared, backends=chosen_backends(backend or ()))
    if json:
        typer.echo(json_module.dumps(report.as_dict(plan), indent=1))
    else:
        report.render(plan, stdout())
