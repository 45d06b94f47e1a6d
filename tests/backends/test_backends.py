"""The backends as they describe themselves: no framework needed."""

import fnmatch
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from logitmus.core.backend import Inputs, NotAskedError, Outputs, differentiated
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.floats import FLOAT_DTYPES

NAMES = ("numpy", "torch", "tensorflow", "jax")
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "jaxlib", "optax")


def backend(name):
    return import_module(f"logitmus.backends.{name}_backend").BACKEND


def subjects(name):
    return backend(name).subjects(("cpu", "cuda"))


@pytest.mark.parametrize("name", NAMES)
def test_describing_a_backend_imports_no_framework(name):
    code = (
        "import sys\n"
        f"from logitmus.backends.{name}_backend import BACKEND\n"
        "assert BACKEND.subjects(('cpu', 'cuda'))\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_can_be_parsed(name):
    ids = [subject.id for subject in subjects(name)]
    assert len(ids) == len(set(ids))
    for subject_id in ids:
        assert re.fullmatch(rf"{name}:[\w.-]+(\+[\w-]+)*@\w+", subject_id)
        assert fnmatch.fnmatchcase(subject_id, subject_id), "a subject's id is a glob that means itself"


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_that_is_not_portable_has_a_link(name):
    for subject in subjects(name):
        differing = set(subject.convention.differences(PORTABLE))
        assert differing <= set(subject.docs), (subject.id, differing - set(subject.docs))
        assert set(subject.docs) <= set(FIELDS) | {""}, subject.id
        assert all(link.startswith("https://") for link in subject.docs.values()), subject.id
        assert "" in subject.docs, subject.id


@pytest.mark.parametrize("name", NAMES)
def test_precision_is_declared_for_every_dtype_and_fits_the_convention(name):
    for subject in subjects(name):
        for dtype in subject.offer.dtypes:
            result = subject.precision[dtype].result
            match subject.convention.result_dtype:
                case "as_input":
                    assert result == dtype or subject.variant.startswith("autocast"), subject.id
                case "at_most_float32":
                    assert result == ("float32" if dtype == "float64" else dtype), subject.id
                case "always_float32":
                    assert result == "float32", subject.id
                case other:
                    pytest.fail(f"{subject.id}: {other}")


@pytest.mark.parametrize("name", NAMES)
def test_functions_can_be_asked_in_their_offer(name):
    """No reduction or option is offered that its convention leaves open."""
    for subject in subjects(name):
        assert subject.convention.default_reduction in subject.offer.reductions, subject.id
        by_targets = subject.offer.targets == "probabilities" and bool(subject.offer.gradients)
        assert ("targets" in subject.offer.gradients) == by_targets, subject.id


def test_variants_and_modes_declare_their_changes_of_convention():
    by_id = {subject.id: subject for name in NAMES for subject in backend(name).subjects(("cpu", "cuda"))}
    narrow, wide = by_id["jax:optax.softmax_cross_entropy@cpu"], by_id["jax:optax.softmax_cross_entropy+x64@cpu"]
    assert (narrow.convention.wide_inputs, narrow.precision["float64"].result) == ("narrowed", "float32")
    assert (wide.convention.wide_inputs, wide.precision["float64"].result) == ("kept", "float64")
    assert wide.offer.dtypes == ("float64",)
    sparse = "tensorflow:nn.sparse_softmax_cross_entropy_with_logits"
    refusals = [by_id[f"{sparse}{rest}"].convention.label_out_of_range for rest in ("@cpu", "+xla@cpu", "@cuda")]
    assert refusals == ["error", "nan", "nan"]


def test_a_mode_can_have_an_offer_of_its_own_and_a_least_profile():
    by_id = {subject.id: subject for subject in subjects("torch")}
    eager, compiled = by_id["torch:cross_entropy@cpu"], by_id["torch:cross_entropy+compile@cpu"]
    assert (eager.least_profile, compiled.least_profile) == ("quick", "full")
    assert "weight" in eager.offer.options
    assert compiled.offer.options == frozenset()
    assert compiled.convention == eager.convention


def question(dtype, targets):
    logits = np.array([[0, 0, 0, 1], [3, -1, 2, 0]], FLOAT_DTYPES[dtype])
    return Inputs(
        logits=logits,
        targets=np.asarray(targets),
        weight=None,
        ignore_index=None,
        label_smoothing=0.0,
        reduction="none",
        cotangent=np.array([1, -2], FLOAT_DTYPES[dtype]),
    )


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_the_textbook_formula(dtype):
    """By hand: log(3 + e) - 1 = 0.743668, and the gradient softmax - onehot times the cotangent."""
    numpy = backend("numpy")
    labels, probabilities = numpy.functions[:2]
    hard = numpy.evaluate(labels, "", "cpu", question(dtype, [3, 0]))
    soft = numpy.evaluate(probabilities, "", "cpu", question(dtype, np.eye(4, dtype=FLOAT_DTYPES[dtype])[[3, 0]]))
    roundoff = {"float64": 2**-53, "float32": 2**-24, "bfloat16": 2**-8, "float16": 2**-11}[dtype]
    p = 1 / (3 + np.e)
    for outputs in (hard, soft):
        assert outputs.loss.dtype == FLOAT_DTYPES[dtype]
        assert abs(float(outputs.loss[0]) - (np.log(3 + np.e) - 1)) <= 8 * roundoff
        np.testing.assert_array_less(
            abs(outputs.grad_logits[0].astype(np.float64) - [p, p, p, -3 * p]), 8 * roundoff, strict=False
        )
        assert float(outputs.grad_logits[1, 0]) > 0, "the cotangent -2 turns the sign"
    assert hard.grad_targets is None
    assert abs(float(soft.grad_targets[0, 0]) - np.log(3 + np.e)) <= 8 * roundoff


def test_the_textbook_formula_refuses_a_label_outside_the_classes():
    labels = backend("numpy").functions[0]
    for bad in (4, -1):
        with pytest.raises(IndexError, match=r"\[0, 4\)"):
            backend("numpy").evaluate(labels, "", "cpu", question("float32", [0, bad]))


# --- forward mode, a class at a time ----------------------------------------------------------------------------------

LINEAR = np.arange(12.0).reshape(2, 3, 2)  # the slopes of a loss that is linear in its logits, classes in the middle


def linear(**changes):
    """The inputs of such a loss, and the call that `differentiated` makes."""
    inputs = question("float64", [3, 0])
    inputs = replace(inputs, **{"logits": np.ones(LINEAR.shape), "cotangent": None, "class_axis": 1, **changes})

    def ask(direction):
        return Outputs(loss=(LINEAR * inputs.logits).sum(1), grad_logits=(LINEAR * direction).sum(1))

    return inputs, ask


def test_forward_mode_puts_the_columns_where_the_classes_are():
    inputs, ask = linear()
    outputs = differentiated(inputs, "forward_mode", ask)
    np.testing.assert_array_equal(outputs.grad_logits, LINEAR)
    np.testing.assert_array_equal(outputs.loss, LINEAR.sum(1))
    assert outputs.grad_targets is None


def test_of_a_single_row_forward_mode_may_ask_for_a_sum():
    inputs, _ = linear(logits=np.ones((1, 3)))
    outputs = differentiated(inputs, "forward_mode", lambda d: Outputs(loss=np.array(6.0), grad_logits=d.sum() * 2))
    assert outputs.grad_logits.tolist() == [[2, 2, 2]]


def test_reverse_mode_gets_the_upstream_gradient():
    inputs, _ = linear(cotangent=np.array([3.0]))
    assert differentiated(inputs, "backward_twice", lambda seed: Outputs(loss=seed)).loss is inputs.cotangent


def refuses(_direction):
    raise NotImplementedError("nobody wrote it")


@pytest.mark.parametrize(
    ("changes", "ask", "reason"),
    [
        ({"cotangent": np.ones((2, 2))}, None, "no upstream gradient"),
        ({"logits": np.ones((2, 0, 2))}, None, "there is none"),
        ({}, refuses, "no forward-mode derivative: nobody wrote it"),
        ({}, lambda _: Outputs(loss=np.ones((2, 2))), "carries no tangent"),
        ({}, lambda _: Outputs(loss=np.array(1.0), grad_logits=np.array(1.0)), "a loss for each row"),
    ],
)
def test_forward_mode_is_refused_with_a_reason(changes, ask, reason):
    inputs, linear_ask = linear(**changes)
    with pytest.raises(NotAskedError, match=reason):
        differentiated(inputs, "forward_mode", ask or linear_ask)
