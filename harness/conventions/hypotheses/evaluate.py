"""Evaluate a problem under changes, in plain floating point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from logitmus.conventions.hypotheses.arithmetic import ARITHMETIC, Arithmetic
from logitmus.conventions.hypotheses.change import Change
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.floats import Array
from logitmus.core.problem import Problem
from logitmus.oracle.question import Question
from logitmus.oracle.resolve import resolve

_NEEDS_LOGITS: Final = frozenset({"binary_cross_entropy", "z_loss"})


@dataclass(frozen=True)
class Rows:
    """What the loss of a row is computed from: R rows of K classes, in a dtype.

    Attributes:
        x: (R, K) logits, or log-probabilities. a: (R, K) effective targets, 0 where a class has none.
        loss: (R, K) -log p_k. lse: (R,) logsumexp, 0 where the inputs are probabilities. p: (R, K).
    """

    problem: Problem
    question: Question
    x: Array
    a: Array
    loss: Array
    lse: Array
    p: Array

    def dot(self, terms: Array) -> Array:
        """Sum over the classes of target times term; a class without a target contributes 0 whatever its term is."""
        return np.asarray(np.where(self.a != 0, self.a * terms, 0).sum(axis=1, dtype=self.x.dtype))


class Evaluator:
    """Evaluate a problem under changes, keeping what several combinations share: questions, softmaxes, row losses."""

    def __init__(self, problem: Problem, convention: Convention = PORTABLE) -> None:
        self._problem = problem
        self._convention = convention
        self._rows: dict[tuple[Change | None, ...], Rows | None] = {}
        self._losses: dict[tuple[Change | None, ...], Array | None] = {}

    def loss(self, changes: Iterable[Change] = ()) -> Array | None:
        """Compute the loss: shape (R,) or (), float64; None where the changes do not apply or there is no answer.

        Args:
            changes: at most one per stage, or two fields of the convention.
        """
        by_stage: dict[str, Change] = {}
        fields: list[Change] = []
        for change in changes:
            if change.stage == "convention":
                fields.append(change)
            else:
                by_stage[change.stage] = change
        first, second = [*fields, None, None][:2]
        begin = (by_stage.get("problem"), first, second, by_stage.get("question"), by_stage.get("arithmetic"))
        with np.errstate(all="ignore"):
            if begin not in self._rows:
                self._rows[begin] = self._prepared(*begin)
            rows = self._rows[begin]
            if rows is None:
                return None
            middle = (*begin, by_stage.get("loss"))
            if middle not in self._losses:
                self._losses[middle] = _row_losses(rows, by_stage.get("loss"))
            losses = self._losses[middle]
            result = None if losses is None else _reduced(rows, losses, by_stage.get("reduction"))
            if result is None:
                return None
            base = rows.question.log_base
            result = result if base == "e" else result / np.log(float(base))
            if (scale := by_stage.get("scale")) is not None:
                assert scale.act is not None  # noqa: S101
                result = scale.act(result, rows)
            return np.asarray(result, np.float64)

    def _prepared(
        self,
        labels: Change | None,
        first: Change | None,
        second: Change | None,
        numbers: Change | None,
        arithmetic: Change | None,
    ) -> Rows | None:
        problem: Problem | None = self._problem
        if labels is not None:
            assert labels.act is not None  # noqa: S101
            problem = labels.act(problem)
            if problem is None:
                return None
        assert problem is not None  # noqa: S101
        fields = {change.name: change.value for change in (first, second) if change is not None}
        question: Question | None = resolve(problem, self._convention.but(**fields) if fields else self._convention)
        if question is None or question.refused is not None or bool(question.unjudged.any()):
            return None
        if numbers is not None:
            assert numbers.act is not None  # noqa: S101
            question = numbers.act(question)
            if question is None:
                return None
        how = ARITHMETIC[arithmetic.value] if arithmetic else Arithmetic()
        return _rows(problem, question, how.dtype, how.mechanism)


def _row_losses(rows: Rows, change: Change | None) -> Array | None:
    """The losses of the rows, 0 for ignored ones."""
    if change is None:
        losses = rows.dot(rows.loss)
    else:
        assert change.act is not None  # noqa: S101
        if rows.question.inputs != "logits" and change.name in _NEEDS_LOGITS:
            return None
        losses = change.act(rows)
    return np.where(rows.question.kept, losses, 0) * rows.question.forced.astype(losses.dtype)


def _rows(problem: Problem, question: Question, dtype: Any, mechanism: str) -> Rows:
    x = _log_inputs(question, dtype)
    a = question.effective_in(dtype)[0]
    normalised = question.inputs == "logits" or question.probability_scale == "after_clip"
    if not normalised:
        return Rows(problem, question, x, a, -x, np.zeros(len(x), dtype), np.exp(x))
    loss, lse = log_softmax(x, mechanism)
    return Rows(problem, question, x, a, loss, lse, np.exp(-loss))


def _log_inputs(question: Question, dtype: Any) -> Array:
    """The logits, or the logarithms of the (scaled, clipped) probabilities, every step in `dtype`."""
    x = question.x.astype(dtype)
    if question.inputs != "probabilities":
        return x
    if question.probability_scale == "before_clip":
        x = x / x.sum(axis=1, keepdims=True)
    if question.clip is not None:
        x = np.clip(x, dtype(question.clip[0]), dtype(question.clip[1]))
    return np.asarray(np.log(x))


def log_softmax(x: Array, mechanism: str) -> tuple[Array, Array]:
    """-log softmax and the logsumexp of each row, formed as `mechanism` forms them ("": as it should be)."""
    if mechanism == "no_shift":
        exps = np.exp(x)
        return -np.log(exps / exps.sum(axis=1, keepdims=True)), np.log(exps.sum(axis=1))
    m = x.max(axis=1, keepdims=True)
    exps = np.exp(x - m)
    total = exps.sum(axis=1, keepdims=True, dtype=x.dtype)
    lse = m + np.log(total)
    if mechanism == "separate_logsumexp":
        return lse - x, lse[:, 0]
    if mechanism == "log_of_softmax":
        return -np.log(exps / total), lse[:, 0]
    return np.log(total) - (x - m), lse[:, 0]


def _reduced(rows: Rows, losses: Array, change: Change | None) -> Array | None:
    question = rows.question
    if change is not None:
        assert change.act is not None  # noqa: S101
        return change.act(rows, losses)
    if question.fixed is not None:
        return np.asarray(question.fixed)
    match question.reduction:
        case "none":
            return losses
        case "sum":
            return np.asarray(losses.sum(dtype=losses.dtype))
        case _:
            return np.asarray(losses.sum(dtype=losses.dtype) / losses.dtype.type(question.denominator))
