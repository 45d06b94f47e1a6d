"""An audit: the same problems in several environments, and what changes from each to the next.

1. *Environments* (`logitmus.environments`) exist or are created.
2. *Runs*: each environment gets a run file of its own, with the bits of every result and nothing judged. It is an
   ordinary run file: `logitmus compare`, `report` and `repro` take it.
3. *Times*: a few calls of each function are made in all environments in turn (`call_times`).
4. *Steps*: each run is compared with the next (`comparison`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Final, TypeVar

from logitmus.auditing.call_times import Times, measure
from logitmus.auditing.comparison import step
from logitmus.auditing.selection import Concerned, SelectionError
from logitmus.auditing.transitions import Audit, Step
from logitmus.cases.suite import suite
from logitmus.conventions.claims import FAMILY
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.events import BackendFailed, BackendReady, Event, RunFinished
from logitmus.core.finding import Finding
from logitmus.core.observation import NotRun
from logitmus.core.problem import ONCE, Problem
from logitmus.core.run_settings import RunSettings
from logitmus.engine.judge_batches import NoJudge
from logitmus.engine.planning import Selection
from logitmus.engine.run import run
from logitmus.environments.environments import Environment
from logitmus.execution.limits import Limits
from logitmus.execution.pool import AbstractPool, Pool
from logitmus.execution.registry import BackendSpec
from logitmus.results.acceptance import Acceptance
from logitmus.storage.store import SUFFIX, Store
from logitmus.worker.environment import harness_environment

T = TypeVar("T")
R = TypeVar("R")
Watch = Callable[[Iterable[Event]], Iterable[Event]]
Report = Callable[[str], None]
_FEWEST: Final = 2  # versions
_TIMED: Final = 8  # problems of each function
_LARGEST: Final = 1 << 20  # logits
_QUICK: Final = "quick"


class AuditError(LogitmusError):
    """An environment in which the functions could not be run."""

    exit_code = Exit.BACKEND


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """The problems of an audit, and how they are run.

    Attributes: as of `RunSettings`; jobs: parallel workers, None: as many as there are CPUs.
        times: whether to measure times.
    """

    subjects: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    profile: str = _QUICK
    seed: int = 0
    limits: Limits | None = None
    jobs: int | None = None
    times: bool = True

    def problems(self) -> Iterator[Problem]:
        """The problems: those of the profile, and in the quick one also the problems that tell conventions apart.

        Raises:
            SuiteError: at the call, for a name or a glob that matches nothing.
        """
        chosen = suite(self.profile, seed=self.seed, families=self.families or None, dtypes=self.dtypes or None)
        if self.profile != _QUICK or self.families:
            return chosen
        return chain(chosen, suite(seed=self.seed, families=(FAMILY,), dtypes=self.dtypes or None))


@dataclass(frozen=True, kw_only=True)
class Column:
    """One of the environments of an audit.

    Attributes:
        name: as a person calls it. backends: to run in it. file: its run.
        requested: the versions of the packages that were requested for it, by normalized name.
    """

    name: str
    backends: tuple[BackendSpec, ...]
    file: Path
    requested: Mapping[str, str] = field(default_factory=dict)

    def check(self, used: Mapping[str, str]) -> None:
        """Check that a worker used the requested packages; `used` are the versions that it found.

        Raises:
            AuditError: for another version.
        """
        for name, version in self.requested.items():
            if used.get(name) != version:
                raise AuditError(
                    f"{self.name}: the workers found {name} {used.get(name, '(none)')} instead of {version}",
                    "The environment was changed: remove it with `logitmus env rm`, and repeat the command",
                )


def columns(environments: Sequence[Environment], of: Sequence[Concerned], folder: Path) -> tuple[Column, ...]:
    """A column for each environment, with a file in the folder."""
    names = distinct_names([environment.label for environment in environments])
    return tuple(
        Column(
            name=name,
            backends=tuple(replace(entry.backend, python=str(environment.python)) for entry in of),
            file=file_of(folder, number, name),
            requested=environment.requested,
        )
        for number, (name, environment) in enumerate(zip(names, environments, strict=True), 1)
    )


def distinct_names(labels: Sequence[str]) -> list[str]:
    """The labels, numbered where two are the same."""
    return [f"{label} ({n})" if labels.count(label) > 1 else label for n, label in enumerate(labels, 1)]


def file_of(folder: Path, number: int, name: str) -> Path:
    """The run file of a column."""
    slug = re.sub(r"[^\w.-]+", "-", name.replace("==", "-")).strip("-.")[-60:]
    return folder / f"{number}-{slug or 'environment'}{SUFFIX}"


def audit(
    of: Sequence[Column],
    make: Callable[[Column], None],
    settings: AuditSettings,
    *,
    at_once: int = 1,
    stop: Callable[[], None] = lambda: None,
    acceptance: Acceptance | None = None,
    report: Report = lambda _: None,
) -> Audit:
    """Make the run of every column, and compare each with the next.

    Args:
        make: writes the run file of a column: `run_suite`, or `CheckedTarget.run`.
        at_once: how many of them run at the same time, each in a thread. stop: ends those that run.
        acceptance: the expectations; they accept findings that appear.
        report: receives a short line at the beginning of each step.

    A version that could not run is left out, with a note, if two others could.

    Raises:
        AuditError: where fewer than two versions could run; and the other errors of `make`.
        StoreError: where a file exists or cannot be written.
        KeyboardInterrupt: after Ctrl-C; the files of complete runs are kept.
    """
    for column in of:
        column.file.parent.mkdir(parents=True, exist_ok=True)
    report(f"running {', '.join(column.name for column in of)}")
    failures = side_by_side(partial(_attempt, make), of, at_once, stop)
    of = [column for column, failure in zip(of, failures, strict=True) if failure is None]
    notes = [f"not compared: {failure}" for failure in failures if failure is not None]
    if len(of) < _FEWEST:
        raise next(failure for failure in failures if failure is not None)
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(column.file, check=False)) for column in of]
        rounds: list[list[Times]] = []
        if settings.times:
            report("measuring times")
            rounds = _times(of, stores, settings)
        report("comparing")
        requested = {name for column in of for name in column.requested}
        names = [column.name for column in of]
        return compared(stores, names, rounds=rounds, acceptance=acceptance, notes=notes, requested=requested)


def _attempt(make: Callable[[Column], None], column: Column) -> AuditError | None:
    """Make the run of a column; return why that was not possible."""
    try:
        make(column)
    except AuditError as error:
        return error
    return None


def side_by_side(
    make: Callable[[T], R], things: Iterable[T], at_once: int, stop: Callable[[], None] = lambda: None
) -> list[R]:
    """Call `make` with each thing, `at_once` of them at the same time; the first error ends all.

    Most of the time of a run is that of one worker, whose framework compiles: two runs take hardly longer than one.

    Args:
        stop: makes the calls that are under way end soon, after an error or Ctrl-C.
    """
    if at_once == 1:
        return [make(thing) for thing in things]
    with ThreadPoolExecutor(at_once) as executor:
        futures = [executor.submit(make, thing) for thing in things]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((future for future in futures if future.done() and future.exception()), None)
            return [future.result() for future in ([failed] if failed else futures)]
        except BaseException:
            stop()
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def compared(
    stores: Sequence[Store],
    names: Sequence[str],
    *,
    rounds: Sequence[Sequence[Times]] | None = None,
    acceptance: Acceptance | None = None,
    pairs: Sequence[tuple[int, int]] = (),
    requested: Collection[str] = (),
    notes: Sequence[str] = (),
) -> Audit:
    """The steps between stored runs.

    Args:
        rounds: the times of each run, in each round; None: those that the files hold.
        pairs: the runs to compare, by their places; none: each with the next.
        requested: the packages that the comparison is about, beside those of the frameworks.

    Raises:
        StoreError: where a file is damaged.
    """
    return Audit(
        columns=tuple(names),
        files=tuple(str(store.path) for store in stores),
        steps=tuple(
            _step(stores, names, rounds, acceptance, requested, old, new)
            for old, new in pairs or tuple(pairwise(range(len(stores))))
        ),
        notes=tuple(notes),
    )


def _step(
    stores: Sequence[Store],
    names: Sequence[str],
    rounds: Sequence[Sequence[Times]] | None,
    acceptance: Acceptance | None,
    requested: Collection[str],
    old: int,
    new: int,
) -> Step:
    def reason(finding: Finding) -> str:
        accepting = acceptance.accepting(finding) if acceptance is not None else None
        return "" if accepting is None else accepting.reason

    if acceptance is not None:
        acceptance = Acceptance(acceptance.expectations, today=acceptance.today, file=acceptance.file)
        for event in stores[new].backends():
            acceptance.observe(event)
    times = None if rounds is None else [(of_round[old], of_round[new]) for of_round in rounds]
    return step(
        stores[old], stores[new], names=(names[old], names[new]), requested=requested, reason=reason, rounds=times
    )


def run_suite(column: Column, settings: AuditSettings, watch: Watch = iter) -> None:
    """Make the run of a column: the problems of the settings, on all selected functions of its backends.

    Args:
        watch: passes on the events of the run.

    Raises:
        AuditError: where a backend could not run.
        SuiteError: for a name or a glob that matches nothing.
    """
    kept = RunSettings(
        backends=tuple(f"{spec.name}@{spec.python}" for spec in column.backends),
        subjects=settings.subjects,
        devices=settings.devices,
        families=settings.families,
        dtypes=settings.dtypes,
        profile=settings.profile,
        seed=settings.seed,
    )
    selection = Selection(subjects=settings.subjects, devices=settings.devices, profile=settings.profile)
    pool = partial(_pool, settings)
    make_run(column, kept, settings.problems(), column.backends, pool, watch, selection=selection)


def _pool(settings: AuditSettings, specs: Sequence[BackendSpec], *_: object) -> Pool:
    return Pool(specs, settings.limits, settings.jobs)


def make_run(
    column: Column,
    kept: RunSettings,
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    pool: Callable[..., AbstractPool],
    watch: Watch,
    *,
    selection: Selection | None = None,
) -> None:
    """Write the run file of a column, with nothing judged.

    Args:
        kept: the settings that the file holds. pool: makes the workers. watch: passes on the events of the run.

    Raises:
        AuditError: where a backend could not run, or not with the requested packages.
        SelectionError: where nothing was called.
    """
    store = Store.create(column.file, environment=harness_environment(), settings=kept)
    try:
        with store:
            events = run(problems, specs, store, selection=selection, judge=NoJudge(), pool=pool)
            _consume(column, store, watch(events))
    except BaseException:  # also Ctrl-C: no run file is left that is not complete
        column.file.unlink(missing_ok=True)
        raise


def _consume(column: Column, store: Store, events: Iterable[Event]) -> None:
    """Let a run happen, and check that it happened."""
    failed: dict[str, BackendFailed] = {}
    ready: set[str] = set()
    for event in events:
        match event:
            case BackendFailed():
                failed[event.backend] = event
            case BackendReady():
                ready.add(event.backend)
                column.check(event.environment.get("packages", {}))
            case RunFinished(interrupted=True):
                raise KeyboardInterrupt
            case _:
                pass
    empty = not len(store)
    lost = next((event for name, event in failed.items() if name not in ready or empty), None)
    if lost is not None:
        error = LogitmusError(f"{column.name}: {lost.backend} could not run: {lost.reason}", lost.hint)
        raise AuditError(error.message, package_hint(column.name, error))
    why = _why_not_run(store) if empty else ""
    if why:
        hint = "Add what it needs to the environment, or choose other functions with --subject or --backend"
        raise AuditError(f"{column.name}: no function could be called: {why}", hint)
    if empty:
        raise SelectionError(
            f"{column.name}: no function was called; check --subject, --device, --dtype and --family "
            "(`logitmus backends --subjects` lists the functions)"
        )


def package_hint(column: str, error: LogitmusError) -> str:
    """What to do about an error in an environment: where a package is missing, nothing is installed into the cache."""
    if "No module named" not in error.message:
        return error.hint
    return "Install it there" if "/" in column else f'Request it, too: "{column} PACKAGE"'


def _why_not_run(store: Store) -> str:
    """Why the calls of a run were not made, the most frequent reason; "" if none was due."""
    reasons: Counter[str] = Counter()
    for problem in store.problem_ids():
        reasons.update(outcome.reason for outcome in store.outcomes(problem).values() if isinstance(outcome, NotRun))
    return max(reasons, key=lambda reason: (reasons[reason], reason), default="")


def _times(of: Sequence[Column], stores: Sequence[Store], settings: AuditSettings) -> list[list[Times]]:
    """The times of a few calls of each function, made in all columns in turn."""
    pairs = _timed_calls(stores)
    with ExitStack() as stack:
        pools = [stack.enter_context(Pool(column.backends, settings.limits, jobs=1)) for column in of]

        def warm_up(pool: Pool) -> None:
            list(pool.describe())
            list(pool.ask(pairs))

        side_by_side(warm_up, pools, min(len(pools), os.cpu_count() or 1))
        return list(measure(pools, pairs))


def _timed_calls(stores: Sequence[Store]) -> list[tuple[Problem, str]]:
    """The largest problems that each plain function answered in all runs."""
    answered = [store.later_seconds() for store in stores]
    problems = {problem.id: problem for problem in stores[0].problems() if problem.manner == ONCE}
    subjects = stores[0].subjects()
    pairs = []
    for name in sorted(set.intersection(*(set(of) for of in answered))):
        both: set[str] = set.intersection(*(set(of[name]) for of in answered)) & problems.keys()
        if not (subjects[name].has_switch or subjects[name].variant):
            eligible = [problems[i] for i in both if problems[i].logits.size <= _LARGEST]
            largest = sorted(eligible, key=lambda problem: (-problem.logits.size, problem.id))[:_TIMED]
            pairs += [(problem, name) for problem in largest]
    return pairs
