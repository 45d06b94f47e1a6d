"""A check of a real loss: its own parameters or formula are one difference, and nothing is named that is not true."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from corpus import CORPUS, Miniature, Truth  # noqa: E402
from logitmus.checking.check import check  # noqa: E402
from logitmus.checking.result import CheckResult  # noqa: E402
from logitmus.core.causes import Cause  # noqa: E402
from logitmus.core.convention import FIELDS  # noqa: E402

pytestmark = pytest.mark.frameworks

QUICK = ("t5x_z_loss", "poly_one")
"""Those that every run of the tests checks; the others when a release is made: each takes about ten seconds."""
OF_THE_FRAMEWORK = frozenset(name for name in FIELDS if name.startswith("label_")) | {
    "infinite_logits",
    "zero_times_infinity",
    "overflowing_shift",
    "ignored_row",
    "all_ignored_mean",
    "empty_batch_mean",
    "soft_target_gradient",
    "target_gradient",
}
"""Fields that a truth does not write down (`corpus.truth.Truth`)."""
FEW = 0.15  # of the results may stay unexplained: where 1 - p is formed by subtraction, say


def is_true(cause: Cause, truth: Truth) -> bool:
    """Whether what a cause claims is in the truth; what is wrong without a claim (an infinity, an exception) may be."""
    narrow = {step for step, dtype in truth.arithmetic.items() if dtype in ("float32", "bfloat16", "float16")}
    if cause.is_convention:
        field, value = cause.choice
        if field == "wide_inputs":
            return not narrow.isdisjoint({"inputs", "computed"})
        return field in OF_THE_FRAMEWORK or truth.convention.get(field) == value
    if cause.name == "parameter":
        name, value = cause.choice
        known = truth.parameters.get(name)
        if name == "temperature" and "scale" in truth.parameters:
            known = 1 / float(truth.parameters["scale"])
        return isinstance(known, int | float) and math.isclose(float(value), known) if name != "factor" else True
    if cause.name in ("effective_precision", "float32_arithmetic"):
        return bool(narrow)
    if cause.name in ("mechanism", "separate_logsumexp"):
        return bool(truth.mechanisms)
    return not cause.name.startswith("gradient") or "gradient_of_another_rule" in truth.mechanisms


def checked(m: Miniature) -> CheckResult:
    axis = m.truth.convention.get("class_axis", "last")
    return check(m.function, m.framework, targets=[m.targets], class_axis=axis, profile="quick")


@pytest.mark.parametrize(
    "m",
    [pytest.param(m, id=m.name, marks=() if m.name in QUICK else pytest.mark.release) for m in CORPUS],
)
def test_what_a_check_names_is_true_and_little_stays_unexplained(m: Miniature) -> None:
    result = checked(m)
    counts = {group.finding.cause: group.count for group in result.groups}
    assert not [cause for cause in counts if not is_true(cause, m.truth)], str(result)
    if any(subject.promised or subject.model for subject in result.subjects.values()):
        unexplained = sum(count for cause, count in counts.items() if cause.startswith("unexplained"))
        assert unexplained <= FEW * sum(counts.values()), str(result)
