"""The judge: one observation beside the exact answer, as a judgement with its findings.

Holds no state but a memory of the last few problems' answers and budgets, so that the subjects of one problem share
them. Everything it says follows from the bits: `logitmus judge` repeats it on an old run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from logitmus.core import causes
from logitmus.core.convention import PORTABLE
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.observation import Answered, Crashed, Garbled, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.subject import Precision, Subject
from logitmus.judging import contradiction, diagnosis, gradient_faults, second_order
from logitmus.judging.assessment import Assessment, Bench, assess, assessing
from logitmus.judging.batching import Call, stacks
from logitmus.judging.case import Case
from logitmus.judging.consistency import beside_plain
from logitmus.judging.contract import breaches
from logitmus.oracle.question import Question

_REMEMBERED = 2


class Judge:
    """Judges observations; see the module."""

    def __init__(self) -> None:
        self._benches: OrderedDict[str, Bench] = OrderedDict()

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome) -> Judgement:
        """The judgement of what `subject` did with `problem`."""
        return _judge(Case(problem, subject, self._bench(problem)), outcome)

    def judge_all(self, calls: Sequence[Call]) -> list[Judgement]:
        """The judgement of each, in their order: the same as one by one, and much sooner."""
        stacked = stacks(calls)
        return [
            _judge(Case(problem, subject, self._bench(problem), *stacked.get(n, (None, 0))), outcome)
            for n, (problem, subject, outcome) in enumerate(calls)
        ]

    def _bench(self, problem: Problem) -> Bench:
        bench = self._benches.pop(problem.id, None) or Bench(problem)
        self._benches[problem.id] = bench
        if len(self._benches) > _REMEMBERED:
            self._benches.popitem(last=False)
        return bench


def _judge(case: Case, outcome: Outcome) -> Judgement:
    match outcome:
        case NotRun(reason):
            return case.judgement(Verdict.NOT_RUN, reason=reason)
        case Crashed() | TimedOut() | OutOfMemory() | Garbled():
            return case.judgement(Verdict.FINDING, findings=[case.lost(outcome)])
        case Raised():
            return beside_plain(case.problem, outcome, _judge_raised(case, outcome))
        case Answered():
            return beside_plain(case.problem, outcome, _judge_answered(case, outcome))


def _judge_raised(case: Case, outcome: Raised) -> Judgement:
    """An exception is right where the declared convention expects one."""
    subject, problem = case.subject, case.problem
    if case.question.refused is not None or not case.question.has_answer:
        return case.judgement(Verdict.PASS, rows=problem.rows)
    observed = f"{outcome.type}: {outcome.message}"[:400]
    flip = diagnosis.refusing_field(case.bench, subject.convention)
    if flip is not None:
        name, value = flip
        if getattr(subject.convention, name) == "wrap" and bool(np.isnan(case.question.forced).any()):
            return case.judgement(Verdict.PASS, rows=problem.rows)  # who counts from the other end does so once only
        kind, severity = contradiction.weight(subject, name)
        if subject.held_to and getattr(PORTABLE, name) == value:  # refuses what the other lets pass
            severity = Severity.NOTE
        cause = f"convention:{name}={value}"
        found = case.finding(kind, severity, cause, expected=causes.chosen(subject.convention, name), observed=observed)
    else:
        unsupported = outcome.type in ("NotImplementedError", "UnimplementedError")
        severity = Severity.DIFFERENCE if unsupported else Severity.BUG
        found = case.finding(Kind.CONTRACT, severity, f"raised:{outcome.type}", expected="an answer", observed=observed)
    return case.judgement(Verdict.FINDING, findings=[found], rows=problem.rows, grade=Grade.F)


def _judge_answered(case: Case, outcome: Answered) -> Judgement:
    subject, problem = case.subject, case.problem
    findings = [
        case.finding(
            Kind.INTEGRITY, Severity.BUG, f"wrote_into:{name}", expected=f"{name} as before", observed=f"{name} changed"
        )
        for name in outcome.written
    ]
    findings += [
        case.finding(b.kind, b.severity, b.cause, part=b.part, expected=b.expected, observed=b.observed)
        for b in breaches(problem, subject, outcome)
    ]
    parts = case.stacked(subject)
    if parts is None and case.question.refused is not None:  # there is no stack with a problem that is refused
        findings.append(_accepted(case, case.question, outcome))
        return case.judgement(Verdict.FINDING, findings=findings, rows=problem.rows, grade=Grade.F)
    if any(f.cause.startswith("shape:") for f in findings):
        return case.judgement(Verdict.FINDING, findings=findings, rows=problem.rows, grade=Grade.F)
    if not (case.question.has_answer if parts is None else parts[0].judges):
        reason = "no exact answer exists (no classes, or an infinite weight or target)"
        return case.judgement(Verdict.COARSE, findings=findings, reason=reason)
    if parts is None or not all(part.passes for part in parts):
        parts = assess(case.bench, subject, case.question, outcome)  # by itself: the diagnosis needs its own answer
    if not all(part.passes for part in parts):
        defined = diagnosis.by_the_definition(case.bench, subject, outcome)
        if defined is not None:
            note = case.finding(Kind.CONVENTION, Severity.NOTE, f"convention:{defined.flip}")
            return _sum_up(case, defined.parts, [*findings, note])
    coarser = _coarser_precision(case, outcome, parts)
    findings += coarser
    if not any(f.kind is Kind.CLAIM or subject.held_to for f in coarser):  # coarser than declared explains what failed
        for part in parts:
            if not part.passes:
                findings += _failed(case, part, outcome, parts)
    findings += _negative_zero(case, parts)
    if outcome.second_logits is not None:
        second = second_order.fault(case.bench, case.question, outcome, parts)
        findings += [case.finding(Kind.INTEGRITY, Severity.BUG, **vars(second))] if second else []
    if all(part.passes for part in parts):
        findings += _unlike_portable(case, outcome)
    return _sum_up(case, parts, findings)


def _accepted(case: Case, question: Question, outcome: Answered) -> Finding:
    """It answered where its declared convention refuses: say what it did instead."""
    problem, subject = case.problem, case.subject
    names = ["label_out_of_range", "label_negative", "all_ignored_mean", "empty_batch_mean"]
    fits = [f for f in diagnosis.fitting_flips(case.bench, subject, outcome, names) if f.fits_all]
    explained = diagnosis.explanation(fits)
    fit = explained.flip if explained else None
    observed = np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6)
    invented = bool(np.isfinite(outcome.loss.astype(np.float64)).all())
    cause = f"accepted:{fit}" if fit else "accepted:invalid"
    documented = fit is not None and fit.name in subject.docs
    severity = Severity.BUG if documented else Severity.HAZARD if invented else Severity.DIFFERENCE
    return case.finding(
        Kind.CONTRACT,
        severity,
        cause,
        part="loss",
        expected=f"an exception ({question.refused})",
        observed=observed,
        detail=f"labels {problem.targets.reshape(-1)[:8].tolist()} with K = {problem.classes}",
        alternatives=explained.others if explained else (),
    )


def _failed(case: Case, part: Assessment, outcome: Answered, parts: Sequence[Assessment]) -> list[Finding]:
    """The findings of one part that is outside B+: one for each class of difference."""
    subject = case.subject
    explained = diagnosis.neighbouring_convention(case.bench, subject, outcome, part)
    # Budgets B and C name a way of computing; nothing that loosens the precision itself is needed beside them.
    graded = part.numeric_grade in (Grade.B, Grade.C)
    fault = gradient_faults.named(case.bench, subject, outcome, parts, part, explained)
    if fault is None and explained is not None and not (graded and explained.flip.name == "wide_inputs"):
        flip = explained.flip
        kind, severity = contradiction.weight(subject, flip.name)
        found = case.worst_element(part, part.failing, kind, severity, f"convention:{flip}")
        summary = contradiction.words(subject, flip.name, flip.value)
        return [replace(found, summary=summary, alternatives=explained.others)]
    findings: list[Finding] = []
    left = part.failing
    if fault is not None:
        found = case.worst_element(part, fault.where, Kind.INTEGRITY, Severity.BUG, fault.cause)
        findings, left = [replace(found, alternatives=fault.others)], left & ~fault.where
    for cause, where in diagnosis.special_classes(part.compared):
        hit = left & where
        if hit.any() and not (graded and cause == "spurious_underflow"):
            severity = Severity.HAZARD if cause == "invented" else Severity.BUG
            findings.append(case.worst_element(part, hit, Kind.SPECIAL, severity, cause))
            left = left & ~where
    if left.any():
        cause, severity = diagnosis.accuracy_cause(case.problem, subject, outcome, part)
        findings.append(case.worst_element(part, left, Kind.ACCURACY, severity, cause))
    return findings


def _coarser_precision(case: Case, outcome: Answered, parts: Sequence[Assessment]) -> list[Finding]:
    """The effective precision of half-precision subjects: which (storage, arithmetic) explains what was seen.

    The finding shows the value that float32 storage and arithmetic explain least.
    """
    problem, subject = case.problem, case.subject
    if problem.dtype not in ("bfloat16", "float16") or subject.convention.inputs != "logits":
        return []
    declared, own = subject.precision[problem.dtype], problem.dtype
    levels = [("float32", "float32"), (own, "float32"), (own, own)]
    claimed = (declared.storage, declared.arithmetic)
    in_float32 = parts
    for rank, (storage, arithmetic) in enumerate(levels):
        at_level = parts
        if (storage, arithmetic) != claimed:
            level = replace(subject, precision={own: Precision(declared.result, storage, arithmetic)})
            at_level = case.assess(level, outcome)
        if rank == 0:
            in_float32 = at_level
        if all(part.holds for part in at_level):
            break
    else:
        return []
    coarser_than_claimed = claimed in levels and rank > levels.index(claimed)
    # One that is as good as the function that it is held to has no more to answer for.
    if rank == 0 or (subject.held_to and not coarser_than_claimed):
        return []
    cause = f"effective_precision:storage={storage},arithmetic={arithmetic}"
    kind = Kind.CLAIM if coarser_than_claimed and not subject.held_to else Kind.ACCURACY
    worst = max((part for part in in_float32 if part.failing.any()), key=lambda part: part.share, default=parts[0])
    where = worst.failing if worst.failing.any() else worst.judged
    return [case.worst_element(worst, where, kind, Severity.DIFFERENCE, cause)]


def _negative_zero(case: Case, parts: Sequence[Assessment]) -> list[Finding]:
    loss = parts[0].compared
    where = (loss.r == 0) & np.signbit(loss.r) & (loss.y == 0) & parts[0].judged
    if not where.any():
        return []
    return [case.worst_element(parts[0], where, Kind.SPECIAL, Severity.NOTE, "negative_zero")]


def _unlike_portable(case: Case, outcome: Answered) -> list[Finding]:
    """It keeps its own convention; where that gives another number than the portable one, say which field."""
    problem, subject = case.problem, case.subject
    # What a default reduction decides is a shape; beside another one there is nothing to compare.
    declared = subject.convention
    if subject.held_to:  # the convention that is asked of it is the other's, portable or not
        return []
    portable = PORTABLE.but(class_axis=declared.class_axis, default_reduction=declared.default_reduction)
    asked_so = replace(subject, convention=portable)
    parts = case.stacked(asked_so)
    if parts is not None and all(part.passes for part in parts):
        return []
    wanted = case.bench.question(portable)
    if wanted.key == case.question.key:
        return []
    if wanted.refused is None:
        parts = case.assess(asked_so, outcome)
        outside = [part for part in parts if not part.passes]
        if not outside:
            return []
        where = outside[0]
    found = []
    for name, (mine, _) in subject.convention.differences(portable).items():
        if not _matters(case, outcome, name, getattr(portable, name)):
            continue
        cause = f"convention:{name}={mine}"
        severity = diagnosis.difference_severity(name, mine)
        if wanted.refused is not None:
            observed = np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6)
            found.append(
                case.finding(
                    Kind.CONVENTION,
                    severity,
                    cause,
                    part="loss",
                    observed=observed,
                    expected=f"an exception ({wanted.refused})",
                    detail=f"labels {problem.targets.reshape(-1)[:8].tolist()}",
                )
            )
        else:
            found.append(case.worst_element(where, where.failing, Kind.CONVENTION, severity, cause))
    return found


def _matters(case: Case, outcome: Answered, name: str, portable_value: str) -> bool:
    """Whether the observation would be wrong if the declared convention had the portable value in this field."""
    convention = case.subject.convention.but(**{name: portable_value})
    changed = case.bench.question(convention)
    if changed.key == case.question.key:
        return False
    if changed.refused is not None:
        return True
    parts = assessing(case.bench, replace(case.subject, convention=convention), changed, outcome)
    return not all(part.passes for part in parts)


def _sum_up(case: Case, parts: Sequence[Assessment], findings: list[Finding]) -> Judgement:
    undecided = sum(int(part.undecided.sum()) for part in parts if not part.decided)
    absorbed = sum(part.absorbed for part in parts)
    coarse = any(part.coarse for part in parts)
    serious = [f for f in findings if f.severity is not Severity.NOTE]
    verdict = (
        Verdict.FINDING
        if serious
        else Verdict.UNDECIDED
        if undecided
        else Verdict.COARSE
        if coarse
        else Verdict.ABSORBED
        if absorbed
        else Verdict.PASS
    )
    grades = [Grade.COARSE if part.coarse else part.grade for part in parts if part.judges]
    return case.judgement(
        verdict,
        findings=findings,
        grade=max(grades, key=lambda grade: grade.rank) if grades else None,
        rows=case.problem.rows,
        absorbed=absorbed,
        undecided=undecided,
        share=max((part.share for part in parts if not part.coarse), default=0.0),
        ulps=max((part.ulps for part in parts), default=0.0),
    )
