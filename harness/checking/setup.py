"""Who is asked in a check: the user's function, held to what it is to be like, and that one beside it.

What a worker can import is asked in a worker, where a crash or a hang is an observation; closures, lambdas and what a
script defines are asked in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from logitmus.checking import reference
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendFailed
from logitmus.core.observation import Answered
from logitmus.core.problem import Reduction
from logitmus.core.subject import Subject, TargetKind
from logitmus.execution import registry
from logitmus.execution.ask_backend import cannot
from logitmus.execution.in_process import hosted
from logitmus.execution.pool import Ask, Limits, Observed, Pool, Ready
from logitmus.execution.registry import BackendSpec, RegistryError
from logitmus.execution.started import Here, Stage, SupportsPool
from logitmus.worker.user_code import TargetError

Models = Mapping[TargetKind, Subject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A function and how it is to be asked, as `logitmus.check` was told."""

    function: Callable[..., Any] | str
    framework: str
    names: Mapping[str, str]
    class_axis: str
    device: str
    models: Models
    dtypes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """A stage with its subjects.

    Attributes:
        stage: all pools, started. specs: of what is on it.
        label: what a person calls the function.
        held: the function's subjects, by the kind of targets. models: ids of what they are held to.
        beside: the subject asked beside each of the function's (by id).
        remarks: what a reader must know.
    """

    stage: Stage
    specs: tuple[BackendSpec, ...]
    label: str
    held: Mapping[TargetKind, Subject]
    models: Mapping[TargetKind, str]
    beside: Mapping[str, Subject]
    remarks: tuple[str, ...] = ()

    @property
    def function(self) -> dict[str, object]:
        """How the function is found and called, for the run's file; what this process alone has cannot be found."""
        own = self.specs[0]
        framework = next(
            (one.name for one in registry.available() if own.target and one.target == own.target), own.name
        )
        return {"framework": framework, "target": own.function if own.target else "", "options": dict(own.options)}


def cast(wanted: Wanted, limits: Limits, *, compare: bool, isolated: bool | None) -> Cast:
    """Start what is needed; the caller closes the stage.

    Raises:
        RegistryError, TargetError: for what cannot be meant, or a function that cannot be imported or called.
        InquiryError: where the framework cannot run.
    """
    function, remarks = wanted.function, []
    named = function if isinstance(function, str) else importable(function) if isolated is not False else ""
    if isolated and not named:
        raise TargetError(
            f"{_name(function)} is a {type(function).__name__} that no worker can import; only functions that stand "
            "in a module under their own name can be isolated"
        )
    if named:
        try:
            return _cast(wanted, _in_a_worker(wanted, named), limits, compare=compare)
        except TargetError as error:
            if isinstance(function, str) or isolated:
                raise
            remarks.append(f"asked in this process, for a worker cannot: {error}")
    return _cast(wanted, _in_this_process(wanted), limits, compare=compare, remarks=remarks)


def importable(function: Callable[..., Any]) -> str:
    """FILE.py:NAME or module:NAME, if that is this very function; "": it has no such name.

    What the running script defines has none: imported by a worker, the script would run once more.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or module == "__main__" or not name or "<" in name or hasattr(function, "__self__"):
        return ""
    found: Any = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        return ""
    return f"{file}:{name}" if file and "." not in module and Path(file).is_file() else f"{module}:{name}"


# --- within ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Own:
    spec: BackendSpec
    here: Here | None
    label: str


def _in_a_worker(wanted: Wanted, named: str) -> _Own:
    options = [f"{ours}={theirs}" for ours, theirs in wanted.names.items()]
    spec = registry.adopting(wanted.framework, named, options, wanted.class_axis)
    label = wanted.function if isinstance(wanted.function, str) else _name(wanted.function)
    return _Own(spec=spec, here=None, label=label)


def _in_this_process(wanted: Wanted) -> _Own:
    assert callable(wanted.function)  # noqa: S101  (a name has been looked for in a worker)
    convention = PORTABLE.but(class_axis=wanted.class_axis)
    host = hosted(wanted.function, wanted.framework, names=wanted.names, convention=convention, device=wanted.device)
    spec = BackendSpec(name=host.backend.name, function=_name(wanted.function))
    return _Own(spec=spec, here=Here(spec, host), label=_name(wanted.function))


def _cast(wanted: Wanted, own: _Own, limits: Limits, *, compare: bool, remarks: Sequence[str] = ()) -> Cast:
    beside = _specs_beside(wanted) if compare else ()
    here = own.here
    pools: list[SupportsPool] = [Pool([own.spec, *beside], limits)] if here is None else [here, Pool(beside, limits)]
    stage = Stage(pools)
    try:
        return _held(wanted, own, beside, stage, [*remarks])
    except BaseException:
        stage.close()
        raise


def _specs_beside(wanted: Wanted) -> tuple[BackendSpec, ...]:
    """The backends of the models; the function's own framework as it was named, in its own interpreter."""
    names = dict.fromkeys(model.backend for model in wanted.models.values())
    mine = registry.backend_name(wanted.framework)
    return tuple(registry.parse(wanted.framework if name == mine else name) for name in names)


def _held(wanted: Wanted, own: _Own, beside: Sequence[BackendSpec], stage: Stage, remarks: list[str]) -> Cast:
    described = {said.spec.label: said for said in stage.ready if isinstance(said, Ready)}
    failed = {said.backend: said for said in stage.ready if isinstance(said, BackendFailed)}
    if own.spec.label in failed:
        raise cannot(failed[own.spec.label])
    mine = [s for s in _on(wanted.device, described[own.spec.label]) if s.offer.targets in wanted.models]
    device = mine[0].device
    others: dict[TargetKind, Subject] = {}
    for spec in beside:
        if spec.label in failed:
            remarks.append(f"{spec.label} could not be asked for comparison: {failed[spec.label].reason}")
            continue
        others.update(_models_here(described[spec.label], wanted.models, device))
    reductions = _reductions(stage, mine, wanted.dtypes)
    held: dict[TargetKind, Subject] = {}
    for subject in mine:
        kind = subject.offer.targets
        one = reference.held(subject, others.get(kind, wanted.models[kind]), reductions.get(subject.id, "mean"))
        dtypes = tuple(dtype for dtype in one.offer.dtypes if dtype in wanted.dtypes)
        held[kind] = replace(one, offer=replace(one.offer, dtypes=dtypes))
        if not subject.offer.reductions:
            remarks.append(f"it has no argument for the reduction; what it gives is {_gives(one)}")
    # The model is held to itself: what it does is no difference from the portable convention either.
    by_kind = {kind: replace(subject, held_to=subject.id) for kind, subject in others.items()}
    stage.ready = [
        replace(said, subjects=tuple(held.values() if said.spec == own.spec else _of(said, by_kind)))
        for said in described.values()
    ]
    return Cast(
        stage=stage,
        specs=(own.spec, *(spec for spec in beside if spec.label in described)),
        label=own.label,
        held=held,
        models={kind: one.held_to for kind, one in held.items()},
        beside={held[kind].id: other for kind, other in by_kind.items()},
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _of(said: Ready, by_kind: Models) -> Iterator[Subject]:
    there = {subject.id for subject in said.subjects}
    yield from (subject for subject in by_kind.values() if subject.id in there)


def _gives(subject: Subject) -> str:
    return {"none": "losses row by row", "sum": "a sum", "mean": "a mean"}[subject.offer.reductions[0]]


def _on(device: str, said: Ready) -> list[Subject]:
    devices = list(dict.fromkeys(subject.device for subject in said.subjects))
    if device and device not in devices:
        raise RegistryError(f"there is no device {device!r} here; there is {', '.join(devices)}")
    return [subject for subject in said.subjects if subject.device == (device or devices[0])]


def _models_here(said: Ready, models: Models, device: str) -> dict[TargetKind, Subject]:
    """The models as this backend describes them: on that device, if it has it."""
    plain = [s for s in said.subjects if not s.mode and not s.variant]
    found: dict[TargetKind, Subject] = {}
    for kind, model in models.items():
        same = {s.device: s for s in plain if s.function == model.function and model.backend in _backends(said.spec)}
        if same:
            found[kind] = same.get(device) or next(iter(same.values()))
    return found


def _backends(spec: BackendSpec) -> set[str]:
    """The names that a backend goes by: the user's, and the one that it is registered under."""
    return {spec.name, *(one.name for one in registry.available() if one.target == spec.target)}


def _reductions(stage: Stage, subjects: Sequence[Subject], dtypes: Sequence[str]) -> dict[str, Reduction]:
    """What subjects without that argument do with rows, found out by one question."""
    open_ended = {s.id: s for s in subjects if not s.offer.reductions}
    probes = {s.offer.targets: reference.reduction_probe(s.offer.targets, dtypes[0]) for s in open_ended.values()}

    def plan(there: tuple[Subject, ...]) -> Iterator[Ask]:
        for subject in there:
            if subject.id in open_ended:
                yield Ask(probes[subject.offer.targets], (subject.id,))

    found: dict[str, Reduction] = {}
    for event in stage.run(plan) if open_ended else ():
        if isinstance(event, Observed) and isinstance(event.observation.outcome, Answered):
            found[event.observation.subject] = reference.reduction_of(event.observation.outcome.loss)
    return found


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__
