"""What a worker sends, read strictly: a worker is a foreign program and may send anything.

Every type, range and size is checked; whatever does not fit is a `WireError` that names it. Harness side only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from logitmus.core.declaration import DeclarationError, check_subjects
from logitmus.core.floats import Array
from logitmus.core.observation import (
    Answered,
    Crashed,
    Garbled,
    NotRun,
    Outcome,
    OutOfMemory,
    Raised,
    TimedOut,
)
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.worker.wire import PROTOCOL, WireError, array_from_bits

Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\s@:]+$")]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class _Struct(msgspec.Struct, frozen=True, kw_only=True):
    pass


class WireArray(_Struct, frozen=True):
    dtype: str
    shape: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=1 << 48)], ...], msgspec.Meta(max_length=32)]
    data: bytes


class WireAnswered(_Struct, frozen=True, tag_field="kind", tag="answered"):
    loss: WireArray
    grad_logits: WireArray | None = None
    grad_targets: WireArray | None = None
    written: tuple[Literal["logits", "targets", "weight", "cotangent"], ...] = ()
    warnings: tuple[Text, ...] = ()
    changed: tuple[Literal["loss", "grad_logits", "grad_targets"], ...] = ()
    second_logits: WireArray | None = None


class WireRaised(_Struct, frozen=True, tag_field="kind", tag="raised"):
    type: Text
    message: Text
    answered_before: bool = False


class WireCrashed(_Struct, frozen=True, tag_field="kind", tag="crashed"):
    status: Text
    stderr: str


class WireTimedOut(_Struct, frozen=True, tag_field="kind", tag="timed_out"):
    seconds: Seconds


class WireOutOfMemory(_Struct, frozen=True, tag_field="kind", tag="out_of_memory"):
    limit: int


class WireGarbled(_Struct, frozen=True, tag_field="kind", tag="garbled"):
    reason: Text


class WireNotRun(_Struct, frozen=True, tag_field="kind", tag="not_run"):
    reason: Text
    lacks_module: bool = False


# A worker cannot say that it crashed; a store can.
FromWorker = WireAnswered | WireRaised | WireGarbled | WireNotRun
WireOutcome = FromWorker | WireCrashed | WireTimedOut | WireOutOfMemory


class _SubjectEntry(_Struct, frozen=True):
    id: str


class _RawHello(_Struct, frozen=True, tag_field="type", tag="hello"):
    protocol: int
    subjects: tuple[msgspec.Raw, ...]
    environment: dict[str, Any]


class Failed(_Struct, frozen=True, tag_field="type", tag="failed"):
    """The worker cannot run here: why, and what a person can do."""

    reason: Text
    hint: Text = ""


class Answer(_Struct, frozen=True, tag_field="type", tag="answer"):
    """The outcome of a problem for a subject, and the seconds that the call took."""

    problem: str
    subject: str
    outcome: FromWorker
    seconds: Seconds = 0.0


class Done(_Struct, frozen=True, tag_field="type", tag="done"):
    """A batch is finished: whether subnormals were flushed to zero before and after it."""

    batch: int
    flushes_before: bool = False
    flushes_after: bool = False


class Hello(_Struct, frozen=True):
    """A worker that started: its subjects and its environment."""

    subjects: tuple[Subject, ...]
    environment: Mapping[str, Any]


_MESSAGES = msgspec.json.Decoder(_RawHello | Failed | Answer | Done)
_OUTCOMES = msgspec.json.Decoder(WireOutcome)
_ENTRY = msgspec.json.Decoder(_SubjectEntry)
_SUBJECT = msgspec.json.Decoder(Subject)


def read(line: bytes) -> Hello | Failed | Answer | Done:
    """The message on this line.

    Raises:
        WireError: for anything that is not a message of this version of the protocol.
    """
    try:
        message: _RawHello | Failed | Answer | Done = _MESSAGES.decode(line)
        return _hello(message) if isinstance(message, _RawHello) else message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{error}: {_excerpt(line)}") from None


def to_outcome(message: WireOutcome, problem: Problem | None = None) -> Outcome:
    """The outcome that a message states; with its problem, gradients must have the shape of what they belong to.

    The loss keeps whatever shape the subject gave it: judging that is not the wire's business.

    Raises:
        WireError: for arrays whose dtype, shape and bytes do not agree.
    """
    match message:
        case WireAnswered():
            like_logits = None if problem is None else problem.logits.shape
            return Answered(
                loss=_array("loss", message.loss, None),
                grad_logits=_gradient("grad_logits", message.grad_logits, like_logits),
                grad_targets=_gradient("grad_targets", message.grad_targets, like_logits),
                written=message.written,
                warnings=message.warnings,
                changed=message.changed,
                second_logits=_gradient("second_logits", message.second_logits, like_logits),
            )
        case WireRaised():
            return Raised(message.type, message.message, message.answered_before)
        case WireCrashed():
            return Crashed(message.status, message.stderr)
        case WireTimedOut():
            return TimedOut(message.seconds)
        case WireOutOfMemory():
            return OutOfMemory(message.limit)
        case WireGarbled():
            return Garbled(message.reason)
        case WireNotRun():
            return NotRun(message.reason, message.lacks_module)


def decode_outcome(data: bytes) -> Outcome:
    """The inverse of `wire.to_line(wire.encode_outcome(outcome))`.

    Raises:
        WireError: for anything else.
    """
    try:
        return to_outcome(_OUTCOMES.decode(data))
    except msgspec.MsgspecError as error:
        raise WireError(f"{error}: {_excerpt(data)}") from None


def _hello(raw: _RawHello) -> Hello:
    if raw.protocol != PROTOCOL:
        raise WireError(
            f"it speaks protocol {raw.protocol}, this logitmus speaks {PROTOCOL}; update the older of the two"
        )
    subjects = tuple(_subject(entry) for entry in raw.subjects)
    try:
        check_subjects(subjects)
    except DeclarationError as error:
        raise WireError(str(error)) from None
    return Hello(subjects=subjects, environment=raw.environment)


def _subject(entry: msgspec.Raw) -> Subject:
    subject: Subject = _SUBJECT.decode(entry)
    given_id = _ENTRY.decode(entry).id
    if given_id != subject.id:
        raise WireError(f"subject {given_id!r}: its parts make the id {subject.id!r}")
    return subject


def _gradient(name: str, message: WireArray | None, shape: tuple[int, ...] | None) -> Array | None:
    return None if message is None else _array(name, message, shape)


def _array(name: str, message: WireArray, shape: tuple[int, ...] | None) -> Array:
    if shape is not None and message.shape != shape:
        raise WireError(f"{name}: shape {message.shape}; its problem's logits have {shape}")
    try:
        return array_from_bits(message.dtype, message.shape, message.data)
    except WireError as error:
        raise WireError(f"{name}: {error}") from None


def _excerpt(line: bytes) -> str:
    shown = line[:80].decode("utf-8", "backslashreplace").rstrip("\n")
    return repr(shown + ("..." if len(line) > 80 else ""))
