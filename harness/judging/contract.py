"""The contract of a result: the shapes and dtypes that were declared, and the gradients that were promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from logitmus.core.finding import Kind, Severity
from logitmus.core.floats import FLOAT_DTYPES, dtype_name
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.oracle.question import reduction_of


class Breach(NamedTuple):
    """One way in which a result is not what was declared; a wrong shape cannot be judged any further."""

    kind: Kind
    severity: Severity
    cause: str
    part: str
    expected: str
    observed: str


def breaches(problem: Problem, subject: Subject, outcome: Answered) -> Iterator[Breach]:
    """All of them, part by part."""
    loss_shape = problem.batch if reduction_of(problem, subject.convention) == "none" else ()
    declared = subject.precision[problem.dtype].result
    no_float64 = problem.dtype == "float64" and subject.convention.result_dtype == "at_most_float32"
    narrowed = "float32" if no_float64 else problem.dtype
    whole = problem.logits.shape
    for part, result, shape, dtype in (
        ("loss", outcome.loss, loss_shape, declared),
        ("grad_logits", outcome.grad_logits, whole, narrowed),
        ("grad_targets", outcome.grad_targets, whole, narrowed),
    ):
        if result is None:
            continue
        name = dtype_name(result)
        if result.shape != shape or name not in FLOAT_DTYPES:
            expected, observed = f"{dtype}{list(shape)}", f"{name}{list(result.shape)}"
            yield Breach(Kind.CONTRACT, Severity.BUG, f"shape:{part}", part, expected, observed)
        elif name != dtype and not (part == "grad_targets" and subject.convention.target_gradient == "none"):
            yield Breach(Kind.CLAIM, Severity.DIFFERENCE, f"dtype:{part}={name}", part, dtype, name)
    if outcome.grad_logits is None and "logits" in subject.offer.gradients:
        yield Breach(Kind.CONTRACT, Severity.BUG, "no_gradient", "grad_logits", "a gradient", "none")
