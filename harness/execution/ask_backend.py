"""Evaluate a list of problems with a backend, or with a user's function, in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.events import BackendFailed
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.execution.limits import Limits
from logitmus.execution.pool import Observed, Pool
from logitmus.execution.registry import BackendSpec, RegistryError
from logitmus.worker.user_code import TargetError


class InquiryError(LogitmusError):
    """A backend that cannot run; the message says why and what to do."""

    exit_code = Exit.BACKEND


def cannot(failed: BackendFailed) -> Exception:
    """The error for a backend that failed to start: an `InquiryError` if the framework is missing (that has a hint).

    Otherwise it is the function's own fault: a `TargetError`.
    """
    return InquiryError(failed.reason, failed.hint) if failed.hint else TargetError(failed.reason)


def inquire(
    spec: BackendSpec,
    problems: Iterable[Problem],
    *,
    device: str = "",
    targets: Sequence[str] = tuple(TargetKind),
    limits: Limits | None = None,
) -> Iterator[tuple[Problem, Subject, Outcome]]:
    """Yield the outcome of each eager subject of the backend on each problem.

    Whatever a function does is an outcome: a crash or a hang costs a worker. What a subject does not offer is NotRun,
    with the reason.

    Args:
        spec: `registry.parse("torch")`, or `registry.adopting("torch", "losses.py:my_loss")`.
        device: a device of the backend; "": its first, the CPU.
        targets: the kinds of targets to use.

    Raises:
        InquiryError: where the backend cannot run.
        TargetError: where the function cannot be loaded, or is none.
        RegistryError: for an unknown device.
    """
    todo = list(problems)
    with Pool([spec], limits) as pool:
        for backend_event in pool.describe():
            if isinstance(backend_event, BackendFailed):
                raise cannot(backend_event)
            subjects = [s for s in backend_event.subjects if not s.mode and not s.variant]
            chosen = [s for s in _on(device, subjects) if s.offer.targets in targets]
        by_id = {subject.id: subject for subject in chosen}
        for problem in todo:
            for subject in chosen:
                reason = subject.why_not(problem)
                if reason is not None:
                    yield problem, subject, NotRun(reason)
        pairs = [(problem, subject.id) for problem in todo for subject in chosen if subject.why_not(problem) is None]
        for event in pool.ask(pairs):
            if isinstance(event, Observed):
                yield event.problem, by_id[event.observation.subject], event.observation.outcome


def _on(device: str, subjects: Sequence[Subject]) -> list[Subject]:
    devices = list(dict.fromkeys(subject.device for subject in subjects))
    if device and device not in devices:
        raise RegistryError(f"there is no device {device!r} here; there is {', '.join(devices)}")
    return [subject for subject in subjects if subject.device == (device or devices[0])]
