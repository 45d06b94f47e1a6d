"""What changed between two runs, as values; `logitmus.results.run_diff` finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logitmus.core.finding import Finding, Grade


@dataclass(frozen=True, kw_only=True)
class EnvironmentChange:
    """One fact that differs.

    Attributes:
        where: "harness" or a backend. name: "torch", "python.version".
        before, after: None where it is absent in that run.
        own: whether it is the version of a distribution of the framework itself.
    """

    where: str
    name: str
    before: str | None
    after: str | None
    own: bool = False


@dataclass(frozen=True, kw_only=True)
class DeclarationChange:
    """A choice of the convention that a subject of both runs declares otherwise."""

    subject: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """A class of findings (`Finding.key`).

    Attributes:
        example: the first finding of that key, of the run that has it (the later run where both have it).
        appeared, vanished: of the calls of both runs, the problems (ids) on which only the later, only the earlier run
            has it.
        added: the problems of calls that only the later run made, if the earlier run shows no finding of this class.
        stayed: the number of problems on which both have it.
    """

    example: Finding
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    stayed: int = 0


@dataclass(frozen=True, kw_only=True)
class BitsChange:
    """How the results of a subject differ.

    Attributes:
        compared: its problems in both runs. changed: how many of them differ in bits or outcome.
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
    """`problems` problems moved from grade `before` to grade `after` (None: nothing was judged). example: a problem."""

    subject: str
    before: Grade | None
    after: Grade | None
    problems: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed from the run `before` to the run `after` (file names). All tuples are sorted, worst first.

    Attributes:
        problems: in both runs; only_before, only_after: the numbers in a single run.
        pairs: calls that both runs made.
        not_made: calls of the earlier run that the later run should have made and did not.
        backends_gone: backends of the earlier run that the later run lacks, or that could not run in it.
        subjects_gone, subjects_new: ids.
        declared: of the subjects of both runs.
        new: findings that the later run shows and the earlier run does not. gone: the opposite.
        changed: findings of both runs, on other problems.
        bits, grades: the changes of each subject that has any.
    """

    before: str
    after: str
    problems: int
    only_before: int
    only_after: int
    pairs: int
    not_made: int = 0
    environment: tuple[EnvironmentChange, ...] = ()
    backends_gone: tuple[str, ...] = ()
    subjects_gone: tuple[str, ...] = ()
    subjects_new: tuple[str, ...] = ()
    declared: tuple[DeclarationChange, ...] = ()
    new: tuple[FindingChange, ...] = ()
    gone: tuple[FindingChange, ...] = ()
    changed: tuple[FindingChange, ...] = ()
    bits: tuple[BitsChange, ...] = ()
    grades: tuple[GradeChange, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the results of all calls of both runs are the same (versions may differ)."""
        return not (self.new or self.gone or self.changed or self.bits or self.grades or self.declared)

    @property
    def appeared(self) -> tuple[FindingChange, ...]:
        """The changes with a finding that is new."""
        return tuple(change for change in (*self.new, *self.changed) if change.appeared or change.added)
