"""From a run's file to judgements: problems with all that their subjects did, many at a time.

All subjects of a problem are judged together, so that the exact answer is computed once; and many problems together,
so that the judge can assess them in stacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from logitmus.core.events import Judged
from logitmus.core.finding import Judgement, Verdict
from logitmus.core.observation import Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.disambiguation import SEPARATING
from logitmus.judging.batching import Call
from logitmus.storage.store import Store

TOGETHER: Final = 96  # problems: enough that the overhead of NumPy calls vanishes
_VALUES: Final = 1 << 19  # logits: more than these are not held in memory at once for company's sake
_ELSEWHERE = "was asked only where a doubt was to be settled"
NOT_ASKED: Final = "is not in the file: it was not asked"


class SupportsJudge(Protocol):
    """What the engine needs of a judge (`logitmus.judging.judge.Judge`)."""

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome, /) -> Judgement:
        """The judgement of what `subject` did with `problem`."""

    def judge_all(self, calls: list[Call], /) -> list[Judgement]:
        """The judgement of each call, in their order."""


class Unjudged:
    """Judges nothing: for who wants the answers only."""

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome, /) -> Judgement:
        """That it was not judged."""
        del outcome
        return _not_run(problem, subject.id, "was not judged")

    def judge_all(self, calls: list[Call], /) -> list[Judgement]:
        """The same of each call."""
        return [self.judge(*call) for call in calls]


class JudgedSubject(NamedTuple):
    """A subject, and in words what a judgement of it depends on: what it declares, not its name nor its links."""

    subject: Subject
    declaration: str


class Wanted(NamedTuple):
    """A problem (its id) to be judged, beside all subjects or beside these (ids)."""

    problem: str
    subjects: tuple[str, ...] = ()


class Verdicts(NamedTuple):
    """What is said of one problem (its id): the distinct judgements, each with the ids of those it holds for."""

    problem: str
    judgements: list[tuple[Judgement, list[str]]]


class _Case(NamedTuple):
    """A problem with its subjects: by the place of their call among those to judge, and by why they were not run."""

    problem: Problem
    called: dict[int, list[str]]
    not_run: dict[str, list[str]]


def judged_subjects(store: Store) -> tuple[JudgedSubject, ...]:
    """The subjects of a run, sorted by id."""
    return tuple(JudgedSubject(subject, _declaration(subject)) for subject in store.subjects().values())


def _declaration(subject: Subject) -> str:
    documented = sorted(name for name in subject.docs if name)  # which fields are, not where
    gradients = sorted(subject.offer.gradients)
    precision = sorted(subject.precision.items())
    held_to = bool(subject.held_to)
    return repr((subject.convention, precision, subject.flushes_subnormals, gradients, documented, held_to))


def judge_problems(
    store: Store, identities: Iterable[str], subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[Judged]:
    """Each problem beside all of `subjects`, in their order: what is in the file is judged, the rest was not run."""
    for problem, said in verdicts(store, map(Wanted, identities), subjects, judge):
        yield from judged(problem, said)


def judged(problem: Problem, said: Verdicts) -> Iterator[Judged]:
    """The events, by subject."""
    by_subject = {subject: judgement for judgement, subjects in said.judgements for subject in subjects}
    for subject in sorted(by_subject):
        yield Judged(problem, _renamed(by_subject[subject], subject))


def verdicts(
    store: Store, wanted: Iterable[Wanted], subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[tuple[Problem, Verdicts]]:
    """What is wanted of `subjects`, with each distinct judgement once."""
    subjects = tuple(subjects)
    cases: list[_Case] = []
    calls: list[Call] = []
    held = 0
    for identity, only in wanted:
        case = _gather(store, identity, tuple(one for one in subjects if not only or one.subject.id in only), calls)
        cases.append(case)
        held += case.problem.logits.size
        if len(cases) >= TOGETHER or held >= _VALUES:
            yield from _said(cases, judge.judge_all(calls))
            cases, calls, held = [], [], 0
    yield from _said(cases, judge.judge_all(calls))


def _said(cases: Iterable[_Case], judgements: list[Judgement]) -> Iterator[tuple[Problem, Verdicts]]:
    for problem, called, not_run in cases:
        said = [(judgements[n], subjects) for n, subjects in called.items()]
        said += [(_not_run(problem, subjects[0], reason), subjects) for reason, subjects in not_run.items()]
        yield problem, Verdicts(problem.id, said)


def _gather(store: Store, identity: str, subjects: tuple[JudgedSubject, ...], calls: list[Call]) -> _Case:
    """One problem from the file; its distinct calls are added to `calls`."""
    case = _Case(store.problem(identity), {}, {})
    raw_outcomes = store.raw_outcomes(identity)
    decoded: dict[tuple[str, bytes], Outcome] = {}
    known: dict[tuple[str, bytes, str], int] = {}
    for subject, declaration in subjects:
        raw = raw_outcomes.get(subject.id)
        if raw is None:
            unasked = _ELSEWHERE if case.problem.family == SEPARATING else NOT_ASKED
            case.not_run.setdefault(subject.why_not(case.problem) or unasked, []).append(subject.id)
            continue
        # The same bits under the same declaration are judged once: many subjects are one kernel under several names.
        key = (*raw, declaration)
        if key not in known:
            if raw not in decoded:
                decoded[raw] = store.outcome(*raw)
            known[key] = len(calls)
            calls.append(Call(case.problem, subject, decoded[raw]))
        case.called.setdefault(known[key], []).append(subject.id)
    return case


def _renamed(judgement: Judgement, subject: str) -> Judgement:
    """The same judgement of another subject (an id)."""
    if judgement.subject == subject:
        return judgement
    findings = tuple(replace(finding, subject=subject) for finding in judgement.findings)
    return replace(judgement, subject=subject, findings=findings)


def _not_run(problem: Problem, subject: str, reason: str) -> Judgement:
    return Judgement(
        subject=subject,
        problem=problem.id,
        family=problem.family,
        dtype=problem.dtype,
        verdict=Verdict.NOT_RUN,
        reason=reason,
    )
