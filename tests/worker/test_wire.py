"""The wire: every bit arrives, every message fits the published schema, and nonsense is refused with a reason."""

from __future__ import annotations

import importlib.resources
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logitmus.core.convention import FIELDS, Convention
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES, Array
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
from logitmus.core.subject import Offer, Precision, Subject, same_precision
from logitmus.execution import messages
from logitmus.worker import wire

SUBJECT = Subject(
    backend="torch",
    function="cross_entropy",
    mode="compile",
    variant="x64",
    device="cuda",
    offer=Offer(targets="labels", options=frozenset({"weight"}), dtypes=("float32", "float16"), spatial=False),
    convention=Convention(class_axis="1", ignore_default="-100"),
    precision={**same_precision(), "float16": Precision("float16", "float32", "float16")},
    flushes_subnormals=True,
    docs={"": "https://example.org/ce", "class_axis": "https://example.org/axis"},
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=200)  # lone surrogates included


def arrays(dtypes: Mapping[str, np.dtype[Any]] = wire.DTYPES) -> st.SearchStrategy[Array]:
    """Arrays of any bits: NaN payloads, signed zeros, subnormals; of any shape, 0 axes and empty ones included."""

    @st.composite
    def draw_array(draw: st.DrawFn) -> Array:
        dtype = dtypes[draw(st.sampled_from(sorted(dtypes)))]
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(draw(st.binary(min_size=count, max_size=count)), dtype).reshape(shape)

    return draw_array()


def same_bits(array: Array | None, other: Array | None) -> bool:
    if array is None or other is None:
        return array is other
    return (array.dtype, array.shape, array.tobytes()) == (other.dtype, other.shape, other.tobytes())


@given(arrays())
def test_arrays_arrive_bit_for_bit(array: Array) -> None:
    assert same_bits(wire.decode_array(json.loads(wire.to_line(wire.encode_array(array)))), array)


@pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
def test_every_dtype_in_every_memory_order(dtype: str) -> None:
    stored = np.arange(24).reshape(4, 6).astype(wire.DTYPES[dtype])
    for view in (stored, stored.T, stored[::2, ::-1], stored.astype(stored.dtype.newbyteorder(">"))):
        back = wire.decode_array(json.loads(wire.to_line(wire.encode_array(view))))
        assert back.dtype == stored.dtype
        assert np.array_equal(back, view)


def test_the_bytes_are_row_major_and_little_endian() -> None:
    message = wire.encode_array(np.array([[1, 2], [3, 4]], dtype=">i2").T)
    assert json.loads(wire.to_line(message)) == {"dtype": "int16", "shape": [2, 2], "data": "AQADAAIABAA="}


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    dtype = FLOAT_DTYPES[draw(st.sampled_from(sorted(FLOAT_DTYPES)))]
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))

    def bits(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(draw(st.binary(min_size=count, max_size=count)), dtype).reshape(shape)

    labels = draw(st.booleans())
    label_dtype = LABEL_DTYPES[draw(st.sampled_from(sorted(LABEL_DTYPES)))]
    reduction = draw(st.sampled_from(("none", "sum", "mean", "default")))
    upstream = reduction != "default" and draw(st.booleans())
    return Problem(
        logits=bits(dtype, shape),
        targets=bits(label_dtype, shape[:-1]) if labels else bits(dtype, shape),
        weight=bits(dtype, shape[-1:]) if draw(st.booleans()) else None,
        ignore_index=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        label_smoothing=draw(st.floats(0, 1)),
        reduction=reduction,
        cotangent=bits(dtype, shape[:-1] if reduction == "none" else ()) if upstream else None,
        layout=draw(st.sampled_from(("contiguous", "transposed", "sliced", "reversed"))),
    )


@given(problems())
def test_problems_arrive_bit_for_bit(problem: Problem) -> None:
    message = json.loads(wire.to_line(wire.encode_problem(problem)))
    back = wire.decode_problem(message)
    assert back.id == problem.id == message["id"]
    assert back.label_smoothing.hex() == problem.label_smoothing.hex()
    for name in ("logits", "targets", "weight", "cotangent"):
        assert same_bits(getattr(back, name), getattr(problem, name))


OUTCOMES = st.one_of(
    st.builds(
        Answered,
        loss=arrays(),
        grad_logits=st.none() | arrays(),
        grad_targets=st.none() | arrays(),
        second_logits=st.none() | arrays(),
        written=st.lists(st.sampled_from(("logits", "targets", "weight")), unique=True).map(tuple),
        warnings=st.lists(TEXT, max_size=2).map(tuple),
    ),
    st.builds(Raised, type=st.just("ValueError"), message=TEXT),
    st.builds(Crashed, status=st.sampled_from(("SIGSEGV", "exit status 3")), stderr=TEXT),
    st.builds(TimedOut, seconds=st.floats(0, 1e6)),
    st.builds(OutOfMemory, limit=st.integers(0, 1 << 62)),
    st.builds(Garbled, reason=TEXT),
    st.builds(NotRun, reason=TEXT),
)


@given(OUTCOMES)
def test_outcomes_arrive_whole(outcome: Outcome) -> None:
    back = messages.decode_outcome(wire.to_line(wire.encode_outcome(outcome)))
    assert type(back) is type(outcome)
    for name in outcome.__dataclass_fields__:
        sent, received = getattr(outcome, name), getattr(back, name)
        match sent:
            case np.ndarray():
                assert same_bits(received, sent)
            case str():
                assert received == wire.plain_text(sent)
            case _ if name == "warnings":
                assert received == tuple(wire.plain_text(text) for text in sent)
            case _:
                assert received == sent


def test_text_that_is_too_long_or_not_unicode_is_made_fit() -> None:
    back = messages.decode_outcome(wire.to_line(wire.encode_outcome(Raised("E", "\ud800" + "x" * 3000))))
    assert isinstance(back, Raised)
    assert back.message.startswith("\\ud800xxx")
    assert back.message.endswith("... (3001 characters)")


def hello(**changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "type": "hello",
        "protocol": wire.PROTOCOL,
        "subjects": [wire.encode_subject(SUBJECT)],
        "environment": {"packages": {"torch": "2.13.0"}},
    }
    return message | changes


def test_a_subject_arrives_whole() -> None:
    message = messages.read(wire.to_line(hello()))
    assert isinstance(message, messages.Hello)
    assert message.subjects == (SUBJECT,)
    assert message.environment == {"packages": {"torch": "2.13.0"}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": "torch:other@cpu"}, "its parts make the id 'torch:cross_entropy+compile+x64@cuda'"),
        ({"convention": {"class_axis": "middle"}}, "class_axis: 'middle'; choose from last, 1"),
        ({"offer": {"targets": "labels", "layouts": ["diagonal"]}}, "offer.layouts: 'diagonal'; use contiguous"),
        ({"offer": {"targets": "labels", "dtypes": ["float8"]}}, "offer.dtypes: 'float8'"),
        ({"offer": {"targets": "both"}}, "Invalid enum value 'both'"),
        ({"offer": {}}, "missing required field `targets`"),
        ({"precision": {}}, "nothing for float16"),
        ({"precision": {"float32": {"result": "tf32", "storage": "float32", "arithmetic": "float32"}}}, "'tf32'"),
        ({"device": 3}, "Expected `str`, got `int`"),
    ],
)
def test_a_subject_that_is_none_is_refused(change: dict[str, Any], expected: str) -> None:
    subject = wire.encode_subject(SUBJECT) | change
    with pytest.raises(wire.WireError) as refused:
        messages.read(wire.to_line(hello(subjects=[subject])))
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (hello(protocol=wire.PROTOCOL + 1), "update the older of the two"),
        (hello(subjects=[wire.encode_subject(SUBJECT)] * 2), "is offered twice"),
        ({"type": "goodbye"}, "Invalid value 'goodbye'"),
        ({}, "missing required field `type`"),
        (
            {"type": "answer", "problem": "p", "subject": "s", "outcome": {"kind": "timed_out", "seconds": 1}},
            "timed_out",
        ),
        ({"type": "answer", "problem": "p", "subject": "s"}, "outcome"),
        ({"type": "done"}, "batch"),
    ],
)
def test_a_message_that_is_none_is_refused(message: dict[str, Any], expected: str) -> None:
    with pytest.raises(wire.WireError) as refused:
        messages.read(wire.to_line(message))
    assert expected in str(refused.value)


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_do_more_than_be_refused(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        messages.read(line)


@cache
def schema() -> dict[str, Any]:
    text = importlib.resources.files("logitmus").joinpath("protocol.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def schema_of(name: str) -> jsonschema.Draft202012Validator:
    """The validator of one definition: "to_worker" or "from_worker"."""
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema()["$defs"]})


def test_the_schema_knows_every_convention_and_dtype() -> None:
    definitions = schema()["$defs"]
    conventions = definitions["subject"]["properties"]["convention"]["properties"]
    assert {name: rule["enum"] for name, rule in conventions.items()} == {
        name: list(field.values) for name, field in FIELDS.items()
    }
    assert definitions["array"]["properties"]["dtype"]["enum"] == list(wire.DTYPES)


@settings(deadline=None)  # the first call compiles the schema
@given(problems())
def test_batches_fit_the_schema(problem: Problem) -> None:
    item = {"problem": wire.encode_problem(problem), "subjects": [SUBJECT.id]}
    line = wire.to_line({"type": "batch", "batch": 1, "items": [item]})
    schema_of("to_worker").validate(json.loads(line))


@settings(deadline=None)  # the first call compiles the schema
@given(OUTCOMES.filter(lambda outcome: isinstance(outcome, Answered | Raised | Garbled | NotRun)))
def test_answers_fit_the_schema(outcome: Outcome) -> None:
    answer = {"type": "answer", "problem": "0" * 20, "subject": SUBJECT.id, "seconds": 0.1}
    schema_of("from_worker").validate({**answer, "outcome": json.loads(wire.to_line(wire.encode_outcome(outcome)))})


@pytest.mark.parametrize(
    "message",
    [
        hello(),
        {"type": "failed", "reason": "no GPU"},
        {"type": "done", "batch": 3, "flushes_before": False, "flushes_after": True},
    ],
)
def test_other_messages_fit_the_schema(message: dict[str, Any]) -> None:
    schema_of("from_worker").validate(message)
    messages.read(wire.to_line(message))


@pytest.mark.parametrize(
    "message",
    [
        {"type": "done"},
        hello(subjects=[wire.encode_subject(SUBJECT) | {"convention": {"class_axis": "middle"}}]),
        {"type": "answer", "problem": "p", "subject": "s", "outcome": {"kind": "crashed", "status": "", "stderr": ""}},
    ],
)
def test_the_schema_refuses_messages_that_the_harness_refuses(message: dict[str, Any]) -> None:
    assert not schema_of("from_worker").is_valid(message)
    with pytest.raises(wire.WireError):
        messages.read(wire.to_line(message))


def test_the_documented_session_is_that_of_the_minimal_worker() -> None:
    root = Path(__file__).parents[2]
    blocks = re.findall(r"```json\n(.*?)```", (root / "docs" / "protocol.md").read_text(encoding="utf-8"), re.DOTALL)
    hello, batch, *answers = map(json.loads, blocks)
    schema_of("to_worker").validate(batch)
    assert wire.decode_problem(batch["items"][0]["problem"]).id == batch["items"][0]["problem"]["id"]
    session = subprocess.run(
        [sys.executable, root / "tests" / "support" / "workers" / "minimal.py"],
        input=wire.to_line(batch),
        capture_output=True,
        check=True,
    )
    assert [json.loads(line) for line in session.stdout.splitlines()] == [hello, *answers]
    for message in (hello, *answers):
        schema_of("from_worker").validate(message)


def test_a_small_problem_costs_little() -> None:
    """Both directions, both ends: well under a tenth of a millisecond each (the best of many, against noise)."""
    problem = Problem(logits=np.ones((32, 10), np.float32), targets=np.zeros(32, np.int64))
    outcome = Answered(problem.logits[:, 0], problem.logits)
    assert problem.id

    def both_ways() -> None:
        wire.decode_problem(json.loads(wire.to_line(wire.encode_problem(problem))))
        messages.decode_outcome(wire.to_line(wire.encode_outcome(outcome)))

    best = min(_seconds(both_ways) for _ in range(200))
    assert best < 4 * 100e-6


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
