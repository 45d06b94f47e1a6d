"""What a function of target probabilities adds where these are not one-hot.

A cross-entropy is linear in the targets q: the sum of q_k times the loss with the label k. A Kullback-Leibler
divergence adds the sum of q_k log q_k, which is 0 for one-hot targets, so that only others can tell the two apart. A
factor of the loss multiplies the whole divergence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import FunctionModel
from logitmus.oracle.model_prediction import soft_losses, within
from logitmus.oracle.sentence import DIVERGENCE, LINEAR, UNEXPLAINED_TARGETS

_LAWS: Final = (LINEAR, DIVERGENCE)


def targets_law(model: FunctionModel, seen: Sequence[tuple[Problem, Outcome]]) -> str:
    """The law, of `oracle.sentence.SOFT_TARGETS`, that predicts every row; "": no such row was answered.

    Args:
        seen: single rows whose targets are not one-hot.
    """
    answered = [(p, o) for p, o in seen if isinstance(o, Answered)]
    if not answered:
        return ""
    fitting = [law for law in _LAWS if all(predicted(model, law, p, o) for p, o in answered)]
    return fitting[0] if len(fitting) == 1 else UNEXPLAINED_TARGETS


def predicted(model: FunctionModel, law: str, problem: Problem, outcome: Answered) -> bool:
    """Whether the law predicts the loss of a row."""
    x = problem.logits.reshape(1, -1).astype(np.float64)
    with np.errstate(all="ignore"):
        value, bound = soft_losses(model, law, x, problem.targets.reshape(1, -1).astype(EXACT))
    return outcome.loss.size == 1 and within(outcome.loss, value, bound, model)
