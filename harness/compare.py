"""Compare two runs: what an upgrade changed. The values; reports.comparison prints them.

Only what both runs asked is compared: a finding on a problem that the other run did not hold is not "new".
Where a subject's declaration and its bits are the same in both runs, so is its judgement, and it is made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logitmus.finding import Finding, Grade


@dataclass(frozen=True, kw_only=True)
class EnvironmentChange:
    """One fact that differs. where: "harness" or a backend; name: "torch", "python"; None: absent in that run."""

    where: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """One thing to tell a person (`Finding.key`), on the problems that both runs asked.

    Attributes:
        example: the first finding of that key, of the run that has it (the later run where both have it).
        appeared, vanished: ids of the problems on which only the later, only the earlier run has it.
        stayed: the number of problems on which both have it.
    """

    example: Finding
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    stayed: int = 0


@dataclass(frozen=True, kw_only=True)
class BitsChange:
    """How the results of one subject differ.

    Attributes:
        compared: problems that both runs asked of it. changed: those on which bits or outcome differ.
        max_ulps: the largest integer-ordered distance over all values that are numbers in both runs, in ulps of
            the result's dtype; worst: the problem where it was met ("" where no such value changed).
        other: changes that are no distance, by kind ("answered -> raised", "dtype", "shape", "number -> NaN"):
            the number of problems.
    """

    subject: str
    compared: int
    changed: int
    max_ulps: int = 0
    worst: str = ""
    other: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class GradeChange:
    """`problems` problems moved from one grade to another (None: nothing was judged). example: one of them."""

    subject: str
    before: Grade | None
    after: Grade | None
    problems: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed from the run `before` to the run `after` (file names). All tuples are sorted, worst first.

    Attributes:
        problems: asked by both; only_before, only_after: the numbers asked by one alone.
        pairs: (problem, subject) pairs asked by both.
        subjects_gone, subjects_new: ids.
        new, gone: findings that only one run has. changed: those that both have, on other problems.
        bits: one for each subject with a difference. grades: likewise.
    """

    before: str
    after: str
    problems: int
    only_before: int
    only_after: int
    pairs: int
    environment: tuple[EnvironmentChange, ...] = ()
    subjects_gone: tuple[str, ...] = ()
    subjects_new: tuple[str, ...] = ()
    new: tuple[FindingChange, ...] = ()
    gone: tuple[FindingChange, ...] = ()
    changed: tuple[FindingChange, ...] = ()
    bits: tuple[BitsChange, ...] = ()
    grades: tuple[GradeChange, ...] = ()

    @property
    def same(self) -> bool:
        """Nothing that was asked of both came out differently (versions may well differ)."""
        return not (self.new or self.gone or self.changed or self.bits or self.grades)
