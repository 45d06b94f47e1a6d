"""Measures how many faults the harness finds: known faults and correct functions, checked as a user's function is.

All planted functions of a framework run in one worker and are judged by the convention of PyTorch's flagship, as
`logitmus check` judges a user's function; a function that kills its process has a worker of its own. Each function has
two truths (`logitmus.cases.planted`). The causes that a check reports are compared with the right ones: first on the
quick problems in float32, then, for faults that these do not name and for correct functions, on the default problems
in every dtype (unless only the quick ones are wanted). A check also states what the function computes: for faults that
its findings leave unexplained, the parts of that model are compared with the right causes, too. The convention card
that `identify` would measure is compared with the right card.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from logitmus.cases.planted import dying_faults
from logitmus.cases.planted.catalogue import ALL, DYING
from logitmus.cases.planted.zoo import Naming, Planted
from logitmus.cases.suite import FAMILIES, suite
from logitmus.checking import card_score, reference
from logitmus.checking.baseline import BaselineComparison
from logitmus.checking.explanation import deviations, explanation
from logitmus.conventions.measure import measure
from logitmus.core.causes import Cause
from logitmus.core.errors import LogitmusError, closest
from logitmus.core.events import BackendFailed, BackendReady, Event, Examined, Judged, RunFinished, Settled
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.run_settings import Examination, RunSettings
from logitmus.core.subject import Subject
from logitmus.engine import run as engine
from logitmus.execution import registry
from logitmus.execution.limits import Limits
from logitmus.execution.pool import Pool, Ready
from logitmus.execution.registry import BackendSpec
from logitmus.execution.session import Observed
from logitmus.execution.started import Stage
from logitmus.judging.bench import Bench
from logitmus.judging.judge import Judge
from logitmus.results.detection_power import Result, Score
from logitmus.results.groups import Group
from logitmus.storage.store import SUFFIX, Store
from logitmus.worker.environment import harness_environment

_BACKENDS: Final = {
    "numpy": BackendSpec(name="planted-numpy", target="logitmus.checking.planted_backends:NUMPY"),
    "torch": BackendSpec(name="planted-torch", target="logitmus.checking.planted_backends:TORCH"),
}
FLAGSHIP: Final = "torch"
# On a busy machine every call may be slow, which is no fault; the functions that hang have their own workers.
_PATIENT: Final = Limits(compile_seconds=120.0, call_seconds=120.0)
# A correct function in NumPy answers within milliseconds; the time is for the one that exhausts its memory.
_TIGHT: Final = Limits(
    compile_seconds=4.0, call_seconds=4.0, patience=20.0, memory_bytes=1 << 30, give_up_after=3, lost_seconds=7.0
)
_CALLS: Final = 24  # to reduce each group of findings of an integrity fault, so that its dependence is named
_QUICK: Final = ("quick", ("float32",))
_DEFAULT: Final = ("default", tuple(FLOAT_DTYPES))
# NumPy has no bfloat16 of its own.
_DTYPES: Final[Mapping[str, tuple[str, ...]]] = {"numpy": ("float64", "float32", "float16")}
Watch = Callable[[Iterable[Event]], Iterable[Event]]


class SelftestError(LogitmusError, ValueError):
    """A pattern that matches no planted function."""


@dataclass
class _Session:
    """The started workers, and the results so far. Functions are known by the ids of their subjects.

    Attributes:
        planted: the functions. described: their subjects as their workers describe them. checked: the same subjects
            with the convention of the flagship.
        flagship: the reference for each kind of targets, if it could be started.
        ready: all backends with the subjects that are checked.
    """

    workers: Stage
    specs: tuple[BackendSpec, ...]
    planted: dict[str, Planted] = field(default_factory=dict)
    described: dict[str, Subject] = field(default_factory=dict)
    checked: dict[str, Subject] = field(default_factory=dict)
    flagship: dict[TargetKind, Subject] = field(default_factory=dict)
    ready: list[Ready] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    problems: int = 0
    calls: int = 0


def selftest(*, seed: int = 0, only: Sequence[str] = (), thorough: bool = True, watch: Watch = iter) -> Score:
    """Check and identify every planted function; see the module.

    Args:
        seed: the seed of the problems.
        only: patterns (`fnmatch`) of the names of planted functions; empty: all.
        thorough: go on with the default problems where the quick ones leave something open; otherwise correct functions
            get the quick problems, too.
        watch: passes on every event of the runs, to show progress.

    Raises:
        SelftestError: if a pattern matches no planted function.
    """
    start = time.monotonic()
    functions = chosen(only)
    with ExitStack() as stack:
        session = _start(functions)
        stack.callback(session.workers.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        quick = [key for key, planted in session.planted.items() if planted.faulty or not thorough]
        _check(session, quick, *_QUICK, folder, seed, watch)
        _explain(session)
        if thorough:
            left = [key for key in session.planted if key not in session.results or not session.results[key].settled]
            _check(session, left, *_DEFAULT, folder, seed, watch)
            _explain(session)
        _identify(session)
    return _score(session, start)


def _score(session: _Session, start: float) -> Score:
    return Score(
        results=tuple(session.results.values()),
        seconds=time.monotonic() - start,
        problems=session.problems,
        calls=session.calls,
        remarks=tuple(session.remarks),
    )


def detect(
    functions: Sequence[Planted], backend: BackendSpec, *, seed: int = 0, thorough: bool = True, watch: Watch = iter
) -> Score:
    """Check functions that a backend of their own offers until they are found, without looking for what explains them.

    Args:
        functions: in one framework. backend: offers them as `logitmus.checking.planted_backends` does.
        seed, thorough, watch: as for `selftest`.
    """
    start = time.monotonic()
    with ExitStack() as stack:
        session = _start(functions, {planted.framework: backend for planted in functions})
        stack.callback(session.workers.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for profile, dtypes in (_QUICK, _DEFAULT) if thorough else (_QUICK,):
            left = [key for key, result in session.results.items() if not result.found]
            _check(session, left, profile, dtypes, folder, seed, watch)
    return _score(session, start)


def findings_of_families(
    functions: Mapping[str, Sequence[Planted]], *, dtypes: Sequence[str] = ("float32", "float16")
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Check planted functions with the problems of a single family.

    Args:
        functions: by the name of a family, the functions to check.
        dtypes: the dtypes of the problems.

    Returns:
        By family and by the id of a function, the causes of its findings; the worst first.
    """
    together = {planted.id: planted for several in functions.values() for planted in several}
    causes: dict[str, dict[str, tuple[str, ...]]] = {}
    with ExitStack() as stack:
        session = _start(tuple(together.values()))
        stack.callback(session.workers.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for family, several in functions.items():
            keys = [key for key, planted in session.planted.items() if planted in several]
            session.results = {key: Result(planted=session.planted[key]) for key in keys}
            (folder / family).mkdir()
            _check(session, keys, "default", dtypes, folder / family, 0, iter, (family,))
            causes[family] = {result.name: result.causes for result in session.results.values()}
    return causes


def chosen(only: Sequence[str], functions: Sequence[Planted] = ALL) -> tuple[Planted, ...]:
    """The functions whose name or id matches any of these patterns; without a pattern, all.

    Raises:
        SelftestError: for a pattern that matches none.
    """
    names = [name for planted in functions for name in (planted.name, planted.id)]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            close = closest(pattern, names)
            hint = f"did you mean {close[0]!r}?" if close else "--list lists them"
            raise SelftestError(f"no function matches {pattern!r}; {hint}")
    return tuple(
        planted
        for planted in functions
        if not only or any(fnmatchcase(name, pattern) for name in (planted.name, planted.id) for pattern in only)
    )


def _start(functions: Sequence[Planted], backends: Mapping[str, BackendSpec] = _BACKENDS) -> _Session:
    """Start the workers, and give every planted subject the convention of the flagship.

    That convention is the one that the flagship's backend declares, or that of its worker, if it could start.
    """
    frameworks = sorted({planted.framework for planted in functions if planted not in DYING})
    alone = [
        registry.adopting("numpy", f"{dying_faults.__name__}:{fault.name}") for fault in functions if fault in DYING
    ]
    together = [backends[framework] for framework in frameworks]
    flagship = registry.parse(FLAGSHIP)
    pools = [Pool([*together, flagship], _PATIENT)]
    if alone:
        pools.append(Pool(alone, _TIGHT))
    session = _Session(workers=Stage(pools), specs=(*together, *alone, flagship))
    references = reference.references(FLAGSHIP, targets=tuple(TargetKind))
    by_id = {planted.id: planted for planted in functions}
    for described in session.workers.described:
        if isinstance(described, BackendFailed):
            session.remarks.append(f"{described.backend} could not be tested: {described.reason}")
        elif described.spec == flagship:
            ids = {subject.id for subject in references.values()}
            session.flagship = {
                subject.offer.targets: replace(subject, held_to=subject.id)
                for subject in described.subjects
                if subject.id in ids
            }
            session.ready.append(replace(described, subjects=tuple(session.flagship.values())))
        else:
            framework = described.spec.name.removeprefix("planted-")
            subjects = tuple(
                _checked(session, subject, planted, references[planted.targets])
                for subject in described.subjects
                if (planted := by_id.get(f"{framework}:{_function_name(subject)}")) is not None
                and subject.offer.targets == planted.targets
            )
            session.ready.append(replace(described, subjects=subjects))
    session.planted = {  # in the order of the catalogue
        key: planted for wanted in functions for key, planted in session.planted.items() if planted is wanted
    }
    session.results = {key: Result(planted=planted) for key, planted in session.planted.items()}
    return session


def _function_name(subject: Subject) -> str:
    """The name of the planted function: a worker of its own calls it by its file, too."""
    name = subject.function.removesuffix(".probabilities")
    return name.rpartition(":")[2].rpartition(".")[2]


def _checked(session: _Session, subject: Subject, planted: Planted, flagship: Subject) -> Subject:
    checked = reference.with_reference(subject, flagship, planted.default_reduction)
    session.planted[checked.id], session.described[checked.id], session.checked[checked.id] = planted, subject, checked
    return checked


def _check(
    session: _Session,
    keys: Sequence[str],
    profile: str,
    dtypes: Sequence[str],
    folder: Path,
    seed: int,
    watch: Watch,
    families: Sequence[str] | None = None,
) -> None:
    """Check some of the functions, in runs of functions that get the same problems: of these families, or of all.

    Without autodiff the problems are others, and so they are for functions that return nothing but a sum or a mean.
    """
    groups: dict[str, list[str]] = {}
    for key in keys:
        reductions = session.checked[key].offer.reductions
        reduced = reductions[0] if reductions in (("sum",), ("mean",)) else "all"
        groups.setdefault(f"{session.planted[key].framework}-{reduced}", []).append(key)
    for name, group in groups.items():
        path = folder / f"{name}-{profile}{SUFFIX}"
        _check_together(session, group, profile, dtypes, path, seed, watch, families)


def _check_together(
    session: _Session,
    keys: Sequence[str],
    profile: str,
    dtypes: Sequence[str],
    path: Path,
    seed: int,
    watch: Watch,
    families: Sequence[str] | None,
) -> None:
    """One run of the engine; its findings go into the results."""
    subjects = {key: _in_dtypes(session, key, dtypes) for key in keys}
    compared = {key: session.flagship[subject.offer.targets] for key, subject in subjects.items() if session.flagship}
    present = {**subjects, **{subject.id: subject for subject in session.flagship.values()}}
    session.workers.present(
        [
            replace(ready, subjects=tuple(present[subject.id] for subject in ready.subjects if subject.id in present))
            for ready in session.ready
        ]
    )
    of_integrity = [key for key in keys if session.planted[key].kind == "integrity"]
    settings = RunSettings(
        profile=profile,
        seed=seed,
        dtypes=tuple(dtypes),
        examine=Examination(calls=_CALLS if of_integrity else 0, subjects=tuple(of_integrity)),
    )
    problems = reference.problems(
        subjects.values(),
        compared=list(session.flagship.values()),
        profile=profile,
        seed=seed,
        dtypes=dtypes,
        families=families,
    )
    comparisons = {subject.id: BaselineComparison([subject], compared, strict=True) for subject in subjects.values()}
    with Store.create(path, environment=harness_environment(), settings=settings) as store:
        # A family has few problems: judge processes would take longer to start than these to judge.
        judge = Judge() if families else None
        for event in watch(engine.run(problems, session.specs, store, judge=judge, pool=lambda *_: session.workers)):
            for comparison in _concerned(event, comparisons, compared):
                comparison.add(event)
        session.problems += len(store.problem_ids())
        session.calls += len(store)
    for key, comparison in comparisons.items():
        session.results[key] = _with_groups(session.results[key], comparison.groups, profile)


def _concerned(
    event: Event, comparisons: Mapping[str, BaselineComparison], compared: Mapping[str, Subject]
) -> Iterable[BaselineComparison]:
    """Which functions an event is about: one function, or all that are compared with a flagship."""
    match event:
        case Judged(_, judgement) if judgement.subject in comparisons:
            return (comparisons[judgement.subject],)
        case Judged(_, judgement):
            return [
                comparison
                for key, comparison in comparisons.items()
                if key in compared and compared[key].id == judgement.subject
            ]
        case Examined(of) | Settled(of) if of.subject in comparisons:
            return (comparisons[of.subject],)
        case BackendReady() | RunFinished():
            return comparisons.values()
        case _:
            return ()


def _in_dtypes(session: _Session, key: str, dtypes: Sequence[str]) -> Subject:
    subject = session.checked[key]
    own = _DTYPES.get(session.planted[key].framework, subject.offer.dtypes)
    offered = tuple(dtype for dtype in subject.offer.dtypes if dtype in dtypes and dtype in own)
    return replace(subject, offer=replace(subject.offer, dtypes=offered))


def _with_groups(before: Result, groups: Sequence[Group], profile: str) -> Result:
    """The earlier result and the findings of these groups."""
    causes = tuple(dict.fromkeys((*before.causes, *(cause for group in groups for cause in _causes(group)))))
    result = replace(before, causes=causes)
    if before.found or not groups:
        return result
    order = [family.name for family in FAMILIES]
    families = {family for group in groups for _, family in group.cells}
    first = min(families, key=lambda name: order.index(name) if name in order else len(order), default="")
    return replace(result, profile=profile, family=first)


def _causes(group: Group) -> Iterator[Cause]:
    yield group.finding.cause
    yield from map(Cause.depends_on, group.dependences)


def _explain(session: _Session) -> None:
    """Look for a model of each function whose findings name nothing; a check states that model beside them."""
    for key, result in session.results.items():
        if result.naming is Naming.UNEXPLAINED and result.model is None and result.planted not in DYING:
            subject = session.checked[key]
            parts = deviations(explanation(session.workers, subject), subject)
            session.results[key] = replace(result, model=parts)


def _identify(session: _Session) -> None:
    """Measure the convention card of every function that has a right one, from the probes of `identify`.

    Mechanisms are left out: `check` names them by the same rules.
    """
    probes = list(suite("default", families=["convention-probes"]))
    subjects = {key: session.described[key] for key, planted in session.planted.items() if planted.card is not None}
    observations: dict[str, list[tuple[Problem, Outcome]]] = {
        key: [(probe, NotRun(reason)) for probe in probes if (reason := subject.why_not(probe)) is not None]
        for key, subject in subjects.items()
    }

    pairs = [(probe, key) for probe in probes for key, subject in subjects.items() if subject.why_not(probe) is None]
    for event in session.workers.ask(pairs) if pairs else ():
        if isinstance(event, Observed):
            observations[event.observation.subject].append((event.problem, event.observation.outcome))
    benches = {probe.id: Bench(probe) for probe in probes}
    for key, subject in subjects.items():
        card = measure(subject, observations[key], benches=lambda probe: benches[probe.id], faults=False)
        truth = session.planted[key].card
        if truth is not None:
            errors = tuple(card_score.errors(truth, card, mechanisms=False))
            session.results[key] = replace(session.results[key], card_errors=errors)
        session.calls += card.calls
