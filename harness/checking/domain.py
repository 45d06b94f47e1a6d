"""The problems of the suite for functions that take probabilities, or their logarithms.

Most problems of the suite are logits. Such a function is given the probabilities that the logits stand for, rounded to
their dtype: exact zeros, classes that round to 1, sums that are not quite 1. In every dtype they have 24 bits: the exp
of NumPy has other last bits on other machines, and the problem should be the same everywhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.cases.metamorphic import FAMILY as RELATIONS
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import Problem
from logitmus.core.subject import outside_domain

_BITS: Final = 24
_SOURCES: Final = {"probabilities": "probability-inputs", "log_probabilities": "log-probability-inputs"}


def for_inputs(problem: Problem, inputs: str) -> Problem:
    """The problem for a function that takes these inputs.

    Unchanged are inputs of its domain, rows without a softmax (NaN, +inf, nothing but -inf), and problems whose results
    are compared with those of others.

    Args:
        inputs: as of the convention field `inputs`.
    """
    if outside_domain(inputs, problem) is None or problem.family == RELATIONS or not problem.classes:
        return problem
    x = problem.logits.astype(np.float64)
    top = x.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        return problem
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        weights = np.exp(x - top)
        total = weights.sum(axis=-1, keepdims=True)
        given = weights / total if inputs == "probabilities" else np.minimum(x - top - np.log(total), 0)
        logits = float_array(_rounded(given), problem.dtype)
    idea = f"{inputs.replace('_', '-')} of these logits: {problem.idea}"
    return problem.but(logits=logits, family=_SOURCES[inputs], idea=idea)


def _rounded(values: Array) -> Array:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, _BITS)), exponent - _BITS)
