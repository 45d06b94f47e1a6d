"""Call modes: the call repeated, made after others, or differentiated in another way (`problem.MANNERS`).

The plain call comes first; the answer of the requested call mode is kept. Light (numpy, ml_dtypes):
the worker imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from logitmus.core.floats import Array, float_array, little_endian_bytes
from logitmus.core.observation import FIRST_ORDER, Answered, Outcome, PartName, Raised
from logitmus.core.problem import DERIVATIVES, ONCE, Problem

_REPEATS: Final = 2
_FORWARD_PARTS: Final = (PartName.LOSS, PartName.GRAD_LOGITS)  # the gradient by targets is not computed
_LARGE: Final = 16384.0  # inside float16


class Called(NamedTuple):
    """The outcome of a call, and the seconds that it took."""

    outcome: Outcome
    seconds: float


# A call with fresh arrays; the mode is ONCE, or in DERIVATIVES, which compute the gradient in that way.
Call = Callable[[Problem, str], Called]


def perform(problem: Problem, inputs: str, call: Call) -> Called:
    """The outcome of a problem in its call mode, and the seconds of all calls.

    Of repeated calls the first is kept that differs from the plain call in any bit, else the last.

    Args:
        inputs: what the subject takes its logits for (`Convention.inputs`).
    """
    if problem.manner == ONCE:
        return call(problem, ONCE)
    first, seconds = call(problem.but(manner=ONCE), ONCE)
    if not isinstance(first, Answered):
        return Called(first, seconds)
    plain = _copied(first)  # what it gave out may be a buffer of its own, and change under later calls
    kept: Outcome = plain
    parts = _FORWARD_PARTS if problem.manner == "forward_mode" else FIRST_ORDER
    for later, took in _later(problem, inputs, first, call):
        seconds += took
        kept = _beside(plain, later, parts)
        if not isinstance(kept, Answered) or kept.changed:
            break
    return Called(kept, seconds)


def _later(problem: Problem, inputs: str, first: Answered, call: Call) -> Iterator[Called]:
    """What comes after the first answer, each of which ought to be the same."""
    once = problem.but(manner=ONCE)
    if problem.manner in DERIVATIVES:
        yield call(once, problem.manner)
        return
    if problem.manner == "after_others":  # their results and errors are not kept
        spent = sum(call(other, ONCE).seconds for other in _others(once, inputs))
        yield Called(first, spent)
    for _ in range(_REPEATS):
        yield call(once, ONCE)


def _others(problem: Problem, inputs: str) -> Iterator[Problem]:
    """Calls that a function may remember: large logits, NaN, and twice as many rows."""
    yield problem.but(logits=np.broadcast_to(_row(problem, inputs), problem.logits.shape))
    yield problem.but(logits=np.full_like(problem.logits, np.nan))
    if problem.batch:
        first = problem.cotangent is not None and problem.reduction == "none"
        yield problem.but(
            logits=_twice(problem.logits[::-1]),
            targets=_twice(problem.targets[::-1]),
            cotangent=_twice(problem.cotangent) if first and problem.cotangent is not None else problem.cotangent,
        )


def _row(problem: Problem, inputs: str) -> Array:
    """One row for all: large logits; where the inputs have a domain, something inside it."""
    place = np.linspace(-1.0, 1.0, problem.classes)
    values = {"logits": _LARGE * place, "probabilities": (1 + place) / 2, "log_probabilities": _LARGE * (place - 1) / 2}
    return float_array(values[inputs], problem.dtype)


def _twice(array: Array) -> Array:
    return np.concatenate([array, array])


def _copied(answer: Answered) -> Answered:
    copies: dict[str, Any] = {
        name: None if (part := getattr(answer, name)) is None else part.copy() for name in FIRST_ORDER
    }
    return replace(answer, **copies)


def _beside(plain: Answered, later: Outcome, parts: Sequence[str]) -> Outcome:
    """The later answer, with the parts that differ from the plain answer."""
    match later:
        case Answered():
            changed = tuple(name for name in parts if not _alike(getattr(plain, name), getattr(later, name)))
            return replace(later, changed=changed, written=tuple(dict.fromkeys((*plain.written, *later.written))))
        case Raised(name, message):
            return Raised(name, message, answered_before=True)
        case _:
            return later


def _alike(first: Array | None, other: Array | None) -> bool:
    """The same bits; a NaN is a NaN, whatever its payload."""
    if first is None or other is None:
        return first is other
    if (first.shape, first.dtype) != (other.shape, other.dtype):
        return False
    if little_endian_bytes(first) == little_endian_bytes(other):
        return True
    nan = np.isnan(first) & np.isnan(other)
    zero = np.zeros((), first.dtype)
    return little_endian_bytes(np.where(nan, zero, first)) == little_endian_bytes(np.where(nan, zero, other))
