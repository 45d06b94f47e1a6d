"""`logitmus audit`: what an upgrade changes."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from logitmus.cli.env import InstallerOption, PythonOption
from logitmus.cli.exits import FailOnChange, ProfileChoice
from logitmus.cli.options import DTypes, Expect, Html, Json, Markdown, ParameterNames, Subjects
from logitmus.cli.upgrade import (
    ConcernedBackends,
    FailOnChangeOption,
    Folder,
    Jobs,
    Seed,
    check_outputs,
    deliver,
    kept,
    new_folder,
)
from logitmus.environments.choices import InstallerChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from logitmus.auditing.audit import AuditSettings, Column, Watch
    from logitmus.auditing.checked_function import CheckedTarget
    from logitmus.core.events import Event

_FEWEST: Final = 2


def audit(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ENVIRONMENT...",
            help='Two or more: "optax==0.2.3", "jax==0.6.0 optax==0.2.4", a path to a Python, current, or env:NAME.',
            show_default=False,
        ),
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option(
            "--requirement",
            "-r",
            metavar="FILE",
            help="An environment with the requirements in this file, after the others; repeatable.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(metavar="FUNCTION", help="Audit this function of your own: FILE.py:NAME or package.module:NAME."),
    ] = None,
    framework: Annotated[
        str | None,
        typer.Option(
            "--framework", "-f", metavar="NAME", help="Framework of --check: torch, tensorflow, jax or numpy."
        ),
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="Reference of --check, as for `logitmus check`.")
    ] = None,
    option: ParameterNames = None,
    backend: ConcernedBackends = None,
    subject: Subjects = None,
    family: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these families; repeatable.")] = None,
    dtype: DTypes = None,
    device: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these devices; repeatable.")] = None,
    profile: Annotated[ProfileChoice, typer.Option(help="Test profile.")] = ProfileChoice.QUICK,
    seed: Seed = 0,
    times: Annotated[bool, typer.Option("--times/--no-times", help="Measure call times, too.")] = True,
    python: PythonOption = "",
    installer: InstallerOption = InstallerChoice.UV,
    out: Folder = None,
    html: Html = None,
    json: Json = None,
    markdown: Markdown = None,
    expect: Expect = None,
    fail_on: FailOnChangeOption = FailOnChange.WORSE,
    jobs: Jobs = None,
) -> None:
    """Show what changes in cross-entropy from one version to the next.

    Each ENVIRONMENT is created once, kept, and gets the same problems. Exits with 1 if a result is worse.
    """
    from logitmus.auditing import audit as auditing
    from logitmus.auditing.selection import concerned
    from logitmus.cli.delivery import acceptance
    from logitmus.cli.progress import progress_of_runs
    from logitmus.cli.steps import steps
    from logitmus.environments.environments import Environments
    from logitmus.environments.spec import parse
    from logitmus.execution import registry

    texts = [*(specs or ()), *(f"-r {shlex.quote(file.strip())}" for file in requirements or ())]
    if len(texts) < _FEWEST:
        seen = f"{texts[0]!r} is one environment" if texts else "no environment is given"
        raise typer.BadParameter(f"{seen}; an audit compares two or more", param_hint="ENVIRONMENT...")
    _check_options(check, framework=framework, like=like, option=option, backend=backend)
    folder = new_folder(out, "audit")
    accepted = acceptance(expect)
    used = {} if accepted.file is None else {"file_of_expectations": accepted.file}
    check_outputs({"--html": html, "--json": json, "--markdown": markdown}, **used)
    settings = auditing.AuditSettings(
        subjects=tuple(subject or ()),
        families=tuple(family or ()),
        dtypes=tuple(dtype or ()),
        devices=tuple(device or ()),
        profile=profile.value,
        seed=seed,
        jobs=jobs,
        times=times,
    )
    settings.problems()  # a wrong name is an error before anything is installed
    for name in backend or ():
        registry.parse(name)
    target = _target(check, framework, like, option) if check else None
    cache, requested = Environments(), [parse(text) for text in texts]
    with kept(folder):
        with steps() as report:
            made = [cache.provide(spec, python=python, installer=installer.value, report=report) for spec in requested]
        if len({environment.python for environment in made}) == 1:
            typer.echo("logitmus: all of these are the same environment", err=True)
        with progress_of_runs() as watch:
            if target is not None:
                of, at_once = target.columns(made, folder), 1
                make = partial(_make, target.run, settings, watch)
            else:
                chosen = concerned(made, backend or ())
                globs = settings.subjects or tuple(glob for entry in chosen for glob in entry.subjects)
                settings = replace(settings, subjects=globs)
                of, at_once = auditing.columns(made, chosen, folder), min(len(made), os.cpu_count() or 1)
                make = partial(_make, auditing.run_suite, settings, watch)
            say = partial(typer.echo, err=True)
            found = auditing.audit(
                of, make, settings, at_once=at_once, stop=watch.stop, acceptance=accepted, report=say
            )
    typer.echo(f"wrote the run files in {folder}", err=True)
    raise typer.Exit(deliver(found, html=html, json=json, markdown=markdown, fail_on=fail_on))


def _make(
    run: Callable[[Column, AuditSettings, Watch], None],
    settings: AuditSettings,
    watch: Callable[[str, Iterable[Event]], Iterator[Event]],
    column: Column,
) -> None:
    """Make the run of a column, and show its progress."""
    run(column, settings, partial(watch, column.name))


def _check_options(check: str | None, *, backend: object, **of_check: object) -> None:
    """Refuse options that have no effect."""
    given = [f"--{name}" for name, value in of_check.items() if value]
    if check is None and given:
        raise typer.BadParameter("only describes the function of --check; name it", param_hint=given[0])
    if check is not None and backend:
        raise typer.BadParameter("cannot be used with --check; use --framework", param_hint="--backend")
    if check is not None and not of_check["framework"]:
        raise typer.BadParameter("needs --framework: torch, tensorflow, jax or numpy", param_hint="--check")


def _target(check: str, framework: str | None, like: str | None, option: Sequence[str] | None) -> CheckedTarget:
    from logitmus.auditing.checked_function import CheckedTarget
    from logitmus.execution import registry

    names = registry.named_options(option or ())
    registry.adopting(framework or "", check, [f"{ours}={theirs}" for ours, theirs in names.items()])
    return CheckedTarget(function=check, framework=framework or "", like=like or "", names=names)
