"""Metamorphic relations: two results that must be equal are compared with each other, without a reference.

A problem of the family `relations` and its images (`logitmus.cases.metamorphic`) have the same exact answer. So the
two results may differ by at most the sum of their error budgets; the exact value plays no part. A violation is not a
finding: by the triangle inequality, one of the two results is then wrong by itself, or the function's own convention
gives the two problems different answers. docs/accuracy.md, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final

import numpy as np

from logitmus.cases.metamorphic import FAMILY, RELATIONS, Image
from logitmus.core.causes import Cause
from logitmus.core.events import Judged, Related
from logitmus.core.finding import Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import Array, ulp
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, assess_part, present_parts
from logitmus.judging.bench import Bench
from logitmus.storage.store import Store

GRADIENT_SUM: Final = "gradient_sum"
_FAST: Final = (None,)  # budgets suffice, without verdicts
# What does not hold under a parameter (`core.parameters`): its term depends on the offset, or on the number of classes.
_UNDONE: Final = {"z_loss": frozenset({"shift", GRADIENT_SUM}), "label_smoothing": frozenset({"padding"})}


@dataclass
class RelationChecks:
    """The judgements of the family, and which relations hold between their results."""

    _problems: dict[str, Problem] = field(default_factory=dict)
    _judgements: dict[str, dict[str, Judgement]] = field(default_factory=dict)

    def observe(self, event: Judged) -> None:
        """Take in a judgement."""
        if event.problem.family == FAMILY:
            self._problems[event.problem.id] = event.problem
            if event.judgement.verdict is not Verdict.NOT_RUN:
                self._judgements.setdefault(event.judgement.subject, {})[event.problem.id] = event.judgement

    def results(self, store: Store) -> Iterator[Related]:
        """Yield how each relation holds for each subject, from the results in the file."""
        subjects = store.subjects()
        parts = _Parts(store)
        pairs = _pairs(self._problems)
        for identity in sorted(self._judgements):
            judged, subject = self._judgements[identity], subjects[identity]
            tallies: dict[str, _Tally] = {}
            for original in sorted(judged):
                first = parts.of(self._problems[original], subject)
                _sums(tallies, first, judged[original])
                for relation, image in pairs[original] if first else ():
                    other = self._partner(subject, image, subjects) if relation == "one_hot" else subject
                    theirs = None if other is None else self._judgements[other.id].get(image.problem.id)
                    if other is None or theirs is None:
                        continue
                    second = parts.of(image.problem, other)
                    if second:
                        compared = _compared(first, second, image)
                        tally = tallies.setdefault(relation, _Tally())
                        tally.add(compared, (judged[original], theirs), subject, other)
            undone = set().union(*(_UNDONE.get(name, ()) for name in subject.convention.parameters.chosen))
            yield from (tally.result(identity, name) for name, tally in sorted(tallies.items()) if name not in undone)

    def _partner(self, subject: Subject, image: Image, subjects: Mapping[str, Subject]) -> Subject | None:
        """The subject of the same kind with probability targets, and with the most similar name."""
        able = [
            candidate
            for identity, candidate in subjects.items()
            if image.problem.id in self._judgements.get(identity, {})
            and (candidate.backend, candidate.mode, candidate.variant, candidate.device)
            == (subject.backend, subject.mode, subject.variant, subject.device)
            and candidate.convention.inputs == subject.convention.inputs
        ]
        return max(
            able, key=lambda partner: (_similarity(subject.function, partner.function), partner.id), default=None
        )


@dataclass(frozen=True)
class _Pair:
    """The largest distance of two results: as a share of the sum of their budgets, and in ulps of the loss.

    ulps is 0, too, where only the gradients violate the relation. classes: K of the problem.
    """

    share: float
    ulps: float
    identical: bool
    classes: int
    coarse: bool = False


class _Parts:
    """The assessed parts of results, each made once for all subjects with equal bits and an equal declaration."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._raw: dict[str, dict[str, tuple[str, bytes]]] = {}
        self._benches: dict[str, Bench] = {}
        self._parts: dict[tuple[object, ...], dict[str, Assessment]] = {}

    def of(self, problem: Problem, subject: Subject) -> dict[str, Assessment]:
        """The parts of the result, by name; empty where there is no result, or it has another shape."""
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
    """By problem (its id), those of its images that were run, with the name of the relation; each pair once."""
    images: dict[str, list[tuple[str, Image]]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    for identity, problem in sorted(problems.items()):
        of_problem = images.setdefault(identity, [])
        for name, relation in RELATIONS.items():
            for image in relation.images(problem):
                pair = (name, frozenset({identity, image.problem.id}))
                if len(pair[1]) == 2 and image.problem.id in problems and pair not in seen:
                    seen.add(pair)
                    of_problem.append((name, image))
    return images


def _compared(first: dict[str, Assessment], second: dict[str, Assessment], image: Image) -> _Pair:
    """The worst of the loss and of the gradient by the logits; the gradient by the targets need not agree."""
    share, ulps, identical = 0.0, 0.0, True
    names = [name for name in ("loss", "grad_logits") if name in first and name in second]
    for name in names:
        here, there = _places(first[name], second[name], image)
        shares, apart = _distance(first[name], here, second[name], there)
        identical &= not apart.any()
        if name == "loss":
            share, ulps = float(shares.max(initial=0.0)), float(apart.max(initial=0.0))
        elif share <= 1 < shares.max(initial=0.0):  # violated in the gradient alone
            share, ulps = float(shares.max()), 0.0
        else:
            share = max(share, float(shares.max(initial=0.0)))
    coarse = any(side[name].coarse for side in (first, second) for name in names)
    return _Pair(share, ulps, identical, image.problem.logits.shape[-1], coarse)


def _places(first: Assessment, second: Assessment, image: Image) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The indices of the image's values in the part of the original, and in its own."""
    if first.part != "loss":
        rows = np.arange(len(image.rows))
        return np.ix_(image.rows, image.kept), np.ix_(rows, image.classes)
    if not second.compared.r.shape or not first.compared.r.shape:
        return (), ()
    return (image.rows,), (np.arange(len(image.rows)),)


def _distance(
    first: Assessment, here: tuple[Array, ...], second: Assessment, there: tuple[Array, ...]
) -> tuple[Array, Array]:
    """(share of both budgets, ulps), elementwise; infinite where one is NaN, or an infinity that the other is not."""
    r, s = first.compared.r[here], second.compared.r[there]
    allowed = _allowed(first)[here] + _allowed(second)[there]
    same = (r == s) | (np.isnan(r) & np.isnan(s))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        distance = np.where(same, 0.0, np.abs(r - s))
        distance = np.where(np.isnan(distance), np.inf, distance)
        share = np.where(same, 0.0, distance / allowed)
        unit = ulp(np.where(np.isfinite(r), r, 0.0), first.compared.dtype)
        return np.where(np.isnan(share), np.inf, share), distance / unit


def _allowed(part: Assessment) -> Array:
    """The error budget, and what the rounding of the result itself may add to it."""
    budget: Array = getattr(part.bench.budget(part.answer, part.roundoffs, Grade.B_PLUS), part.part)
    return np.asarray(np.broadcast_to(budget, part.compared.r.shape) + part.compared.slack)


def _sums(tallies: dict[str, _Tally], parts: dict[str, Assessment], judgement: Judgement) -> None:
    """Tally whether gradient rows sum to 0: softmax sums to 1, and so do the targets that are subtracted from it."""
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
    pair = _Pair(float(share.max(initial=0.0)), 0.0, bool((distance == 0).all()), r.shape[-1], part.coarse)
    tallies.setdefault(GRADIENT_SUM, _Tally()).add(pair, (judgement,))


@dataclass
class _Tally:
    """How a relation holds for a subject."""

    pairs: int = 0
    identical: int = 0
    broken: int = 0
    by_convention: int = 0
    share: float = 0.0
    ulps: float = 0.0
    classes: int = 0
    why: set[Cause] = field(default_factory=set)
    example: tuple[str, ...] = ()

    def add(self, pair: _Pair, judgements: tuple[Judgement, ...], *between: Subject) -> None:
        """Count a pair of results (or a single result, for its sums)."""
        if pair.coarse:
            return
        self.pairs += 1
        self.identical += pair.identical
        self.classes = max(self.classes, pair.classes)
        if pair.share > 1:
            causes, by_convention = _explanation(judgements, between)
            self.why |= causes
            if by_convention:
                self.by_convention += 1
                return
            if not self.broken:
                self.share, self.ulps = 0.0, 0.0  # from now on, only violations count
            self.broken += 1
            if pair.share >= self.share:
                self.example = tuple(judgement.problem for judgement in judgements)
        elif self.broken:
            return
        self.share, self.ulps = max(self.share, pair.share), max(self.ulps, pair.ulps)

    def result(self, subject: str, relation: str) -> Related:
        return Related(
            subject=subject,
            relation=relation,
            pairs=self.pairs,
            identical=self.identical,
            broken=self.broken,
            by_convention=self.by_convention,
            share=self.share,
            ulps=self.ulps,
            classes=self.classes,
            why=tuple(sorted(self.why)),
            example=self.example,
        )


def _explanation(judgements: tuple[Judgement, ...], between: tuple[Subject, ...]) -> tuple[set[Cause], bool]:
    """The causes of the difference (findings of either, or differing conventions), and whether all are conventions."""
    findings = [f for judgement in judgements for f in judgement.findings if f.severity is not Severity.NOTE]
    if findings or not between:
        return {f.cause for f in findings}, bool(findings) and all(f.kind is Kind.CONVENTION for f in findings)
    differences = between[0].convention.differences(between[-1].convention)
    return {Cause.convention(name, theirs) for name, (_, theirs) in differences.items()}, bool(differences)


def _similarity(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second).ratio()
