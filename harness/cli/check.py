"""`logitmus check`: test a loss function of your own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit, ProfileChoice
from logitmus.cli.options import (
    Device,
    DTypes,
    Expect,
    Explore,
    Framework,
    FunctionName,
    Outputs,
    ParameterNames,
    TargetsChoice,
    with_outputs,
)

if TYPE_CHECKING:
    from logitmus.checking.result import CheckResult


class Require(StrEnum):
    """The minimum grade."""

    A = "A"
    B_PLUS = "B+"
    B = "B"
    C = "C"


@with_outputs
def check(
    *,
    function: FunctionName,
    framework: Framework,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="SUBJECT",
            help="Reference whose convention the function must follow, e.g. optax.softmax_cross_entropy.  "
            "[default: the framework's main loss; for numpy, torch's]",
        ),
    ] = None,
    targets: Annotated[
        TargetsChoice | None,
        typer.Option(help="Kind of targets to test with.  [default: as --like, else labels]", show_default=False),
    ] = None,
    class_axis: Annotated[
        str | None,
        typer.Option(metavar="AXIS", help="Class axis of the logits: last or 1.  [default: as in the framework]"),
    ] = None,
    option: ParameterNames = None,
    require: Annotated[
        Require | None,
        typer.Option(help="Minimum grade in every dtype; errors within this grade are not findings."),
    ] = None,
    but: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Intended difference from the reference, e.g. mean_denominator=rows or temperature=2; a check prints "
            "those that would apply. Repeatable.",
        ),
    ] = None,
    same: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Parameter of the function that must not matter, and values to test it with, e.g. chunk=1,2,7. "
            "Repeatable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count kinds of input that the function does not take as findings.")
    ] = False,
    device: Device = "cpu",
    dtype: DTypes = None,
    profile: Annotated[ProfileChoice, typer.Option(help="Test profile.")] = ProfileChoice.DEFAULT,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    explore: Explore = None,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="Start with the quick profile, and stop at the first problem that fails."),
    ] = False,
    expect: Expect = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the run file, for `logitmus repro` and `report`.")
    ] = None,
    outputs: Outputs,
    compile_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Time limit for the first call of a signature.")
    ] = 20.0,
    call_seconds: Annotated[float, typer.Option(min=0.1, metavar="S", help="Time limit for any other call.")] = 5.0,
    memory: Annotated[float, typer.Option(min=0.1, max=1e6, metavar="GIB", help="Memory limit of the worker.")] = 8.0,
) -> None:
    """Test a loss function of your own against a well-known loss function.

    Exits with 0 if it conforms, and with 1 if it does not, with a minimal input for each finding.
    """
    from logitmus.checking.check import KINDS
    from logitmus.checking.check import check as check_function
    from logitmus.checking.reference import LIMITS
    from logitmus.checking.report_summary import CheckedSummary
    from logitmus.cli.delivery import write_and_print, write_json
    from logitmus.cli.output import stdout
    from logitmus.cli.progress import shown
    from logitmus.execution.registry import named_options
    from logitmus.reports.terminal import check as report
    from logitmus.results.expectations import default_file
    from logitmus.results.source_location import locator

    file = expect or default_file()
    outputs.refuse_overwriting(run_file=out, file_of_expectations=file, file_of_the_function=_source(function))
    kinds = tuple(kind for kind in KINDS if targets is not None and targets.value in (kind, TargetsChoice.BOTH))
    with _run_file(out, for_page=outputs.html is not None) as run:
        result = check_function(
            function,
            framework,
            like=like or "",
            targets=kinds,
            class_axis=class_axis or "",
            require=require.value if require else "",
            but=dict(map(_choice, but or ())),
            same=dict(map(_values, same or ())),
            strict=strict,
            device=device,
            dtypes=dtype or (),
            options=named_options(option or ()),
            profile=profile.value,
            seed=seed,
            explore=explore or 0.0,
            fail_fast=fail_fast,
            expect=file,
            out=run,
            limits=replace(
                LIMITS,
                compile_seconds=compile_seconds,
                call_seconds=call_seconds,
                memory_bytes=int(memory * (1 << 30)),
            ),
            watch=shown,
        )
        result = replace(result, file=out)
        written = write_and_print(
            CheckedSummary(result),
            outputs,
            locator(result.summary, file),
            {
                "html": partial(_write_html, result=result, run=run),
                "json": lambda path: write_json(path, result.as_dict()),
            },
            lambda: report.render(result, stdout()),
        )
    for path in written:
        typer.echo(f"wrote {path}", err=True)
    raise typer.Exit(Exit.OK if result.conforms else Exit.FINDINGS)


def _source(function: str) -> Path | None:
    """The file that FILE.py:NAME names; None for a name in a module."""
    file = Path(function.rpartition(":")[0])
    return file if file.suffix == ".py" else None


def _choice(text: str) -> tuple[str, str]:
    """The name and the value of a `--but`."""
    field, equals, value = text.partition("=")
    if not (field and equals and value):
        raise typer.BadParameter(f"{text!r}: use NAME=VALUE, e.g. mean_denominator=rows", param_hint="--but")
    return field.strip(), value.strip()


def _values(text: str) -> tuple[str, list[str]]:
    """The name and the values of a `--same`."""
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise typer.BadParameter(f"{text!r}: use NAME=VALUE,VALUE,..., e.g. chunk=1,2,7", param_hint="--same")
    return name.strip(), [value.strip() for value in values.split(",")]


@contextmanager
def _run_file(out: Path | None, *, for_page: bool) -> Iterator[Path | None]:
    """Where the run is kept: where the user wants it, or until its page is written, or nowhere."""
    if out is not None or not for_page:
        yield out
        return
    from logitmus.storage.store import SUFFIX

    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder) / f"check{SUFFIX}"


def _write_html(path: Path, result: CheckResult, run: Path | None) -> None:
    from logitmus.checking.report_summary import CheckedSummary
    from logitmus.checking.result import computes
    from logitmus.reports.html import report
    from logitmus.reports.html.file_facts import FileFacts
    from logitmus.storage.store import Store

    if run is None:
        raise ValueError("a page needs the file of its run")
    summary = CheckedSummary(result)
    with Store.open(run, check=False) as store:
        facts = FileFacts.of(store, summary)
    if result.file is None:
        facts = replace(facts, run="RUN")
    report.write(summary, path, facts, verdict=result.headline, computes=list(computes(result)))
