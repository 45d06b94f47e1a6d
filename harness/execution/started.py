"""A stage: a pool that has started, whose subjects are described as a check wants them.

It has the interface of `logitmus.execution.pool`, so that the engine asks, keeps and judges as in any run. A callable
that no worker can import is called in this process (`Here`), behind the same interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from logitmus.core.events import BackendFailed
from logitmus.core.observation import Observation
from logitmus.core.subject import Subject
from logitmus.execution.in_process import Hosted
from logitmus.execution.pool import AbstractPool, Plan, Ready
from logitmus.execution.registry import BackendSpec
from logitmus.execution.session import Ask, Observed, PoolEvent
from logitmus.worker.environment import process_environment


@dataclass(frozen=True, slots=True)
class Here(AbstractPool):
    """A pool for a callable, evaluated in this process. It dies with it, and hangs with it."""

    spec: BackendSpec
    hosted: Hosted

    def describe(self) -> Iterator[Ready]:
        """Its subjects."""
        yield Ready(self.spec, self.hosted.subjects, process_environment(), 0.0)

    def run(self, plan: Plan) -> Iterator[PoolEvent]:
        """Asks as it is read."""
        for problem, subjects in plan(self.hosted.subjects):
            for subject in subjects:
                outcome, seconds = self.hosted.observe(problem, subject)
                yield Observed(problem, Observation(subject, problem.id, outcome), seconds, False)

    def close(self) -> None:
        """There is nothing to end."""


class Stage(AbstractPool):
    """Pools under one roof, started. Its maker closes it: the engine may use it for several runs in turn.

    Attributes:
        described: the backends, as their workers describe them.

    Args:
        meanwhile: called once, while the workers start.
    """

    def __init__(self, pools: Sequence[AbstractPool], meanwhile: Callable[[], object] = lambda: None) -> None:
        self._pools = pools
        self._halted = False
        self.described: list[Ready | BackendFailed] = []
        self._presented: Sequence[Ready | BackendFailed] | None = None
        try:
            begun = [pool.describe() for pool in pools]
            meanwhile()
            for described in begun:
                self.described += described
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the workers alive."""

    @property
    def started(self) -> bool:
        return True

    def close(self) -> None:
        """Ends all workers."""
        with ExitStack() as stack:
            for pool in self._pools:
                stack.callback(pool.close)

    def describe(self) -> Iterator[Ready | BackendFailed]:
        """The backends as they were presented last, or as their workers describe them."""
        yield from self.described if self._presented is None else self._presented

    def present(self, backends: Sequence[Ready]) -> None:
        """From now on, describe these: the same subjects (by id), or some of them, with another convention, say."""
        self._presented = backends

    def halt(self) -> None:
        """End the current work after the batches on their way; later work runs as usual."""
        self._halted = True

    def run(self, plan: Plan) -> Iterator[PoolEvent]:
        """Do the planned work, a pool at a time."""
        self._halted = False

        def until_halted(subjects: tuple[Subject, ...]) -> Iterator[Ask]:
            for ask in plan(subjects):
                if self._halted:
                    return
                yield ask

        for pool in self._pools:
            yield from pool.run(until_halted)
