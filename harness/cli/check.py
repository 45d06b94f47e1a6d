"""`logitmus check`: a loss of your own under the harness."""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit, ProfileChoice
from logitmus.cli.options import EXPECTATIONS, STDOUT, Expect, Explore, Html, Json

if TYPE_CHECKING:
    from logitmus.checking.result import CheckResult


class TargetsChoice(StrEnum):
    """The kinds of targets that a function is asked with."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"
    BOTH = "both"


class Require(StrEnum):
    """The grade that must be reached."""

    A = "A"
    B_PLUS = "B+"
    B = "B"
    C = "C"


def check(
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="FILE.py:NAME or package.module:NAME.", show_default=False)
    ],
    framework: Annotated[
        str,
        typer.Option(
            "--framework", "-f", metavar="NAME", help="torch, tensorflow, jax or numpy; also NAME@/path/to/python."
        ),
    ],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="SUBJECT",
            help="The function whose convention it is held to, e.g. optax.softmax_cross_entropy.  "
            "[default: the framework's flagship; for numpy, torch's]",
        ),
    ] = None,
    targets: Annotated[
        TargetsChoice | None,
        typer.Option(help="What it is asked with.  [default: what --like takes: labels]", show_default=False),
    ] = None,
    class_axis: Annotated[
        str | None,
        typer.Option(metavar="AXIS", help="Where it gets its classes: last or 1.  [default: as its framework has it]"),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="Its own name for an argument: weight=class_weights. Repeatable."),
    ] = None,
    require: Annotated[
        Require | None,
        typer.Option(help="The grade to reach in every dtype; numbers within it are then no findings."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="One that the framework has.")] = "cpu",
    dtype: Annotated[list[str] | None, typer.Option(metavar="DTYPE", help="Only this dtype; repeatable.")] = None,
    profile: Annotated[ProfileChoice, typer.Option(help="How much is asked.")] = ProfileChoice.DEFAULT,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random numbers.")] = 0,
    explore: Explore = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Begin with the quick problems, and stop where any shows a finding.")
    ] = False,
    expect: Expect = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the run's file, for `logitmus repro` and `report`.")
    ] = None,
    json: Json = None,
    html: Html = None,
    compile_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="The first call of a signature may take so long.")
    ] = 20.0,
    call_seconds: Annotated[float, typer.Option(min=0.1, metavar="S", help="... and any other call.")] = 5.0,
    memory: Annotated[float, typer.Option(min=0.1, max=1e6, metavar="GIB", help="It may use so much memory.")] = 8.0,
) -> None:
    """Hold a loss of yours to a well-known one: exit 0 if it conforms, 1 if not, with what shows it."""
    from dataclasses import replace

    from logitmus.checking.check import KINDS
    from logitmus.checking.check import check as checked
    from logitmus.checking.reference import LIMITS
    from logitmus.cli.output import stdout
    from logitmus.cli.progress import shown
    from logitmus.execution.ask_backend import InquiryError
    from logitmus.execution.registry import named_options
    from logitmus.reports.terminal import check as report

    kinds = tuple(kind for kind in KINDS if targets is not None and targets.value in (kind, TargetsChoice.BOTH))
    try:
        result = checked(
            function,
            framework,
            like=like or "",
            targets=kinds,
            class_axis=class_axis or "",
            require=require.value if require else "",
            device=device,
            dtypes=dtype or (),
            options=named_options(option or ()),
            profile=profile.value,
            seed=seed,
            explore=explore or 0.0,
            fail_fast=fail_fast,
            expect=expect or (EXPECTATIONS if EXPECTATIONS.exists() else None),
            out=out,
            limits=replace(
                LIMITS,
                compile_seconds=compile_seconds,
                call_seconds=call_seconds,
                memory_bytes=int(memory * (1 << 30)),
            ),
            watch=shown,
        )
    except InquiryError as error:
        typer.echo(f"logitmus: {error}", err=True)
        raise typer.Exit(Exit.BACKEND) from None
    try:
        if json != STDOUT:
            report.render(result, stdout())
    finally:  # also where nobody reads on (`| head`)
        _write(result, json, html)
    raise typer.Exit(Exit.OK if result.conforms else Exit.FINDINGS)


def _write(result: CheckResult, json: Path | None, html: Path | None) -> None:
    if json is not None:
        text = json_module.dumps(result.as_dict(), indent=1, sort_keys=True, allow_nan=False, default=str)
        typer.echo(text) if json == STDOUT else json.write_text(text + "\n", encoding="utf-8")
    if html is not None:
        from logitmus.reports.html.report import write

        write(result.summary, html, verdict=result.headline)
    for path in (json, html):
        if path not in (None, STDOUT):
            typer.echo(f"wrote {path}", err=True)
