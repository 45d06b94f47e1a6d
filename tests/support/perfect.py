"""A perfect implementation of any convention: the oracle's own answers, correctly rounded. For tests of `identify`."""

from __future__ import annotations

from functools import cache

import numpy as np

from logitmus.cases.families.convention_probes import FAMILY
from logitmus.cases.family import Profile
from logitmus.conventions.measure import result_dtype
from logitmus.core.convention import Convention
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.oracle.answer import Answer, answer
from logitmus.oracle.resolve import resolve

GARBAGE = 3.2578125


@cache
def probes(kind: str) -> tuple[Problem, ...]:
    """The probes of one kind of targets, each once."""
    every = {problem.id: problem for problem in FAMILY.problems(Profile("full"))}
    return tuple(problem for problem in every.values() if problem.target_kind == kind)


_ANSWERS: dict[tuple[object, ...], Answer] = {}


def perfect(problem: Problem, convention: Convention, subject: Subject) -> Outcome:
    """What a perfect function of this convention does with a problem; garbage labels give `GARBAGE`."""
    refusal = subject.why_not(problem)
    if refusal is not None:
        return NotRun(refusal)
    spatial_elsewhere = problem.logits.ndim > 2 and convention.class_axis != subject.convention.class_axis
    question = resolve(problem, convention)
    if question.refused is not None or spatial_elsewhere:
        return Raised("ValueError", question.refused or "shapes do not fit")
    if not question.classes:
        return Raised("ValueError", "no classes")
    exact = _ANSWERS.setdefault((question.key, problem.id), answer(question))
    narrows = convention.result_dtype == "at_most_float32" and problem.dtype == "float64"
    narrowed = "float32" if narrows else problem.dtype
    loss = exact.loss.rounded(result_dtype(convention.result_dtype, problem.dtype))
    if question.unjudged.any():
        garbage = np.where(question.unjudged, GARBAGE, loss.astype(np.float64)) if loss.shape else GARBAGE
        loss = np.asarray(garbage).astype(loss.dtype)
    shape = problem.batch if question.reduction == "none" else ()
    gradients = subject.offer.gradients
    return Answered(
        loss.reshape(shape),
        _gradient(exact, "grad_logits", narrowed, problem) if "logits" in gradients else None,
        _gradient(exact, "grad_targets", narrowed, problem)
        if "targets" in gradients and problem.target_kind == "probabilities" and convention.target_gradient == "yes"
        else None,
    )


def _gradient(exact: Answer, part: str, dtype: str, problem: Problem) -> Array:
    if exact.question.fixed is not None or not problem.rows:
        return np.zeros(problem.logits.shape, FLOAT_DTYPES[dtype])
    rounded: Array = getattr(exact, part).rounded(dtype)
    return rounded.reshape(problem.logits.shape)
