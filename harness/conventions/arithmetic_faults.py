"""Symptoms: what a card says beside the convention: unusual shapes, and faults of the arithmetic with their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from logitmus.conventions.card import Mechanism
from logitmus.conventions.fit import Observed
from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.convention import Convention
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Answered
from logitmus.core.subject import Precision, Subject, outside_domain
from logitmus.judging import mechanisms
from logitmus.judging.assessment import assess
from logitmus.judging.batching import Call
from logitmus.judging.bench import Bench
from logitmus.judging.gradient_faults import GRADIENT, GRADIENT_OF
from logitmus.judging.judge import Judge

_FAULTS = (Kind.ACCURACY, Kind.SPECIAL, Kind.INTEGRITY)


def unusual_shapes(seen: Sequence[Observed]) -> list[str]:
    """Remarks on losses that are neither a number per row nor a single number, or no floats."""
    found: Counter[str] = Counter()
    for probe in seen:
        if not isinstance(probe.outcome, Answered) or not probe.control:
            continue
        loss, batch = probe.outcome.loss, probe.problem.batch
        if loss.dtype.name not in FLOAT_DTYPES:
            found[f"returns {loss.dtype.name}, for {probe.problem.dtype} logits"] += 1
        if loss.shape not in (batch, ()):
            found[f"returns shape {loss.shape} for logits {probe.problem.logits.shape}"] += 1
    return list(found)


def mechanisms_of(subject: Subject, convention: Convention, observed: Sequence[Observed]) -> tuple[Mechanism, ...]:
    """The distinct faults that the judge finds against the measured convention.

    Where plain problems already come out wrong, hard ones say no more.
    """
    declared = replace(subject, convention=convention, precision=_precisions(observed, convention), docs={})
    inside = [probe for probe in observed if not outside_domain(convention.inputs, probe.problem)]
    plain, other = ([probe for probe in inside if probe.control == wanted] for wanted in (True, False))
    return _faults(declared, plain) or _faults(declared, other)


def _faults(declared: Subject, observed: Sequence[Observed]) -> tuple[Mechanism, ...]:
    judgements = Judge().judge_all([Call(probe.problem, declared, probe.outcome) for probe in observed])
    faults = [
        (probe, finding, _reproducing(probe, declared, finding.part))
        for probe, judgement in zip(observed, judgements, strict=True)
        for finding in judgement.findings
        if _is_fault(finding)
    ]
    # A cause of a wrong gradient is named only beside a loss that is right everywhere; elsewhere it may be chance.
    if any(finding.part == "loss" for _, finding, _ in faults):
        faults = [fault for fault in faults if fault[1].cause.name not in (GRADIENT, GRADIENT_OF)]
    # One mechanism for as much as possible: an infinity often has several causes, and NaN alone decides nothing.
    votes = Counter(name for _, finding, names in faults if finding.cause != "lost" for name in names)
    found: dict[Cause, Mechanism] = {}
    for probe, finding, names in faults:
        name = max((name for name in names if votes[name]), key=lambda name: votes[name], default="")
        cause = catalogue.of_mechanism(name) if name else finding.cause
        if cause not in found:
            found[cause] = Mechanism(
                cause=cause,
                summary=catalogue.summary(cause),
                problem=probe.problem.id,
                idea=probe.problem.idea,
                part=finding.part,
                expected=finding.expected,
                observed=finding.observed,
            )
    return tuple(found.values())


def _reproducing(probe: Observed, declared: Subject, part: str) -> list[str]:
    """The mechanisms whose emulation gives the very bits of what failed: numbers, infinities or NaN."""
    bench = Bench(probe.problem)
    question = bench.question(declared.convention)
    if not isinstance(probe.outcome, Answered) or question.refused is not None:
        return []
    if not all(probe.well_shaped(name, question.reduction) for name in probe.parts):
        return []
    for assessed in assess(bench, declared, question, probe.outcome):
        if assessed.part == part and assessed.failing.any():
            names = mechanisms.all_reproducing(probe.problem, declared, probe.outcome, assessed)
            return [name for name in mechanisms.MECHANISMS if name in names]
    return []


def _is_fault(finding: Finding) -> bool:
    """Not a mere note; nor halves that are stored as halves, which is how most functions compute."""
    noted = finding.severity is Severity.NOTE or finding.cause.name == "effective_precision"
    return finding.kind in _FAULTS and not noted


def _precisions(observed: Sequence[Observed], convention: Convention) -> dict[str, Precision]:
    """By dtype of the logits: results in their own dtype, everything else in that dtype."""
    out = {dtype: Precision(dtype, dtype, dtype) for dtype in FLOAT_DTYPES}
    for probe in observed:
        if isinstance(probe.outcome, Answered) and probe.outcome.loss.dtype.name in FLOAT_DTYPES:
            dtype = probe.problem.dtype
            narrowed = dtype == "float64" and convention.wide_inputs == "narrowed"
            working = "float32" if narrowed else dtype
            out[dtype] = Precision(probe.outcome.loss.dtype.name, working, working)
    return out
