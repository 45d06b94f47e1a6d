"""The judge: compare an outcome with the exact answer, and name the cause of everything that is wrong with it.

How far a result is from the exact value is arithmetic (`budget`, `comparison`, `assessment`). The hard part is the
cause. One fault has many symptoms: a function that stores bfloat16 where it declared float32 is inaccurate in every
row, returns zeros for small losses, and often happens to fit another convention. And each symptom has many causes: a
gradient that lacks the divisor of a mean is also the gradient of a sum. A report that lists every symptom, or every
cause that fits, is of no use; a report that names the wrong cause is worse. So the rules are tried in a fixed order,
from the cause that makes the most of the rest meaningless to the cause that claims the least:

1. The call (`CALL_RULES`). An overwritten input, a wrong shape, a number for an invalid problem: these need no exact
   value, and after the last two there is none to compare with.
2. The definition. A function that is checked against a reference may be better than it. If the definition explains the
   result, nothing is wrong, and the rules below would report the reference's own faults. If it was measured to compute
   another formula (`own_formula`), that explains what it predicts, and the rules below do not apply. And a result that
   is what the reference promises is right, whatever parameters other results have (`own_parameters`).
3. The precision (`precision`). If coarser storage or arithmetic than declared explains every value, the claim is what
   is wrong; the single values would repeat it under other names.
4. Each failing part (`diagnosis`): a faulty gradient, a neighbouring convention, special values, inaccurate numbers.
   Each of these sees only the elements that the ones before it leave unexplained.
5. Remarks on what is not outside a budget: negative zeros, second derivatives, and, for a result that keeps its
   measured parameters, where its reference has others, or keeps its declared convention, where that is not portable.
6. The plain call (`consistency`). If a repeated or differently differentiated call changed the result, that is the
   cause, and the findings about its values become its effects.

Simpler schemes were tried first. Taking the convention that fits best named a convention for every gradient of zeros,
and for results of nothing but NaN: hence the conditions in `neighbours`. Taking a grade for a cause blamed any small
error at large logits on a logsumexp that is formed and then subtracted: now a mechanism is named only if an emulation
reproduces it (docs/accuracy.md, section 4). A deviation that no rule explains is reported as unexplained.

Everything follows from the stored bits, so `logitmus judge` reproduces it on an old run. The only state is a memory of
the last few problems, so that all subjects of a problem share its answers and budgets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.observation import Answered, Crashed, Garbled, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging import contract, neighbours, unanswered
from logitmus.judging.assessment import Part
from logitmus.judging.batching import Call, batches
from logitmus.judging.bench import Bench
from logitmus.judging.case import Case
from logitmus.judging.consistency import beside_plain
from logitmus.judging.diagnosis import failing_values
from logitmus.judging.own_formula import by_its_formula
from logitmus.judging.own_parameters import applies_own_parameters, as_promised
from logitmus.judging.portability import differs_from_portable
from logitmus.judging.precision import coarser_precision, explains_failures
from logitmus.judging.second_order import second_derivative

Rule = Callable[[Case, Answered, Sequence[Part]], Iterable[Finding]]

_REMEMBERED: Final = 2  # problems


def values_outside_budgets(case: Case, outcome: Answered, parts: Sequence[Part]) -> list[Finding]:
    """A coarser precision than declared, if it explains all of them; else the causes part by part."""
    if case.subject.model:
        return list(by_its_formula(case, outcome, parts))
    coarser = coarser_precision(case, outcome, parts)
    return coarser if explains_failures(case, coarser) else [*coarser, *failing_values(case, outcome, parts)]


def negative_zeros(case: Case, _: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """A loss of -0.0 where the exact loss is 0."""
    loss = parts[0].elements
    where = (loss.compared.r == 0) & np.signbit(loss.compared.r) & (loss.compared.y == 0) & loss.judged
    if where.any():
        yield case.worst_element(loss, where, Kind.SPECIAL, Severity.NOTE, Cause("negative_zero"))


# No exact value is needed, and no part of the result is assessed.
CALL_RULES: Final[tuple[Rule, ...]] = (
    contract.overwritten_inputs,
    contract.undeclared_results,
    contract.accepted_invalid_problem,
)
VALUE_RULES: Final[tuple[Rule, ...]] = (
    values_outside_budgets,
    negative_zeros,
    second_derivative,
    applies_own_parameters,
    differs_from_portable,
)


class Judge:
    """Judges outcomes; see the module."""

    def __init__(self) -> None:
        self._benches: OrderedDict[str, Bench] = OrderedDict()

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome) -> Judgement:
        """The judgement of the outcome of a call."""
        return _judge(Case(problem, subject, self._bench(problem)), outcome)

    def judge_all(self, calls: Sequence[Call]) -> list[Judgement]:
        """The judgements of many calls, in their order: the same as call by call, and much faster."""
        joined = batches(calls)
        return [
            _judge(Case(problem, subject, self._bench(problem), *joined.get(n, (None, 0))), outcome)
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
        case NotRun(reason, lacks_module, given_up):
            return case.judgement(Verdict.NOT_RUN, reason=reason, lacks_module=lacks_module, given_up=given_up)
        case Crashed() | TimedOut() | OutOfMemory() | Garbled():
            return case.judgement(Verdict.FINDING, findings=[unanswered.no_response(case, outcome)])
        case Raised():
            return beside_plain(case.problem, outcome, _judge_exception(case, outcome))
        case Answered():
            return beside_plain(case.problem, outcome, _judge_result(case, outcome))


def _judge_exception(case: Case, outcome: Raised) -> Judgement:
    finding = unanswered.unexpected_exception(case, outcome)
    if finding is None:
        return case.judgement(Verdict.PASS, rows=case.problem.rows)
    return case.judgement(Verdict.FINDING, findings=[finding], rows=case.problem.rows, grade=Grade.F)


def _judge_result(case: Case, outcome: Answered) -> Judgement:
    findings = _apply(CALL_RULES, case, outcome, ())
    if case.refused is not None or any(finding.cause.name == contract.SHAPE for finding in findings):
        return case.judgement(Verdict.FINDING, findings=findings, rows=case.problem.rows, grade=Grade.F)
    if not case.has_answer:
        reason = "no exact answer exists (no classes, or an infinite weight or target)"
        return case.judgement(Verdict.COARSE, findings=findings, reason=reason)
    parts = case.parts(outcome)
    if not all(part.passes for part in parts):
        promised = as_promised(case, outcome)
        if promised is not None:
            return _sum_up(case, promised, findings)
        defined = neighbours.by_the_definition(case.bench, case.subject, outcome)
        if defined is not None:
            note = case.finding(Kind.CONVENTION, Severity.NOTE, Cause.of("convention", defined.change))
            return _sum_up(case, defined.parts, [*findings, note])
    return _sum_up(case, parts, [*findings, *_apply(VALUE_RULES, case, outcome, parts)])


def _apply(rules: Sequence[Rule], case: Case, outcome: Answered, parts: Sequence[Part]) -> list[Finding]:
    return list(chain.from_iterable(rule(case, outcome, parts) for rule in rules))


def _sum_up(case: Case, parts: Sequence[Part], findings: Sequence[Finding]) -> Judgement:
    scores = [part.scores for part in parts]
    undecided = sum(score.undecided for score in scores)
    absorbed = sum(score.absorbed for score in scores)
    if any(finding.severity is not Severity.NOTE for finding in findings):
        verdict = Verdict.FINDING
    elif undecided:
        verdict = Verdict.UNDECIDED
    elif any(score.coarse for score in scores):
        verdict = Verdict.COARSE
    else:
        verdict = Verdict.ABSORBED if absorbed else Verdict.PASS
    grades = [Grade.COARSE if score.coarse else score.grade for score in scores if score.judges]
    return case.judgement(
        verdict,
        findings=findings,
        grade=max(grades, key=lambda grade: grade.rank) if grades else None,
        rows=case.problem.rows,
        absorbed=absorbed,
        undecided=undecided,
        share=max((score.share for score in scores if not score.coarse), default=0.0),
        ulps=max((score.ulps for score in scores), default=0.0),
    )
