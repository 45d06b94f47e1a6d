"""Asking a callable in this process: for closures and lambdas, which no worker could import.

Nothing stands between it and the caller: a function that crashes or hangs takes the program with it. What can be named
as FILE.py:FUNCTION is evaluated in a worker (`logitmus.execution.ask_backend`), with the same outcomes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logitmus.core.backend import Backend, Function
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.execution import registry
from logitmus.worker.main import load, observe
from logitmus.worker.user_function import adopt


@dataclass(frozen=True, slots=True)
class Hosted:
    """A callable that is evaluated in this process: its subjects by id, each with the function behind it."""

    backend: Backend
    functions: Mapping[str, tuple[Subject, Function]]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(subject for subject, _ in self.functions.values())

    def observe(self, problem: Problem, subject: str) -> tuple[Outcome, float]:
        """What the subject (an id) does with the problem, and the seconds that it took."""
        with warnings.catch_warnings(record=True) as caught:  # closed again before the caller's own code goes on
            warnings.simplefilter("always")
            return observe(problem, *self.functions[subject], self.backend, caught)


def hosted(
    function: Callable[..., Any],
    framework: str,
    *,
    names: Mapping[str, str] | None = None,
    convention: Convention = PORTABLE,
    device: str = "",
    settings: Sequence[str] = (),
) -> Hosted:
    """`function`, once as taking labels and once as taking probabilities.

    The framework is used as this process has set it up: no process-wide switch of it is touched.

    Args:
        function: (logits, targets, **options) in the framework's own arrays; see `logitmus.worker.user_function`.
        framework: "torch", "tensorflow", "jax", "numpy", or another registered backend.
        names: the function's own names for the arguments, by ours.
        convention: what is held to be true of it; `class_axis` says how it gets its logits.
        device: a device of the framework; "": its first, the CPU.
        settings: "chunk=7": further ways to call it, each a subject.

    Raises:
        RegistryError: for an unknown framework or device; TargetError: where the function takes no logits and targets.
    """
    backend = adopt(
        function, _backend(framework), name=_name(function), names=names, convention=convention, settings=settings
    )
    devices = tuple(backend.devices())
    if device and device not in devices:
        raise registry.RegistryError(f"{framework} has no device {device!r} here; there is {', '.join(devices)}")
    functions = {function.name: function for function in backend.functions}
    subjects = backend.subjects((device or devices[0],))
    return Hosted(backend, {subject.id: (subject, functions[subject.function]) for subject in subjects})


def ask_here(
    function: Callable[..., Any],
    framework: str,
    problems: Iterable[Problem],
    *,
    names: Mapping[str, str] | None = None,
    convention: Convention = PORTABLE,
    device: str = "",
) -> Iterator[tuple[Problem, Subject, Outcome]]:
    """What `function` does with each problem (consumed lazily); the other arguments and errors as of `hosted`."""
    here = hosted(function, framework, names=names, convention=convention, device=device)
    for problem in problems:
        for subject in here.subjects:
            reason = subject.why_not(problem)
            yield problem, subject, NotRun(reason) if reason is not None else here.observe(problem, subject.id)[0]


def _backend(framework: str) -> Backend:
    spec = registry.parse(framework)
    if spec.python or spec.command:
        raise registry.RegistryError(
            f"{framework} runs elsewhere, but a callable is evaluated in this process; name a framework alone: torch"
        )
    return load(spec.target)


def _name(function: Callable[..., Any]) -> str:
    """What its subjects are called; an id has no room for blanks, @ and colons."""
    called = getattr(function, "__qualname__", None) or type(function).__qualname__
    return re.sub(r"[\s@:]+", "_", called.replace("<locals>.", ""))
