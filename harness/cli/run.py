"""`logitmus run`: run the problems, keep the results, judge them, report."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from logitmus.cli.against import Against, check_fail_on, compared
from logitmus.cli.choices import chosen_backends, chosen_problems
from logitmus.cli.early_start import started
from logitmus.cli.exits import Exit, FailOn, ProfileChoice
from logitmus.cli.options import (
    DTypes,
    Expect,
    Explore,
    FailOnOption,
    Outputs,
    ShardOption,
    StrictOption,
    Subjects,
    is_strict,
    with_outputs,
)
from logitmus.core.run_settings import Examination, Exploration, RunSettings
from logitmus.execution.limits import Limits

if TYPE_CHECKING:
    from logitmus.storage.store import Store

_GIB = 1 << 30
EXAMINATION: Final = Examination(calls=24)


@with_outputs
def run(
    *,
    context: typer.Context,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            metavar="BACKEND",
            help="torch, torch@/path/to/python, torch@env:NAME, name=torch@..., module:ATTRIBUTE or cmd:./program; "
            "repeatable.  "
            "[default: all installed]",
        ),
    ] = None,
    subject: Subjects = None,
    family: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these families; repeatable.")] = None,
    dtype: DTypes = None,
    device: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these devices (cpu, cuda*); repeatable.")
    ] = None,
    profile: Annotated[
        ProfileChoice | None, typer.Option(help="Test profile.  [default: default]", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Random seed.  [default: 0]")] = None,
    repeat: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Repeat all calls N times, in the same and in new processes."),
    ] = None,
    shard: ShardOption = None,
    explore: Explore = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run file to write.  [default: logitmus-TIME.logitmus]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out.")] = False,
    outputs: Outputs,
    expect: Expect = None,
    against: Against = None,
    fail_on: FailOnOption = FailOn.DIFFERENCE,
    strict: StrictOption = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Parallel workers.  [default: number of CPUs]"),
    ] = None,
    start_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Time limit for starting a worker.")
    ] = Limits.start_seconds,
    compile_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Time limit for the first call of a signature.")
    ] = Limits.compile_seconds,
    call_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Time limit for any other call.")
    ] = Limits.call_seconds,
    memory: Annotated[float, typer.Option(min=0.1, max=1e6, metavar="GIB", help="Memory limit of a worker.")] = (
        Limits.memory_bytes / _GIB
    ),
) -> None:
    """Run every problem on every backend, and judge the results against exact values."""
    from logitmus.execution.launch import launched

    check_fail_on(fail_on, against)
    if shard and explore:
        raise typer.BadParameter("explores the whole run; do it after merging the shards", param_hint="--explore")
    given = {
        "backends": backend and tuple(backend),
        "subjects": subject and tuple(subject),
        "devices": device and tuple(device),
        "families": family and tuple(family),
        "dtypes": dtype and tuple(dtype),
        "profile": profile and profile.value,
        "seed": seed,
        "explore": Exploration(minutes=explore) if explore else None,
        "repeat": repeat,
        "shard": shard,
    }
    settings = _settings(out, {name: value for name, value in given.items() if value is not None}, resume=resume)
    specs = chosen_backends(settings.backends)
    at_once = specs[: jobs or os.cpu_count()]
    with launched(at_once, started(context)) as processes:  # the frameworks take longer to load than the imports below
        from logitmus.cli.delivery import acceptance, deliver
        from logitmus.cli.progress import shown
        from logitmus.engine.planning import Selection
        from logitmus.engine.run import run as run_problems
        from logitmus.execution.pool import Pool
        from logitmus.results.wording import plural

        problems = chosen_problems(settings)
        accepted = acceptance(expect)
        outputs.refuse_overwriting(run_file=out, earlier_run=against, file_of_expectations=accepted.file)
        limits = Limits(
            start_seconds=start_seconds,
            compile_seconds=compile_seconds,
            call_seconds=call_seconds,
            memory_bytes=int(memory * _GIB),
        )
        with _file(out, settings, resume=resume) as store, compared(against, store) as comparing:
            selection = Selection(subjects=settings.subjects, devices=settings.devices, profile=settings.profile)
            pool = partial(Pool, launched=processes)
            events = run_problems(problems, specs, store, selection=selection, limits=limits, jobs=jobs, pool=pool)
            try:
                code = deliver(
                    shown(events),
                    accepted,
                    outputs=outputs,
                    fail_on=fail_on,
                    strict=is_strict(strict),
                    requested={spec.label for spec in specs} if settings.backends else (),
                    store=store,
                    comparing=comparing,
                )
            except KeyboardInterrupt:
                code = Exit.INTERRUPTED
            count = len(store)
            if code is Exit.USAGE and not count:
                raise typer.Exit(code)
    again = f"\nResume with: logitmus run --resume --out {store.path}" if code is Exit.INTERRUPTED else ""
    typer.echo(f"wrote {store.path}: {plural(count, 'result')}{again}", err=True)
    raise typer.Exit(code)


def _settings(out: Path | None, given: dict[str, Any], *, resume: bool) -> RunSettings:
    """The given settings, completed by the defaults; for a resumed run, its own."""
    if not resume:
        return RunSettings(examine=EXAMINATION, **given)
    from logitmus.storage.store import Store

    if out is None:
        raise typer.BadParameter("needs --out FILE, the run file to continue", param_hint="--resume")
    with Store.open(out) as started:
        settings = started.settings
    requested, kept = _shown(replace(settings, **given)), _shown(settings)
    for name in given:
        if requested.get(name) != kept.get(name):
            raise typer.BadParameter(
                f"{out} was started with {name} = {kept.get(name)!r}, not {requested[name]!r}; "
                "remove the option (a resumed run keeps its settings), or start a new file",
                param_hint="--resume",
            )
    return settings


def _shown(settings: RunSettings) -> dict[str, Any]:
    return {**settings.as_dict(), "shard": str(settings.shard) if settings.shard else None}


@contextmanager
def _file(out: Path | None, settings: RunSettings, *, resume: bool) -> Iterator[Store]:
    """A new run file with these settings, or the file to resume.

    A new file that holds no result is removed if the run ends with an error.
    """
    from logitmus.storage.store import SUFFIX, Store

    if resume and out is not None:
        with Store.open(out, write=True, check=False) as store:
            yield store
        return
    path, is_empty = out or Path(f"logitmus-{datetime.now():%Y%m%d-%H%M%S}{SUFFIX}"), False
    try:
        with new_file(path, settings) as store:
            try:
                yield store
            except Exception:
                is_empty = not len(store)
                raise
    finally:
        if is_empty:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)


def new_file(path: Path, settings: RunSettings) -> Store:
    """A new run file with these settings."""
    from logitmus.storage.store import Store
    from logitmus.worker.environment import harness_environment

    return Store.create(path, environment=harness_environment(), settings=settings)
