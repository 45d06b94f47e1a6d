"""Questions: only the choices that a problem depends on change its question."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logitmus.cases.generation.strategies import problems
from logitmus.cases.suite import suite
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.parameters import NO_PARAMETERS
from logitmus.core.problem import LAYOUTS, Problem
from logitmus.core.relevance import relevant_choices
from logitmus.oracle.answer import answer
from logitmus.oracle.resolve import resolve

CONVENTIONS = st.builds(Convention, **{name: st.sampled_from(list(field.values)) for name, field in FIELDS.items()})
ARRAYS = ("x", "labels", "q", "weight", "kept", "forced", "unjudged", "divisor", "upstream")


def same_question(problem: Problem, first: Convention, second: Convention) -> bool:
    a, b = resolve(problem, first), resolve(problem, second)
    pairs = [(getattr(a, name), getattr(b, name)) for name in ARRAYS]
    return a.key == b.key and all(x is y or x.tobytes() == y.tobytes() for x, y in pairs)


def without_concern(problem: Problem, convention: Convention, draw: random.Random) -> Convention:
    """The convention with every choice redrawn that is not relevant to the problem."""
    choices = relevant_choices(problem)
    for name in draw.sample(list(FIELDS), len(FIELDS)):
        changed = convention.but(**{name: draw.choice(list(FIELDS[name].values))})
        if choices(changed) == choices(convention):
            convention = changed
    return convention


@settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    problem=problems(layouts=tuple(LAYOUTS), spatial=True, bad_labels=True),
    convention=CONVENTIONS,
    reduction=st.sampled_from(("none", "sum", "mean", "default")),
    draw=st.randoms(use_true_random=False),
)
def test_irrelevant_fields_do_not_change_the_question(
    problem: Problem, convention: Convention, reduction: str, draw: random.Random
) -> None:
    problem = problem.but(reduction=reduction, cotangent=None)
    assert same_question(problem, convention, without_concern(problem, convention, draw))


@pytest.mark.parametrize("infinite", [(0,), (1,), (0, 1)])
def test_an_ignored_row_has_no_label_at_which_infinities_meet(infinite: tuple[int, ...]) -> None:
    logits = np.zeros((2, 3), np.float32)
    logits[1, list(infinite)] = np.inf
    problem = Problem(logits=logits, targets=np.array([2, -100]), ignore_index=-100)
    question = resolve(problem, PORTABLE.but(infinite_logits="nan_where_met"))
    assert question.forced.tolist() == [1.0, 1.0]
    assert not question.unjudged.any()
    assert answer(question).loss.mid.tolist() == [pytest.approx(math.log(3)), 0.0]


def test_nor_in_the_suite() -> None:
    draw = random.Random(1)
    for problem in suite("quick"):
        convention = Convention(**{name: draw.choice(list(field.values)) for name, field in FIELDS.items()})
        assert same_question(problem, convention, without_concern(problem, convention, draw)), problem.idea


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_an_ordinary_problem_hangs_on_little(dtype: str) -> None:
    """It is what makes judging fast: hardly any neighbouring convention is another question."""
    problem = Problem(logits=np.array([[0, 1, 2]], FLOAT_DTYPES[dtype]), targets=np.array([1]))
    wide = 1 if dtype == "float64" else 0
    *choices, parameters = relevant_choices(problem)(PORTABLE)
    assert len(choices) == 2 + wide
    assert parameters == NO_PARAMETERS
