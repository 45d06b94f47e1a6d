"""Does it see? Planted faults and correct implementations, put to the very problems and judge that a check uses.

All functions of a framework are asked by one worker, held to PyTorch's flagship as `logitmus check` holds a user's
function; what kills its process has one of its own. First the quick problems in float32; faults that they do not show
are asked the default ones in every dtype, and so is every correct implementation.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from typing import cast as typed

from logitmus.cases.planted import CORRECT, Planted, dying_faults
from logitmus.cases.planted.catalogue import DYING, IN_NUMPY, IN_TORCH
from logitmus.cases.suite import FAMILIES
from logitmus.checking import reference
from logitmus.checking.baseline import Tally
from logitmus.core.errors import LogitmusError, closest
from logitmus.core.events import BackendFailed, BackendReady, Event, Examined, Judged, RunFinished
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.subject import Subject, TargetKind
from logitmus.engine import run as engine
from logitmus.engine.reduction import SETTING
from logitmus.execution import registry
from logitmus.execution.pool import Limits, Pool, Ready
from logitmus.execution.registry import BackendSpec
from logitmus.execution.started import Stage
from logitmus.results.detection_power import Result, Score
from logitmus.results.groups import Group
from logitmus.storage.store import SUFFIX, Store
from logitmus.worker.environment import harness_environment

PLANTED: Final = (*IN_NUMPY, *DYING, *IN_TORCH)
_BACKENDS: Final = {
    "numpy": BackendSpec(name="planted-numpy", target="logitmus.checking.planted_backends:NUMPY"),
    "torch": BackendSpec(name="planted-torch", target="logitmus.checking.planted_backends:TORCH"),
}
_FLAGSHIP: Final = "torch"
# What is slow, on a busy machine too, is no fault: what hangs has a worker of its own.
_PATIENT: Final = Limits(compile_seconds=120.0, call_seconds=120.0)
# A healthy function of NumPy answers within milliseconds; one that eats the memory is given the time to.
_TIGHT: Final = Limits(
    compile_seconds=4.0, call_seconds=4.0, patience=20.0, memory_bytes=1 << 30, give_up_after=3, lost_seconds=7.0
)
_CALLS: Final = 24  # for each group of like findings of a fault of integrity: what it depends on is to be named
_QUICK: Final = ("quick", ("float32",))
_ALL: Final = ("default", tuple(FLOAT_DTYPES))
# NumPy has no bfloat16 of its own.
_DTYPES: Final[Mapping[str, tuple[str, ...]]] = {"numpy": ("float64", "float32", "float16")}
Watch = Callable[[Iterable[Event]], Iterable[Event]]


class SelftestError(LogitmusError, ValueError):
    """A pattern that matches no planted function."""


@dataclass
class _Cast:
    """Who is asked.

    Attributes:
        planted: by subject (id). held: the subjects as they are held. flagship: what they are held to.
    """

    stage: Stage
    specs: tuple[BackendSpec, ...]
    planted: dict[str, Planted]
    held: dict[str, Subject]
    flagship: dict[TargetKind, Subject]
    ready: list[Ready]
    results: dict[str, Result] = field(default_factory=dict)
    problems: int = 0
    calls: int = 0


def selftest(*, seed: int = 0, only: Sequence[str] = (), watch: Watch = iter) -> Score:
    """Ask every planted function; see the module.

    Args:
        seed: of the problems. only: patterns (`fnmatch`) of the names of planted functions; empty: all.
        watch: sees every event of the runs on its way, for progress.

    Raises:
        SelftestError: where no planted function is called so.
    """
    start = time.monotonic()
    with ExitStack() as stack:
        cast, remarks = _cast(only)
        stack.callback(cast.stage.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        faults = [identity for identity, one in cast.planted.items() if one.kind != CORRECT]
        _ask(cast, faults, *_QUICK, folder, seed, watch)
        left = [one for one in cast.planted if one not in cast.results or not cast.results[one].as_it_should_be]
        _ask(cast, left, *_ALL, folder, seed, watch)
    return Score(
        results=tuple(cast.results[identity] for identity in cast.planted),
        seconds=time.monotonic() - start,
        problems=cast.problems,
        calls=cast.calls,
        remarks=tuple(remarks),
    )


def chosen(only: Sequence[str]) -> tuple[Planted, ...]:
    """The planted functions that any of these patterns names; all, where there is none.

    Raises:
        SelftestError: for a pattern that names nothing.
    """
    names = [name for one in PLANTED for name in _names(one)]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            close = closest(pattern, names)
            hint = f"did you mean {close[0]!r}?" if close else "`logitmus selftest --list` lists them"
            raise SelftestError(f"no planted function matches {pattern!r}; {hint}")
    return tuple(one for one in PLANTED if not only or any(fnmatchcase(name, p) for name in _names(one) for p in only))


# --- within ------------------------------------------------------------------------------------------------------


def _names(one: Planted) -> tuple[str, str]:
    return one.name, f"{one.framework}:{one.name}"


def _cast(only: Sequence[str]) -> tuple[_Cast, list[str]]:
    wanted = chosen(only)
    by_name = {f"{one.framework}:{one.name}": one for one in wanted}
    apart = [registry.adopting("numpy", f"{dying_faults.__name__}:{one.name}") for one in wanted if one in DYING]
    together = {one.framework for one in wanted if one not in DYING}
    specs = [_BACKENDS[framework] for framework in sorted(together)]
    flagship = registry.parse(_FLAGSHIP)
    pools = [Pool([*specs, flagship], _PATIENT)]
    if apart:
        pools.append(Pool(apart, _TIGHT))
    return _held(Stage(pools), (*specs, *apart, flagship), flagship, by_name)


def _held(
    stage: Stage, specs: tuple[BackendSpec, ...], flagship: BackendSpec, by_name: Mapping[str, Planted]
) -> tuple[_Cast, list[str]]:
    """Every planted subject, held to the flagship as declared, or as it is where it is there."""
    models = reference.models(_FLAGSHIP, targets=("labels", "probabilities"))
    ready = [said for said in stage.ready if isinstance(said, Ready)]
    there = {
        subject.offer.targets: replace(subject, held_to=subject.id)
        for said in ready
        if said.spec == flagship
        for subject in said.subjects
        if subject.id in {model.id for model in models.values()}
    }
    cast = _Cast(stage=stage, specs=specs, planted={}, held={}, flagship=there, ready=[])
    for said in ready:
        if said.spec == flagship:
            cast.ready.append(replace(said, subjects=tuple(there.values())))
            continue
        subjects = []
        for subject in said.subjects:
            framework = said.spec.name.removeprefix("planted-")
            one = by_name.get(f"{framework}:{subject.function.rpartition('.')[2]}") or by_name.get(
                f"{framework}:{subject.function}"
            )
            if one is None or subject.offer.targets != one.targets:
                continue
            held = reference.held(subject, models[one.targets], "mean")
            subjects.append(held)
            cast.planted[held.id], cast.held[held.id] = one, held
        cast.ready.append(replace(said, subjects=tuple(subjects)))
    failed = [said for said in stage.ready if isinstance(said, BackendFailed)]
    return cast, [f"{said.backend} could not be asked: {said.reason}" for said in failed]


def _ask(
    cast: _Cast, chosen: Sequence[str], profile: str, dtypes: Sequence[str], folder: Path, seed: int, watch: Watch
) -> None:
    """Some of the planted functions, one framework after the other: without autodiff there are other problems."""
    for framework in _BACKENDS:
        own = [identity for identity in chosen if cast.planted[identity].framework == framework]
        if own:
            _ask_in(cast, own, profile, dtypes, folder / f"{framework}-{profile}{SUFFIX}", seed, watch)


def _ask_in(
    cast: _Cast, chosen: Sequence[str], profile: str, dtypes: Sequence[str], path: Path, seed: int, watch: Watch
) -> None:
    """One run; what it comes to stands in `cast.results`."""
    asked = {identity: _in_dtypes(cast, identity, dtypes) for identity in chosen}
    beside = {identity: cast.flagship[one.offer.targets] for identity, one in asked.items() if cast.flagship}
    cast.stage.ready = [
        replace(said, subjects=tuple(asked.get(s.id, s) for s in said.subjects if s.id in asked or s.held_to == s.id))
        for said in cast.ready
    ]
    of_integrity = [identity for identity in asked if cast.planted[identity].kind == "integrity"]
    settings = {SETTING: {"calls": _CALLS if of_integrity else 0, "subjects": of_integrity}}
    problems = reference.problems(
        asked.values(), beside=list(cast.flagship.values()), profile=profile, seed=seed, dtypes=dtypes
    )
    tallies = {one.id: Tally([one], beside, None) for one in asked.values()}
    with Store.create(path, environment=harness_environment(), settings=settings) as store:
        pool: Callable[..., Any] = lambda *_: typed(Pool, cast.stage)  # noqa: E731
        for event in watch(engine.run(problems, cast.specs, store, pool=pool)):
            for tally in _concerned(event, tallies, beside):
                tally.add(event)
        cast.problems += len(store.problem_ids())
        cast.calls += len(store)
    for identity, tally in tallies.items():
        before = cast.results.get(identity, Result(planted=cast.planted[identity]))
        cast.results[identity] = _with(before, tally.groups, profile)


def _concerned(event: Event, tallies: Mapping[str, Tally], beside: Mapping[str, Subject]) -> Iterable[Tally]:
    """Whom an event tells anything: one function, or all that are held to the flagship that it is about."""
    match event:
        case Judged(_, judgement) if judgement.subject in tallies:
            return (tallies[judgement.subject],)
        case Judged(_, judgement):
            return [tally for one, tally in tallies.items() if one in beside and beside[one].id == judgement.subject]
        case Examined(of) if of.subject in tallies:
            return (tallies[of.subject],)
        case BackendReady() | RunFinished():
            return tallies.values()
        case _:
            return ()


def _in_dtypes(cast: _Cast, identity: str, dtypes: Sequence[str]) -> Subject:
    subject = cast.held[identity]
    own = _DTYPES.get(cast.planted[identity].framework, subject.offer.dtypes)
    taken = tuple(dtype for dtype in subject.offer.dtypes if dtype in dtypes and dtype in own)
    return replace(subject, offer=replace(subject.offer, dtypes=taken))


def _with(before: Result, groups: Sequence[Group], profile: str) -> Result:
    """What was found before, and what these groups add."""
    causes = tuple(dict.fromkeys((*before.causes, *(cause for group in groups for cause in _causes(group)))))
    found = replace(before, causes=causes, explained=any(before.planted.explains(cause) for cause in causes))
    if before.found or not groups:
        return found
    order = [family.name for family in FAMILIES]
    shown = {family for group in groups for _, family in group.cells}
    first = min(shown, key=lambda name: order.index(name) if name in order else len(order), default="")
    return replace(found, profile=profile, family=first)


def _causes(group: Group) -> Iterator[str]:
    yield group.finding.cause
    yield from (f"depends_on:{name}" for name in group.dependences)
