"""A real loss is explained in the words of its truth: every part that the truth names, and no other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from corpus import CORPUS, Miniature, Truth  # noqa: E402
from logitmus.cases import function_rows  # noqa: E402
from logitmus.conventions.ask_function import ask_and_explain  # noqa: E402
from logitmus.conventions.explain_function import FunctionExplanation  # noqa: E402
from logitmus.conventions.row_results import LEADS  # noqa: E402
from logitmus.core.convention import PORTABLE  # noqa: E402
from logitmus.core.observation import Outcome  # noqa: E402
from logitmus.core.problem import Problem  # noqa: E402
from logitmus.execution.in_process import hosted  # noqa: E402
from logitmus.execution.pool import Observed  # noqa: E402
from logitmus.execution.registry import BackendSpec  # noqa: E402
from logitmus.execution.started import Here, Stage  # noqa: E402
from logitmus.oracle.model import FunctionModel  # noqa: E402

pytestmark = pytest.mark.frameworks

OTHER_WORDS = {
    "timm_binary_cross_entropy": "smoothing of a binary cross-entropy is a multiple of the logit and of the mean logit",
}
"""Losses that the model puts in equal, but other words."""
EQUAL = {
    "mmseg_kl_of_softmax": "-p of the label: a softmax applied twice, less its logsumexp",
}
"""Losses outside the vocabulary of the truths, for which the model has an equal formula."""
QUICK = (
    "fastai_focal", "keras_categorical_focal", "paddleseg_cross_entropy", "softmax_twice", "monai_softmax_focal",
    "nemo_smoothed_cross_entropy", "espnet_label_smoothing", "autocast_head", "distillation_kl", "liger_z_loss",
    "padded_vocabulary", "micro_batch_mean", "log_of_softmax", "cosface",
)  # fmt: skip
"""Those that every run of the tests explains; the others when a release is made: each takes about two seconds."""
K = function_rows.CLASSES
Parts = dict[str, float | str]


def explained(m: Miniature) -> FunctionExplanation:
    axis = m.truth.convention.get("class_axis", "last")
    host = hosted(m.function, m.framework, names={}, convention=PORTABLE.but(class_axis=axis), device="")
    stage = Stage([Here(BackendSpec(name=host.backend.name, function=m.name), host)])
    try:
        described = list(stage.described)
        stage.present(described)
        subject = next(s for s in described[0].subjects if s.offer.targets == m.targets)

        def ask(problems: Sequence[Problem]) -> Iterator[tuple[Problem, Outcome]]:
            pairs = [(problem, subject.id) for problem in problems if subject.why_not(problem) is None]
            for event in stage.ask(pairs):
                if isinstance(event, Observed):
                    yield event.problem, event.observation.outcome

        return ask_and_explain(ask, m.targets, [dtype for dtype in LEADS if dtype in subject.offer.dtypes])
    finally:
        stage.close()


def of_truth(truth: Truth) -> Parts:
    """The parts of the loss of a row, as the truth names them, for 6 classes and one row."""
    p, convention = truth.parameters, truth.convention
    others = p.get("other_classes_factor", 1)
    parts: dict[str, Any] = {
        "inputs": convention.get("inputs", "logits"),
        "label": p.get("label", "t"),
        "outer": p.get("outer", ""),
        "scale": p.get("scale", 1) / p.get("temperature", 1),
        "cap": p.get("soft_cap", p.get("clamp", 0)),
        "margin": p.get("margin", 0),
        "tail": p.get("extra_zero_logits", 0),
        "clip": p.get("clip", p.get("floor", p.get("log_plus", 0))),
        "focal": p.get("focal_gamma", 0),
        "q": p.get("generalized_q", 0),
        "smoothing": p.get("label_smoothing", 0),
        "class_0": p.get("first_class_factor", 1) / others,
        "factor": p.get("factor", p.get("target_factor", others)) / math.log(float(convention.get("log_base", math.e))),
    }
    parts |= {name: parts["factor"] * p.get(name, 0) for name in ("poly", "z_loss", "entropy")}
    if convention.get("probability_clip", "none") != "none":
        parts["clip"] = float(convention["probability_clip"])
    if isinstance(parts["tail"], str):
        parts["tail"] = -K % int(parts["tail"].split()[-1])
    if convention.get("smoothing") == "others":
        parts["smoothing"] *= K / (K - 1)
    if "softmax" in p:
        parts["inputs"] = "softmax"
    if "probability" in p:
        parts["inputs"] = "sigmoid"
    if convention.get("probability_scale") == "before_clip":
        parts["inputs"] = "probabilities_scaled"
    parts["factor"] /= 1 + p.get("divisor_plus_per_row", 0) + p.get("divisor_plus", 0)
    parts["factor"] /= p.get("divisor", 1)
    if convention.get("mean_denominator") == "elements" and convention.get("default_reduction") == "mean":
        parts["factor"] /= K
    parts["factor"] *= {"1/K": 1 / K, "1/log K": 1 / math.log(K)}.get(str(p.get("factor_in_classes")), 1)
    return parts


def of_model(model: FunctionModel) -> Parts:
    """The same parts, of a model."""
    row = model.row
    theta = {name: float(parameter.at(K)) for name, parameter in row.theta.items()}
    factor = float(row.factor.at(K))
    inside = factor if row.inside else 1.0
    terms = {name: inside * float(parameter.at(K)) for name, parameter in row.terms.items() if name != "one"}
    inputs = {"x": "logits", "scale_softmax": "softmax", "scale_sigmoid": "sigmoid"}.get(row.inputs, row.inputs)
    if inputs in ("scale", "cap", "scale_cap", "zeros", "margin", "scale_margin", "clamp"):
        inputs = "logits"
    return {
        "inputs": inputs,
        "label": row.label,
        "outer": row.outer,
        "scale": theta.get("s", 1),
        "cap": theta.get("c", 0),
        "margin": theta.get("m", 0),
        "tail": theta.get("n", 0),
        "clip": theta.get("e", 0),
        "focal": theta.get("g", 0),
        "q": theta.get("q", 0),
        "smoothing": float(row.smoothing.at(K)) if row.smoothing is not None else 0,
        "poly": terms.get("one_minus_p", 0),
        "z_loss": terms.get("lse2", 0),
        "entropy": terms.get("entropy", 0),
        "class_0": float(row.class_factors[0].at(K)) if 0 in row.class_factors else 1,
        "factor": factor,
    }


def _same(a: float | str, b: float | str) -> bool:
    return a == b if isinstance(a, str) or isinstance(b, str) else a == pytest.approx(b, rel=1e-9, abs=1e-30)


def each(explainable: bool) -> Any:
    """The miniatures that can be put in the words of the corpus, or the others."""
    chosen = [m for m in CORPUS if m.truth.explainable is explainable]
    marks = [() if m.name in QUICK else pytest.mark.release for m in chosen]
    return pytest.mark.parametrize(
        "m", [pytest.param(m, marks=k, id=m.name) for m, k in zip(chosen, marks, strict=True)]
    )


@each(explainable=True)
def test_every_part_of_the_truth_is_named_and_no_other(m: Miniature) -> None:
    found = explained(m)
    assert found.model is not None, found.sentence
    named, true = of_model(found.model), of_truth(m.truth)
    if m.name in OTHER_WORDS:
        assert named["inputs"] == true["inputs"]
        return
    wrong = {name: (named[name], true[name]) for name in true if not _same(named[name], true[name])}
    assert not wrong, found.sentence
    assert not found.alternatives
    assert not found.model.gradient or "gradient_of_another_rule" in m.truth.mechanisms, found.sentence
    computed = m.truth.arithmetic.get("computed", "float64")
    assert found.qualifier or found.model.precisions.arithmetic == computed, found.sentence


@each(explainable=False)
def test_losses_outside_the_vocabulary_are_not_explained(m: Miniature) -> None:
    """Nothing, or a model of single rows that leaves the reduction of several rows unexplained."""
    found = explained(m)
    if m.name in EQUAL:
        return
    assert found.model is None or found.model.batch.unexplained, found.sentence
