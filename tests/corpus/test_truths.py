"""Every miniature computes its truth (loss, gradient, dtypes, axes, limits, mechanisms), and no word is idle."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from corpus import CORPUS, Miniature, Truth  # noqa: E402
from corpus.formula import OUTSIDE, Question, predict  # noqa: E402
from corpus.truth import LIMITS  # noqa: E402
from logitmus.core.convention import FIELDS, PORTABLE  # noqa: E402

pytestmark = pytest.mark.frameworks

EXPLAINABLE = [m for m in CORPUS if m.truth.explainable]
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}
# The fields that `corpus.formula` uses; class_axis and the dtypes have tests of their own.
FORMULA_FIELDS = {
    "inputs", "log_base", "default_reduction", "mean_denominator", "ignore_default", "all_ignored_mean", "smoothing",
    "probability_clip", "probability_scale",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small arrays gain nothing from more, and wait for them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def each(miniatures: list[Miniature]) -> Any:
    return pytest.mark.parametrize("m", miniatures, ids=lambda m: m.name)


def call(m: Miniature, logits: Any, target: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The loss and the gradient of its sum by the logits."""
    if m.framework == "numpy":
        return m.function(logits, target, **options)
    x = torch.tensor(logits, requires_grad=True)
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=x.dtype)
    loss = m.function(x, torch.tensor(target), **options)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    return loss.detach().numpy(), gradient.numpy()


@cache
def questions(name: str) -> tuple[Question, ...]:
    m = next(m for m in CORPUS if m.name == name)
    return tuple(_questions(m))


def _questions(m: Miniature) -> Iterator[Question]:
    rng = np.random.default_rng(14)
    offered = inspect.signature(m.function).parameters
    for K, N in ((2, 12), (3, 17), (5, 24), (9, 8), (17, 4)):
        for kind in ("small", "wide", "ties", "confident", "offset"):
            logits = _logits(m.truth, kind, N, K, rng)
            target = rng.integers(0, K, N) if m.targets == "labels" else _probabilities(N, K, rng)
            plain = Question(logits, _left_out(m.truth, target, kind))
            yield plain
            if kind == "small" and K in (3, 5):
                yield from _with_options(plain, offered, rng)
    left_out = m.truth.parameters.get("ignored_label", m.truth.convention.get("ignore_default"))
    if m.targets == "labels" and left_out is not None:
        yield Question(logits, np.full(N, int(left_out)), reduction="mean" if "reduction" in offered else None)
    if "ignore_index" in offered and m.targets == "labels":
        yield Question(logits, target, ignore_index=int(target[0]))


def _with_options(plain: Question, offered: Any, rng: np.random.Generator) -> Iterator[Question]:
    K = plain.logits.shape[1]
    weight = rng.uniform(0.25, 3, K) if "weight" in offered else None
    for reduction in ("none", "sum", "mean") if "reduction" in offered else (None,):
        yield replace(plain, reduction=reduction)
        if weight is not None:
            yield replace(plain, reduction=reduction, weight=weight)
        if "label_smoothing" in offered:
            yield replace(plain, reduction=reduction, label_smoothing=0.2)


def _logits(truth: Truth, kind: str, N: int, K: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(0, {"small": 1, "wide": 8, "confident": 2}.get(kind, 3), (N, K))
    if kind == "ties":
        x = np.round(x)
    if kind == "confident":
        x[np.arange(N), rng.integers(0, K, N)] += rng.choice([15, 25, 33], N)
    if kind == "offset" and not truth.mechanisms and "z_loss" not in truth.parameters:
        x += rng.choice([-50.0, 20.0, 300.0], N)[:, None]
    inputs = truth.convention.get("inputs", "logits")
    if inputs != "logits":
        shifted = x - x.max(1, keepdims=True)
        x = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    if inputs == "probabilities":
        x = np.exp(x) * (1 if kind != "wide" else 0.75)
        x[np.arange(N), 0] = np.where(np.arange(N) % 4 == 3, 1e-31, x[:, 0]) if kind == "ties" else x[:, 0]
    narrow = truth.arithmetic.get("inputs", "float64")
    return torch.tensor(x).to(getattr(torch, narrow)).to(torch.float64).numpy()


def _probabilities(N: int, K: int, rng: np.random.Generator) -> np.ndarray:
    q = rng.dirichlet(np.ones(K), N)
    q[0] = np.arange(K) == 1
    return q


def _left_out(truth: Truth, target: np.ndarray, kind: str) -> np.ndarray:
    label = truth.parameters.get("ignored_label", truth.convention.get("ignore_default"))
    if label is None or target.ndim == 2 or kind == "wide":
        return target
    return np.where(np.arange(len(target)) % 5 == 1, int(label), target)


@cache
def _answer(name: str, at: int) -> tuple[np.ndarray, np.ndarray]:
    m = next(m for m in CORPUS if m.name == name)
    question = questions(name)[at]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(m, question.logits, question.target, **question.options())


def misses(m: Miniature, truth: Truth, question: Question) -> str:
    """What of a call is not as the truth predicts it; empty where all is."""
    return disagreement(truth, question, *_answer(m.name, questions(m.name).index(question)))


def disagreement(truth: Truth, question: Question, loss: np.ndarray, gradient: np.ndarray) -> str:
    """What of an answer is not as the truth predicts it; empty where all is."""
    expected = predict(truth, question)
    if np.shape(loss) != expected.loss.shape:
        return f"shape {np.shape(loss)} instead of {expected.loss.shape}"
    unit = max(UNIT[truth.arithmetic.get(key, "float64")] for key in ("computed", "smoothed_term"))
    stored = UNIT[truth.arithmetic.get("gradient", "float64")]
    rows = question.logits.shape[0]
    factor = float(truth.parameters.get("factor", 1)) * float(truth.parameters.get("scale", 1))
    factor = max(1.0, factor / float(truth.parameters.get("temperature", 1)))
    reduction = question.reduction or truth.convention.get("default_reduction", "none")
    allowed = 60 * unit * (1 + expected.size) * (rows if reduction == "sum" else 1)
    if truth.parameters.get("outer") == "exp":
        allowed = allowed * (1 + np.abs(expected.loss))
    pairs = [("loss", loss, expected.loss), ("gradient", gradient, expected.gradient)]
    for name, observed, exact in pairs[: 1 if np.isnan(expected.loss).all() else 2]:  # no rule for that of a NaN
        steep = allowed * (factor if name == "gradient" else 1)
        tolerance = steep + (40 * unit + (2 * stored if name == "gradient" else 0)) * np.abs(exact)
        difference = np.abs(np.asarray(observed, np.longdouble) - exact)
        wrong = ~((difference <= tolerance) | (np.isnan(observed) & np.isnan(exact)) | (observed == exact))
        if wrong.any():
            at = np.unravel_index(np.argmax(wrong), np.shape(wrong)) if np.ndim(wrong) else ()
            return f"{name} {np.asarray(observed)[at]!r} instead of {exact[at]!r} at {at} of\n{question}"
    return ""


@each(EXPLAINABLE)
def test_the_truth_predicts_losses_and_gradients(m: Miniature) -> None:
    sample = questions(m.name)
    assert sum(len(question.logits) for question in sample) > 300
    for question in sample:
        assert not (message := misses(m, m.truth, question)), message


@each([m for m in EXPLAINABLE if set(m.truth.convention) & FORMULA_FIELDS or m.truth.parameters])
def test_no_word_of_a_truth_can_be_left_out(m: Miniature) -> None:
    for name in m.truth.parameters:
        if name in ("first_class_factor", "other_classes_factor", "target_factor", "others_factor"):
            continue  # half of a pair has no neutral value
        shorter = replace(m.truth, parameters={k: v for k, v in m.truth.parameters.items() if k != name})
        assert _refuted(m, shorter), f"parameter {name}"
    for name in set(m.truth.convention) & FORMULA_FIELDS:
        shorter = replace(m.truth, convention={k: v for k, v in m.truth.convention.items() if k != name})
        assert _refuted(m, shorter), f"convention {name}"


def _refuted(m: Miniature, truth: Truth) -> bool:
    for question in questions(m.name):
        try:
            if misses(m, truth, question):
                return True
        except ValueError:  # a label that this truth cannot take
            return True
    return False


@each([m for m in CORPUS if not m.truth.explainable])
def test_losses_outside_the_vocabulary_have_a_formula(m: Miniature) -> None:
    rng = np.random.default_rng(14)
    for K, N in ((2, 9), (5, 24), (9, 13)):
        x = rng.normal(0, 2, (N, K))
        if m.name == "catalyst_symmetric":
            x = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        target = rng.integers(0, K, N) if m.targets == "labels" else rng.dirichlet(np.ones(K), N)
        loss, gradient = call(m, x, target)
        formula = OUTSIDE[m.name]
        exact = formula(x.astype(np.longdouble), target)
        assert np.abs(loss - exact).max() < 1e-12
        ends = [formula(x.astype(np.longdouble) + sign * 1e-6 * _direction(x), target).sum() for sign in (1, -1)]
        slope = float(ends[0] - ends[1]) / 2e-6
        follows = abs((gradient * _direction(x)).sum() - slope) < 1e-6 * (1 + abs(slope))
        assert follows != ("gradient_of_another_rule" in m.truth.mechanisms)


def _direction(x: np.ndarray) -> np.ndarray:
    return np.cos(np.arange(x.size)).reshape(x.shape)


@each(list(CORPUS))
def test_the_dtypes_are_as_stated(m: Miniature) -> None:
    question = questions(m.name)[0] if m.truth.explainable else None
    if question is None:
        return
    loss, gradient = call(m, question.logits, question.target)
    truth = m.truth
    assert str(np.asarray(loss).dtype) == truth.arithmetic.get("returned", "float64")
    narrow = truth.convention.get("result_dtype") == "always_float32"
    assert narrow == (truth.arithmetic.get("returned") == "float32")
    if "inputs" in truth.arithmetic:  # an input that it does not see
        moved = question.logits * (1 + 1e-11)
        assert (moved != question.logits).all()
        assert np.array_equal(call(m, moved, question.target)[0], loss)
    if "gradient" in truth.arithmetic:
        stored = torch.tensor(gradient)
        assert torch.equal(stored.to(getattr(torch, truth.arithmetic["gradient"])).to(torch.float64), stored)
    for key in ("computed", "smoothed_term"):
        if key in truth.arithmetic:  # more than float64's error somewhere
            exact = replace(truth, arithmetic={})
            assert _refuted(m, exact)


@each([m for m in EXPLAINABLE if "spatial axes" not in m.truth.limits and "position" not in m.truth.parameters])
def test_the_class_axis_is_that_of_the_truth(m: Miniature) -> None:
    first = questions(m.name)[0]
    N, K = 12, first.logits.shape[1]
    axis = {"1": 1, "last": -1}[m.truth.convention.get("class_axis", PORTABLE.class_axis)]
    logits = np.ascontiguousarray(np.moveaxis(first.logits.reshape(3, 2, 2, K), -1, axis))
    target = first.target.reshape((3, 2, 2, *first.target.shape[1:]))
    if target.ndim == 4:
        target = np.ascontiguousarray(np.moveaxis(target, -1, axis))
    flat, flat_gradient = call(m, first.logits, first.target)
    if m.name == "timm_label_smoothing" or m.truth.parameters.get("micro_batch"):
        return  # takes other shapes, and mixes up their rows
    loss, gradient = call(m, logits, target)
    assert np.allclose(loss.reshape(flat.shape), flat, rtol=1e-6)
    assert np.allclose(np.moveaxis(gradient, axis, -1).reshape(N, K), flat_gradient, rtol=1e-3, atol=1e-8)


def takes_masked_classes(m: Miniature) -> bool:
    """Whether -inf among its inputs masks a class: not of probabilities, and not where every class has a target."""
    with_targets = {"label_smoothing", "probability", "position"} & set(m.truth.parameters)
    probabilities = m.truth.convention.get("inputs") == "probabilities"
    return not (with_targets or probabilities or m.truth.parameters.get("label"))


@each([m for m in EXPLAINABLE if takes_masked_classes(m)])
def test_masked_classes_give_nan_where_the_truth_declares_it(m: Miniature) -> None:
    logits = np.array([[0.0, -np.inf, 1.0], [1.0, 0.0, -np.inf]])
    target = np.array([2, 1]) if m.targets == "labels" else np.array([[0.5, 0, 0.5], [1, 0, 0]])
    with np.errstate(all="ignore"):
        loss, _ = call(m, logits, target)
    assert np.isnan(loss).any() == (m.truth.convention.get("zero_times_infinity") == "nan")


@each(list(CORPUS))
def test_every_declared_limit_raises(m: Miniature) -> None:
    labels = m.targets == "labels"
    logits = lambda *shape: np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)  # noqa: E731
    target = lambda *shape: np.ones(shape, int) if labels else logits(*shape, 3)  # noqa: E731
    inputs = {
        "one row without a batch axis": (logits(3), target()),
        "spatial axes": (logits(2, 3, 3, 3), target(2, 3, 3) if labels else logits(2, 3, 3, 3)),
        "no rows": (logits(0, 3), target(0)),
        "label_smoothing = 1": (logits(4, 3), target(4)),
        "labels only": (logits(4, 3), logits(4, 3)),
    }
    assert set(inputs) == set(LIMITS)
    for limit in m.truth.limits:
        options = {"label_smoothing": 1.0} if limit == "label_smoothing = 1" else {}
        with pytest.raises(Exception):  # noqa: B017, PT011
            call(m, *inputs[limit], **options)


@each([m for m in CORPUS if m.truth.mechanisms])
def test_mechanisms_show(m: Miniature) -> None:
    t = np.array([0, 1])
    tilted = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 0.5]])
    for mechanism in m.truth.mechanisms:
        if mechanism == "no_max_shift":
            assert not np.isfinite(call(m, tilted + 800, t)[0]).all()
        elif mechanism == "log_of_softmax":
            assert np.isinf(call(m, np.array([[0.0, 800.0, 1.0]]), t[:1])[0]).all()
        elif mechanism == "separate_logsumexp" and "no_max_shift" not in m.truth.mechanisms:
            moved = tilted + 2.0**20
            assert np.abs(call(m, moved, t)[0] - call(m, tilted, t)[0]).max() > 1e-12


def is_free_of_offsets(m: Miniature) -> bool:
    """Whether its definition does not depend on a common offset of the logits, and nothing rounds it."""
    dependent = {"temperature", "scale", "soft_cap", "z_loss", "extra_zero_logits", "margin"} & set(m.truth.parameters)
    of_logits = m.targets == "labels" and m.truth.convention.get("inputs", "logits") == "logits"
    return of_logits and not (dependent or m.truth.mechanisms or m.truth.arithmetic)


@each([m for m in EXPLAINABLE if is_free_of_offsets(m)])
def test_a_common_offset_costs_nothing_without_a_mechanism(m: Miniature) -> None:
    question = Question(np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 0.5]]) + 2.0**13, np.array([0, 1]))
    loss, _ = call(m, question.logits, question.target)
    exact = predict(m.truth, question)
    assert np.allclose(loss.astype(float), exact.loss.astype(float), rtol=4e-15, atol=4e-15, equal_nan=True)


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CORPUS) >= 50
    assert len({m.name for m in CORPUS}) == len(CORPUS)
    assert {m.name for m in CORPUS if not m.truth.explainable} == set(OUTSIDE)
    for m in CORPUS:
        assert PORTABLE.but(**m.truth.convention)
        assert set(m.truth.convention) <= set(FIELDS)
        assert m.truth.sentence.endswith(".")
        assert (
            "http" in m.truth.source
            or "mistake" in m.truth.source
            or "JAX" in m.truth.source
            or "tutorial" in m.truth.source
        )
