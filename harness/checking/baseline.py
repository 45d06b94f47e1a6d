"""Which findings of a run count against a function, compared with what its reference does on the same problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from logitmus.checking.refusals import Refusals, is_refusal, kinds_of_input, refuses_by_convention
from logitmus.core.causes import Cause
from logitmus.core.events import Event, Examined, Judged, RunFinished
from logitmus.core.finding import Fault, Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.consistency import NO_SECOND_ORDER
from logitmus.results.acceptance import Acceptance
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_UNNAMED: Final = ("unexplained", "lost")  # causes that say what is wrong, and not why
_ENOUGH_UNEXPLAINED: Final = 20  # results of a subject
_NONE: Final[Collection[Fault]] = frozenset()
_NO_CAUSES: Final[Collection[Cause]] = frozenset()


class BaselineComparison:
    """Reads the events of a check.

    These findings do not count against a function: notes, numbers within the required grade, the refusal of a second
    derivative, accepted findings, whatever its reference does on the same problem for the same cause (or in the same
    dtype, where the reference does not offer that problem), and exceptions on kinds of input that the function does not
    take at all (`logitmus.checking.refusals`).

    Attributes:
        answered: whether the function returned numbers at all.
        below: by dtype, the smallest problem without a finding on which the required grade is not reached.
        grades, reference_grades: the worst grade by dtype.
        limits: how many problems of each kind of input the function refused, of the kinds that it does not take.
        only_raises: whether every finding is about an exception: there was no crash, no hang and nothing unreadable.
        combined: how many results only several conventions together explain, each of which is a finding by itself.
        problems: how many problems the function got. not_asked: how many it did not get, by reason.

    Args:
        subjects: what is checked.
        references: by the id of a checked subject, the reference that runs beside it, if there is one.
        require: the required grade; None: every finding of the judge counts.
        accepted: the findings that the user has accepted.
        strict: count exceptions on kinds of input that the function does not take.
        judge_again: judges the result of a problem under the convention that the subject has here; None: no result is
            judged again.
    """

    def __init__(
        self,
        subjects: Iterable[Subject],
        references: Mapping[str, Subject],
        require: Grade | None = None,
        accepted: Acceptance | None = None,
        *,
        strict: bool = False,
        judge_again: Callable[[Problem, Subject], Judgement] | None = None,
    ) -> None:
        self._subjects = {subject.id: subject for subject in subjects}
        self._own = {key: _own_differences(subject) for key, subject in self._subjects.items()}
        self._references = {key: references[key].id if key in references else "" for key in self._subjects}
        self.require = require
        self._accepted = accepted or Acceptance(())
        self._counted, self._excused = Summary(), Summary()
        self._problem: list[Judged] = []
        self._problem_id = ""
        self._pending: list[Judged] = []
        self._strict = strict
        self._judge_again = judge_again
        self._unnamed: list[Judged] = []
        self._causes: dict[str, set[Cause]] = {}  # of the findings that count, by the subject's id
        self._examined: list[Examined] = []
        self.combined = 0
        # Shared by the settings of a function: an exception for one setting is no limit where another returns a result.
        by_targets = {subject.offer.targets: Refusals() for subject in self._subjects.values()}
        self._refusals = {key: by_targets[subject.offer.targets] for key, subject in self._subjects.items()}
        self._refused: list[tuple[Judged, Collection[Fault]]] = []
        self._reference_does: dict[str, set[Fault]] = {}
        self.grades: dict[str, Grade] = {}
        self.reference_grades: dict[str, Grade] = {}
        self.problems = 0
        self.below: dict[str, Judged] = {}
        self.answered = False
        self.only_raises = True
        self.not_asked: Counter[str] = Counter()

    def add(self, event: Event) -> bool:
        """Take in an event, and return whether it, or the problem that it completes, counts against the function."""
        if isinstance(event, Judged):
            found = event.problem.id != self._problem_id and self._judge()
            self._problem_id = event.problem.id
            self._problem.append(event)
            return found
        found = self._judge()
        if isinstance(event, RunFinished):
            for late in self._pending:
                found |= self._count(late, self._reference_does.get(late.judgement.dtype, _NONE))
            for refused, same in self._refused:
                found |= self._count_refusal(refused, same)
            self._count_unnamed()
            for examined in self._examined:
                self._show(examined)
            self._pending, self._refused, self._unnamed, self._examined = [], [], [], []
        if isinstance(event, Examined):
            self._examined.append(event)  # it may be about something that the function does not take
        else:
            self._counted.add(event)
            self._excused.add(event)
        return found

    @property
    def groups(self) -> tuple[Group, ...]:
        """The findings that count."""
        groups = tuple(self._counted.groups())
        if self.answered:
            return groups
        # A function that always raises has no convention: not even that it refuses an empty batch.
        return tuple(group for group in groups if not refuses_by_convention(group.finding)) or groups

    @property
    def limits(self) -> dict[str, int]:
        """What the function does not take, with the number of refused problems; see `Refusals`."""
        if self._strict or not self.answered:
            return {}
        by_kind: Counter[str] = Counter()
        for refusals in {id(refusals): refusals for refusals in self._refusals.values()}.values():
            by_kind.update(refusals.limits)
        return dict(by_kind)

    @property
    def excused(self) -> tuple[Group, ...]:
        """The findings that do not count."""
        return tuple(self._excused.groups())

    def _judge(self) -> bool:
        """Compare the judgements of one problem, which arrive together."""
        judged, self._problem = self._problem, []
        by_subject = {event.judgement.subject: event for event in judged}
        found = False
        for subject, reference in self._references.items():
            if reference in by_subject:
                other = by_subject[reference].judgement
                _grade(self.reference_grades, other, _NO_CAUSES)
                self._reference_does.setdefault(other.dtype, set()).update(finding.fault for finding in other.findings)
            if subject not in by_subject:
                continue
            event = by_subject[subject]
            if event.judgement.verdict is Verdict.NOT_RUN:
                if self._subjects[subject].why_not(event.problem) is None:
                    self.not_asked[event.judgement.reason] += 1
                continue
            self.problems += 1
            answered = _answers(event.judgement)
            self.answered |= answered
            refused = any(map(is_refusal, event.judgement.findings))
            self.only_raises &= all(map(is_refusal, event.judgement.findings))
            self._refusals[subject].add(event.problem, answered=answered or _responds(event), refused=refused)
            if not self._subjects[subject].model:  # of a formula that it does not compute, it has no grade
                _grade(self.grades, event.judgement, self._own[subject])
            if not reference:
                found |= self._count(event, _NONE)
            elif by_subject[reference].judgement.verdict is Verdict.NOT_RUN:
                self._pending.append(event)
            else:
                found |= self._count(event, {finding.fault for finding in by_subject[reference].judgement.findings})
        return found

    def _count(self, event: Judged, same: Collection[Fault]) -> bool:
        """Sort the findings on one problem; an exception that may be a limit waits for the end of the run."""
        judgement = event.judgement
        if not self._strict and any(True for _ in kinds_of_input(event.problem)):
            refusals = tuple(filter(is_refusal, judgement.findings))
            if refusals:
                self._refused.append((replace(event, judgement=replace(judgement, findings=refusals)), same))
                judgement = replace(judgement, findings=tuple(f for f in judgement.findings if f not in refusals))
        counts = [f for f in judgement.findings if self._counts(f, judgement) and f.fault not in same]
        rest = [finding for finding in judgement.findings if finding not in counts]
        unnamed = [f for f in counts if f.cause.name in _UNNAMED] if self._judge_again is not None else []
        if unnamed:
            self._unnamed.append(replace(event, judgement=replace(judgement, findings=tuple(unnamed))))
        self._sort(event, [f for f in counts if f not in unnamed], rest)
        below = self._below(judgement)
        if below and not counts:
            known = self.below.setdefault(judgement.dtype, event)
            self.below[judgement.dtype] = min(known, event, key=_smallness)
        return bool(counts) or below

    def _count_refusal(self, event: Judged, same: Collection[Fault]) -> bool:
        """Sort exceptions at the end of the run: they do not count where the function does not take such input."""
        judgement = event.judgement
        if self.answered and self._refusals[judgement.subject].covers(event.problem):
            return False
        counts = [f for f in judgement.findings if self._counts(f, judgement) and f.fault not in same]
        self._sort(event, counts, [finding for finding in judgement.findings if finding not in counts])
        return bool(counts)

    def _show(self, examined: Examined) -> None:
        """Show a finding on its simplest problem, if that problem counts, too."""
        finding = examined.finding
        refusals = self._refusals.get(examined.of.subject)
        limit = self.answered and refusals is not None and refusals.covers(examined.problem)
        excused = limit and is_refusal(examined.of) and not self._strict
        if finding.cause.name in _UNNAMED:
            excused |= self._is_combined(examined.problem, finding.subject)
        if not excused:
            self._counted.add(examined)
        self._excused.add(examined)

    def _count_unnamed(self) -> None:
        """Sort findings that no cause explains: they do not count where the conventions of other findings together do.

        A neighbouring convention is looked for in one field at a time. Where a mean is divided by the wrong number and
        a NaN leaks out of an ignored row, each shows by itself on some problems, and on others both do. What such a
        result still has under both must be known from other problems, too.
        """
        for group in self._counted.groups() if self._unnamed else ():
            for identity in group.subjects:
                self._causes.setdefault(identity, set()).add(group.finding.cause)
        left: Counter[str] = Counter()
        for event in sorted(self._unnamed, key=_smallness):
            subject = event.judgement.subject
            if left[subject] < _ENOUGH_UNEXPLAINED and self._is_combined(event.problem, subject):
                self.combined += 1
                continue
            left[subject] += 1
            self._sort(event, event.judgement.findings, ())

    def _is_combined(self, problem: Problem, identity: str) -> bool:
        """Whether the conventions of a subject's other findings explain its result together, but for what is known."""
        causes = self._causes.get(identity, set())
        subject = self._under_conventions(self._subjects[identity], causes)
        if subject is None or self._judge_again is None:
            return False
        return all(_is_known(finding, causes) for finding in self._judge_again(problem, subject).findings)

    def _under_conventions(self, subject: Subject, causes: Iterable[Cause]) -> Subject | None:
        """The subject with all conventions that its findings name, if they are several and agree."""
        choices = {cause.choice for cause in causes if cause.is_convention}
        fields = dict(choices)
        if len(fields) < 2 or len(fields) < len(choices):
            return None
        return replace(subject, convention=subject.convention.but(**fields))

    def _sort(self, event: Judged, counted: Iterable[Finding], excused: Iterable[Finding]) -> None:
        for summary, findings in ((self._counted, counted), (self._excused, excused)):
            summary.add(replace(event, judgement=replace(event.judgement, findings=tuple(findings))))

    def _counts(self, finding: Finding, judgement: Judgement) -> bool:
        if finding.severity is Severity.NOTE or finding.cause == NO_SECOND_ORDER:
            return False
        if self._accepted.add(finding) is not None:
            return False
        graded = self.require is not None and judgement.grade not in (None, Grade.COARSE)
        return not (graded and finding.kind is Kind.ACCURACY and not self._below(judgement))

    def _below(self, judgement: Judgement) -> bool:
        if self.require is None or judgement.grade in (None, Grade.COARSE):
            return False
        return judgement.grade.rank > self.require.rank


def _is_known(finding: Finding, causes: Collection[Cause]) -> bool:
    """Whether its cause, or one that explains it as well, is among these causes, and says what is wrong."""
    known = {cause for cause in (finding.cause, *finding.alternatives) if cause in causes}
    return bool(known) and not finding.cause.startswith("unexplained")


def _smallness(event: Judged) -> tuple[int, int, str, str]:
    problem = event.problem
    return problem.classes * problem.rows, len(problem.options), problem.id, event.judgement.subject


def _answers(judgement: Judgement) -> bool:
    """Whether the function returned numbers."""
    raised = any(f.cause.name == "raised" or refuses_by_convention(f) for f in judgement.findings)
    return judgement.grade is not None and not raised


def _responds(event: Judged) -> bool:
    """Whether the function did anything but raise; where labels are invalid, an exception may be what is right."""
    findings = event.judgement.findings
    return any(not is_refusal(finding) for finding in findings) or (not findings and event.problem.has_valid_labels)


def _own_differences(subject: Subject) -> Collection[Cause]:
    """The conventions that the subject was measured to follow in place of those that it should."""
    if subject.promised is None:
        return _NO_CAUSES
    differences = subject.convention.differences(subject.promised)
    return {Cause.convention(name, choice) for name, (choice, _) in differences.items()}


def _grade(grades: dict[str, Grade], judgement: Judgement, own: Collection[Cause]) -> None:
    """Keep the worst grade of the accuracy; a wrong gradient is F, and other errors have findings of other kinds.

    Of a function that follows conventions of its `own`, that is its accuracy under these.
    """
    grade = judgement.grade
    no_fault = ("negative_zero", "parameter")  # of the numbers
    kinds = {f.kind for f in judgement.findings if f.cause.name not in no_fault and f.cause not in own}
    if any(f.cause.name == "gradient" and f.severity is not Severity.NOTE for f in judgement.findings):
        grade = Grade.F
    elif kinds and Kind.ACCURACY not in kinds:
        return
    if grade not in (None, Grade.COARSE):
        grades[judgement.dtype] = max(grades.get(judgement.dtype, grade), grade, key=lambda each: each.rank)
