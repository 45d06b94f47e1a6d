"""Presenting problems: axis order, exact memory layouts, writable copies; and gradients brought back."""

import numpy as np
import pytest

from logitmus.core.backend import ALL_LAYOUTS, Outputs
from logitmus.core.convention import Convention
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES, float_array, little_endian_bytes
from logitmus.core.problem import Problem
from logitmus.core.subject import Offer, Subject, same_precision
from logitmus.worker.layout import canonical, present

BATCHES = [(), (5,), (0,), (2, 3), (2, 3, 2)]


def subject(class_axis="last", targets="labels"):
    return Subject(
        backend="test",
        function="f",
        mode="",
        device="cpu",
        offer=Offer(targets=targets, layouts=ALL_LAYOUTS),
        convention=Convention(class_axis=class_axis),
        precision=same_precision(),
    )


def problem(batch=(5,), classes=4, *, dtype="float32", layout="contiguous", soft=False, labels="int64", **more):
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(*batch, classes))
    if layout == "expanded":
        logits[...] = rng.normal(size=classes)
    targets = rng.random((*batch, classes)) if soft else rng.integers(0, classes, batch)
    return Problem(
        logits=float_array(logits, dtype),
        targets=float_array(targets, dtype) if soft else np.asarray(targets, labels),
        layout=layout,
        **more,
    )


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("layout", ALL_LAYOUTS)
@pytest.mark.parametrize("class_axis", ["last", "1"])
@pytest.mark.parametrize("soft", [False, True])
def test_every_layout_holds_the_same_bits_and_comes_back(dtype, layout, class_axis, soft):
    declared = subject(class_axis)
    for batch in BATCHES:
        original = problem(batch, dtype=dtype, layout=layout, soft=soft)
        inputs = present(original, declared)
        back = canonical(Outputs(loss=inputs.targets, grad_logits=inputs.logits), original, declared)
        assert inputs.logits.dtype == original.logits.dtype
        assert back.grad_logits.shape == original.logits.shape
        assert little_endian_bytes(back.grad_logits) == little_endian_bytes(original.logits)
        targets = canonical(Outputs(loss=inputs.targets, grad_logits=inputs.targets), original, declared).grad_logits
        assert little_endian_bytes(targets) == little_endian_bytes(original.targets)


def test_the_class_axis_is_where_the_subject_wants_it():
    spatial = problem((2, 3, 5), classes=4, soft=True)
    assert present(spatial, subject("1")).logits.shape == (2, 4, 3, 5)
    assert present(spatial, subject("1")).targets.shape == (2, 4, 3, 5)
    assert present(spatial, subject("last")).logits.shape == (2, 3, 5, 4)
    assert present(problem((), soft=True), subject("1")).logits.shape == (4,)
    assert present(problem((2, 3)), subject("1")).targets.shape == (2, 3)


@pytest.mark.parametrize(
    ("layout", "strides"),
    [
        ("contiguous", (12 * 4, 3 * 4, 4)),
        ("transposed", (4, 2 * 4, 8 * 4)),
        ("sliced", (8 * 6 * 2 * 4, 6 * 2 * 4, 2 * 4)),
        ("expanded", (0, 3 * 4, 4)),
        ("reversed", (-12 * 4, -3 * 4, -4)),
        ("misaligned", (12 * 4, 3 * 4, 4)),
        ("moved", (12 * 4, 4, 4 * 4)),
    ],
)
def test_strides_are_exactly_those_of_the_layout(layout, strides):
    """A (2, 3) batch of 4 classes for class axis 1 is a (2, 4, 3) array of 4-byte floats."""
    sample = problem((2, 3), layout=layout)
    assert present(sample, subject("1")).logits.strides == strides


def test_misaligned_arrays_start_one_element_behind_a_multiple_of_16_bytes():
    inputs = present(problem((6,), layout="misaligned"), subject())
    assert inputs.logits.ctypes.data % 16 == 4
    assert inputs.targets.ctypes.data % 16 == 8


def test_labels_are_laid_out_too_and_gaps_betray_a_reader():
    inputs = present(problem((6,), layout="sliced"), subject())
    assert inputs.targets.strides == (16,)
    assert inputs.targets.base[1] == np.iinfo(np.int64).max
    assert np.isnan(inputs.logits.base[0, 1])
    assert np.isnan(inputs.logits.base[1]).all()


@pytest.mark.parametrize("layout", ALL_LAYOUTS)
def test_writes_are_seen_in_the_inputs_and_never_reach_the_problem(layout):
    original = problem(layout=layout, soft=True, weight=np.ones(4, np.float32), cotangent=np.ones(5, np.float32))
    bits = little_endian_bytes(original.logits)
    inputs = present(original, subject())
    for name in ("logits", "targets", "weight", "cotangent"):
        array = getattr(inputs, name)
        before = little_endian_bytes(array)
        array[...] = 77
        assert little_endian_bytes(array) != before, name
    assert little_endian_bytes(original.logits) == bits
    assert (original.targets < 1).all()
    assert (original.weight == 1).all()
    assert (original.cotangent == 1).all()


@pytest.mark.parametrize("labels", LABEL_DTYPES)
@pytest.mark.parametrize("layout", ALL_LAYOUTS)
def test_label_dtypes_survive(labels, layout):
    sample = problem(layout=layout, labels=labels)
    targets = present(sample, subject()).targets
    assert targets.dtype == np.dtype(labels)
    assert (targets == sample.targets).all()


def test_a_gradient_of_the_wrong_rank_is_left_for_the_judge():
    odd = np.zeros(3, np.float32)
    back = canonical(Outputs(loss=np.float32(0)[...], grad_logits=odd), problem(), subject("1"))
    assert back.grad_logits is odd
