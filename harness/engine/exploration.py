"""Exploration: problems beyond the fixed suite, bred from those that come closest to their error budgets.

It goes in rounds; the problems of a round share a signature, and rounds take turns through dtypes and forms. Some
problems of a round are drawn by Hypothesis; the others descend from the problems whose results used most of their
error budget (as Zimmermann et al., "Accuracy of Mathematical Functions", keep the 20 worst). The sequence of problems
follows from the seed and from the judgements; time only ends it. Problems and results are kept in the run's file, so
that the exploration can be evaluated again without a framework.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Final, TypeVar

from logitmus.cases.generation.draws import Draws
from logitmus.core.events import Explored, Judged, Reached
from logitmus.core.finding import Finding, Judgement, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject
from logitmus.engine.follow_up import Responder

if TYPE_CHECKING:
    from logitmus.cases.generation.mutation import Form

_BEST: Final = 20  # problems kept for each subject and dtype
_EACH: Final = 32  # problems in a round
_DRAWN: Final = 4  # problems of a round that Hypothesis draws
_MOST_CLASSES: Final = 64  # of a parent: its descendants would keep too little of a larger parent
_OTHERS: Final = 2  # further parents that a descendant may have
_WITHIN: Final = (Verdict.PASS, Verdict.ABSORBED)

_T = TypeVar("_T")
_Place = tuple[str, str]  # a subject (its id) and a dtype


class Explorer:
    """Searches beyond the suite for findings that the suite has not shown.

    Args:
        settings: those of the run: how long to explore (if at all), with which seed, and in which dtypes.
    """

    def __init__(self, settings: RunSettings) -> None:
        self.minutes = settings.explore.minutes
        self._rounds = settings.explore.rounds
        self._dtypes = settings.dtypes or tuple(FLOAT_DTYPES)
        self._seed = settings.seed
        self._known: set[tuple[str, str, str, str]] = set()
        self._seen: set[str] = set()
        self._suite: dict[_Place, float] = {}
        self._reached: dict[_Place, float] = {}
        self._best: dict[_Place, dict[float, Problem]] = {}
        self._found: list[Finding] = []
        self._problems = 0
        self._calls: Counter[_Place] = Counter()

    def observe(self, event: Judged) -> None:
        """Take in a judgement of the suite."""
        problem, judgement = event.problem, event.judgement
        self._seen.add(problem.id)
        self._known.update(finding.key for finding in judgement.findings)
        if self.minutes and judgement.verdict in _WITHIN:
            self._keep(problem, judgement)
            place = (judgement.subject, judgement.dtype)
            self._suite[place] = max(self._suite.get(place, 0.0), judgement.share)

    def explore(
        self, responder: Responder, *, enough: Callable[[], bool] = lambda: False
    ) -> Iterator[Judged | Explored]:
        """Run round after round until the time is up; yield all judgements of a problem that shows a new finding.

        Args:
            enough: called before each round; true ends the exploration.
        """
        end = time.monotonic() + 60 * self.minutes
        turns = islice(_turns(responder.subjects.values(), self._dtypes), self._rounds)
        for number, (form, dtype) in enumerate(turns):
            if time.monotonic() >= end or enough():
                return
            yield from self.run_round(responder, self._bred(form, dtype, number))

    def run_round(self, responder: Responder, problems: Iterable[Problem]) -> Iterator[Judged | Explored]:
        """Run these problems on all subjects, and yield what is new."""
        unseen = [problem for problem in dict.fromkeys(problems) if problem.id not in self._seen]
        self._seen.update(problem.id for problem in unseen)
        subjects = sorted(responder.subjects)
        results = iter(responder.judge([(problem, subject) for problem in unseen for subject in subjects]))
        for problem in unseen:
            judgements = [next(results) for _ in subjects]
            self._problems += any(judgement.verdict is not Verdict.NOT_RUN for judgement in judgements)
            new = [self._take(problem, judgement) for judgement in judgements]
            if any(new):
                yield from (Judged(problem, judgement) for judgement in judgements)
        yield self._progress()

    def repeat(self, responder: Responder, problems: Sequence[Problem]) -> Iterator[Judged | Explored]:
        """Yield the same for the exploration problems of a run's file."""
        for start in range(0, len(problems), _EACH):
            yield from self.run_round(responder, problems[start : start + _EACH])

    def _take(self, problem: Problem, judgement: Judgement) -> bool:
        """Take in a judgement; return whether it has a new finding."""
        if judgement.verdict is Verdict.NOT_RUN:
            return False
        place = (judgement.subject, judgement.dtype)
        self._calls[place] += 1
        if judgement.verdict in _WITHIN:
            self._reached[place] = max(self._reached.get(place, 0.0), judgement.share)
            self._keep(problem, judgement)
        new = [finding for finding in judgement.findings if finding.key not in self._known]
        self._known.update(finding.key for finding in new)
        self._found += {finding.key: finding for finding in reversed(new)}.values()
        return bool(new)

    def _keep(self, problem: Problem, judgement: Judgement) -> None:
        """Keep the problem if it is among the best; which ones are kept does not depend on the order of judgements."""
        if problem.classes > _MOST_CLASSES or not problem.logits.size:
            return
        best = self._best.setdefault((judgement.subject, judgement.dtype), {})
        # One problem for each share of the budget: the best must not be twenty variants of the same problem.
        share = judgement.share
        best[share] = min(best.get(share, problem), problem, key=lambda candidate: candidate.id)
        if len(best) > _BEST:
            del best[min(best)]

    def _progress(self) -> Explored:
        shares = tuple(
            Reached(
                subject,
                dtype,
                calls=self._calls[subject, dtype],
                suite=self._suite.get((subject, dtype), 0.0),
                share=self._reached.get((subject, dtype), 0.0),
            )
            for subject, dtype in sorted(self._calls)
        )
        return Explored(self._problems, sum(self._calls.values()), shares, tuple(self._found))

    def _bred(self, form: Form, dtype: str, number: int) -> Iterator[Problem]:
        """Yield the problems of a round: some are drawn, the rest descends from the best so far."""
        from logitmus.cases.generation import mutation  # noqa: PLC0415  (loads Hypothesis)

        best = self._parents(form.targets, dtype)
        yield from mutation.drawn(form, dtype, _DRAWN if best else _EACH, self._seed, number)
        for child in range(_EACH - _DRAWN) if best else ():
            draws = Draws("parents", self._seed, number, child)
            chosen = _choose(best, 1 + draws.index(1 + _OTHERS), draws)
            parents = [problems[draws.index(len(problems))] for problems in chosen]
            yield mutation.bred(parents, form, dtype, self._seed, number, child)

    def _parents(self, targets: str, dtype: str) -> list[tuple[Problem, ...]]:
        """The best problems in that dtype with such targets, by subject; equal lists of two subjects count once."""
        best = [
            tuple(by_share[share] for share in sorted(by_share, reverse=True))
            for (_, kept_dtype), by_share in sorted(self._best.items())
            if kept_dtype == dtype and by_share
        ]
        return list(dict.fromkeys(problems for problems in best if problems[0].target_kind == targets))


def _turns(subjects: Collection[Subject], dtypes: Sequence[str]) -> Iterator[tuple[Form, str]]:
    """Yield forms and dtypes in turn, without end; the first forms come soonest and most often."""
    from logitmus.cases.generation import mutation  # noqa: PLC0415  (loads Hypothesis)

    gradients = all(subject.offer.gradients for subject in subjects)
    kinds = {
        (s.convention.inputs, s.offer.targets, s.offer.reductions, tuple(sorted(s.offer.options)))
        for s in subjects
        if s.offer.reductions
    }
    forms = [
        mutation.forms(targets, options, reductions=reductions, inputs=inputs, upstream=gradients)
        for inputs, targets, reductions, options in sorted(kinds, key=lambda kind: (kind[0] != "logits", kind))
    ]
    offered = {dtype for subject in subjects for dtype in subject.offer.dtypes}
    usable = [dtype for dtype in dtypes if dtype in offered]
    laps = [list(dict.fromkeys(filter(None, lap))) for lap in zip_longest(*forms)]
    for lap in count(1) if laps and usable else ():
        for lap_forms in laps[:lap]:
            yield from ((form, dtype) for dtype in usable for form in lap_forms)


def _choose(items: Sequence[_T], number: int, draws: Draws) -> list[_T]:
    return [items[draws.index(len(items))] for _ in range(number)]
