"""A function is explained by the model that predicts it, or not at all; never by a false model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from miniature_losses import (
    at,
    binary,
    binary_focal,
    capped,
    ce,
    divergence,
    explained,
    focal,
    in_blocks,
    in_dtype,
    like_torch,
    log_of_softmax,
    log_p,
    lse,
    mean_gradient,
    no_shift,
    one_hot,
    only_in,
    outcomes,
    p_t,
    reduced,
    separate,
    smoothed,
    smoothed_others,
    smoothed_without_weights,
    softplus,
    with_margin,
    with_tail,
)

from logitmus.cases import function_rows
from logitmus.cases.planted.catalogue import IN_NUMPY
from logitmus.conventions.ask_function import converse
from logitmus.conventions.explain_function import explain_function
from logitmus.conventions.row_results import LEADS
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import NotRun, Raised
from logitmus.oracle.row_model import PLAIN

Loss = Callable[..., Any]
ROW = "for each row "

# What the loss of a row is, and the words that say so.
ROWS: dict[str, tuple[Loss, str]] = {
    "plain": (ce, "the cross-entropy"),
    "smoothing": (smoothed(0.1), "the cross-entropy, with label smoothing 0.1 over all classes"),
    "smoothing, others": (smoothed_others(0.1), "the cross-entropy, with label smoothing 0.1 over the other classes"),
    "temperature": (lambda x, t: ce(x / 2, t), "the cross-entropy of logits divided by 2 (temperature 2)"),
    "small temperature": (
        lambda x, t: ce(x / 0.07, t),
        "the cross-entropy of logits divided by 0.07 (temperature 0.07)",
    ),
    "bits": (lambda x, t: ce(x, t) / np.log(2), "(in bits) 1/ln 2 times the cross-entropy"),
    "over K": (lambda x, t: ce(x, t) / x.shape[1], "1/K times the cross-entropy"),
    "over log K": (lambda x, t: ce(x, t) / np.log(x.shape[1]), "1/log K times the cross-entropy"),
    "odd factor": (lambda x, t: 0.3716 * ce(x, t), "0.3716 times the cross-entropy"),
    "flipped sign": (lambda x, t: -ce(x, t), "minus the cross-entropy"),
    "z-loss": (
        lambda x, t: ce(x, t) + 1e-4 * lse(x) ** 2,
        "the cross-entropy plus 1e-4 times the squared logsumexp of the logits (z-loss)",
    ),
    "clip": (
        lambda x, t: -np.log(np.clip(p_t(x, t), 1e-7, 1 - 1e-7)),
        "the cross-entropy with p clipped to [1e-7, 1 - 1e-7]",
    ),
    "floor": (
        lambda x, t: -np.log(np.maximum(p_t(x, t), 1e-8)),
        "the cross-entropy with p raised to at least 1e-8",
    ),
    "cap on the loss": (
        lambda x, t: np.minimum(ce(x, t), 5.0),
        "the cross-entropy with p raised to at least e^-5",
    ),
    "high cap on the loss": (
        lambda x, t: np.minimum(ce(x, t), 64.0),
        "the cross-entropy with p raised to at least e^-64",
    ),
    "log(p + e)": (lambda x, t: -np.log(p_t(x, t) + 1e-6), "the cross-entropy as -log(p + 1e-6)"),
    "focal": (focal(2.0), "the focal cross-entropy with gamma = 2"),
    "soft cap": (
        lambda x, t: ce(capped(30.0)(x), t),
        "the cross-entropy of logits soft-capped at 30 (c tanh(x/c))",
    ),
    "divergence": (
        divergence(0.1),
        "the Kullback-Leibler divergence (cross-entropy minus the target's entropy), "
        "with label smoothing 0.1 over all classes",
    ),
    "tail": (with_tail(lambda _: 125), "the cross-entropy with n = 125 further logits of 0 in the sum"),
    "padded": (with_tail(lambda K: -K % 8), "the cross-entropy with n = -K mod 8 further logits of 0 in the sum"),
    "margin": (
        with_margin(1.0, 0.35),
        "the cross-entropy after 0.35 is subtracted from the label's logit (margin)",
    ),
    "clamp": (lambda x, t: ce(np.clip(x, -5, 5), t), "the cross-entropy of logits kept within [-5, 5]"),
    "softmax twice": (
        lambda x, t: ce(np.exp(log_p(x)), t),
        "the cross-entropy of logits to which softmax is applied twice",
    ),
    "without the last": (
        lambda x, t: lse(x[:, :-1]) - at(x, t),
        "the cross-entropy whose normalising sum leaves out the last class",
    ),
    "the first 64": (
        lambda x, t: lse(x[:, :64]) - at(x, t),
        "the cross-entropy whose normalising sum leaves out all classes but the first 64",
    ),
    "the largest 10": (
        lambda x, t: lse(np.sort(x, axis=1)[:, -10:]) - at(x, t),
        "the cross-entropy whose normalising sum leaves out all logits but the 10 largest",
    ),
    "whole blocks of 64": (
        lambda x, t: lse(x[:, : max(64, x.shape[1] // 64 * 64)]) - at(x, t),
        "the cross-entropy whose normalising sum leaves out the classes beyond the last whole block of 64",
    ),
    "blocks not rescaled": (
        lambda x, t: in_blocks(32, lambda old, new: 0 * new)(x) - at(x, t),
        "the cross-entropy whose normalising sum is taken in blocks of 32 and not rescaled where the running maximum "
        "grows",
    ),
    "blocks rescaled wrongly": (
        lambda x, t: in_blocks(8, lambda old, new: new - old)(x) - at(x, t),
        "the cross-entropy whose normalising sum is taken in blocks of 8 and multiplied by e^(new - old) where the "
        "running maximum grows (but not 5 of the 180 rows with large offsets, gaps or spreads)",
    ),
    "blocks rescaled rightly": (
        lambda x, t: in_blocks(16, lambda old, new: old - new)(x) - at(x, t),
        "the cross-entropy; the logsumexp is formed before the logit is subtracted",
    ),
    "log-probabilities": (
        lambda x, t: -at(x, t),
        "the cross-entropy of log-probabilities given as they are (no softmax)",
    ),
    "probabilities": (
        lambda x, t: -np.log(at(x, t)),
        "the cross-entropy of probabilities given as they are (no softmax)",
    ),
    "clipped probabilities": (
        lambda x, t: -np.log(np.clip(at(x, t), 1e-7, 1 - 1e-7)),
        "the cross-entropy of probabilities given as they are (no softmax) with p clipped to [1e-7, 1 - 1e-7]",
    ),
    "scaled probabilities": (
        lambda x, t: -np.log(at(x / x.sum(axis=-1, keepdims=True), t)),
        "the cross-entropy of probabilities given as they are, divided by their sum (no softmax)",
    ),
    "binary, sum": (lambda x, t: binary(x, t).sum(axis=-1), "the binary cross-entropy, the sum over the classes"),
    "binary, mean": (lambda x, t: binary(x, t).mean(axis=-1), "the binary cross-entropy, the mean over the classes"),
    "generalized": (
        lambda x, t: -np.expm1(-0.7 * ce(x, t)) / 0.7,
        "the generalized cross-entropy (1 - p^q)/q with q = 0.7",
    ),
    "perplexity": (lambda x, t: np.exp(ce(x, t)), "e to the power of the cross-entropy (perplexity)"),
    "square": (lambda x, t: ce(x, t) ** 2, "the square of the cross-entropy"),
    "confidence penalty": (
        lambda x, t: ce(x, t) + 0.1 * (np.exp(log_p(x)) * log_p(x)).sum(axis=-1),
        "the cross-entropy minus 0.1 times the entropy of the probabilities",
    ),
    "poly-1": (lambda x, t: ce(x, t) - np.expm1(-ce(x, t)), "the cross-entropy plus 1 - p of the label's class"),
    "mean absolute error": (lambda x, t: -np.expm1(-ce(x, t)), "1 - p of the label's class"),
    "Brier": (lambda x, t: ((np.exp(log_p(x)) - one_hot(x, t)) ** 2).sum(axis=-1), "the Brier score"),
    "constant": (lambda x, t: ce(x, t) + 0.5, "the cross-entropy plus 0.5"),
    "next class": (
        lambda x, t: ce(x, (t + 1) % x.shape[1]),
        "the cross-entropy; the label is taken for the class after it",
    ),
    "reversed": (lambda x, t: ce(x, x.shape[1] - 1 - t), "the cross-entropy; the classes are counted from the last"),
    # Two of them
    "scale and margin": (
        with_margin(30.0, 0.35),
        "the cross-entropy of logits times 30, after 0.35 is subtracted from the label's logit (margin)",
    ),
    "temperature, smoothing": (
        lambda x, t: smoothed(0.1)(x / 2, t),
        "the cross-entropy of logits divided by 2 (temperature 2), with label smoothing 0.1 over all classes",
    ),
    "bits, smoothing": (
        lambda x, t: smoothed(0.1)(x, t) / np.log(2),
        "(in bits) 1/ln 2 times the cross-entropy, with label smoothing 0.1 over all classes",
    ),
    "focal, temperature": (
        lambda x, t: focal(2.0)(x / 4, t),
        "the focal cross-entropy with gamma = 2 of logits divided by 4 (temperature 4)",
    ),
    "binary focal": (binary_focal, "the focal binary cross-entropy, the sum over the classes, with gamma = 2"),
    # Three
    "soft cap, smoothing, z-loss": (
        lambda x, t: smoothed(0.05)(capped(30.0)(x), t) + 1e-4 * lse(capped(30.0)(x)) ** 2,
        "the cross-entropy of logits soft-capped at 30 (c tanh(x/c)), with label smoothing 0.05 over all classes "
        "plus 1e-4 times the squared logsumexp of the logits (z-loss)",
    ),
}


def _from_rounded_probabilities(x: Array, t: Array, *, dead: bool = False) -> tuple[Array, Array]:
    """Loss and gradient in float32 of half-precision logits; p is rounded before 1 is subtracted."""
    wide = x.astype(np.float32)
    p = np.exp(log_p(wide)).astype(x.dtype)
    at_label = one_hot(x, t)
    return ce(wide, t).astype(x.dtype), np.where(at_label, 0 * p if dead else p - p.dtype.type(1), p)


def _smoothed_binary(x: Array, t: Array) -> Array:
    q = np.where(one_hot(x, t), 0.9, 0) + 0.1 / x.shape[1]
    return (softplus(x) - q * x).sum(axis=-1)


# Reductions, labels, weights, dtypes, mechanisms and gradients: the whole sentence.
FUNCTIONS: dict[str, tuple[Loss, str]] = {
    "mean": (lambda x, t: ce(x, t).mean(), "the mean over the rows of the cross-entropy"),
    "sum over 8": (lambda x, t: ce(x, t).sum() / 8, "the sum over the rows of 1/8 times the cross-entropy"),
    "over N - 1": (
        lambda x, t: ce(x, t).sum() / (len(t) - 1) if len(t) > 1 else np.float64(np.nan),
        "the sum over the rows, divided by N - 1, of the cross-entropy",
    ),
    "labels shifted": (
        lambda x, t: ce(x[:-1], t[1:]).sum() / np.float64(len(t) - 1),
        "the mean over the rows but the last of the cross-entropy; each row is given the label of the next row",
    ),
    "ignored rows left out": (
        reduced(ce),
        "the mean over the rows of the cross-entropy; a row labelled -100 is left out, of the divisor, too",
    ),
    "smoothing, ignored rows counted": (
        reduced(smoothed(0.1), counted=True),
        "the mean over the rows of the cross-entropy, with label smoothing 0.1 over all classes; "
        "a row labelled -100 counts as a loss of 0",
    ),
    "like torch": (
        like_torch(0.0),
        "the mean over the rows of the cross-entropy; a row labelled -100 is left out, of the divisor, too",
    ),
    "smoothing without weights": (
        smoothed_without_weights,
        "the mean over the rows of the cross-entropy, with label smoothing 0.1 over all classes; "
        "the smoothed term takes no class weights, the smoothed term is divided by the number of rows",
    ),
    "weights not used": (
        lambda x, t, weight=None: ce(x, t).mean(),
        "the mean over the rows of the cross-entropy; class weights are not used",
    ),
    "weights in the divisor alone": (
        lambda x, t, weight=None: ce(x, t).sum() / (len(t) if weight is None else weight[t].sum()),
        "the mean over the rows of the cross-entropy; the label's term takes no class weight",
    ),
    "float32 inside": (
        in_dtype(ce, "float32"),
        f"{ROW}the cross-entropy; arithmetic is float32",
    ),
    "smoothing, mean, bfloat16 inputs": (
        lambda x, t: in_dtype(smoothed(0.25), "bfloat16")(x, t).mean(),
        "the mean over the rows of the cross-entropy, with label smoothing 0.25 over all classes; "
        "inputs are rounded to bfloat16; arithmetic is float32",
    ),
    "bfloat16 inputs alone": (
        lambda x, t: ce(x.astype(FLOAT_DTYPES["bfloat16"]).astype(x.dtype), t),
        f"{ROW}the cross-entropy; inputs are rounded to bfloat16",
    ),
    "float32 inputs alone": (
        lambda x, t: ce(x.astype(np.float32).astype(x.dtype), t),
        f"{ROW}the cross-entropy; inputs are rounded to float32",
    ),
    "the three largest losses": (
        lambda x, t: np.sort(ce(x, t))[-3:].mean(),
        "the cross-entropy; what it makes of several rows is not explained",
    ),
    "sum of the means of micro-batches": (
        lambda x, t: np.float64(sum(ce(x[n : n + 2], t[n : n + 2]).mean() for n in range(0, len(t), 2))),
        "the cross-entropy; what it makes of several rows is not explained",
    ),
    "p rounded before 1 is subtracted": (
        only_in(("bfloat16",), _from_rounded_probabilities),
        f"{ROW}the cross-entropy",
    ),
    "no gradient of the label's class in bfloat16": (
        only_in(("bfloat16",), lambda x, t: _from_rounded_probabilities(x, t, dead=True)),
        f"{ROW}the cross-entropy; the gradient is not that of the loss",
    ),
    "only float32, temperature": (
        only_in(("float32",), lambda x, t: ce(x / np.float32(2), t)),
        f"{ROW}the cross-entropy of logits divided by 2 (temperature 2)",
    ),
    "only float16": (
        only_in(("float16",), lambda x, t: ce(x.astype(np.float32), t).astype(np.float16)),
        f"{ROW}the cross-entropy",
    ),
    "no shift": (no_shift, f"{ROW}the cross-entropy; the maximum is not subtracted before the exponential"),
    "no shift, smoothing": (
        lambda x, t: 0.9 * no_shift(x, t) + 0.1 * (np.log(np.exp(x).sum(axis=-1)) - x.mean(axis=-1)),
        f"{ROW}the cross-entropy, with label smoothing 0.1 over all classes; "
        "the maximum is not subtracted before the exponential",
    ),
    "separate, temperature": (
        lambda x, t: separate(x / 2, t),
        f"{ROW}the cross-entropy of logits divided by 2 (temperature 2); "
        "the logsumexp is formed before the logit is subtracted",
    ),
    "log of softmax": (log_of_softmax, f"{ROW}the cross-entropy; the logarithm is taken of the rounded softmax"),
    "its gradient": (lambda x, t: (ce(x, t), mean_gradient(x, t)), f"{ROW}the cross-entropy"),
    "no gradient": (
        lambda x, t: (ce(x, t), 0 * x),
        f"{ROW}the cross-entropy; the gradient is 0 everywhere",
    ),
    "half a gradient": (
        lambda x, t: (ce(x, t), 0.5 * mean_gradient(x, t)),
        f"{ROW}the cross-entropy; the gradient is 0.5 times that of the loss",
    ),
    "gradient of plain": (
        lambda x, t: (smoothed(0.1)(x, t), mean_gradient(x, t)),
        f"{ROW}the cross-entropy, with label smoothing 0.1 over all classes; "
        "the gradient is that of plain cross-entropy",
    ),
    "z-loss detached": (
        lambda x, t: (ce(x, t) + 1e-4 * lse(x) ** 2, mean_gradient(x, t)),
        f"{ROW}the cross-entropy plus 1e-4 times the squared logsumexp of the logits (z-loss); "
        "the gradient leaves out the z-loss term",
    ),
    "mean over rows and classes": (
        lambda x, t, reduction="none": (
            ce(x, t) if reduction == "none" else ce(x, t).sum() / (x.size if reduction == "mean" else 1)
        ),
        f"{ROW}the cross-entropy; a mean is divided by the number of classes, too",
    ),
    "binary, smoothed, mean over rows and classes": (
        lambda x, t, reduction="mean": (
            _smoothed_binary(x, t).sum() / (x.size if reduction == "mean" else 1)
            if reduction != "none"
            else _smoothed_binary(x, t)
        ),
        "the mean over the rows of the binary cross-entropy, the mean over the classes, with label smoothing 0.1 over "
        "all classes; none and sum are not divided by the number of classes",
    ),
    "clip at the machine epsilon": (
        lambda x, t: -np.log(np.clip(p_t(x, t), np.finfo(x.dtype).eps, 1 - np.finfo(x.dtype).eps)),
        f"{ROW}the cross-entropy with p raised to at least eps; eps is the machine epsilon of the dtype",
    ),
    "floor of 1e-30": (
        lambda x, t: -np.log(np.maximum(p_t(x, t), 1e-30)),
        f"{ROW}the cross-entropy with p raised to at least 1e-30",
    ),
    "clip at the machine epsilon of float32": (
        lambda x, t: -np.log(np.clip(p_t(x, t), 2.0**-23, 1 - 2.0**-23)),
        f"{ROW}the cross-entropy with p clipped to [2^-23, 1 - 2^-23]",
    ),
    "softmax alone": (
        lambda x, t: (ce(x, t), np.exp(log_p(x))),
        f"{ROW}the cross-entropy; the gradient is softmax alone: the target is not subtracted",
    ),
}

_calls = count()


def _wobbles(x: Array, t: Array) -> Array:
    """Another 1e-9 at each call."""
    return ce(x, t) * (1 + 1e-9 * (next(_calls) % 5))


# Nothing explains these: no such thing is in the vocabulary, or there is nothing to explain.
UNEXPLAINED: dict[str, tuple[Loss, str]] = {
    "sine": (lambda x, t: np.sin(ce(x, t)), "not explained"),
    "power 1.5": (lambda x, t: ce(x, t) ** 1.5, "not explained"),
    "rounded": (lambda x, t: np.round(ce(x, t), 2), "not explained"),
    "the first 48, the largest of these": (
        lambda x, t: lse(np.sort(x[:, :48], axis=1)[:, -40:]) - at(x, t),
        "where the number of classes is at most 33; something else from 80 on",
    ),
    "hinge": (lambda x, t: np.maximum(0, 1 + x - at(x, t)[:, None]).sum(axis=-1) - 1, "not explained"),
    "pseudo-Huber": (lambda x, t: np.sqrt(1 + ce(x, t) ** 2), "not explained"),
    "wobble": (lambda x, t: ce(x, t) + 1e-3 * np.sin(7 * x[:, 0]), "not explained"),
    "logarithm": (lambda x, t: np.log1p(ce(x, t)), "not explained"),
    "hidden weights": (lambda x, t: ce(x, t) * (1 + 0.25 * (t % 3)), "not explained"),
    "weight decay": (lambda x, t: ce(x, t) + 1e-3 * (x * x).mean(axis=-1), "not explained"),
    "asymmetric focal": (
        lambda x, t: np.where(
            one_hot(x, t), softplus(-x), softplus(x) * (-np.expm1(-softplus(x))) ** 4 * (x > 0.3)
        ).sum(axis=-1),
        "not explained",
    ),
    "label in the exponent": (lambda x, t: ce(x, t) ** (1 + 0.01 * t), "not explained"),
    "only the first 8 classes": (
        lambda x, t: ce(x[:, :8], np.minimum(t, 7)) if x.shape[1] > 8 else ce(x, t),
        "where the number of classes is at most 8; something else from 9 on",
    ),
    "raises": (lambda x, t: np.array([])[1], "It raises on every call: IndexError"),
    "NaN": (lambda x, t: np.full(len(t), np.nan), "NaN on every call"),
    "constant": (lambda x, t: np.full(len(t), 1.5), "It returns 1.5 for every input."),
    "random": (_wobbles, "different results for identical calls"),
    "another shape each time": (lambda x, t: np.zeros(1 + next(_calls) % 2), "different shapes"),
    "every class": (lambda x, t: -log_p(x), "neither a loss for each row nor a single number"),
    "labels": (lambda x, t: t, "int64"),
}


def few(names: Iterable[str]) -> list[object]:
    """Every fourth name; the others before a release, because an explanation takes a second or more."""
    return [pytest.param(name, marks=[pytest.mark.release] if n % 4 else []) for n, name in enumerate(names)]


@pytest.mark.parametrize("name", few(ROWS))
def test_the_loss_of_a_row(name: str) -> None:
    function, words = ROWS[name]
    found = explained(function)
    assert found.sentence == f"It computes {ROW}{words}."
    assert not found.alternatives
    assert all(component.together != 0 for component in found.components)  # each is necessary


@pytest.mark.parametrize("name", few(FUNCTIONS))
def test_functions(name: str) -> None:
    function, words = FUNCTIONS[name]
    found = explained(function, LEADS)
    assert found.sentence == f"It computes {words}."
    assert not found.alternatives


@pytest.mark.parametrize("name", few(UNEXPLAINED))
def test_a_function_that_no_model_predicts_is_not_explained(name: str) -> None:
    function, words = UNEXPLAINED[name]
    found = explained(function)
    assert found.model is None
    assert words in found.sentence


def test_an_explanation_of_float32_alone_is_qualified() -> None:
    """float32 cannot see the wobble: the model is right there, and must not be read as a model of float64 results."""
    found = explained(lambda x, t: ce(x, t) + 1e-9 * np.sin(7 * x[:, 0]))
    assert found.sentence == (
        f"It computes {ROW}the cross-entropy (from float32 logits; what it computes from float64 logits is not "
        "explained)."
    )


def test_another_function_in_float32_is_mentioned() -> None:
    def smoothed_in_float32(x: Array, t: Array) -> Array:
        return ce(x, t) if x.dtype == np.float64 else 0.9 * ce(x, t) - 0.1 * log_p(x).mean(1)

    assert explained(smoothed_in_float32).sentence == (
        f"It computes {ROW}the cross-entropy (from float64 logits; what it computes from float32 logits differs)."
    )


@pytest.mark.parametrize(
    ("function", "missed"),
    [
        pytest.param(lambda x, t: ce(np.clip(x, -1000, 1000), t), 34, id="clipped logits"),
        pytest.param(lambda x, t: np.where(np.abs(x).max(1) > 1e5, 0, ce(x, t)), 9, id="huge logits give 0"),
    ],
)
def test_a_model_of_ordinary_rows_alone_counts_the_rows_that_it_misses(function: Loss, missed: int) -> None:
    words = f"but not {missed} of the 180 rows with large offsets, gaps or spreads"
    assert explained(function).sentence == f"It computes {ROW}the cross-entropy ({words})."


def test_a_class_whose_rows_are_nan() -> None:
    found = explained(lambda x, t: np.where(t == 0, np.nan, ce(x, t)))
    assert found.sentence == f"It computes {ROW}the cross-entropy; a row labelled 0 is NaN."


@pytest.mark.parametrize(
    ("function", "words"),
    [
        pytest.param(
            lambda x, t: (ce(x, t) * np.where(t == 1, 0.1, 1)).mean(),
            "the mean over the rows of the cross-entropy; a row labelled 1 counts 0.1 times",
            id="mean",
        ),
        pytest.param(
            lambda x, t: np.where(t == 0, 0.75, 0.25) * (1 - np.exp(-ce(x, t))) ** 2 * ce(x, t),
            "for each row 0.25 times the focal cross-entropy with gamma = 2; a row labelled 0 counts 3 times",
            id="focal",
        ),
    ],
)
def test_a_class_of_another_weight(function: Loss, words: str) -> None:
    assert explained(function).sentence == f"It computes {words}."


def test_a_class_with_another_loss_has_no_weight() -> None:
    assert explained(lambda x, t: ce(x, t) + (t == 0)).model is None


def test_rows_of_an_ignored_class() -> None:
    """A class that is padding: its rows are 0 each, and in the divisor of the mean or not."""

    def padded(x: Array, t: Array) -> Array:
        kept = t != 0
        return (ce(x, t) * kept).sum() / (kept.sum() + 1e-6)

    def zeros(x: Array, t: Array) -> Array:
        return (ce(x, t) * (t != 1)).mean()

    assert explained(padded).sentence == (
        "It computes the sum over the rows, divided by their number plus 1e-6, of the cross-entropy; a row labelled 0 "
        "is left out, of the divisor, too."
    )
    assert explained(zeros).sentence == (
        "It computes the mean over the rows of the cross-entropy; a row labelled 1 counts as a loss of 0."
    )


def test_all_results_of_a_plain_function_are_explained() -> None:
    found = explained(like_torch(0.0))
    assert found.explained == found.results > 400
    assert found.unexplained == ()
    assert found.model is not None
    assert found.model.convention.but(ignore_default="none", default_reduction="none").differences(
        PLAIN_CONVENTION
    ) == {"mean_denominator": ("kept", "weights")}
    assert json.loads(json.dumps(found.as_dict()))["explained"] is True


CORRECT = [p for p in IN_NUMPY if not p.faulty and p.targets == "labels" and p.class_axis != "1"]


@pytest.mark.parametrize("planted", CORRECT, ids=lambda planted: planted.name)
def test_nothing_is_found_in_a_correct_function(planted: Any) -> None:
    found = explained(planted.function)
    assert found.model is not None
    parts = {component.id.partition("=")[0] for component in found.components}
    assert parts <= {"reduction", "label_-100"}


def test_components_count_the_results_that_they_explain() -> None:
    found = explained(lambda x, t: smoothed(0.1)(x / 2, t).mean())
    names = [component.name for component in found.components]
    assert names == ["scaled logits", "label smoothing", "reduction"]
    assert [component.id for component in found.components] == ["inputs=scale", "smoothing=uniform", "reduction=mean"]
    scaled, smoothing, _ = found.components
    assert smoothing.value == "0.1"
    assert (scaled.together or 0) > 150
    assert (scaled.alone or 0) < 10  # without the smoothing it explains next to nothing


SOFT: dict[str, tuple[Loss, str]] = {
    "linear": (lambda x, q: -(q * log_p(x)).sum(axis=-1), "the cross-entropy"),
    "divergence": (
        lambda x, q: (np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0) - q * log_p(x)).sum(axis=-1),
        "the cross-entropy; the entropy of the targets is subtracted (Kullback-Leibler divergence)",
    ),
    "the most probable class": (
        lambda x, q: ce(x, q.argmax(axis=-1)),
        "the cross-entropy; what it makes of targets that are not one-hot is not explained",
    ),
}


@pytest.mark.parametrize("name", SOFT)
def test_targets_that_are_not_one_hot(name: str) -> None:
    function, words = SOFT[name]
    found = explain_function(converse(lambda problems: outcomes(function, problems), "probabilities"))
    assert found.sentence == f"It computes {ROW}{words}."
    assert (found.explained == found.results) is (name != "the most probable class")


def test_unexplained_results_are_counted() -> None:
    def breaks(x: Array, t: Array) -> Array:
        return np.where(np.abs(x).max(axis=-1) > 5e4, 7.0, ce(x, t))

    found = explained(breaks)
    assert found.model is not None
    assert dict(found.unexplained)["rows with large offsets, gaps or spreads"] > 3
    assert found.explained < found.results


def test_limits() -> None:
    def fused(x: Array, t: Array) -> Array:
        if x.dtype != np.float32 or x.shape[1] > 32 or len(x) > 1:
            raise ValueError("unsupported")
        return ce(x, t)

    found = explained(fused)
    assert found.model is not None
    assert found.limits == ("float64 logits", "batches of more than one row", "33 classes", "50 classes")


def test_a_function_that_was_not_asked_is_not_explained() -> None:
    problems = function_rows.problems(stage=1)
    assert explain_function([]).sentence == "It was not called."
    assert explain_function((problem, NotRun("no")) for problem in problems).model is None
    assert "raises" in explain_function((problem, Raised("E", "m")) for problem in problems).sentence


def test_a_few_results_are_no_evidence() -> None:
    found = explain_function(outcomes(ce, function_rows.problems(stage=1)[:12]))
    assert found.model is None


PLAIN_CONVENTION = explained(ce).model.convention  # type: ignore[union-attr]


@st.composite
def models(draw: st.DrawFn) -> tuple[Loss, set[str]]:
    """A random loss, and the names of its parts."""
    scale = draw(st.sampled_from([1.0, 1.0, 0.5, 0.2, 3.0]))
    gamma = draw(st.sampled_from([0.0, 0.0, 2.0, 3.0])) if scale == 1 else 0.0
    floor = draw(st.sampled_from([0.0, 1e-5])) if scale == 1 and not gamma else 0.0
    epsilon = draw(st.sampled_from([0.0, 0.1, 0.05, 0.3]))
    z = draw(st.sampled_from([0.0, 0.0, 1e-4, 0.02]))
    constant = draw(st.sampled_from([0.0, 0.0, 0.25, -1.5]))
    factor = draw(st.sampled_from([1.0, 1.0, 0.5, 1 / np.log(2)]))

    def loss(x: Array, t: Array) -> Array:
        x = x * scale
        losses = -log_p(x)
        if gamma:
            losses = (-np.expm1(-losses)) ** gamma * losses
        if floor:
            losses = -np.log(np.maximum(np.exp(-losses), floor))
        core = (1 - epsilon) * at(losses, t) + epsilon * losses.mean(axis=-1)
        return factor * core + z * lse(x) ** 2 + constant

    parts = {
        "scaled logits": scale != 1,
        "focal weight (gamma)": gamma != 0,
        "probabilities raised to a floor": floor != 0,
        "label smoothing": epsilon != 0,
        "z-loss (squared logsumexp)": z != 0,
        "constant added": constant != 0,
        "factor": factor != 1,
    }
    return loss, {name for name, has in parts.items() if has}


@settings(max_examples=5, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(models())
def test_a_random_model_is_recovered(case: tuple[Loss, set[str]]) -> None:
    loss, parts = case
    found = explained(loss)
    assert found.model is not None
    assert {component.name for component in found.components} == parts
    draw = np.random.default_rng(11)
    x, t = draw.uniform(-5, 5, (40, 7)), draw.integers(0, 7, 40)
    exact, bound = found.model.row_losses(x, t)
    assert (np.abs(loss(x, t) - exact) <= bound).all()
    if not parts:
        assert found.model.row == PLAIN
