"""Relations between answers: two that must be the same number are compared with each other, without a reference.

A problem of the family `relations` and its images (`logitmus.cases.metamorphic`) have the same exact answer. So the
two results may differ by no more than both budgets together; how far each is from the exact value is not asked. Nothing
here is a finding: by the triangle inequality a relation that is broken has an answer that is wrong by itself, or two
questions that the function's own convention does not take for the same. docs/accuracy.md, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final

import numpy as np

from logitmus.cases.metamorphic import FAMILY, RELATIONS, Image
from logitmus.core.events import Event, Judged, Related
from logitmus.core.finding import Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import Array, ulp
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, assess_part, present_parts
from logitmus.judging.bench import Bench
from logitmus.storage.store import Store

GRADIENT_SUM: Final = "gradient_sum"
_FAST: Final = (None,)  # budgets are wanted, not verdicts


@dataclass
class Relations:
    """What was judged of the family, and what it says of how answers hang together."""

    _problems: dict[str, Problem] = field(default_factory=dict)
    _judgements: dict[str, dict[str, Judgement]] = field(default_factory=dict)

    def watching(self, events: Iterable[Event]) -> Iterator[Event]:
        """The same events; those of the family are remembered."""
        for event in events:
            if isinstance(event, Judged) and event.problem.family == FAMILY:
                self._problems[event.problem.id] = event.problem
                if event.judgement.verdict is not Verdict.NOT_RUN:
                    self._judgements.setdefault(event.judgement.subject, {})[event.problem.id] = event.judgement
            yield event

    def told(self, store: Store) -> Iterator[Related]:
        """How every subject keeps every relation that it was asked about, from the answers in the file."""
        subjects = store.subjects()
        answers = _Answers(store)
        pairs = _pairs(self._problems)
        for identity in sorted(self._judgements):
            judged, subject = self._judgements[identity], subjects[identity]
            tallies: dict[str, _Tally] = {}
            for original in sorted(judged):
                first = answers.parts(self._problems[original], subject)
                _sums(tallies, first, judged[original])
                for relation, image in pairs[original] if first else ():
                    other = self._partner(subject, image, subjects) if relation == "one_hot" else subject
                    there = None if other is None else self._judgements[other.id].get(image.problem.id)
                    if other is None or there is None:
                        continue
                    second = answers.parts(image.problem, other)
                    if second:
                        compared = _compared(first, second, image)
                        tally = tallies.setdefault(relation, _Tally())
                        tally.add(compared, (judged[original], there), subject, other)
            yield from (tally.told(identity, relation) for relation, tally in sorted(tallies.items()))

    def _partner(self, subject: Subject, image: Image, subjects: Mapping[str, Subject]) -> Subject | None:
        """Who takes as probabilities what `subject` takes as labels: the one of its own kind with the likest name."""
        able = [
            one
            for identity, one in subjects.items()
            if image.problem.id in self._judgements.get(identity, {})
            and (one.backend, one.mode, one.variant, one.device)
            == (subject.backend, subject.mode, subject.variant, subject.device)
            and one.convention.inputs == subject.convention.inputs
        ]
        return max(able, key=lambda one: (_likeness(subject.function, one.function), one.id), default=None)


# --- two answers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """How far two answers are apart: in the worst case, as a share of both budgets, and in ulps of the loss.

    ulps is 0, too, where the gradients alone are further apart than they may be.
    """

    share: float
    ulps: float
    identical: bool
    coarse: bool = False


class _Answers:
    """The assessed parts of what a subject answered: made once for all who answered the same and mean the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._raw: dict[str, dict[str, tuple[str, bytes]]] = {}
        self._benches: dict[str, Bench] = {}
        self._parts: dict[tuple[object, ...], dict[str, Assessment]] = {}

    def parts(self, problem: Problem, subject: Subject) -> dict[str, Assessment]:
        """The parts that came back by name; none where it did not answer, or not in the shape that was asked for."""
        if problem.id not in self._raw:
            self._raw[problem.id] = self._store.raw_outcomes(problem.id)
            self._benches[problem.id] = Bench(problem)
        raw = self._raw[problem.id].get(subject.id)
        if raw is None:
            return {}
        precision = subject.precision[problem.dtype]
        key = (problem.id, raw, subject.convention, precision, subject.flushes_subnormals)
        if key not in self._parts:
            self._parts[key] = self._assessed(problem, subject, self._store.outcome(*raw))
        return self._parts[key]

    def _assessed(self, problem: Problem, subject: Subject, outcome: Outcome) -> dict[str, Assessment]:
        bench = self._benches[problem.id]
        question = bench.question(subject.convention)
        loss_shape = problem.batch if question.reduction == "none" else ()
        if not isinstance(outcome, Answered) or question.refused is not None or outcome.loss.shape != loss_shape:
            return {}
        precision, flushes = subject.precision[problem.dtype], subject.flushes_subnormals
        return {
            name: assess_part(bench, question, name, result, precision, flushes=flushes, ladder=_FAST)
            for name, result in present_parts(subject, outcome)
            if name == "loss" or result.shape == problem.logits.shape
        }


def _pairs(problems: Mapping[str, Problem]) -> dict[str, list[tuple[str, Image]]]:
    """By problem (its id), the images that were asked, too, with the name of the relation; each pair once."""
    found: dict[str, list[tuple[str, Image]]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    for identity, problem in sorted(problems.items()):
        of_problem = found.setdefault(identity, [])
        for name, relation in RELATIONS.items():
            for image in relation.images(problem):
                pair = (name, frozenset({identity, image.problem.id}))
                if len(pair[1]) == 2 and image.problem.id in problems and pair not in seen:
                    seen.add(pair)
                    of_problem.append((name, image))
    return found


def _compared(first: dict[str, Assessment], second: dict[str, Assessment], image: Image) -> _Pair:
    """The worst of the loss and of the gradient by the logits; that by the targets goes with another question."""
    share, ulps, identical = 0.0, 0.0, True
    names = [name for name in ("loss", "grad_logits") if name in first and name in second]
    for name in names:
        mine, its = _placed(first[name], second[name], image)
        shares, apart = _apart(first[name], mine, second[name], its)
        identical &= not apart.any()
        if name == "loss":
            share, ulps = float(shares.max(initial=0.0)), float(apart.max(initial=0.0))
        elif share <= 1 < shares.max(initial=0.0):  # broken in the gradient alone
            share, ulps = float(shares.max()), 0.0
        else:
            share = max(share, float(shares.max(initial=0.0)))
    coarse = any(side[name].coarse for side in (first, second) for name in names)
    return _Pair(share, ulps, identical, coarse)


def _placed(one: Assessment, other: Assessment, image: Image) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Where the values of the image are in the original's part, and in its own."""
    if one.part != "loss":
        rows = np.arange(len(image.rows))
        return np.ix_(image.rows, image.kept), np.ix_(rows, image.classes)
    if not other.compared.r.shape or not one.compared.r.shape:
        return (), ()
    return (image.rows,), (np.arange(len(image.rows)),)


def _apart(
    one: Assessment, here: tuple[Array, ...], other: Assessment, there: tuple[Array, ...]
) -> tuple[Array, Array]:
    """(share of both budgets, ulps), elementwise: infinite where one is no number, or another infinity."""
    r, s = one.compared.r[here], other.compared.r[there]
    allowed = _allowed(one)[here] + _allowed(other)[there]
    same = (r == s) | (np.isnan(r) & np.isnan(s))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        distance = np.where(same, 0.0, np.abs(r - s))
        distance = np.where(np.isnan(distance), np.inf, distance)
        share = np.where(same, 0.0, distance / allowed)
        unit = ulp(np.where(np.isfinite(r), r, 0.0), one.compared.dtype)
        return np.where(np.isnan(share), np.inf, share), distance / unit


def _allowed(part: Assessment) -> Array:
    """The budget, and what the result's own rounding may add to it."""
    budget: Array = getattr(part.bench.budget(part.answer, part.roundoffs, Grade.B_PLUS), part.part)
    return np.asarray(np.broadcast_to(budget, part.compared.r.shape) + part.compared.slack)


def _sums(tallies: dict[str, _Tally], parts: dict[str, Assessment], judgement: Judgement) -> None:
    """Gradient rows add up to nothing: softmax sums to 1, and what is subtracted to what it is multiplied by."""
    part = parts.get("grad_logits")
    if part is None or part.answer.question.inputs != "logits" or not part.judged.any():
        return
    question = part.answer.question
    expected = np.zeros(question.rows)
    if question.soft_target_gradient == "plain":
        a, _, _ = question.effective
        c = np.where(question.kept, question.upstream / question.denominator, 0.0)
        expected = c * np.array([1 - math.fsum(row) for row in a])
    r = part.compared.r
    totals = np.array([math.fsum(row) if np.isfinite(row).all() else np.nan for row in r])
    allowed = np.array([math.fsum(row) for row in _allowed(part)])
    with np.errstate(invalid="ignore"):
        distance = np.abs(totals - expected)
    share = np.where(np.isnan(distance), np.inf, distance / allowed)
    pair = _Pair(float(share.max(initial=0.0)), 0.0, bool((distance == 0).all()), part.coarse)
    tallies.setdefault(GRADIENT_SUM, _Tally()).add(pair, (judgement,))


# --- what it comes to ---------------------------------------------------------------------------------------------


@dataclass
class _Tally:
    """One subject's record on one relation."""

    pairs: int = 0
    identical: int = 0
    broken: int = 0
    by_convention: int = 0
    share: float = 0.0
    ulps: float = 0.0
    why: set[str] = field(default_factory=set)
    example: tuple[str, ...] = ()

    def add(self, pair: _Pair, judgements: tuple[Judgement, ...], *between: Subject) -> None:
        """Count one pair of answers (or one answer, for its sums)."""
        if pair.coarse:
            return
        self.pairs += 1
        self.identical += pair.identical
        if pair.share > 1:
            causes, meant = _why(judgements, between)
            self.why |= causes
            if meant:
                self.by_convention += 1
                return
            if not self.broken:
                self.share, self.ulps = 0.0, 0.0  # how closely the others keep it is of no interest any more
            self.broken += 1
            if pair.share >= self.share:
                self.example = tuple(judgement.problem for judgement in judgements)
        elif self.broken:
            return
        self.share, self.ulps = max(self.share, pair.share), max(self.ulps, pair.ulps)

    def told(self, subject: str, relation: str) -> Related:
        return Related(
            subject=subject,
            relation=relation,
            pairs=self.pairs,
            identical=self.identical,
            broken=self.broken,
            by_convention=self.by_convention,
            share=self.share,
            ulps=self.ulps,
            why=tuple(sorted(self.why)),
            example=self.example,
        )


def _why(judgements: tuple[Judgement, ...], between: tuple[Subject, ...]) -> tuple[set[str], bool]:
    """Why two answers differ, and whether that is meant: what is found in either; or where two conventions differ."""
    found = [f for judgement in judgements for f in judgement.findings if f.severity is not Severity.NOTE]
    if found or not between:
        return {f.cause for f in found}, bool(found) and all(f.kind is Kind.CONVENTION for f in found)
    differences = between[0].convention.differences(between[-1].convention)
    return {f"convention:{name}={theirs}" for name, (_, theirs) in differences.items()}, bool(differences)


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
