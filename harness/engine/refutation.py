"""Refutation: is a claim about a function absent where it would have to show?

Some causes are claims about every result in a dtype: that the logsumexp is formed and then subtracted, that no
maximum is subtracted (or another mechanism), that the arithmetic is a narrower one, that float64 logits become
float32. The judge sees one result at a time: a budget that allows for so much holds any small fault, and of a dozen
mechanisms one may give the very bits of a single number by chance. So the claimed computation is emulated on the
problems that the function was given. Where the emulation misses the budget of the declared computation, the claim
should show; if nearly all of the function's results there are accurate, the claim is false. Nor is a precision the
cause where other faults have more results of that dtype than it accounts for: its wider budget holds some of theirs.

A convention, too, says something of every problem on which it matters; a mechanism, and a fault of the gradient alone,
say that all else is computed as declared. Of a function that computes something that nothing here can say, a few
results fit by chance: where many times as many stay unexplained although the claim says what they should be, it is
false.

A function that refuses to average nothing refuses it always. If it averaged nothing once and returned a result, the
exception has another cause: the ignored label, say, was used as an index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.convention import Occasion
from logitmus.core.finding import Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import ONCE, Problem, Purpose
from logitmus.core.relevance import occasions
from logitmus.core.subject import Precision, Subject, outside_domain
from logitmus.judging import mechanisms
from logitmus.judging.assessment import assess_part
from logitmus.judging.bench import Bench
from logitmus.oracle.resolve import resolve

_LARGEST: Final = 512  # elements of the logits; larger problems cost more and decide no better
_SAMPLE: Final = 200  # problems on which a claim is emulated at most
_ENOUGH: Final = 40  # of these on which it must show: no more are looked for
_FEWEST: Final = 10  # fewer decide nothing
_SHOWN: Final = 0.1  # of the problems on which it must show; a claim that shows on fewer is refuted
_BY_CHANCE: Final = 5  # times as many results that a claim does not explain, though it speaks of them
_ACCURATE: Final = (Grade.A, Grade.B_PLUS)
_NO_CAUSE: Final = Cause("unexplained")
# Of which the budget of a coarser precision holds some.
_OTHER_FAULTS: Final = frozenset(
    {"mechanism", "lost", "spurious_overflow", "unexplained", "unexplained_within_b", "unexplained_within_c"}
)
_FLOAT32_ARITHMETIC: Final = Cause("float32_arithmetic")
_FEW: Final = 0.02  # of the results that a claim explains
_NARROWED: Final = Cause.convention("wide_inputs", "narrowed")
# The input is valid, and a function that refuses it does so whatever its labels are.
_REFUSALS: Final = frozenset(Cause.convention(name, "error") for name in ("all_ignored_mean", "empty_batch_mean"))
_MEANS_OF_NOTHING: Final = frozenset({Occasion.EMPTY_MEAN, Occasion.MEAN_OF_NOTHING})
# What is reported in place of a refuted claim, by the worst grade of its findings.
_UNEXPLAINED: Final[Mapping[Grade | None, Cause]] = MappingProxyType(
    {Grade.B: Cause("unexplained_within_b"), Grade.C: Cause("unexplained_within_c")}
)


@dataclass(frozen=True)
class _Claim:
    """A claimed computation: a mechanism or an order of summation ("": a sound computation that is stored after every
    step) in a dtype; and the precision whose budget it should miss.
    """

    mechanism: str
    working: str
    precision: Precision


def is_claim(cause: Cause) -> bool:
    """Whether the cause is a claim about every result in a dtype, or about all on which a convention matters."""
    of_all_results = ("separate_logsumexp", "mechanism", "effective_precision", _FLOAT32_ARITHMETIC.name)
    return cause.name in of_all_results or cause.is_convention or is_of_gradients(cause)


def is_of_gradients(cause: Cause) -> bool:
    """Whether the cause is a gradient of another formula, beside a loss that is as declared."""
    return cause.name in ("gradient", "gradient_of")


def in_place_of(worst: Grade | None) -> Cause:
    """The cause of findings whose claim is refuted, by their worst grade."""
    return _UNEXPLAINED.get(worst, _NO_CAUSE)


class Refutations:
    """Remembers which results are accurate; `refuted` decides about a claim at the end of a run."""

    def __init__(self) -> None:
        self._accurate: dict[tuple[str, str], dict[str, bool]] = {}
        self._causes: dict[tuple[str, str], Counter[Cause]] = {}
        self._problems: dict[str, Problem] = {}
        self._unexplained: dict[tuple[str, str], list[Problem]] = {}
        self._due: dict[tuple[object, ...], bool] = {}
        # Results that arithmetic in float32 explains for rounded logits, and not for the logits as they are.
        self._only_narrowed: Counter[str] = Counter()
        self._averaged: dict[str, dict[str, Problem]] = {}

    def add(self, problem: Problem, judgement: Judgement) -> None:
        """Take in a judgement."""
        if _is_result(judgement) and not occasions(problem).isdisjoint(_MEANS_OF_NOTHING):
            self._averaged.setdefault(judgement.subject, {})[problem.id] = problem
        decided = judgement.verdict in (Verdict.PASS, Verdict.ABSORBED, Verdict.FINDING) and judgement.grade is not None
        reduced = problem.purpose is Purpose.REDUCTION  # made from a finding: it would count that finding again
        if not decided or reduced or problem.manner != ONCE or problem.logits.size > _LARGEST:
            return
        of_dtype = judgement.subject, judgement.dtype
        self._causes.setdefault(of_dtype, Counter()).update({finding.cause for finding in judgement.findings})
        self._problems[problem.id] = problem
        narrowed = [finding for finding in judgement.findings if finding.cause == _NARROWED]
        self._only_narrowed[judgement.subject] += sum(finding.instead is None for finding in narrowed)
        if any(finding.cause == _NO_CAUSE for finding in judgement.findings):
            self._unexplained.setdefault(of_dtype, []).append(problem)
        # A parameter of its own is found on results that are right with it.
        faultless = judgement.verdict is not Verdict.FINDING or all(
            finding.cause.name == "parameter" or finding.severity is Severity.NOTE for finding in judgement.findings
        )
        accurate = faultless and judgement.grade in _ACCURATE
        self._accurate.setdefault(of_dtype, {})[problem.id] = accurate

    def refuted(self, subject: Subject, dtype: str, cause: Cause) -> bool:
        """Whether the claim is absent from nearly all results in which it should show, or accounts for the fewer."""
        if self._fits_by_chance(subject, dtype, cause):
            return True
        if is_of_gradients(cause):
            return False
        if cause in _REFUSALS:
            refusing = subject.convention.but(**dict([cause.choice]))
            averaged = self._averaged.get(subject.id, {}).values()
            return any(resolve(problem, refusing).refused is not None for problem in averaged)
        causes = self._causes.get((subject.id, dtype), Counter())
        others = sum(count for other, count in causes.items() if other.name in _OTHER_FAULTS)
        if cause.name == "effective_precision" and others > causes[cause]:
            return True
        if cause.is_convention and cause != _NARROWED:
            return False
        if cause in (_NARROWED, _FLOAT32_ARITHMETIC) and causes[_NARROWED]:
            for_rounded = self._only_narrowed[subject.id] + _FEW * causes[_NARROWED]
            if (causes[_FLOAT32_ARITHMETIC] > for_rounded) is (cause == _NARROWED):
                return True
        claim = _claim(subject, dtype, cause)
        results = sorted(self._accurate.get((subject.id, dtype), {}).items())  # ids are hashes: a fair sample
        due = (a for identity, a in results[:_SAMPLE] if self._is_due(self._problems[identity], subject, claim))
        accurate = list(islice(due, _ENOUGH))
        if cause == _NARROWED:  # what rounds its inputs does it always
            return any(accurate)
        return len(accurate) >= _FEWEST and accurate.count(False) <= _SHOWN * len(accurate)

    def _fits_by_chance(self, subject: Subject, dtype: str, cause: Cause) -> bool:
        """Whether many times as many results as the claim explains are unexplained, though it speaks of them."""
        of_dtype = subject.id, dtype
        unexplained, causes = self._unexplained.get(of_dtype, []), self._causes.get(of_dtype, Counter())
        # A mechanism has a cause of its own within the budget that is made for it.
        same = {cause, catalogue.of_mechanism(cause.detail)} if cause.name == "mechanism" else {cause}
        explained = sum(causes[each] for each in same)
        if len(unexplained) <= _BY_CHANCE * explained:
            return False
        if not cause.is_convention:
            return True
        own, claimed = subject.convention, subject.convention.but(**dict([cause.choice]))
        inside = (problem for problem in unexplained if outside_domain(claimed.inputs, problem) is None)
        due = sum(resolve(problem, own).key != resolve(problem, claimed).key for problem in inside)
        return due > _BY_CHANCE * explained

    def _is_due(self, problem: Problem, subject: Subject, claim: _Claim) -> bool:
        key = (problem.id, subject.convention, subject.flushes_subnormals, claim)
        if key not in self._due:
            self._due[key] = _is_due(problem, subject, claim)
        return self._due[key]


def _is_result(judgement: Judgement) -> bool:
    """Whether the call returned a result."""
    no_result = (Kind.CRASH, Kind.TIMEOUT)
    return judgement.verdict is not Verdict.NOT_RUN and not any(
        finding.kind in no_result or "raised" in (finding.cause.name, finding.instead and finding.instead.name)
        for finding in judgement.findings
    )


def _claim(subject: Subject, dtype: str, cause: Cause) -> _Claim:
    """The computation that a cause claims."""
    declared = subject.precision[dtype]
    if cause in (_NARROWED, _FLOAT32_ARITHMETIC):
        return _Claim("", "float32", declared)
    if cause.name == "separate_logsumexp":
        return _Claim("logsumexp_formed_and_then_subtracted", declared.arithmetic, declared)
    if cause.name == "mechanism":
        return _Claim(cause.detail, declared.arithmetic, declared)
    claimed = cause.precision
    finer = _size(declared.storage) > _size(claimed["storage"]) or _size(declared.arithmetic) > _size(
        claimed["arithmetic"]
    )
    name = "sum_in_8_lanes" if claimed["arithmetic"] == claimed["storage"] else ""
    return _Claim(name, claimed["storage"], declared if finer else Precision(declared.result, "float32", "float32"))


def _size(dtype: str) -> int:
    return FLOAT_DTYPES[dtype].itemsize


def _is_due(problem: Problem, subject: Subject, claim: _Claim) -> bool:
    """Whether the loss, computed as is claimed, misses the budget."""
    bench = Bench(problem)
    question = bench.question(subject.convention)
    if question.refused is not None or not question.has_answer or question.inputs != "logits":
        return False
    if question.fixed is not None:
        return False
    with np.errstate(all="ignore"):
        emulated = mechanisms.emulated_loss(bench.answer(question), claim.working, claim.mechanism)
        result = emulated.astype(FLOAT_DTYPES[claim.precision.result])
        assessed = assess_part(
            bench, question, "loss", result, claim.precision, flushes=subject.flushes_subnormals, ladder=(None,)
        )
        return not assessed.coarse and bool(assessed.failing.any())
