"""The contract of a call: it leaves its inputs alone, returns what was declared, and refuses invalid problems.

These rules need no exact value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.core.floats import FLOAT_DTYPES, dtype_name
from logitmus.core.observation import Answered
from logitmus.judging.assessment import Part
from logitmus.judging.case import Case
from logitmus.judging.neighbours import REFUSING, explanation, fitting_neighbours
from logitmus.oracle.resolve import reduction_of

SHAPE: Final = "shape"


def overwritten_inputs(case: Case, outcome: Answered, _: Sequence[Part]) -> Iterator[Finding]:
    """The call must not change its inputs."""
    for name in outcome.written:
        cause = Cause.of("wrote_into", name)
        yield case.finding(
            Kind.INTEGRITY, Severity.BUG, cause, expected=f"{name} as before", observed=f"{name} changed"
        )


def undeclared_results(case: Case, outcome: Answered, _: Sequence[Part]) -> Iterator[Finding]:
    """Every part must have the declared shape and dtype, and no declared gradient may be missing.

    Values in a wrong shape cannot be judged.
    """
    problem, subject = case.problem, case.subject
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
            yield case.finding(
                Kind.CONTRACT, Severity.BUG, Cause.of(SHAPE, part), part=part, expected=expected, observed=observed
            )
        elif name != dtype and not (part == "grad_targets" and subject.convention.target_gradient == "none"):
            yield case.finding(
                Kind.CLAIM,
                Severity.DIFFERENCE,
                Cause.of_choice("dtype", part, name),
                part=part,
                expected=dtype,
                observed=name,
            )
    if outcome.grad_logits is None and "logits" in subject.offer.gradients:
        yield case.finding(
            Kind.CONTRACT,
            Severity.BUG,
            Cause("no_gradient"),
            part="grad_logits",
            expected="a gradient",
            observed="none",
        )


def accepted_invalid_problem(case: Case, outcome: Answered, _: Sequence[Part]) -> Iterator[Finding]:
    """Where the declared convention expects an exception, a result is wrong; the rule that it follows is named."""
    if case.refused is None:
        return
    problem, subject = case.problem, case.subject
    fitting = fitting_neighbours(case.bench, subject, outcome, REFUSING)
    explained = explanation([neighbour for neighbour in fitting if neighbour.fits_all])
    rule = explained.neighbour if explained else None
    plausible = bool(np.isfinite(outcome.loss.astype(np.float64)).all())
    documented = rule is not None and rule.name in subject.docs
    cause, *others = explained.causes("accepted") if explained else [Cause("accepted:invalid")]
    yield case.finding(
        Kind.CONTRACT,
        Severity.BUG if documented else Severity.HAZARD if plausible else Severity.DIFFERENCE,
        cause,
        part="loss",
        expected=f"an exception ({case.refused})",
        observed=np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6),
        detail=f"labels {problem.targets.reshape(-1)[:8].tolist()} with K = {problem.classes}",
        alternatives=tuple(others),
    )
