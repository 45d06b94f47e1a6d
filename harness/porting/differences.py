"""Differences between two functions, each with a small problem that shows it and the change that removes it.

The search covers every field in which two conventions differ, and every option that only the first function offers.
For each it finds a problem that shows the difference, and a call of the second function that means the same. Such a
translation is proven with the exact answer before it is run; "agrees" means that the result is within the error budget
of the first function's meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from logitmus.cases.port_examples import examples, plain_call
from logitmus.conventions.fit import Observed, Reading
from logitmus.core.convention import FIELDS
from logitmus.core.observation import Answered, Outcome, Raised
from logitmus.core.problem import DEFAULT_REDUCTION, Option, Problem, TargetKind
from logitmus.core.relevance import matters
from logitmus.core.subject import Subject
from logitmus.porting.evaluation import Evaluation, predicted
from logitmus.porting.manual_steps import BETTER, by_hand
from logitmus.porting.translation import Translated, Turn, as_it_stands, translations

Verdict = Literal["agrees", "differs", "not tried"]
PLAIN: Final = "plain"
_TURNS: Final = ("targets", "inputs")  # changes for these apply to all later differences
# Listed even if no example shows them: they show in other dtypes, in gradients, or for other inputs.
_ALWAYS_LISTED: Final = frozenset(name for name, field in FIELDS.items() if field.rare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A problem, evaluated with both functions.

    Attributes:
        problem: the problem, for the first function. part: the part of the result that differs.
        source: the result of the first function. as_it_stands: that of the second, for the same call.
        translated: the result of the second function after the change `way`; None: there is no such change.
        verdict: whether it agrees with the first function.
    """

    problem: Problem
    part: str
    source: Outcome
    as_it_stands: Outcome
    way: Translated | None
    translated: Outcome | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference between two functions.

    Attributes:
        name: a field of `FIELDS`, or an option or "reduction" that the second function does not offer.
        source, target: the two choices; "offered" and "not offered".
        remedy: the changes, in words and code. example: None if no problem shows the difference.
    """

    name: str
    source: str
    target: str
    remedy: tuple[str, ...]
    example: Example | None

    @property
    def verdict(self) -> Verdict:
        return self.example.verdict if self.example is not None else "not tried"


@dataclass(frozen=True)
class _Draft:
    """A difference before its calls are evaluated."""

    name: str
    source: str
    target: str
    problem: Problem | None = None
    part: str = "loss"
    way: Translated | None = None
    calls: tuple[tuple[Subject, Problem], ...] = ()


@dataclass(frozen=True)
class Search:
    """Search for a problem that shows each difference, and for its remedy; the first of `turns` is the target."""

    evaluation: Evaluation
    source: Subject
    target: Subject
    named: Subject
    turns: tuple[Turn, ...]

    def all(self) -> list[Difference]:
        """The plain call and every difference; all calls are evaluated together."""
        drafts = [self._draft(PLAIN, "", "", plain_call(self.source.offer.targets)), *self._drafts()]
        outcomes = iter(self.evaluation.put([call for draft in drafts for call in draft.calls]))
        tried = [self._tried(draft, [next(outcomes) for _ in draft.calls]) for draft in drafts]
        written = [words for difference in tried if difference.name in _TURNS for words in difference.remedy]
        return [
            difference if difference.name in (PLAIN, *_TURNS) else _besides(difference, written) for difference in tried
        ]

    def _drafts(self) -> Iterator[_Draft]:
        source, target, named = self.source, self.target, self.named
        if source.offer.targets != named.offer.targets:
            kinds = (source.offer.targets, named.offer.targets)
            yield self._best("targets", *kinds, self._examples("targets"))
        if source.convention.inputs != named.convention.inputs:
            inputs = (source.convention.inputs, named.convention.inputs)
            yield self._best("inputs", *inputs, self._examples("inputs", inputs[1]))
        for name, (mine, theirs) in source.convention.differences(target.convention).items():
            if name != "inputs" and plays(name, source) and (plays(name, target) or name == "ignore_default"):
                shown = list(self._examples(name, theirs))
                fair = [problem for problem in shown if problem.options <= target.offer.options]
                # Problems with an option that the target does not offer are shown with that option.
                if fair or (not shown and name in _ALWAYS_LISTED and by_hand(name, mine) != BETTER):
                    yield self._best(name, mine, theirs, fair)
        lost: list[str] = [option for option in Option if plays(option, source) and option not in target.offer.options]
        lost += [f"reduction={r}" for r in source.offer.reductions if r not in target.offer.reductions]
        for name in lost:
            if name != f"reduction={source.convention.default_reduction}":  # shown already
                yield self._best(name, "offered", "not offered", self._examples(name))

    def _best(self, name: str, mine: str, theirs: str, shown: Iterable[Problem]) -> _Draft:
        """The first example with a translation; else the first."""
        first: _Draft | None = None
        for problem in shown:
            draft = self._draft(name, mine, theirs, problem)
            if draft.way is not None:
                return draft
            first = first or draft
        return first or _Draft(name, mine, theirs)

    def _draft(self, name: str, mine: str, theirs: str, problem: Problem) -> _Draft:
        part = self._part(name, theirs, problem) or "loss"
        other = self.named if name in (PLAIN, "inputs") else self.target
        way = next(self._ways(name, mine, problem, part), None)
        calls = [(self.source, problem), (other, as_it_stands(problem, self.source, other))]
        calls += [(way.subject, way.problem)] if way is not None else []
        return _Draft(name, mine, theirs, problem, part, way, tuple(calls))

    def _ways(self, name: str, wanted: str, problem: Problem, part: str) -> Iterator[Translated]:
        """The translations that agree with the source, by the exact answer."""
        first = self.turns[0] if name in ("inputs", "targets", PLAIN) else replace(self.turns[0], words=())
        inputs = self.target.convention.inputs
        others = (
            turn
            for turn in self.turns[1:]
            if getattr(turn.subject.convention, name, None) == wanted and turn.subject.convention.inputs == inputs
        )
        for way in translations(problem, self.source, (first, *others), plain=name == PLAIN):
            if self._reading(problem, way, predicted(way.subject, way.problem), part) is Reading.FITS:
                yield way

    def _reading(self, problem: Problem, way: Translated, outcome: Outcome, part: str) -> Reading:
        """Whether a result agrees with the meaning of the source."""
        finished = way.finish(outcome)
        if not isinstance(finished, Answered | Raised) or (part != "loss" and way.factors is not None):
            return Reading.REFUTED
        return Observed(problem, finished).read(part, way.subject, self.source.convention, "")

    def _tried(self, draft: _Draft, outcomes: Sequence[Outcome]) -> Difference:
        way, problem = draft.way, draft.problem
        remedy = way.words if way is not None else (by_hand(draft.name, draft.source),)
        if problem is None:
            return Difference(name=draft.name, source=draft.source, target=draft.target, remedy=remedy, example=None)
        agrees = way is not None and self._reading(problem, way, outcomes[2], draft.part).fits
        example = Example(
            problem=problem,
            part=draft.part,
            source=outcomes[0],
            as_it_stands=outcomes[1],
            way=way,
            translated=None if way is None else way.finish(outcomes[2]),
            verdict="not tried" if way is None else "agrees" if agrees else "differs",
        )
        return Difference(name=draft.name, source=draft.source, target=draft.target, remedy=remedy, example=example)

    def _examples(self, name: str, theirs: str = "") -> Iterator[Problem]:
        """The problems that the source accepts and that show the difference."""
        fitting = (example for example in examples(self.source.offer.targets) if self.source.why_not(example) is None)
        return (example for example in fitting if self._part(name, theirs, example))

    def _part(self, name: str, theirs: str, problem: Problem) -> str:
        """The part of the result that shows the difference, or ""."""
        convention = self.source.convention
        if name in (PLAIN, "targets"):
            return "loss"
        if name == "class_axis":
            return "loss" if problem.logits.ndim == 3 else ""
        if name in tuple(Option):
            usual = problem.reduction in (convention.default_reduction, DEFAULT_REDUCTION)
            return "loss" if usual and problem.options == {name} else ""
        if name.startswith("reduction="):
            return "loss" if not problem.options and name == f"reduction={problem.reduction}" else ""
        other = replace(self.source, convention=convention.but(**{name: theirs}))
        mine, changed = predicted(self.source, problem), predicted(other, problem)
        if not isinstance(mine, Answered) or not isinstance(changed, Answered):
            return "loss" if type(mine) is not type(changed) else ""
        parts = ("loss", "grad_logits")
        return next((part for part in parts if _bits(mine, part) != _bits(changed, part)), "")


def _besides(difference: Difference, written: Sequence[str]) -> Difference:
    """The difference without changes that earlier differences require anyway."""
    rest = tuple(words for words in difference.remedy if words not in written)
    return replace(difference, remedy=rest or difference.remedy)


def _bits(outcome: Answered, part: str) -> bytes:
    array = getattr(outcome, part)
    return b"" if array is None else repr(array.shape).encode() + array.tobytes()


def plays(name: str, subject: Subject) -> bool:
    """Whether a field or an option matters to a subject."""
    offer, convention = subject.offer, subject.convention
    if name in ("weight", "label_smoothing"):
        return name in offer.options
    if name == "ignore_index":
        used = offer.targets == TargetKind.LABELS or convention.ignore_with_probabilities == "one_hot"
        return name in offer.options and used
    return matters(name, subject)
