"""Judge the results in a run's file in batches.

All subjects of a problem are judged together, so that the exact answer is computed once; many problems are judged
together, so that the judge can assess them in stacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from logitmus.core.events import Judged
from logitmus.core.finding import Judgement, Verdict
from logitmus.core.observation import Outcome
from logitmus.core.problem import Problem, Purpose
from logitmus.core.subject import Subject
from logitmus.judging.batching import Call
from logitmus.judging.switches import Result, beside_default
from logitmus.storage.store import Store

TOGETHER: Final = 96  # problems in a batch: enough to make the overhead of NumPy calls negligible
_VALUES: Final = 1 << 19  # logits in a batch
_RESULTS: Final = 1 << 22  # values of results that are judged at once: limits the memory
_NOT_AMBIGUOUS = "was run only on subjects with an ambiguity that it resolves"
NO_RESULT: Final = "has no result in the file"


class SupportsJudge(Protocol):
    """What the engine needs of a judge (`logitmus.judging.judge.Judge`)."""

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome, /) -> Judgement:
        """Judge the outcome of `subject` on `problem`."""

    def judge_all(self, calls: list[Call], /) -> list[Judgement]:
        """Judge each call, in their order."""


class NoJudge:
    """Judges nothing, for callers that want only the results."""

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome, /) -> Judgement:
        """Return `Verdict.NOT_RUN`."""
        del outcome
        return _not_run(problem, subject.id, "was not judged")

    def judge_all(self, calls: list[Call], /) -> list[Judgement]:
        """Return `Verdict.NOT_RUN` for each call."""
        return [self.judge(*call) for call in calls]


class JudgedSubject(NamedTuple):
    """A subject, and a key of what its judgements depend on: its declaration, without its name and its links."""

    subject: Subject
    declaration: str


class JudgeRequest(NamedTuple):
    """A problem (its id) to judge, on these subjects (ids); empty: on all."""

    problem: str
    subjects: tuple[str, ...] = ()


class Judgements(NamedTuple):
    """The distinct judgements on a problem (its id), each with the ids of the subjects that share it."""

    problem: str
    distinct: list[tuple[Judgement, list[str]]]


class _Case(NamedTuple):
    """A problem with its subjects (ids): by the index of their call in the batch, and by the reason for no result.

    switched: the subjects with a switch, with the index of their call and of that without the switch.
    """

    problem: Problem
    by_call: dict[int, list[str]]
    not_run: dict[str, list[str]]
    switched: list[tuple[Subject, int, int]]


def judged_subjects(store: Store) -> tuple[JudgedSubject, ...]:
    """Return the subjects of a run, sorted by id."""
    return tuple(JudgedSubject(subject, _declaration(subject)) for subject in store.subjects().values())


def _declaration(subject: Subject) -> str:
    documented = sorted(name for name in subject.docs if name)  # whether a field is documented matters, not where
    gradients = sorted(subject.offer.gradients)
    precision = sorted(subject.precision.items())
    held_to = bool(subject.held_to)
    measured = subject.convention, subject.promised, subject.model
    return repr((measured, precision, subject.flushes_subnormals, gradients, documented, held_to))


def judge_problems(
    store: Store, identities: Iterable[str], subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[Judged]:
    """Judge each problem (by id) on all of `subjects`, in their order; a missing result gives `Verdict.NOT_RUN`."""
    for problem, judgements in judge_requests(store, map(JudgeRequest, identities), subjects, judge):
        yield from judged(problem, judgements)


def judged(problem: Problem, judgements: Judgements) -> Iterator[Judged]:
    """Yield an event for each subject, sorted by id."""
    by_subject = {subject: judgement for judgement, subjects in judgements.distinct for subject in subjects}
    for subject in sorted(by_subject):
        yield Judged(problem, _renamed(by_subject[subject], subject))


def judge_requests(
    store: Store, requests: Iterable[JudgeRequest], subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[tuple[Problem, Judgements]]:
    """Answer the requests; each distinct judgement is made once."""
    by_id = {entry.subject.id: entry for entry in subjects}
    cases: list[_Case] = []
    calls: list[Call] = []
    values = 0
    for identity, only in requests:
        case = _gather(store, identity, [name for name in by_id if not only or name in only], by_id, calls)
        cases.append(case)
        values += case.problem.logits.size
        if len(cases) >= TOGETHER or values >= _VALUES:
            yield from _distribute(cases, calls, _judge_all(judge, calls))
            cases, calls, values = [], [], 0
    yield from _distribute(cases, calls, _judge_all(judge, calls))


def _judge_all(judge: SupportsJudge, calls: list[Call]) -> list[Judgement]:
    """Judge the calls in pieces: hundreds of subjects may have results of one large problem."""
    judgements: list[Judgement] = []
    piece: list[Call] = []
    values = 0
    for call in calls:
        piece.append(call)
        values += call.problem.logits.size
        if values >= _RESULTS:
            judgements += judge.judge_all(piece)
            piece, values = [], 0
    return judgements + judge.judge_all(piece)


def _distribute(
    cases: Iterable[_Case], calls: Sequence[Call], judgements: Sequence[Judgement]
) -> Iterator[tuple[Problem, Judgements]]:
    results = [Result(call.outcome, judgement) for call, judgement in zip(calls, judgements, strict=True)]
    for problem, by_call, not_run, switched in cases:
        distinct = [(judgements[n], subjects) for n, subjects in by_call.items()]
        distinct += [(_not_run(problem, subjects[0], reason), subjects) for reason, subjects in not_run.items()]
        distinct += [(beside_default(problem, s, results[n], results[m]), [s.id]) for s, n, m in switched]
        yield problem, Judgements(problem.id, distinct)


def _gather(
    store: Store, identity: str, requested: Iterable[str], subjects: Mapping[str, JudgedSubject], calls: list[Call]
) -> _Case:
    """Read a problem and the results of `requested` (ids) from the file; append its distinct calls to `calls`."""
    case = _Case(store.problem(identity), {}, {}, [])
    raw_outcomes = store.raw_outcomes(identity)
    decoded: dict[tuple[str, bytes], Outcome] = {}
    known: dict[tuple[str, bytes, str], int] = {}

    def call_of(name: str) -> int:
        subject, declaration = subjects[name]
        raw = raw_outcomes[name]
        # Equal bits under equal declarations are judged once: many subjects are the same kernel under several names.
        key = (*raw, declaration)
        if key not in known:
            if raw not in decoded:
                decoded[raw] = store.outcome(*raw)
            known[key] = len(calls)
            calls.append(Call(case.problem, subject, decoded[raw]))
        return known[key]

    for name in requested:
        subject, plain = subjects[name].subject, subjects[name].subject.without_switch
        if name not in raw_outcomes:
            if subject.is_asked(case.problem):
                absent = _NOT_AMBIGUOUS if case.problem.purpose is Purpose.DISAMBIGUATION else NO_RESULT
                case.not_run.setdefault(subject.why_not(case.problem) or absent, []).append(name)
            continue
        call = call_of(name)
        if subject.has_switch and plain in subjects and plain in raw_outcomes:
            case.switched.append((subject, call, call_of(plain)))
        else:
            case.by_call.setdefault(call, []).append(name)
    return case


def _renamed(judgement: Judgement, subject: str) -> Judgement:
    """Return the same judgement for another subject (an id)."""
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
