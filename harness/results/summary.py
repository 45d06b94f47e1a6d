"""The summary: a run's events, gathered in flat memory, independent of their order.

The matrix of subjects by families, and the findings in groups: thousands of findings with the same cause are a single
entry with the smallest problem that shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from logitmus.core.events import (
    BackendFailed,
    BackendReady,
    Event,
    Examined,
    Explored,
    Judged,
    Related,
    Repeated,
    RunFinished,
    RunStarted,
    Settled,
)
from logitmus.core.finding import Finding, Grade, Judgement, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject, SubjectId
from logitmus.judging.severity import is_characteristic
from logitmus.results import wording
from logitmus.results.against import Against
from logitmus.results.detection_power import Power
from logitmus.results.distribution import Distribution
from logitmus.results.groups import Group, Key, fold, names, without_lesser, worst_first

_NO_ERROR: Final = (0.0, "")


@dataclass(slots=True)
class Cell:
    """A subject's record on a family.

    Attributes:
        grade: the worst (None: nothing was judged; too coarse only where nothing else was).
        severity: the worst finding's, characteristics apart (None: none).
        counts: problems by verdict. given_up: those not run because workers were lost.
        share, ulps: the worst of finite values.
    """

    grade: Grade | None = None
    severity: Severity | None = None
    counts: Counter[Verdict] = field(default_factory=Counter)
    given_up: int = 0
    share: float = 0.0
    ulps: float = 0.0

    def add(self, judgement: Judgement, subject: Subject | None = None) -> None:
        """Count a judgement of a subject."""
        self.counts[judgement.verdict] += 1
        self.given_up += judgement.given_up
        grade = judgement.grade
        if self.grade is None or (self.grade is Grade.COARSE and grade is not None):
            self.grade = grade
        elif grade not in (None, Grade.COARSE):
            self.grade = max(self.grade, grade, key=lambda grade: grade.rank)
        for finding in judgement.findings:
            worse = self.severity is None or finding.severity.rank < self.severity.rank
            if worse and not is_characteristic(finding, subject):
                self.severity = finding.severity
        self.share = max(self.share, judgement.share)
        self.ulps = max(self.ulps, judgement.ulps)

    @property
    def requested(self) -> int:
        """Problems that were put to the subject."""
        return sum(self.counts.values()) - self.counts[Verdict.NOT_RUN]

    @property
    def letter(self) -> str:
        """The grade; "ok" where there was nothing to grade, "?" where nothing could be decided, "." where not run."""
        if not self.requested:
            return "."
        if self.grade is not None and self.grade is not Grade.COARSE:
            return self.grade.value
        return "ok" if self.counts[Verdict.PASS] else "?"

    @property
    def tone(self) -> str:
        """In a word: a severity (notes apart), "absorbed", "pass", "open" (undecided, too coarse) or "none"."""
        if not self.requested:
            return "none"
        if self.severity is not None and self.severity is not Severity.NOTE:
            return self.severity.value
        if self.counts[Verdict.ABSORBED]:
            return "absorbed"
        return "pass" if self.counts[Verdict.PASS] + self.counts[Verdict.FINDING] else "open"


@dataclass(slots=True)
class Backend:
    """A backend that answered (`ready`), the reason why it did not, or why it could not go on.

    Attributes:
        failed, hint: the reason and what to do about it; "" where it ran to the end.
    """

    name: str
    ready: bool = False
    environment: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a reader of the results should know and that is no finding.

    counts: whether it decides the exit code, as a finding does.
    brief: what it is, as a noun, where notices are counted.
    """

    text: str
    counts: bool
    brief: str = "stale or expired expectation"


class Summary:
    """See the module. Feed it with `add`; read it when the events have ended.

    Args:
        power: how good the judge of these events is, where that was measured.
        reason: why a finding is accepted; "": it is not. Asked of each once.
    """

    def __init__(self, power: Power | None = None, reason: Callable[[Finding], str] = lambda _: "") -> None:
        self.power = power
        self._reason = reason
        self.started: RunStarted | None = None
        self.finished: RunFinished | None = None
        self.backends: dict[str, Backend] = {}
        self.subjects: dict[str, Subject] = {}
        self.cells: dict[tuple[str, str], Cell] = {}
        self.families: set[str] = set()
        self.problems: set[str] = set()
        self.rows = 0
        self.related: list[Related] = []
        self.repeated: list[Repeated] = []
        self.explored: Explored | None = None
        self.absorbed = 0
        self.undecided = 0
        self.not_run: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()  # by backend: calls that were due, and not made as workers were lost
        self.notices: tuple[Notice, ...] = ()
        self.against: Against | None = None  # the comparison with an earlier run
        self.lacks_module = ""  # why calls were not made that lacked a module; "" if there are none
        self.verdicts: Counter[Verdict] = Counter()
        self.distribution = Distribution()
        self._worst: dict[str, tuple[float, str]] = {}  # by subject: the largest share of a budget, and its problem
        self._severities: dict[tuple[str, str], Severity] | None = None  # by cell, of the groups; None: not known yet
        self._groups: dict[Key, Group] = {}
        self._examined: dict[Key, Examined] = {}
        self._settled: dict[Key, Settled] = {}

    def add(self, event: Event) -> None:
        """Take in an event."""
        self._severities = None
        match event:
            case RunStarted():
                self.started = event
            case BackendReady(backend, subjects, environment, _):
                known = self.backends.setdefault(backend, Backend(backend))
                known.ready, known.environment = True, environment
                self.subjects.update((subject.id, subject) for subject in subjects)
            case BackendFailed(backend, reason, hint):
                known = self.backends.setdefault(backend, Backend(backend))
                known.failed, known.hint = reason, hint
            case Judged(problem, judgement):
                self._judged(problem, judgement)
            case Examined(of):
                self._examined[fold(of)] = event
            case Settled(of):
                self._settled[(*of.key, of.alternatives)] = event
            case Related():
                self.related.append(event)
            case Repeated():
                self.repeated.append(event)
            case Explored():
                self.explored = event
            case RunFinished():
                self.finished = event
            case _:
                pass

    def _judged(self, problem: Problem, judgement: Judgement) -> None:
        self.families.add(problem.family)
        subject = self.subjects.get(judgement.subject)
        self.cells.setdefault((judgement.subject, problem.family), Cell()).add(judgement, subject)
        self.verdicts[judgement.verdict] += 1
        self.distribution.add(judgement)
        self._worst[judgement.subject] = max(
            self._worst.get(judgement.subject, _NO_ERROR), (judgement.share, problem.id)
        )
        self.absorbed += judgement.absorbed
        self.undecided += judgement.undecided
        if judgement.verdict is Verdict.NOT_RUN:
            self.not_run[judgement.reason] += 1
            if judgement.given_up:
                self.given_up[SubjectId.parse(judgement.subject).backend] += 1
            if judgement.lacks_module:
                self.lacks_module = judgement.reason
            return
        if problem.id not in self.problems:
            self.problems.add(problem.id)
            self.rows += problem.rows
        for finding in judgement.findings:
            key = (*finding.key, finding.alternatives)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(finding, problem)
            group.add(finding, problem, self._reason(finding))

    def add_new(self, finding: Finding) -> None:
        """Note of a finding whose judgement was added that an earlier run does not show it."""
        self._groups[(*finding.key, finding.alternatives)].add_new(finding)

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Observations: (subject, problem) pairs that were run."""
        return sum(self.verdicts.values()) - self.verdicts[Verdict.NOT_RUN]

    def family_names(self) -> list[str]:
        """In alphabetical order, independent of the order of events."""
        return sorted(self.families)

    def why_not(self) -> list[tuple[str, int]]:
        """Why calls were not made, the most frequent reason first."""
        return sorted(self.not_run.items(), key=lambda item: (-item[1], item[0]))

    def subject_ids(self) -> list[str]:
        """Every subject that was described or judged; those with a switch, which have few problems, only if judged."""
        described = {identity for identity, subject in self.subjects.items() if not subject.has_switch}
        return sorted(described | {subject for subject, _ in self.cells})

    def requested_subjects(self) -> list[str]:
        """The subjects to which any problem was put."""
        requested = {subject for (subject, _), cell in self.cells.items() if cell.requested}
        return [subject for subject in self.subject_ids() if subject in requested]

    def cell(self, subject: str, family: str) -> Cell:
        """The cell; an empty cell where nothing was judged. Its severity is that of the groups that a report shows."""
        cell = self.cells.get((subject, family))
        if cell is None:
            return Cell()
        if self._severities is None:  # a finding may have turned out to be worse, once it was settled
            self._severities = {}
            for group in reversed(self.groups()):
                if not group.characteristic:
                    self._severities.update(dict.fromkeys(group.cells, group.finding.severity))
        return replace(cell, severity=self._severities.get((subject, family), cell.severity))

    def worst_problems(self) -> dict[str, str]:
        """The problem (id) on which each subject (id) uses most of its error budget; without subjects that use none."""
        return {subject: problem for subject, (share, problem) in sorted(self._worst.items()) if share}

    def groups(self) -> list[Group]:
        """Findings of a backend with the same kind, severity and cause: the worst first, then the most frequent; what
        is declared and kept (`Group.characteristic`) after all others.

        A finding with several possible causes counts with the group of the cause that the run settled on (`Settled`).
        """
        folded: dict[Key, Group] = {}
        for key in sorted(self._groups, key=lambda key: (bool(key[-1]) or key in self._settled, key)):
            subject = key[0]
            group = self._groups[key].copy()
            settled = self._settled.get(key)
            if settled is not None and settled.certain is not None:
                certain = next((group for of, group in folded.items() if names(of, subject, settled.certain)), None)
                if certain is not None:
                    certain.absorb(group, as_example=False)
                    continue
            if settled is not None and settled.finding is not None:
                group.finding, group.problem = settled.finding, settled.problem
                group.dependences = settled.dependences
            if fold(group.finding) in folded:
                folded[fold(group.finding)].absorb(group)
            else:
                folded[fold(group.finding)] = group
        merged: dict[Key, Group] = {}
        for of, group in folded.items():
            if of in self._examined:
                group.show(self._examined[of])
            if fold(group.finding) in merged:  # examined, it turned out to be the same thing
                merged[fold(group.finding)].absorb(group)
            else:
                merged[fold(group.finding)] = group
        groups = without_lesser(list(merged.values()))
        for group in groups:
            group.characteristic = is_characteristic(group.finding, self.subjects.get(group.finding.subject))
            group.earlier = "" if self.against is None else self.against.earlier
        return worst_first(groups)

    def tally(self) -> dict[str, int]:
        """How many groups of each label, without labels that none has, the worst first."""
        return dict(Counter(group.label for group in self.groups()))

    def headline(self) -> str:
        """The findings and the size of the run, in a sentence; and what is missing from it."""
        found = f"{self.findings_in_words()} over {self.extent()}" if self.calls else "nothing was tested"
        return "; ".join([found, *self.missing()])

    def missing(self) -> list[str]:
        """What should have been tested and was not, a clause each."""
        failed = sum(bool(backend.failed) and not backend.ready for backend in self.backends.values())
        return ([f"{wording.plural(failed, 'backend')} could not run"] if failed else []) + self.lost_calls()

    def lost_calls(self) -> list[str]:
        """How many calls were given up because workers were lost, in words; empty for none."""
        lost = self.given_up.total()
        return [f"{wording.plural(lost, 'call')} not made: workers were lost"] if lost else []

    def findings_in_words(self) -> str:
        """How many groups of findings, by label; without bugs and the like, that there are none."""
        groups = self.groups()
        accepted = Counter(group.label for group in groups if group.is_accepted)
        counts = [
            wording.plural(count, label) + (f" ({accepted[label]} accepted)" if accepted[label] else "")
            for label, count in self.tally().items()
        ]
        if groups and all(group.characteristic for group in groups):
            counts.insert(0, "no findings")
        return ", ".join(counts) or "no findings"

    def duration(self) -> str:
        """How long it took, what an earlier run had already done, and whether it was interrupted; "" while it runs."""
        if self.finished is None:
            return ""
        seconds, resumed = f"{self.finished.seconds:.0f} s", self.finished.resumed
        words = f"a stored run, judged in {seconds}" if self.finished.stored else seconds
        words += f"; {wording.plural(resumed, 'call')} from the interrupted run" if resumed else ""
        return words + (", interrupted" if self.finished.interrupted else "")

    def extent(self) -> str:
        """The size of the run."""
        subjects, problems = len(self.requested_subjects()), len(self.problems)
        shard = self.started.settings.shard if self.started else None
        return (f"shard {shard}: " if shard else "") + (
            f"{wording.plural(subjects, 'subject')}; {wording.plural(problems, 'problem')}, "
            f"{wording.plural(self.rows, 'row')}, {wording.plural(self.calls, 'call')}"
        )
