"""The convention probes: any two values of any field answer differently on one of them, and not by a hair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from logitmus.cases.families.convention_probes import FAMILY
from logitmus.cases.family import Profile
from logitmus.conventions.fit import Observed
from logitmus.conventions.measure import result_dtype
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.problem import Problem
from logitmus.core.relevance import depended_on
from logitmus.oracle.answer import answer
from logitmus.oracle.resolve import resolve

PROBES = list(FAMILY.problems(Profile("full")))
INDISTINGUISHABLE = {  # pairs that give the same loss and gradient on every problem of that kind of targets
    ("probabilities", "infinite_logits", "nan", "nan_where_met"),
}
APART = ("class_axis", "result_dtype", "target_gradient")  # distinguished by shapes and dtypes, not by numbers
PAIRS = [(name, *pair) for name, known in FIELDS.items() for pair in combinations(known.values, 2)]
LABELS_ONLY = {"ignore_default", "ignored_row", "all_ignored_mean", "smoothing_weights", "wide_labels"}
LABELS_ONLY |= {"label_out_of_range", "label_negative", "mean_denominator"}
PROBABILITIES_ONLY = {"soft_target_gradient", "target_gradient", "ignore_with_probabilities"}


def beside(name: str, value: str, other: str) -> Convention:
    """Where the field plays a part."""
    if name == "probability_scale" and "none" not in (value, other):
        return PORTABLE.but(inputs="probabilities", probability_clip="1e-7")
    return PORTABLE.but(inputs="probabilities") if name.startswith("probability_") else PORTABLE


def apart(problem: Problem, a: Convention, b: Convention, name: str) -> bool:
    """Whether what is observed under one convention cannot be taken for the other."""
    if name == "result_dtype":
        return result_dtype(a.result_dtype, problem.dtype) != result_dtype(b.result_dtype, problem.dtype)
    if name == "class_axis":
        return problem.logits.ndim > 2
    if name == "target_gradient":
        return problem.target_kind == "probabilities"
    first, second = resolve(problem, a), resolve(problem, b)
    if first.key == second.key:
        return False
    if first.refused or second.refused:
        return bool(first.refused) != bool(second.refused)
    if (first.unjudged != second.unjudged).any():
        return True
    parts = ["loss"] if name != "soft_target_gradient" else ["grad_logits"]
    for part in parts:
        x, y = (getattr(answer(q), part).rounded(problem.dtype).astype(np.float64) for q in (first, second))
        if x.shape != y.shape:
            return True
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        with np.errstate(invalid="ignore"):
            close = np.abs(x - y) <= 2.0**-8 * np.maximum(np.abs(x), np.abs(y))
        if not (same | (close & np.isfinite(x) & np.isfinite(y))).all():
            return True
    return False


@pytest.mark.parametrize("reduction", FIELDS["default_reduction"].values)
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize(("name", "value", "other"), PAIRS)
def test_every_two_values_are_distinguished(name: str, value: str, other: str, kind: str, reduction: str) -> None:
    other_kinds = LABELS_ONLY if kind == "probabilities" else PROBABILITIES_ONLY
    if (name in other_kinds and other != "elements") or (kind, name, value, other) in INDISTINGUISHABLE:
        return
    base = beside(name, value, other).but(default_reduction=reduction)
    a, b = base.but(**{name: value}), base.but(**{name: other})
    distinguishing = [p for p in PROBES if p.target_kind == kind and apart(p, a, b, name)]
    assert distinguishing


def test_no_option_is_needed_to_be_asked_for_a_mean_or_a_sum() -> None:
    """Functions without a `reduction` argument are asked all but a few."""
    plain = [p for p in PROBES if p.reduction == "default"]
    assert len(plain) > 0.8 * len(PROBES)


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_every_context_has_a_plain_problem(kind: str) -> None:
    """Else a function that does not take such problems at all would seem to refuse the special ones."""
    observed = [Observed(p, None) for p in PROBES if p.target_kind == kind]  # type: ignore[arg-type]
    assert {probe.context for probe in observed} == {probe.context for probe in observed if probe.control}


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in APART])
def test_other_fields_do_not_change_the_question(name: str) -> None:
    """`depended_on` may give too many fields, never too few; every other field varies."""
    draws = np.random.default_rng(7)
    for problem in PROBES:
        named = depended_on(problem, "grad_logits")
        if name in named or (name == "default_reduction" and problem.rows == 1):
            continue
        for _ in range(3):
            base = Convention(**{field: str(draws.choice(list(known.values))) for field, known in FIELDS.items()})
            keys = {resolve(problem, base.but(**{name: value})).key for value in FIELDS[name].values}
            assert len(keys) == 1, (problem.idea, base.as_dict())
