"""Records: values as the JSON of a run's file, their arrays as references to blobs of exact bits.

msgspec derives the form from the dataclasses themselves and validates on the way back, so that a field is written
down once. The wire has a form of its own: a worker has no msgspec, and needs the arrays inside the message.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args

import msgspec
import numpy as np

from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import FLOAT_DTYPES, Array, dtype_name, little_endian_bytes
from logitmus.core.observation import Outcome

T = TypeVar("T")
Put = Callable[[bytes], str]
Get = Callable[[str], bytes]

_OUTCOMES: Mapping[str, type[Outcome]] = {kind.__name__: kind for kind in get_args(Outcome)}
_RAW, _ZLIB = 0, 1
_SAMPLE = 1 << 16
_SMALL = 1 << 11  # compressing these takes longer than writing them


class RecordError(LogitmusError):
    """A stored record that cannot be decoded; the message says what is wrong with it."""

    exit_code = Exit.INTERNAL_ERROR


def content_hash(bits: bytes) -> str:
    """The name of a blob: 32 hexadecimal digits of the BLAKE2b hash of its bits."""
    return hashlib.blake2b(bits, digest_size=16).hexdigest()


def pack(bits: bytes) -> tuple[int, bytes]:
    """(codec, data): compressed only where it helps; for large arrays a sample tells."""
    if len(bits) < _SMALL:
        return _RAW, bits
    sample = bits[:_SAMPLE]
    packed = _compress(sample)
    if len(packed) > 0.9 * len(sample):
        return _RAW, bits
    return _ZLIB, packed if len(sample) == len(bits) else _compress(bits)


def _compress(bits: bytes) -> bytes:
    packer = zlib.compressobj(1, memLevel=9)  # with a large table it takes three quarters of the time
    return packer.compress(bits) + packer.flush()


def unpack(codec: int, data: bytes) -> bytes:
    """The bits that `pack` was given.

    Raises:
        RecordError: for an unknown codec or data that do not unpack.
    """
    if codec == _RAW:
        return data
    if codec != _ZLIB:
        raise RecordError(f"an array of codec {codec}")
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise RecordError(f"an array that does not unpack ({error})") from error


def encode(value: object, put: Put) -> bytes:
    """`value` as JSON (keys and sets sorted: equal values, equal text); `put` stores an array's bits and names them."""

    def other(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            return {"dtype": dtype_name(part), "shape": list(part.shape), "blob": put(little_endian_bytes(part))}
        if isinstance(part, Mapping):
            return dict(part)
        raise TypeError(f"a {type(part).__name__} cannot be recorded")

    return msgspec.json.encode(value, enc_hook=other, order="sorted")


def decode(data: bytes | str, kind: type[T], get: Get) -> T:
    """The value of class `kind` that `encode` was given.

    Raises:
        RecordError: where the JSON does not fit `kind`.
    """

    def array(_kind: object, reference: Any) -> Array:
        return _array(reference, get)

    try:
        return msgspec.json.decode(data, type=kind, dec_hook=array)
    except RecordError:
        raise
    except (msgspec.DecodeError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"a {kind.__name__} that does not decode ({error})") from error


def encode_outcome(outcome: Outcome, put: Put) -> tuple[str, bytes]:
    """(the name of the outcome's class, its fields)."""
    return type(outcome).__name__, encode(outcome, put)


def decode_outcome(name: str, data: bytes | str, get: Get) -> Outcome:
    """The outcome that `encode_outcome` was given."""
    if name not in _OUTCOMES:
        raise RecordError(f"an outcome called {name!r}")
    return decode(data, _OUTCOMES[name], get)


def check_model(text: str) -> None:
    """Check the model of a function.

    Raises:
        RecordError: for a text that is no model.
    """
    from logitmus.oracle.model_record import ModelRecordError, from_text  # noqa: PLC0415  (loads the oracle)

    try:
        from_text(text)
    except ModelRecordError as error:
        raise RecordError(error.message) from error


class FamilyOnly(msgspec.Struct):
    """A problem, of which only the family is decoded."""

    family: str = ""


class _Reference(msgspec.Struct):
    """An array in a record: the name of the blob that holds its bits, and how to read them."""

    dtype: str
    shape: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    blob: str


def _array(reference: Any, get: Get) -> Array:
    stored = msgspec.convert(reference, _Reference)
    name = stored.dtype
    dtype = FLOAT_DTYPES[name] if name in FLOAT_DTYPES else np.dtype(name)
    array = np.frombuffer(get(stored.blob), dtype=dtype.newbyteorder("<")).reshape(stored.shape)
    native = array.astype(dtype, copy=False)
    native.flags.writeable = False
    return native
