"""Exploration: problems beyond the fixed suite, bred from those that come closest to their budgets.

Rounds of problems of one signature, in turn through dtypes and forms. A part of each is drawn by Hypothesis; the rest
is bred from the problems whose answers used most of their budget (Zimmermann et al., "Accuracy of Mathematical
Functions", keep the 20 worst likewise). The sequence of problems follows from the seed and from the answers; time only
cuts it. What is asked is kept in the run's file, and what came of it is read from there without a framework.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Any, Final, TypeVar

from logitmus.cases.generation.draws import Draws
from logitmus.core.events import Event, Explored, Judged, Reached
from logitmus.core.finding import Finding, Judgement, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.follow_up import Asking

if TYPE_CHECKING:
    from logitmus.cases.generation.mutation import Form

SETTING: Final = "explore"  # the name of that setting: {"minutes": 5.0}, and perhaps {"rounds": 10}
_BEST: Final = 20  # for each subject and dtype
_EACH: Final = 32  # problems in a round
_DRAWN: Final = 4  # of these by Hypothesis
_MOST_CLASSES: Final = 64  # of a problem that has descendants: of larger ones too little would be left
_OTHERS: Final = 2  # problems from whose rows a descendant may have some
_WITHIN: Final = (Verdict.PASS, Verdict.ABSORBED)

_T = TypeVar("_T")
_Place = tuple[str, str]  # a subject (its id) and a dtype


class Explorer:
    """What a run has shown so far, and what is new beside it.

    Args:
        settings: the run's own; they say how long it explores, if at all, with which seed, and in which dtypes.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        said = settings.get(SETTING) or {}
        self.minutes: float = said.get("minutes", 0.0)
        self._rounds: int | None = said.get("rounds")
        self._dtypes: tuple[str, ...] = tuple(settings.get("dtypes") or FLOAT_DTYPES)
        self._seed = settings.get("seed", 0)
        self._known: set[tuple[str, str, str, str]] = set()
        self._seen: set[str] = set()
        self._suite: dict[_Place, float] = {}
        self._reached: dict[_Place, float] = {}
        self._best: dict[_Place, dict[float, Problem]] = {}
        self._found: list[Finding] = []
        self._problems = 0
        self._calls: Counter[_Place] = Counter()

    def watching(self, events: Iterable[Event]) -> Iterator[Event]:
        """The same events; what was judged is known."""
        for event in events:
            if isinstance(event, Judged):
                self._seen.add(event.problem.id)
                self._known.update(finding.key for finding in event.judgement.findings)
                if self.minutes and event.judgement.verdict in _WITHIN:
                    self._keep(event.problem, event.judgement)
                    place = (event.judgement.subject, event.judgement.dtype)
                    self._suite[place] = max(self._suite.get(place, 0.0), event.judgement.share)
            yield event

    def explore(self, asking: Asking, *, enough: Callable[[], bool] = lambda: False) -> Iterator[Judged | Explored]:
        """Ask on, round by round, until the time is up; where something new shows, all that was said of that problem.

        Args:
            enough: asked before each round.
        """
        end = time.monotonic() + 60 * self.minutes
        for number, (form, dtype) in enumerate(islice(_turns(asking.subjects.values(), self._dtypes), self._rounds)):
            if time.monotonic() >= end or enough():
                return
            yield from self.tell(asking, self._problems_of(form, dtype, number))

    def tell(self, asking: Asking, problems: Iterable[Problem]) -> Iterator[Judged | Explored]:
        """Ask these, all subjects, and tell what is new."""
        asked = [problem for problem in dict.fromkeys(problems) if problem.id not in self._seen]
        self._seen.update(problem.id for problem in asked)
        subjects = sorted(asking.subjects)
        said = iter(asking.ask([(problem, subject) for problem in asked for subject in subjects]))
        for problem in asked:
            judgements = [next(said) for _ in subjects]
            self._problems += any(one.verdict is not Verdict.NOT_RUN for one in judgements)
            new = [self._take(problem, judgement) for judgement in judgements]
            if any(new):
                yield from (Judged(problem, judgement) for judgement in judgements)
        yield self._told()

    def of_file(self, asking: Asking, problems: Sequence[Problem]) -> Iterator[Judged | Explored]:
        """The same of the problems that a file holds of an exploration."""
        for start in range(0, len(problems), _EACH):
            yield from self.tell(asking, problems[start : start + _EACH])

    # --- within --------------------------------------------------------------------------------------------------

    def _take(self, problem: Problem, judgement: Judgement) -> bool:
        """Keep what the judgement says; whether anything of it is new."""
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
        """Among the best, if it is one of them; the same ones stay, whatever came first."""
        if problem.classes > _MOST_CLASSES or not problem.logits.size:
            return
        best = self._best.setdefault((judgement.subject, judgement.dtype), {})
        # One problem for each share: twenty that come to the same are one.
        best[judgement.share] = min(best.get(judgement.share, problem), problem, key=lambda one: one.id)
        if len(best) > _BEST:
            del best[min(best)]

    def _told(self) -> Explored:
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

    def _problems_of(self, form: Form, dtype: str, number: int) -> Iterator[Problem]:
        from logitmus.cases.generation import mutation  # noqa: PLC0415  (loads Hypothesis)

        best = self._parents(form.targets, dtype)
        yield from mutation.drawn(form, dtype, _DRAWN if best else _EACH, self._seed, number)
        for child in range(_EACH - _DRAWN) if best else ():
            draws = Draws("parents", self._seed, number, child)
            parents = [of[draws.index(len(of))] for of in _some(best, 1 + draws.index(1 + _OTHERS), draws)]
            yield mutation.bred(parents, form, dtype, self._seed, number, child)

    def _parents(self, targets: str, dtype: str) -> list[tuple[Problem, ...]]:
        """The best problems in that dtype with such targets, by subject; subjects that have the same are one."""
        best = [
            tuple(by_share[share] for share in sorted(by_share, reverse=True))
            for (_, of), by_share in sorted(self._best.items())
            if of == dtype and by_share
        ]
        return list(dict.fromkeys(of for of in best if of[0].target_kind == targets))


def _turns(subjects: Collection[Subject], dtypes: Sequence[str]) -> Iterator[tuple[Form, str]]:
    """Forms and dtypes in turn, without end: the first forms soonest and most often."""
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
    taken = [dtype for dtype in dtypes if dtype in offered]
    laps = [list(dict.fromkeys(filter(None, lap))) for lap in zip_longest(*forms)]
    for lap in count(1) if laps and taken else ():
        for found in laps[:lap]:
            yield from ((form, dtype) for dtype in taken for form in found)


def _some(things: Sequence[_T], number: int, draws: Draws) -> list[_T]:
    return [things[draws.index(len(things))] for _ in range(number)]
