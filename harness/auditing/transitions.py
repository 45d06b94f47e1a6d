"""Transitions: what an upgrade changes in the results of functions, as values.

A call that both runs made belongs to exactly one kind of transition, apart from new warnings, which are independent of
the result. `classification` decides the kind, `comparison` groups the calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from logitmus.core.finding import Severity
from logitmus.results.run_changes import Comparison


class Change(StrEnum):
    """The kinds of transitions, worst first."""

    NEWLY_WRONG = "newly wrong"
    GONE = "gone"
    WRONG_OTHERWISE = "wrong in another way"
    CONVENTION = "convention changed"
    ERRORS = "error changed"
    SPECIAL = "special value changed"
    FORM = "dtype or shape changed"
    PRECISION = "precision changed"
    LESS_ACCURATE = "less accurate"
    WARNING = "new warning"
    MESSAGE = "error message changed"
    SLOWER = "slower"
    FASTER = "faster"
    MORE_ACCURATE = "more accurate"
    FIXED = "fixed"
    NEW = "new"
    NO_WARNING = "warning gone"
    BITS = "bits changed"

    @cached_property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Change).index(self)

    @property
    def is_measured_in_seconds(self) -> bool:
        """Whether it is about the time of calls, which another measurement may not confirm."""
        return self in (Change.SLOWER, Change.FASTER)


@dataclass(frozen=True, kw_only=True)
class Example:
    """The smallest problem that shows a transition.

    Attributes:
        problem: its id. input: the problem in a line.
        subject: the function that was called (an id).
        expected: the exact answer, "" where the transition is about something else. place: which value that is.
        before, after: the results.
        finding: the id of the finding that `logitmus repro` takes; "": there is none. run: the run file that has it.
    """

    problem: str
    input: str
    subject: str
    before: str
    after: str
    expected: str = ""
    place: str = ""
    finding: str = ""
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A change with one cause, over all functions, modes and dtypes of a backend that show it.

    Attributes:
        change: its kind. what: the change in words, the same in every report.
        cause: the cause of the finding that appeared, or else of the finding that vanished; "" for other kinds.
        field, before, after: what changed, from which value to which: a field of the convention, the type of an
            exception, a dtype, a grade, a warning's text.
        severity: of the finding, where there is one.
        worse: whether the later version is worse.
        act: what a user of the function has to do.
        subjects: ids. dtypes, families: of the problems. results: the number of calls that show it.
        example: the smallest problem that shows it; None: the transition is not about one problem.
        accepted: why it is accepted, "" where it is not.
    """

    change: Change
    what: str
    act: str
    backend: str
    cause: str = ""
    field: str = ""
    before: str = ""
    after: str = ""
    severity: Severity | None = None
    worse: bool = False
    subjects: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    results: int = 0
    example: Example | None = None
    accepted: str = ""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How far the values of a step moved within their error budgets.

    Attributes:
        compared: calls of both runs that return in the later.
        changed: of these, the calls whose values changed and that show no other transition.
        ulps: the largest change of a loss, in units in the last place of the larger of both losses, or of 1 if these
            are smaller.
        share: the largest part of the error budget that a changed result uses, in either run.
        problem: where `ulps` was met.
    """

    compared: int = 0
    changed: int = 0
    ulps: float = 0.0
    share: float = 0.0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class SubjectState:
    """What a run shows of a function over the problems that all runs have in common.

    Attributes:
        grade: the worst, "" where nothing was graded. share: the largest part of its error budget that a result used.
        wrong: the number of calls with a bug or a hazard. causes: of these findings.
        calls: that were made.
    """

    grade: str = ""
    share: float = 0.0
    wrong: int = 0
    causes: tuple[str, ...] = ()
    calls: int = 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """From one run to another.

    Attributes:
        title: "optax 0.2.3 to 0.2.8". before, after: the names of the runs.
        packages: the packages that it is about: name, version before, version after.
        comparison: what is compared with what, and which packages differ.
        transitions: worst first.
        states: by subject (an id), what both runs show of it.
        failing: the functions of which every call fails in both runs, in words.
        lost: the number of calls that the later run did not make because workers were lost.
    """

    title: str
    before: str
    after: str
    packages: tuple[tuple[str, str, str], ...] = ()
    comparison: Comparison
    transitions: tuple[Transition, ...]
    moved: Moved = Moved()
    states: Mapping[str, tuple[SubjectState, SubjectState]] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    lost: int = 0

    @property
    def counted(self) -> tuple[Transition, ...]:
        """The transitions that nobody has accepted."""
        return tuple(transition for transition in self.transitions if not transition.accepted)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The steps from each run to the next, in the order of the runs; along an axis, from the first to each other.

    Attributes:
        columns: the name of each run. files: its file.
        notes: the versions that could not run, and why.
    """

    columns: tuple[str, ...]
    files: tuple[str, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_history(self) -> bool:
        """Whether there are several steps that follow on each other."""
        follow = all(earlier.after == later.before for earlier, later in pairwise(self.steps))
        return len(self.steps) > 1 and follow

    @property
    def is_complete(self) -> bool:
        """Whether every step compares results."""
        return bool(self.steps) and all(
            step.comparison.pairs and (step.moved.compared or step.transitions) for step in self.steps
        )

    @property
    def changed(self) -> bool:
        """Whether any result changed, of those that nobody has accepted; times do not count."""
        return any(not transition.change.is_measured_in_seconds for step in self.steps for transition in step.counted)

    @property
    def worse(self) -> bool:
        """Whether any result is worse, of those that nobody has accepted."""
        return any(transition.worse for step in self.steps for transition in step.counted)
