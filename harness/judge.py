"""The judge: one observation beside the exact answer, as a judgement with its findings.

Holds no state but a memory of the last few problems' answers and budgets, so that the subjects of one problem share
them. Everything it says follows from the bits: `logitmus judge` repeats it on an old run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from logitmus import contradiction, diagnosis, gradient_faults, phrases, second_derivative
from logitmus.assess import Assessment, Bench, assess
from logitmus.backend import Precision, Subject
from logitmus.contract import breaches
from logitmus.convention import PORTABLE
from logitmus.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.integrity import beside_plain
from logitmus.observation import Answered, Crashed, Garbled, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.problem import Array, Problem
from logitmus.question import Question
from logitmus.stack import Call, Stack, stacks

_REMEMBERED = 2


class Judge:
    """Judges observations; see the module."""

    def __init__(self) -> None:
        self._benches: OrderedDict[str, Bench] = OrderedDict()

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome) -> Judgement:
        """The judgement of what `subject` did with `problem`."""
        return _judge(_About(problem, subject, self._bench(problem)), outcome)

    def judge_all(self, calls: Sequence[Call]) -> list[Judgement]:
        """The judgement of each, in their order: the same as one by one, and much sooner."""
        stacked = stacks(calls)
        return [
            _judge(_About(problem, subject, self._bench(problem), *stacked.get(n, (None, 0))), outcome)
            for n, (problem, subject, outcome) in enumerate(calls)
        ]

    def _bench(self, problem: Problem) -> Bench:
        bench = self._benches.pop(problem.id, None) or Bench(problem)
        self._benches[problem.id] = bench
        if len(self._benches) > _REMEMBERED:
            self._benches.popitem(last=False)
        return bench


@dataclass(frozen=True)
class _About:
    """One pair, with the shorthand that the functions below share; and its place in a stack, if it is in one."""

    problem: Problem
    subject: Subject
    bench: Bench
    stack: Stack | None = None
    place: int = 0

    def assess(self, subject: Subject, question: Question, outcome: Answered) -> list[Assessment]:
        """`assess`, for what many problems of a stack are likely to be asked."""
        parts = None if self.stack is None else self.stack.assess(subject, self.place)
        return assess(self.bench, subject, question, outcome) if parts is None else parts

    def judgement(self, verdict: Verdict, *, findings: list[Finding] | None = None, **more: object) -> Judgement:
        ordered = tuple(sorted(findings or (), key=lambda f: f.severity.rank))
        return Judgement(
            subject=self.subject.id,
            problem=self.problem.id,
            family=self.problem.family,
            dtype=self.problem.dtype,
            verdict=verdict,
            findings=ordered,
            **more,  # type: ignore[arg-type]
        )

    def finding(self, kind: Kind, severity: Severity, cause: str, **more: object) -> Finding:
        fields: dict[str, object] = {"summary": phrases.summary(cause), "part": "", **more}
        return Finding(
            kind=kind,
            severity=severity,
            subject=self.subject.id,
            problem=self.problem.id,
            family=self.problem.family,
            dtype=self.problem.dtype,
            cause=cause,
            **fields,  # type: ignore[arg-type]
        )

    def lost(self, outcome: Crashed | TimedOut | OutOfMemory | Garbled) -> Finding:
        match outcome:
            case Crashed(status, stderr):
                return self.finding(
                    Kind.CRASH, Severity.BUG, f"crashed:{status}", detail=stderr[-600:], observed=status
                )
            case TimedOut(seconds):
                text = f"no answer within {seconds:g} s"
                return self.finding(Kind.TIMEOUT, Severity.BUG, "timeout", observed=text)
            case OutOfMemory(limit):
                text = f"passed {limit / 2**30:.1f} GiB of memory"
                return self.finding(Kind.CRASH, Severity.BUG, "out_of_memory", observed=text)
            case Garbled(reason):
                return self.finding(Kind.CONTRACT, Severity.BUG, "garbled", detail=reason, observed=reason)


def _judge(about: _About, outcome: Outcome) -> Judgement:
    match outcome:
        case NotRun(reason):
            return about.judgement(Verdict.NOT_RUN, reason=reason)
        case Crashed() | TimedOut() | OutOfMemory() | Garbled():
            return about.judgement(Verdict.FINDING, findings=[about.lost(outcome)])
        case Raised():
            return beside_plain(about.problem, outcome, _judge_raised(about, outcome))
        case Answered():
            return beside_plain(about.problem, outcome, _judge_answered(about, outcome))


def _judge_raised(about: _About, outcome: Raised) -> Judgement:
    """An exception is right where the declared convention expects one."""
    subject, problem = about.subject, about.problem
    question = about.bench.question(subject.convention)
    if question.refused is not None or not question.classes or (question.rows and question.unjudged.all()):
        return about.judgement(Verdict.PASS, rows=problem.rows)
    observed = f"{outcome.type}: {outcome.message}"[:400]
    flip = diagnosis.refusing_field(about.bench, subject.convention)
    if flip is not None:
        name, value = flip
        kind, severity = contradiction.weight(subject, name)
        if subject.held_to and getattr(PORTABLE, name) == value:  # refuses what the other lets pass
            severity = Severity.NOTE
        cause = f"convention:{name}={value}"
        found = about.finding(
            kind, severity, cause, expected=phrases.chosen(subject.convention, name), observed=observed
        )
    else:
        unsupported = outcome.type in ("NotImplementedError", "UnimplementedError")
        severity = Severity.DIFFERENCE if unsupported else Severity.BUG
        found = about.finding(
            Kind.CONTRACT, severity, f"raised:{outcome.type}", expected="an answer", observed=observed
        )
    return about.judgement(Verdict.FINDING, findings=[found], rows=problem.rows, grade=Grade.F)


def _judge_answered(about: _About, outcome: Answered) -> Judgement:
    subject, problem = about.subject, about.problem
    findings = [
        about.finding(Kind.INTEGRITY, Severity.BUG, f"wrote_into:{name}", observed=f"{name} changed")
        for name in outcome.written
    ]
    question = about.bench.question(subject.convention)
    findings += [
        about.finding(b.kind, b.severity, b.cause, part=b.part, expected=b.expected, observed=b.observed)
        for b in breaches(problem, subject, question, outcome)
    ]
    if question.refused is not None:
        findings.append(_accepted(about, question, outcome))
        return about.judgement(Verdict.FINDING, findings=findings, rows=problem.rows, grade=Grade.F)
    if any(f.cause.startswith("shape:") for f in findings):
        return about.judgement(Verdict.FINDING, findings=findings, rows=problem.rows, grade=Grade.F)
    if not question.classes or (question.rows and question.unjudged.all()):
        reason = "no exact answer exists (no classes, or an infinite weight or target)"
        return about.judgement(Verdict.COARSE, findings=findings, reason=reason)
    parts = about.assess(subject, question, outcome)
    if not all(part.passes for part in parts):
        parts = assess(about.bench, subject, question, outcome)  # by itself: the diagnosis needs its own answer
        defined = diagnosis.by_the_definition(about.bench, subject, outcome)
        if defined is not None:
            note = about.finding(Kind.CONVENTION, Severity.NOTE, f"convention:{defined.flip}")
            return _sum_up(about, defined.parts, [*findings, note])
    coarser = _coarser_precision(about, question, outcome, parts)
    findings += coarser
    if not any(f.kind is Kind.CLAIM or subject.held_to for f in coarser):  # coarser than declared explains what failed
        for part in parts:
            if not part.passes:
                findings += _failed(about, part, outcome, parts)
    findings += _negative_zero(about, parts)
    second = second_derivative.fault(about.bench, question, outcome, parts)
    if second is not None:
        findings.append(about.finding(Kind.INTEGRITY, Severity.BUG, **vars(second)))
    if all(part.passes for part in parts):
        findings += _unlike_portable(about, question, outcome)
    return _sum_up(about, parts, findings)


def _accepted(about: _About, question: Question, outcome: Answered) -> Finding:
    """It answered where its declared convention refuses: say what it did instead."""
    problem, subject = about.problem, about.subject
    names = ["label_out_of_range", "label_negative", "all_ignored_mean", "empty_batch_mean"]
    fits = [f for f in diagnosis.fitting_flips(about.bench, subject, outcome, names) if f.fits_all]
    explained = diagnosis.explanation(fits)
    fit = explained.flip if explained else None
    observed = np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6)
    invented = bool(np.isfinite(outcome.loss.astype(np.float64)).all())
    cause = f"accepted:{fit}" if fit else "accepted:invalid"
    documented = fit is not None and fit.name in subject.docs
    severity = Severity.BUG if documented else Severity.HAZARD if invented else Severity.DIFFERENCE
    return about.finding(
        Kind.CONTRACT,
        severity,
        cause,
        part="loss",
        expected=f"an exception ({question.refused})",
        observed=observed,
        detail=f"labels {problem.targets.reshape(-1)[:8].tolist()} with K = {problem.classes}",
        alternatives=explained.others if explained else (),
    )


def _failed(about: _About, part: Assessment, outcome: Answered, parts: list[Assessment]) -> list[Finding]:
    """The findings of one part that is outside B+: one for each class of difference."""
    subject = about.subject
    explained = diagnosis.neighbouring_convention(about.bench, subject, outcome, part.part)
    # Budgets B and C name a way of computing; nothing that loosens the precision itself is needed beside them.
    graded = part.numeric_grade in (Grade.B, Grade.C)
    fault = gradient_faults.named(about.bench, subject, outcome, parts, part, explained)
    if fault is None and explained is not None and not (graded and explained.flip.name == "wide_inputs"):
        flip = explained.flip
        kind, severity = contradiction.weight(subject, flip.name)
        found = _worst_element(about, part, part.failing, kind, severity, f"convention:{flip}")
        summary = contradiction.words(subject, flip.name, flip.value)
        return [replace(found, summary=summary, alternatives=explained.others)]
    findings: list[Finding] = []
    left = part.failing
    if fault is not None:
        found = _worst_element(about, part, fault.where, Kind.INTEGRITY, Severity.BUG, fault.cause)
        findings, left = [replace(found, alternatives=fault.others)], left & ~fault.where
    for cause, where in diagnosis.special_classes(part.compared):
        hit = left & where
        if hit.any() and not (graded and cause == "spurious_underflow"):
            severity = Severity.HAZARD if cause == "invented" else Severity.BUG
            findings.append(_worst_element(about, part, hit, Kind.SPECIAL, severity, cause))
            left = left & ~where
    if left.any():
        cause, severity = diagnosis.accuracy_cause(about.problem, subject, outcome, part)
        findings.append(_worst_element(about, part, left, Kind.ACCURACY, severity, cause))
    return findings


def _worst_element(
    about: _About, part: Assessment, where: Array, kind: Kind, severity: Severity, cause: str
) -> Finding:
    """A finding about that of the elements `where` which uses most of its budget (the first that is no number)."""
    compared, enclosure = part.compared, part.exact
    shares = np.where(compared.numeric, part.shares, np.inf)
    score = np.where(where, shares, -1.0)
    index = tuple(map(int, np.unravel_index(int(score.argmax()), score.shape))) if score.shape else ()
    ulps, share = float(compared.cut(index).ulps()), float(part.shares[index])
    return about.finding(
        kind,
        severity,
        cause,
        part=part.part,
        detail=f"{int(where.sum())} of {where.size} values",
        expected=enclosure.describe(index),
        observed=phrases.number(compared.r[index], compared.dtype),
        row=index[0] if index else None,
        index=index[1] if len(index) > 1 else None,
        ulps=None if np.isnan(ulps) else ulps,
        share=share if compared.numeric[index] else None,
    )


def _coarser_precision(about: _About, question: Question, outcome: Answered, parts: list[Assessment]) -> list[Finding]:
    """The effective precision of half-precision subjects: which (storage, arithmetic) explains what was seen.

    The finding shows the value that float32 storage and arithmetic explain least.
    """
    problem, subject = about.problem, about.subject
    if problem.dtype not in ("bfloat16", "float16") or question.inputs != "logits":
        return []
    declared, own = subject.precision[problem.dtype], problem.dtype
    levels = [("float32", "float32"), (own, "float32"), (own, own)]
    claimed = (declared.storage, declared.arithmetic)
    in_float32 = parts
    for rank, (storage, arithmetic) in enumerate(levels):
        at_level = parts
        if (storage, arithmetic) != claimed:
            level = replace(subject, precision={own: Precision(declared.result, storage, arithmetic)})
            at_level = about.assess(level, question, outcome)
        if rank == 0:
            in_float32 = at_level
        if all(bool(part.within.all()) for part in at_level):
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
    return [_worst_element(about, worst, where, kind, Severity.DIFFERENCE, cause)]


def _negative_zero(about: _About, parts: list[Assessment]) -> list[Finding]:
    loss = parts[0].compared
    where = (loss.r == 0) & np.signbit(loss.r) & (loss.y == 0) & parts[0].judged
    if not where.any():
        return []
    return [_worst_element(about, parts[0], where, Kind.SPECIAL, Severity.NOTE, "negative_zero")]


def _unlike_portable(about: _About, question: Question, outcome: Answered) -> list[Finding]:
    """It keeps its own convention; where that gives another number than the portable one, say which field."""
    problem, subject = about.problem, about.subject
    # What a default reduction decides is a shape; beside another one there is nothing to compare.
    declared = subject.convention
    if subject.held_to:  # the convention that is asked of it is the other's, portable or not
        return []
    portable = PORTABLE.but(class_axis=declared.class_axis, default_reduction=declared.default_reduction)
    wanted = about.bench.question(portable)
    if wanted.key == question.key:
        return []
    if wanted.refused is None:
        parts = about.assess(replace(subject, convention=portable), wanted, outcome)
        outside = [part for part in parts if not part.passes]
        if not outside:
            return []
        where = outside[0]
    found = []
    for name, (mine, _) in subject.convention.differences(portable).items():
        if not _matters(about, question, outcome, name, getattr(portable, name)):
            continue
        cause = f"convention:{name}={mine}"
        severity = diagnosis.difference_severity(name, mine)
        if wanted.refused is not None:
            observed = np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6)
            found.append(
                about.finding(
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
            found.append(_worst_element(about, where, where.failing, Kind.CONVENTION, severity, cause))
    return found


def _matters(about: _About, question: Question, outcome: Answered, name: str, portable_value: str) -> bool:
    """Whether the observation would be wrong if the declared convention had the portable value in this field."""
    convention = about.subject.convention.but(**{name: portable_value})
    changed = about.bench.question(convention)
    if changed.key == question.key:
        return False
    if changed.refused is not None:
        return True
    parts = assess(about.bench, replace(about.subject, convention=convention), changed, outcome)
    return not all(part.passes for part in parts)


def _sum_up(about: _About, parts: list[Assessment], findings: list[Finding]) -> Judgement:
    undecided = sum(int(part.undecided.sum()) for part in parts)
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
    grades = [Grade.COARSE if part.coarse else part.grade for part in parts if part.judged.any()]
    return about.judgement(
        verdict,
        findings=findings,
        grade=max(grades, key=lambda grade: grade.rank) if grades else None,
        rows=about.problem.rows,
        absorbed=absorbed,
        undecided=undecided,
        share=max((part.share for part in parts if not part.coarse), default=0.0),
        ulps=max((part.ulps for part in parts), default=0.0),
    )
