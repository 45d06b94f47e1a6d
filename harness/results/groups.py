"""Groups: findings with the same cause, reported as a unit; and the order in which they are reported."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Examined
from logitmus.core.finding import Finding, smallness
from logitmus.core.problem import Problem
from logitmus.core.subject import SubjectId
from logitmus.results import wording

Key = tuple[str, str, str, Cause, tuple[Cause, ...]]


@dataclass(slots=True)
class Group:
    """Findings with the same key, of any number of subjects of a backend, reported as a unit.

    Attributes:
        finding, problem: the smallest that shows it; once it was examined, the simplest. count: such findings, over all
            subjects. accepted: how many of these a person has accepted; reasons: and why.
        cells: the (subject, family) pairs that have it.
        dependences: what it was found to depend on (`catalogue.dependence`).
        new, new_cells: how many findings an earlier run does not show, and where; earlier: the name of that run, ""
            if there is none.
        characteristic: whether it is a choice that the functions declare and keep: there is nothing to decide.
    """

    finding: Finding
    problem: Problem
    count: int = 0
    accepted: int = 0
    reasons: set[str] = field(default_factory=set)
    cells: set[tuple[str, str]] = field(default_factory=set)
    dtypes: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    dependences: tuple[str, ...] = ()
    new: int = 0
    new_cells: set[tuple[str, str]] = field(default_factory=set)
    earlier: str = ""
    characteristic: bool = False

    def add(self, finding: Finding, problem: Problem, reason: str = "") -> None:
        """Count a finding, accepted if there is a reason; keep the smallest problem."""
        self.count += 1
        if reason:
            self.accepted += 1
            self.reasons.add(reason)
        self.cells.add((finding.subject, finding.family))
        self.dtypes.add(finding.dtype)
        self.parts.add(finding.part)
        if smallness(finding, problem) < smallness(self.finding, self.problem):
            self.finding, self.problem = finding, problem

    def add_new(self, finding: Finding) -> None:
        """Note of a finding that was added that it is new."""
        self.new += 1
        self.new_cells.add((finding.subject, finding.family))

    def absorb(self, other: Group, *, as_example: bool = True) -> None:
        """Take in a group of the same cause; its smallest problem becomes this group's, unless it is no example."""
        self.count += other.count
        self.accepted += other.accepted
        self.reasons |= other.reasons
        self.cells |= other.cells
        self.new += other.new
        self.new_cells |= other.new_cells
        self.dtypes |= other.dtypes
        self.parts |= other.parts
        if as_example and smallness(other.finding, other.problem) < smallness(self.finding, self.problem):
            self.finding, self.problem, self.dependences = other.finding, other.problem, other.dependences

    def copy(self) -> Group:
        return replace(
            self,
            reasons=set(self.reasons),
            cells=set(self.cells),
            new_cells=set(self.new_cells),
            dtypes=set(self.dtypes),
            parts=set(self.parts),
        )

    def show(self, examined: Examined) -> None:
        """Take over the finding and the problem of its examination."""
        self.finding, self.problem, self.dependences = examined.finding, examined.problem, examined.dependences

    @property
    def label(self) -> str:
        """What it is, in a word: its severity, or "characteristic"."""
        return "characteristic" if self.characteristic else self.finding.severity.value

    @property
    def is_accepted(self) -> bool:
        """Whether nothing is left of it that nobody has accepted."""
        return self.accepted == self.count

    def known_since(self, cell: tuple[str, str] | None = None) -> str:
        """The earlier run that shows all of it (in this cell); "" if some of it is new, or there is no such run."""
        return "" if (self.new if cell is None else cell in self.new_cells) else self.earlier

    @property
    def counts(self) -> bool:
        """Whether somebody has to decide: it is not accepted, not known from an earlier run, not declared and kept."""
        return not (self.is_accepted or self.known_since() or self.is_declared)

    @property
    def is_declared(self) -> bool:
        """Whether the function declares and keeps it, and did so in the earlier run, too, if there is one."""
        return self.characteristic and not self.new

    @property
    def acceptance(self) -> str:
        """How much of it is accepted, and why, in words; "" for nothing."""
        much = "" if self.is_accepted else f"{self.accepted} of {wording.plural(self.count, 'result')}: "
        return much + "; ".join(sorted(self.reasons)) if self.accepted else ""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, different for all groups of a run, and the same in every run that has the group."""
        backend, kind, severity, cause, alternatives = fold(self.finding)
        text = "\n".join((backend, kind, severity, cause, *alternatives))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def subjects(self) -> set[str]:
        return {subject for subject, _ in self.cells}

    @property
    def families(self) -> set[str]:
        return {family for _, family in self.cells}


def fold(finding: Finding) -> Key:
    """The key under which findings of a backend are grouped."""
    _, kind, severity, cause = finding.key
    return SubjectId.parse(finding.subject).backend, kind, severity, cause, finding.alternatives


def names(of: Key, subject: str, cause: Cause) -> bool:
    """Whether it tells of this subject's backend, and names this cause alone."""
    return (of[0], of[3], of[4]) == (SubjectId.parse(subject).backend, cause, ())


def without_lesser(groups: list[Group]) -> list[Group]:
    """Merge each group into a larger group of the same subjects whose cause takes precedence over its own."""
    left = []
    for group in groups:
        greater = next(
            (
                other
                for cause in catalogue.yields_to(group.finding.cause)
                for other in groups
                if other.finding.cause == cause and group.subjects <= other.subjects and group.count < other.count
            ),
            None,
        )
        if greater is None:
            left.append(group)
        else:
            greater.absorb(group, as_example=False)
    return left


def worst_first(groups: list[Group]) -> list[Group]:
    """By severity, then by how many findings have the cause, in whatever backend; what is alike stays together.

    What is accepted, and what an earlier run shows, come last in their severity; characteristics after all others.
    """
    frequent: Counter[tuple[str, str, str]] = Counter()
    for group in groups:
        frequent[group.finding.key[1:]] += group.count

    def rank(group: Group) -> tuple[object, ...]:
        alike = group.finding.key[1:]
        severity = group.finding.severity.rank
        return (
            group.characteristic,
            severity,
            group.is_accepted,
            bool(group.known_since()),
            -frequent[alike],
            alike,
            -group.count,
            min(group.subjects),
        )

    return sorted(groups, key=rank)
