"""The pool: every backend in worker processes of its own, behind one small interface.

The seam (what the engine uses, and all it uses):

    with Pool([registry.parse("torch"), registry.parse("cmd:./mine")], Limits(), jobs=2) as pool:
        for answer in pool.describe():          # Ready (subjects, environment) | BackendFailed, in the order of the specs
            ...
        for event in pool.run(plan):            # Observed | BatchEnded | BackendFailed, as they come
            ...

`plan(subjects)` is called once for each environment (backend, variant, device) with the subjects of that environment
and gives the work as an iterable of `Ask(problem, subject ids)`, consumed lazily, in its order: order it by signature,
so that compilations are shared. An environment whose plan is empty is never started. Exactly one `Observed` comes for
each (problem, subject) asked, whatever the worker does: what it could not answer is Crashed, TimedOut, OutOfMemory,
Garbled or NotRun. Nothing of this interface says that the workers are local.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from logitmus.backend import Subject
from logitmus.events import BackendFailed
from logitmus.observation import Observation
from logitmus.problem import Problem
from logitmus.registry import BackendSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a worker may take before it is killed and replaced (seconds, bytes)."""

    start_seconds: float = 120.0
    compile_seconds: float = 60.0
    call_seconds: float = 20.0
    memory_bytes: int = 8 << 30
    line_bytes: int = 1 << 30
    give_up_after: int = 20


class Ask(NamedTuple):
    """One problem, put to several subjects (ids) of one environment."""

    problem: Problem
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A backend that started: what it offers, where it runs, and how long its start took."""

    spec: BackendSpec
    subjects: tuple[Subject, ...]
    environment: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation.

    Attributes:
        seconds: spent in the framework's call, as the worker measured it (0 where no answer came).
        first: the first call of its signature for that subject in that process: `seconds` includes compilation.
    """

    problem: Problem
    observation: Observation
    seconds: float
    first: bool


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """A worker finished a batch: whether its floating-point unit flushed subnormals to zero before and after it."""

    backend: str
    variant: str
    device: str
    flushes_before: bool
    flushes_after: bool


Plan = Callable[[tuple[Subject, ...]], Iterable[Ask]]


class Pool:
    """Workers for these backends; at most `jobs` (default: the number of CPUs) compute at once.

    Raises:
        RegistryError: where two specs have one label.
    """

    def __init__(self, specs: Sequence[BackendSpec], limits: Limits | None = None, jobs: int | None = None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills every worker."""

    def describe(self) -> Iterator[Ready | BackendFailed]:
        """Starts one worker for each backend, side by side, and says what it offers."""
        raise NotImplementedError

    def run(self, plan: Plan) -> Iterator[Observed | BatchEnded | BackendFailed]:
        """Does the planned work of every environment that `describe` found (it is called if it has not been)."""
        raise NotImplementedError
