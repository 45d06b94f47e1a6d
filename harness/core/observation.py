"""Observations: the outcome of a call of a subject. A closed union; match on it exhaustively."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from logitmus.core.floats import Array


class PartName(StrEnum):
    """The parts of an answer that are compared; the fields of `Answered`."""

    LOSS = "loss"
    GRAD_LOGITS = "grad_logits"
    GRAD_TARGETS = "grad_targets"
    SECOND_LOGITS = "second_logits"


FIRST_ORDER: Final = (PartName.LOSS, PartName.GRAD_LOGITS, PartName.GRAD_TARGETS)  # of every answer


@dataclass(frozen=True)
class Answered:
    """It returned.

    Attributes:
        loss: exactly the bits and shape returned.
        grad_logits, grad_targets: from the framework's own autodiff, in the canonical layout; None: none offered.
        second_logits: the derivative by the logits of the sum of `grad_logits` at each row's label, in the same layout;
            only for problems with the call mode second_order.
        written: the inputs whose bits the call changed ("logits", "targets", "weight").
        changed: the parts ("loss", "grad_logits", "grad_targets") whose bits are not those of the plain call that the
            worker made first; only for problems with a call mode other than once.
        warnings: what it warned, each text once.
    """

    loss: Array
    grad_logits: Array | None = None
    grad_targets: Array | None = None
    written: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    second_logits: Array | None = None


@dataclass(frozen=True)
class Raised:
    """It raised an exception (of the framework or of Python).

    answered_before: the plain call that the worker made first had answered; only for a problem with
        another manner than once.
    """

    type: str
    message: str
    answered_before: bool = False


@dataclass(frozen=True)
class Crashed:
    """The worker process died: the exit status or signal, and the last lines it wrote to stderr."""

    status: str
    stderr: str = ""


@dataclass(frozen=True)
class TimedOut:
    """No result within `seconds`; the worker was killed."""

    seconds: float


@dataclass(frozen=True)
class OutOfMemory:
    """The worker passed its memory limit (bytes) and was killed."""

    limit: int


@dataclass(frozen=True)
class Garbled:
    """The worker sent an invalid message; the reason says what is wrong with it."""

    reason: str


@dataclass(frozen=True)
class NotRun:
    """The subject was not called: it does not offer what the problem needs, or it could not run at all.

    Attributes:
        lacks_module: a module that the backend imports is not installed.
        given_up: the call was due, but too many workers were lost before it, or none could be started again.
    """

    reason: str
    lacks_module: bool = False
    given_up: bool = False


Outcome = Answered | Raised | Crashed | TimedOut | OutOfMemory | Garbled | NotRun


@dataclass(frozen=True)
class Observation:
    """The outcome of calling `subject` (an id) with `problem` (an id)."""

    subject: str
    problem: str
    outcome: Outcome
