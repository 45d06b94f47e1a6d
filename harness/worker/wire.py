"""The wire: problems, subjects and outcomes as JSON Lines (docs/protocol.md, protocol.schema.json).

Numbers that matter travel as bits, never as decimals: an array is its dtype, its shape and the base64 of its
row-major little-endian bytes. This is the half that a worker needs, with nothing but the standard library, numpy and
ml_dtypes; what a worker sends is read, and distrusted, by `logitmus.execution.messages`.
"""

from __future__ import annotations

import binascii
import itertools
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from logitmus.core.convention import PORTABLE
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES, Array, dtype_name, little_endian_bytes
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
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import Subject

PROTOCOL: Final = 1
DTYPES: Final = MappingProxyType({**FLOAT_DTYPES, **LABEL_DTYPES})

Message = dict[str, Any]

# Stands for the data of an array until the JSON around it is made; random, so that no text can hold it.
_MARK = f"bits-{secrets.token_hex(16)}"
_MARK_BYTES = json.dumps(_MARK).encode("ascii")


class WireError(LogitmusError, ValueError):
    """A line that is not a message of the protocol; the message says what is wrong with it."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True, slots=True)
class Bits:
    """The base64 of an array's data, in a message that is not yet a line."""

    base64: bytes


def to_line(message: Mapping[str, Any]) -> bytes:
    """A message as a line of ASCII, its newline included.

    The base64 of arrays, nearly all of a line, is put in as it is: `json` would look at every letter of it thrice.
    """
    data: list[bytes] = []

    def mark(array: object) -> str:
        if not isinstance(array, Bits):
            raise TypeError(f"a message cannot hold a {type(array).__name__}")
        data.append(array.base64)
        return _MARK

    text = json.dumps(message, separators=(",", ":"), allow_nan=False, default=mark).encode("ascii")
    first, *others = text.split(_MARK_BYTES)
    pieces = itertools.chain.from_iterable((b'"', bits, b'"', rest) for bits, rest in zip(data, others, strict=True))
    return b"".join((first, *pieces, b"\n"))


def plain_text(text: str, limit: int = 2000) -> str:
    """`text` cut to `limit` characters and free of lone surrogates, which are not valid Unicode."""
    cut = text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")


def encode_array(array: Array) -> Message:
    """The exact bits of an array, for `to_line`.

    Raises:
        WireError: for a dtype that is not in `DTYPES`.
    """
    name = dtype_name(array)
    if name not in DTYPES:
        raise WireError(f"an array of dtype {array.dtype}; the protocol carries {', '.join(DTYPES)}")
    data = binascii.b2a_base64(little_endian_bytes(array), newline=False)
    return {"dtype": name, "shape": array.shape, "data": Bits(data)}


def array_from_bits(dtype: str, shape: Sequence[int], data: bytes) -> Array:
    """The read-only array with these little-endian bits.

    Raises:
        WireError: for an unknown dtype, a negative size, or a number of bytes that the shape does not have.
    """
    if dtype not in DTYPES:
        raise WireError(f"dtype {dtype!r}; choose from {', '.join(DTYPES)}")
    if min(shape, default=0) < 0:
        raise WireError(f"shape {tuple(shape)}: a negative size")
    due = math.prod(shape) * DTYPES[dtype].itemsize
    if len(data) != due:
        raise WireError(f"shape {tuple(shape)} of {dtype} has {due} bytes; got {len(data)}")
    array: Array = np.frombuffer(data, DTYPES[dtype])
    if not np.little_endian:
        array = array.byteswap()
    try:
        array = array.reshape(tuple(shape))
    except ValueError as error:  # more axes than NumPy has, or sizes beyond any memory beside a 0
        raise WireError(f"shape {tuple(shape)}: {error}") from None
    array.flags.writeable = False
    return array


def decode_array(message: Mapping[str, Any]) -> Array:
    """The inverse of `encode_array`.

    Raises:
        WireError: see `array_from_bits`; also for data that is not base64.
    """
    try:
        data = binascii.a2b_base64(message["data"], strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"data is not base64: {error}") from None
    return array_from_bits(message["dtype"], message["shape"], data)


def _optional(array: Array | None) -> Message | None:
    return None if array is None else encode_array(array)


def _maybe(message: Mapping[str, Any] | None) -> Array | None:
    return None if message is None else decode_array(message)


def encode_problem(problem: Problem) -> Message:
    """Everything that is part of the question; family and idea stay at home."""
    return {
        "id": problem.id,
        "logits": encode_array(problem.logits),
        "targets": encode_array(problem.targets),
        "weight": _optional(problem.weight),
        "ignore_index": problem.ignore_index,
        "label_smoothing": encode_array(np.asarray(problem.label_smoothing, np.float64)),
        "reduction": problem.reduction,
        "cotangent": _optional(problem.cotangent),
        "layout": problem.layout,
        **({} if problem.manner == ONCE else {"manner": problem.manner}),
    }


def decode_problem(message: Mapping[str, Any]) -> Problem:
    """The inverse of `encode_problem`, bit for bit, the id included.

    Raises:
        WireError: for arrays that are not; ProblemError: for parts that do not fit together.
    """
    return Problem(
        logits=decode_array(message["logits"]),
        targets=decode_array(message["targets"]),
        weight=_maybe(message["weight"]),
        ignore_index=message["ignore_index"],
        label_smoothing=float(decode_array(message["label_smoothing"])),
        reduction=message["reduction"],
        cotangent=_maybe(message["cotangent"]),
        layout=message["layout"],
        manner=message.get("manner", ONCE),
    )


def encode_subject(subject: Subject) -> Message:
    """A subject with its offer and the fields of its convention that are not the portable ones."""
    offer = subject.offer
    return {
        "id": subject.id,
        "backend": subject.backend,
        "function": subject.function,
        "mode": subject.mode,
        "variant": subject.variant,
        "device": subject.device,
        "offer": {
            "targets": offer.targets,
            "options": sorted(offer.options),
            "reductions": list(offer.reductions),
            "dtypes": list(offer.dtypes),
            "label_dtypes": list(offer.label_dtypes),
            "layouts": list(offer.layouts),
            "manners": list(offer.manners),
            "spatial": offer.spatial,
            "single_row": offer.single_row,
            "gradients": sorted(offer.gradients),
        },
        "convention": {name: mine for name, (mine, _) in subject.convention.differences(PORTABLE).items()},
        "precision": {
            dtype: {"result": p.result, "storage": p.storage, "arithmetic": p.arithmetic}
            for dtype, p in subject.precision.items()
        },
        "flushes_subnormals": subject.flushes_subnormals,
        **({"switch": subject.switch} if subject.switch else {}),
        "docs": dict(subject.docs),
        "least_profile": subject.least_profile,
    }


def encode_outcome(outcome: Outcome) -> Message:
    """What became of a call; `logitmus.execution.messages.decode_outcome` is the inverse."""
    match outcome:
        case Answered():
            return {
                "kind": "answered",
                "loss": encode_array(outcome.loss),
                "grad_logits": _optional(outcome.grad_logits),
                "grad_targets": _optional(outcome.grad_targets),
                "written": list(outcome.written),
                "warnings": [plain_text(text) for text in outcome.warnings],
                "changed": list(outcome.changed),
                **({} if outcome.second_logits is None else {"second_logits": encode_array(outcome.second_logits)}),
            }
        case Raised():
            later = {"answered_before": True} if outcome.answered_before else {}
            return {"kind": "raised", "type": outcome.type, "message": plain_text(outcome.message), **later}
        case Crashed():
            return {"kind": "crashed", "status": outcome.status, "stderr": plain_text(outcome.stderr, 1 << 16)}
        case TimedOut():
            return {"kind": "timed_out", "seconds": outcome.seconds}
        case OutOfMemory():
            return {"kind": "out_of_memory", "limit": outcome.limit}
        case Garbled():
            return {"kind": "garbled", "reason": plain_text(outcome.reason)}
        case NotRun():
            return {"kind": "not_run", "reason": plain_text(outcome.reason), "lacks_module": outcome.lacks_module}
