"""Symptoms: what a card says beside the convention: unusual shapes, and faults of the arithmetic with their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from logitmus.backend import Precision, Subject, outside_domain
from logitmus.card import Mechanism
from logitmus.convention import Convention
from logitmus.finding import Finding, Kind, Severity
from logitmus.judge import Judge
from logitmus.observation import Answered
from logitmus.problem import FLOAT_DTYPES
from logitmus.reading import Observed

_FAULTS = (Kind.ACCURACY, Kind.SPECIAL, Kind.INTEGRITY)


def unusual_shapes(seen: Sequence[Observed]) -> list[str]:
    """Remarks on losses that are neither one number per row nor one number, or no floats."""
    found: Counter[str] = Counter()
    for one in seen:
        if not isinstance(one.outcome, Answered) or not one.control:
            continue
        loss, batch = one.outcome.loss, one.problem.batch
        if loss.dtype.name not in FLOAT_DTYPES:
            found[f"returns {loss.dtype.name}, for {one.problem.dtype} logits"] += 1
        if loss.shape not in (batch, ()):
            found[f"returns shape {loss.shape} for logits {one.problem.logits.shape}"] += 1
    return list(found)


def mechanisms_of(subject: Subject, convention: Convention, observed: Sequence[Observed]) -> tuple[Mechanism, ...]:
    """The distinct faults that the judge finds when the measured convention is the declared one."""
    judge = Judge()
    declared = replace(subject, convention=convention, precision=_precisions(observed), docs={})
    found: dict[str, Mechanism] = {}
    for one in observed:
        if outside_domain(convention.inputs, one.problem):
            continue
        for finding in judge.judge(one.problem, declared, one.outcome).findings:
            if finding.kind in _FAULTS and _is_fault(finding) and finding.cause not in found:
                found[finding.cause] = Mechanism(
                    cause=finding.cause,
                    summary=finding.summary,
                    problem=one.problem.id,
                    idea=one.problem.idea,
                    part=finding.part,
                    expected=finding.expected,
                    observed=finding.observed,
                )
    return tuple(found.values())


def _is_fault(finding: Finding) -> bool:
    """Not a mere note; nor halves that are stored as halves, which is how most functions compute."""
    return finding.severity is not Severity.NOTE and not finding.cause.startswith("effective_precision")


def _precisions(observed: Sequence[Observed]) -> dict[str, Precision]:
    """By dtype of the logits: results as they came, everything else in that dtype."""
    out = {dtype: Precision(dtype, dtype, dtype) for dtype in FLOAT_DTYPES}
    for one in observed:
        if isinstance(one.outcome, Answered) and one.outcome.loss.dtype.name in FLOAT_DTYPES:
            dtype = one.problem.dtype
            out[dtype] = Precision(one.outcome.loss.dtype.name, dtype, dtype)
    return out
