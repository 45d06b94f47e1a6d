"""`logitmus run`: ask, keep, judge, report."""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logitmus.cli.choices import chosen_backends, chosen_problems
from logitmus.cli.exits import Exit, FailOn, ProfileChoice
from logitmus.cli.options import Expect, Explore, FailOnOption, Html, Json, JUnit, Markdown, Outputs

if TYPE_CHECKING:
    from logitmus.storage.store import Store

_GIB = 1 << 30
# What is asked of whom: kept in the file, so that a run resumes without being told again.
_DEFAULTS: dict[str, Any] = {
    "backends": [], "subjects": [], "devices": [], "families": [], "dtypes": [], "profile": "default", "seed": 0,
    "examine": {"calls": 24},
}  # fmt: skip


def run(
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            metavar="BACKEND",
            help="torch, torch@/path/to/python, name=torch@..., module:ATTRIBUTE or cmd:./program; repeatable.  "
            "[default: all that are installed]",
        ),
    ] = None,
    subject: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these subjects; repeatable.")] = None,
    family: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these families; repeatable.")] = None,
    dtype: Annotated[list[str] | None, typer.Option(metavar="DTYPE", help="Only this dtype; repeatable.")] = None,
    device: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these devices (cpu, cuda*); repeatable.")
    ] = None,
    profile: Annotated[
        ProfileChoice | None, typer.Option(help="How much is asked.  [default: default]", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the random numbers.  [default: 0]")] = None,
    explore: Explore = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The run's file.  [default: logitmus-TIME.logitmus]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    html: Html = None,
    json: Json = None,
    junit: JUnit = None,
    markdown: Markdown = None,
    expect: Expect = None,
    fail_on: FailOnOption = FailOn.DIFFERENCE,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Workers that compute at once.  [default: the number of CPUs]"),
    ] = None,
    start_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="A worker may take so long to start.")
    ] = 120.0,
    compile_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="... for the first call of a signature.")
    ] = 60.0,
    call_seconds: Annotated[float, typer.Option(min=0.1, metavar="S", help="... for any other call.")] = 20.0,
    memory: Annotated[
        float, typer.Option(min=0.1, max=1e6, metavar="GIB", help="A worker may use so much memory.")
    ] = 8.0,
) -> None:
    """Ask every backend every problem, and judge the answers."""
    from logitmus.execution.launch import launched

    given = {
        "backends": backend,
        "subjects": subject,
        "devices": device,
        "families": family,
        "dtypes": dtype,
        "profile": profile and profile.value,
        "seed": seed,
        "explore": explore and {"minutes": explore},
    }
    asked = _settings(out, {name: value for name, value in given.items() if value is not None}, resume=resume)
    specs = chosen_backends(asked["backends"])
    at_once = specs[: jobs or os.cpu_count()]
    with launched(at_once) as processes:  # what they load takes longer than all that is loaded here
        from logitmus.cli.delivery import acceptance, deliver
        from logitmus.cli.progress import shown
        from logitmus.engine import run as engine
        from logitmus.execution.pool import Limits, Pool

        problems = chosen_problems(asked)
        accepted = acceptance(expect)
        limits = Limits(
            start_seconds=start_seconds,
            compile_seconds=compile_seconds,
            call_seconds=call_seconds,
            memory_bytes=int(memory * _GIB),
        )
        with _file(out, asked, resume=resume) as store:
            selection = engine.Selection(subjects=tuple(asked["subjects"]), devices=tuple(asked["devices"]))
            pool = partial(Pool, launched=processes)
            events = engine.run(problems, specs, store, selection=selection, limits=limits, jobs=jobs, pool=pool)
            try:
                code = deliver(
                    shown(events),
                    accepted,
                    outputs=Outputs(html=html, json=json, junit=junit, markdown=markdown),
                    fail_on=fail_on,
                    asked_for={spec.label for spec in specs} if asked["backends"] else (),
                    store=store,
                )
            except KeyboardInterrupt:
                code = Exit.INTERRUPTED
            count = len(store)
    again = f"\nGo on with: logitmus run --resume --out {store.path}" if code is Exit.INTERRUPTED else ""
    typer.echo(f"{count} observations are in {store.path}{again}", err=True)
    raise typer.Exit(code)


def _settings(out: Path | None, given: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """What is asked of whom: as given, and else as usual; of a run that goes on, its own."""
    if not resume:
        return {**_DEFAULTS, **given}
    from logitmus.storage.store import Store

    if out is None:
        raise typer.BadParameter("needs --out FILE, the file of the run to go on with", param_hint="--resume")
    with Store.open(out) as started:
        settings = started.settings
    for name, value in given.items():
        if value != settings.get(name):
            raise typer.BadParameter(
                f"{out} was started with {name} = {settings.get(name)!r}, not {value!r}; leave the option out "
                "(a run goes on with its own), or start a new file",
                param_hint="--resume",
            )
    return settings


def _file(out: Path | None, settings: dict[str, Any], *, resume: bool) -> Store:
    """A new file with these settings, or the one to go on with."""
    from logitmus.storage.store import SUFFIX, Store

    if resume and out is not None:
        return Store.open(out, write=True, check=False)
    return new_file(out or Path(f"logitmus-{datetime.now():%Y%m%d-%H%M%S}{SUFFIX}"), settings)


def new_file(path: Path, given: dict[str, Any]) -> Store:
    """A run's new file; what is not given of the settings is as usual."""
    from logitmus.storage.store import Store
    from logitmus.worker.environment import harness_environment

    return Store.create(path, environment=harness_environment(), settings={**_DEFAULTS, **given})
