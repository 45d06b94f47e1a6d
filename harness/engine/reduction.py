"""Examination: findings are reduced to the simplest problem that shows them, and to what they depend on.

Of many findings that say the same thing, the one on the smallest problem is examined, one subject for each backend. All
are examined side by side, each at its own pace, so that workers and judges are busy. What is asked of one follows from
its own answers alone: from a run's file the same comes out again, without a framework.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from logitmus.core import causes
from logitmus.core.events import Event, Examined, Judged
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict, smallness
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import Subject, SubjectId
from logitmus.engine.follow_up import EXAMINING, Asking, Dialogue
from logitmus.engine.shrink import alone, shrinking, without
from logitmus.judging.consistency import OWN_ARITHMETIC

SETTING: Final = "examine"  # the name of that setting: {"calls": 24, "subjects": [...]}
_AGAIN: Final = "again"
# A worker that dies is replaced, which takes seconds; one that hangs is waited for.
_MOST_CALLS: Final[Mapping[Kind, int]] = {Kind.TIMEOUT: 0, Kind.CRASH: 6}
_SHARE: Final = {Severity.DIFFERENCE: 2}  # nobody has to mend these: half the calls will do
# An answer may hang on none of these; where it does, that is the fault.
_OF_TIME: Final = ("chance", "earlier_calls")
_OTHER_ROWS: Final = "other_rows"
_LAYOUT: Final = "memory_layout"
_FAULTS: Final = (*_OF_TIME, _OTHER_ROWS, _LAYOUT)
_RIGHT: Final = (Verdict.PASS, Verdict.ABSORBED)

_Key = tuple[str, str, str, str, tuple[str, ...]]
_Questions = Generator[list[Problem], list[Judgement], Examined]


class Suspect(NamedTuple):
    """A finding and the problem that shows it."""

    finding: Finding
    problem: Problem


class Suspects:
    """The findings to examine: of each backend, kind, severity and cause the one on the smallest problem.

    Args:
        settings: the run's own; they say how many calls each may cost, and which subjects (ids) are examined, each for
            itself; where none is named, one of each backend stands for all that have the finding.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        said = settings.get(SETTING, {})
        self.calls: int = said.get("calls", 0)
        self._subjects = frozenset(said.get("subjects", ()))
        self._smallest: dict[_Key, Suspect] = {}

    def add(self, problem: Problem, judgement: Judgement) -> None:
        """Take in the findings of one judgement; notes need no examination."""
        for finding in judgement.findings:
            if finding.severity is Severity.NOTE or (self._subjects and finding.subject not in self._subjects):
                continue
            who = finding.subject if self._subjects else SubjectId.parse(finding.subject).backend
            key = (who, finding.kind.value, finding.severity.value, finding.cause, finding.alternatives)
            known = self._smallest.get(key)
            if known is None or smallness(finding, problem) < smallness(*known):
                self._smallest[key] = Suspect(finding, problem)

    def watching(self, events: Iterable[Event]) -> Iterator[Event]:
        """The same events; what was judged is taken in."""
        for event in events:
            if isinstance(event, Judged):
                self.add(event.problem, event.judgement)
            yield event

    def worst_first(self) -> list[Suspect]:
        """In an order that does not depend on what came first."""
        keys = sorted(self._smallest, key=lambda key: (self._smallest[key].finding.severity.rank, key))
        return [self._smallest[key] for key in keys]


def examine(asking: Asking, suspects: Iterable[Suspect], calls: int) -> Iterator[Examined]:
    """Examine each with at most about so many calls; in their order, once all are done."""
    dialogues = []
    for suspect in suspects:
        subject = asking.subjects.get(suspect.finding.subject)
        if subject is not None and calls:
            dialogues.append(_with(subject, _examination(suspect, subject, _allowed(suspect.finding, calls))))
    yield from asking.converse(dialogues)


def same(finding: Finding, judgement: Judgement) -> Finding | None:
    """The finding of `judgement` that says the same as `finding`, if there is one."""
    for one in judgement.findings:
        alike = (one.kind, one.severity, one.cause, one.part) == (
            finding.kind,
            finding.severity,
            finding.cause,
            finding.part,
        )
        if alike and set(one.alternatives) <= set(finding.alternatives):
            return one
    return None


# --- within ------------------------------------------------------------------------------------------------------


def _with(subject: Subject, questions: _Questions) -> Dialogue[Examined]:
    """The dialogue with this subject."""
    try:
        problems = next(questions)
        while True:
            problems = questions.send((yield [(problem.but(family=EXAMINING), subject.id) for problem in problems]))
    except StopIteration as end:
        examined: Examined = end.value
        return examined


def _examination(suspect: Suspect, subject: Subject, calls: int) -> _Questions:
    """Yields problems to put to the subject, is sent the judgements, and returns what came out."""
    finding, problem = suspect
    if calls <= 0:
        return Examined(finding, finding, problem)
    if finding.kind is Kind.INTEGRITY and problem.manner in OWN_ARITHMETIC:
        plain = problem.but(manner=ONCE)
        (judgement,) = yield [plain]
        fault = next((one for one in judgement.findings if _is_faulty_itself(one, finding)), None)
        if fault is not None:
            return Examined(finding, fault, plain)
    repeated = problem.but(manner=_AGAIN)
    if finding.kind is not Kind.CRASH and problem.manner == ONCE and subject.why_not(repeated) is None:
        (judgement,) = yield [repeated]
        changed = any(one.cause.startswith("changes:") for one in judgement.findings)
        if changed or judgement.verdict in _RIGHT:
            return _told(finding, Suspect(finding, problem), ("chance" if changed else "earlier_calls",))
    known: dict[str, Judgement] = {}
    smallest, _ = yield from _remembering(known, shrinking(problem, finding.row, calls), finding)
    found = same(finding, known[smallest.id]) if smallest.id in known else finding
    assert found is not None  # noqa: S101  (the search ends on a problem that shows it)
    contrasts = dict(_contrasts(smallest, found.row))
    lacking = [one for one in contrasts.values() if one.id not in known]
    if lacking:
        known.update(zip((one.id for one in lacking), (yield lacking), strict=True))
    dependences = tuple(name for name, one in contrasts.items() if known[one.id].verdict in _RIGHT)
    if _LAYOUT in dependences:  # a row alone lies in memory otherwise, too; beside the same rows, the layout told
        dependences = tuple(name for name in dependences if name != _OTHER_ROWS)
    return _told(finding, Suspect(found, smallest), dependences)


def _is_faulty_itself(plain: Finding, finding: Finding) -> bool:
    """Whether the plain call has a fault already: then it is none of the other way of differentiating."""
    return plain.kind in (Kind.ACCURACY, Kind.SPECIAL) and plain.severity.rank <= finding.severity.rank


def _allowed(finding: Finding, calls: int) -> int:
    return min(calls // _SHARE.get(finding.severity, 1), _MOST_CALLS.get(finding.kind, calls))


def _remembering(
    known: dict[str, Judgement], search: Generator[list[Problem], list[bool], tuple[Problem, int | None]], of: Finding
) -> Generator[list[Problem], list[Judgement], tuple[Problem, int | None]]:
    """The search, told whether the finding is still there; every judgement is kept in `known`."""
    try:
        asked = next(search)
        while True:
            judgements = yield asked
            known.update((problem.id, one) for problem, one in zip(asked, judgements, strict=True))
            asked = search.send([same(of, one) is not None for one in judgements])
    except StopIteration as ended:
        smallest: tuple[Problem, int | None] = ended.value
        return smallest


def _contrasts(problem: Problem, row: int | None) -> Iterator[tuple[str, Problem]]:
    """The problem without each thing that its answer may depend on."""
    if problem.rows > 1 and row is not None and problem.reduction == "none":
        yield _OTHER_ROWS, alone(problem, row)
    for name, one in without(problem):
        yield {"layout": _LAYOUT}.get(name, name), one


def _told(of: Finding, shown: Suspect, dependences: tuple[str, ...]) -> Examined:
    """Where what it depends on is the fault, the finding says that.

    Other roundings beside other rows, or laid out otherwise, are no more than that: there, it takes a bug.
    """
    finding, fault = shown.finding, next((name for name in _FAULTS if name in dependences), None)
    faulty = fault in _OF_TIME or finding.severity is Severity.BUG
    if fault is not None and faulty and finding.kind in (Kind.ACCURACY, Kind.SPECIAL):
        cause = f"depends_on:{fault}"
        detail = "; ".join(filter(None, (finding.summary, finding.detail)))
        finding = replace(
            finding, kind=Kind.INTEGRITY, cause=cause, summary=causes.summary(cause), detail=detail, alternatives=()
        )
    return Examined(of, finding, shown.problem, dependences)
