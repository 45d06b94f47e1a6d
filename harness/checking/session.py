"""Starts what a check runs: the function under test, and beside it the reference that it is compared with.

A function that a worker can import runs in a worker, where a crash or a hang is an observation; closures, lambdas and
the functions of a running script run in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from logitmus.checking import reference
from logitmus.checking.reference import Intentions, References
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendFailed
from logitmus.core.floats import Array
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem, Reduction, TargetKind
from logitmus.core.run_settings import CheckedFunction
from logitmus.core.subject import Subject
from logitmus.execution import registry
from logitmus.execution.ask_backend import cannot
from logitmus.execution.in_process import hosted
from logitmus.execution.limits import Limits
from logitmus.execution.pool import AbstractPool, Observed, Pool, Ready
from logitmus.execution.registry import BackendSpec, RegistryError
from logitmus.execution.started import Here, Stage
from logitmus.worker.user_code import TargetError

_REDUCTION_REMARKS = {"none": "losses row by row", "sum": "a sum", "mean": "a mean"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRequest:
    """The function under test, and how it is to be called.

    Attributes:
        names: its own names for the arguments, by ours.
        class_axis: where it gets its classes. device: "": the framework's first.
        references: the functions whose convention it must follow, as their backends declare them.
        intended: what is intended to differ from the references.
        dtypes: of the logits.
        settings: "chunk=7": further ways to call it, of which none may matter.
    """

    function: Callable[..., Any] | str
    framework: str
    names: Mapping[str, str]
    class_axis: str
    device: str
    references: References
    intended: Intentions
    dtypes: tuple[str, ...]
    settings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What a person calls the function."""
        return self.function if isinstance(self.function, str) else _name(self.function)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSession:
    """The started workers, and their subjects as they are judged; leaving it ends the workers.

    Attributes:
        specs: the backends; the first is the function's own.
        label: what a person calls the function.
        subjects: the function's subjects with the convention of their references, by the kind of targets.
        with_settings: the same function with each of its settings.
        compared: the references that run, too, by the id of the function's subject.
        remarks: what the reader of the result must know.
    """

    workers: Stage
    specs: tuple[BackendSpec, ...]
    label: str
    subjects: Mapping[TargetKind, Subject]
    with_settings: tuple[Subject, ...]
    compared: Mapping[str, Subject]
    remarks: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[Subject, ...]:
        """All subjects of the function."""
        return (*self.subjects.values(), *self.with_settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workers.close()

    def described_as(self, described: Callable[[Subject], Subject]) -> CheckSession:
        """The same function, each of whose subjects is described in another way."""
        measured = {subject.id: described(subject) for subject in self.judged}
        self.workers.present(
            [
                replace(backend, subjects=tuple(measured.get(subject.id, subject) for subject in backend.subjects))
                for backend in self.workers.describe()
                if isinstance(backend, Ready)
            ]
        )
        return replace(
            self,
            subjects={kind: measured[subject.id] for kind, subject in self.subjects.items()},
            with_settings=tuple(measured[subject.id] for subject in self.with_settings),
        )

    @property
    def references(self) -> dict[TargetKind, str]:
        """The ids of the references, by the kind of targets; also of those that could not be started."""
        return {kind: subject.held_to for kind, subject in self.subjects.items()}

    @property
    def location(self) -> CheckedFunction:
        """How the function is found and called, for the run's file; a function of this process cannot be found."""
        own = self.specs[0]
        framework = next(
            (spec.name for spec in registry.available() if own.target and spec.target == own.target), own.name
        )
        return CheckedFunction(
            framework=framework, target=own.function if own.target else "", options=dict(own.options)
        )

    def problems(self, profile: str, seed: int, dtypes: Sequence[str]) -> Iterator[Problem]:
        """The problems of the check."""
        return reference.problems(
            self.judged, compared=list(self.compared.values()), profile=profile, seed=seed, dtypes=dtypes
        )


def start(
    request: CheckRequest,
    limits: Limits,
    *,
    compare: bool,
    isolated: bool | None,
    meanwhile: Callable[[], object] = lambda: None,
) -> CheckSession:
    """Start the function and, to compare, its references; the caller closes the session.

    Args:
        meanwhile: called while the workers start.

    Raises:
        RegistryError, TargetError: for an invalid argument, or a function that cannot be imported or called.
        InquiryError: if the framework cannot run.
    """
    function = request.function
    name = function if isinstance(function, str) else importable(function) if isolated is not False else ""
    if isolated and not name:
        raise TargetError(
            f"{request.label} is a {type(function).__name__} that no worker can import; only functions that stand "
            "in a module under their own name can be isolated"
        )
    remarks = [f"intended, and no difference: {intention}" for intention in request.intended]

    def begin(own: BackendSpec | Here) -> CheckSession:
        return _start(request, own, limits, compare=compare, remarks=remarks, meanwhile=meanwhile)

    if name:
        try:
            return begin(_in_worker(request, name))
        except TargetError as error:
            if isinstance(function, str) or isolated:
                raise
            remarks.append(f"runs in this process, because a worker cannot import it: {error}")
    return begin(_in_this_process(request))


def importable(function: Callable[..., Any]) -> str:
    """The name (FILE.py:NAME or module:NAME) under which a worker finds this very function; "": there is none.

    The functions of the running script have none: a worker that imports it would run the script once more.
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


def _in_worker(request: CheckRequest, name: str) -> BackendSpec:
    options = [f"{ours}={theirs}" for ours, theirs in request.names.items()]
    return registry.adopting(request.framework, name, options, request.class_axis, request.settings)


def _in_this_process(request: CheckRequest) -> Here:
    if isinstance(request.function, str):
        raise TypeError("a name is looked up by a worker")
    convention = PORTABLE.but(class_axis=request.class_axis)
    host = hosted(
        request.function,
        request.framework,
        names=request.names,
        convention=convention,
        device=request.device,
        settings=request.settings,
    )
    return Here(BackendSpec(name=host.backend.name, function=request.label), host)


def _start(
    request: CheckRequest,
    own: BackendSpec | Here,
    limits: Limits,
    *,
    compare: bool,
    remarks: Sequence[str],
    meanwhile: Callable[[], object],
) -> CheckSession:
    reference_specs = _reference_specs(request) if compare else ()
    pools: list[AbstractPool] = (
        [own, Pool(reference_specs, limits)] if isinstance(own, Here) else [Pool([own, *reference_specs], limits)]
    )
    own_spec = own.spec if isinstance(own, Here) else own
    workers = Stage(pools, meanwhile)
    try:
        return _session(request, own_spec, reference_specs, workers, [*remarks])
    except BaseException:
        workers.close()
        raise


def _reference_specs(request: CheckRequest) -> tuple[BackendSpec, ...]:
    """The backends of the references; the function's own framework runs in the interpreter that was named for it."""
    names = dict.fromkeys(subject.backend for subject in request.references.values())
    own = registry.backend_name(request.framework)
    return tuple(registry.parse(request.framework if name == own else name) for name in names)


def _session(
    request: CheckRequest,
    own_spec: BackendSpec,
    reference_specs: Sequence[BackendSpec],
    workers: Stage,
    remarks: list[str],
) -> CheckSession:
    """Give the function's subjects the convention of their references, and present both to the engine."""
    ready = {backend.spec.label: backend for backend in workers.described if isinstance(backend, Ready)}
    failed = {backend.backend: backend for backend in workers.described if isinstance(backend, BackendFailed)}
    if own_spec.label in failed:
        raise cannot(failed[own_spec.label])
    described = [s for s in _on(request.device, ready[own_spec.label]) if s.offer.targets in request.references]
    started: dict[TargetKind, Subject] = {}
    for spec in reference_specs:
        if spec.label in failed:
            remarks.append(f"{spec.label} could not be run for comparison: {failed[spec.label].reason}")
        else:
            started.update(_described_references(ready[spec.label], request.references, described[0].device))
    # Those of the function as it is hold for its settings, too: a setting with another reduction is wrong.
    reductions = _reductions(workers, [subject for subject in described if not subject.mode], request.dtypes)
    subjects: dict[TargetKind, Subject] = {}
    with_settings: list[Subject] = []
    for subject in described:
        kind = subject.offer.targets
        judged = reference.with_reference(
            subject,
            started.get(kind, request.references[kind]),
            reductions.get(kind, "mean"),
            intended=request.intended,
        )
        dtypes = tuple(dtype for dtype in judged.offer.dtypes if dtype in request.dtypes)
        judged = replace(judged, offer=replace(judged.offer, dtypes=dtypes))
        if subject.mode:
            with_settings.append(judged)
            continue
        subjects[kind] = judged
        if not subject.offer.reductions:
            remarks.append(
                f"it has no reduction parameter; it returns {_REDUCTION_REMARKS[judged.offer.reductions[0]]}"
            )
    # A reference is its own reference: where it differs from the portable convention, that is no difference.
    references = {kind: replace(subject, held_to=subject.id) for kind, subject in started.items()}
    presented = (*subjects.values(), *with_settings, *references.values())
    if request.settings:
        remarks.append(f"called as it is and with {', '.join(request.settings)}; all are judged alike")
    workers.present([replace(backend, subjects=_of(backend, presented)) for backend in ready.values()])
    return CheckSession(
        workers=workers,
        specs=(own_spec, *(spec for spec in reference_specs if spec.label in ready)),
        label=request.label,
        subjects=subjects,
        with_settings=tuple(with_settings),
        compared={
            subject.id: references[subject.offer.targets]
            for subject in (*subjects.values(), *with_settings)
            if subject.offer.targets in references
        },
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _of(backend: Ready, subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Those of these subjects that this backend has."""
    ids = {subject.id for subject in backend.subjects}
    return tuple(subject for subject in subjects if subject.id in ids)


def _on(device: str, backend: Ready) -> list[Subject]:
    devices = list(dict.fromkeys(subject.device for subject in backend.subjects))
    if device and device not in devices:
        raise RegistryError(f"unknown device {device!r}; available: {', '.join(devices)}")
    return [subject for subject in backend.subjects if subject.device == (device or devices[0])]


def _described_references(backend: Ready, references: References, device: str) -> dict[TargetKind, Subject]:
    """The references as this backend's worker describes them; on that device, if it has it."""
    plain = [subject for subject in backend.subjects if not subject.mode and not subject.variant]
    names = {backend.spec.name, *(spec.name for spec in registry.available() if spec.target == backend.spec.target)}
    found: dict[TargetKind, Subject] = {}
    for kind, declared in references.items():
        by_device = {s.device: s for s in plain if s.function == declared.function and declared.backend in names}
        if by_device:
            found[kind] = by_device.get(device) or next(iter(by_device.values()))
    return found


def _reductions(workers: Stage, subjects: Sequence[Subject], dtypes: Sequence[str]) -> dict[TargetKind, Reduction]:
    """What subjects without a reduction parameter do with the rows, measured by two calls of each."""
    unknown = {subject.id: subject for subject in subjects if not subject.offer.reductions}
    pairs = [(p, s.id) for s in unknown.values() for p in reference.reduction_probes(s.offer.targets, dtypes[0])]
    losses: dict[TargetKind, list[Array]] = {}
    for event in workers.ask(pairs) if pairs else ():
        if isinstance(event, Observed) and isinstance(event.observation.outcome, Answered):
            kind = unknown[event.observation.subject].offer.targets
            losses.setdefault(kind, []).append(event.observation.outcome.loss)
    return {kind: reference.reduction_of(both[0], both[-1]) for kind, both in losses.items()}


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__
