"""Findings: judged differences, and the judgement of an observation. Values only; the judge makes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from logitmus.core.causes import Cause
from logitmus.core.problem import Problem


class Kind(StrEnum):
    """The kind of difference (docs/accuracy.md says how they are distinguished)."""

    ACCURACY = "accuracy"
    CONVENTION = "convention"
    SPECIAL = "special"
    CONTRACT = "contract"
    INTEGRITY = "integrity"
    CRASH = "crash"
    TIMEOUT = "timeout"
    CLAIM = "claim"


class Severity(StrEnum):
    """The severity of a finding, worst first."""

    BUG = "bug"
    HAZARD = "hazard"
    DIFFERENCE = "difference"
    NOTE = "note"

    @cached_property
    def rank(self) -> int:
        return list(Severity).index(self)


class Grade(StrEnum):
    """The error budget that a result stays within, best first."""

    A = "A"
    B_PLUS = "B+"
    B = "B"
    C = "C"
    F = "F"
    COARSE = "too coarse to judge"

    @cached_property
    def rank(self) -> int:
        return list(Grade).index(self)


class Verdict(StrEnum):
    """The verdict on a (subject, problem) pair."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    ABSORBED = "absorbed"
    FINDING = "finding"
    COARSE = "coarse"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


# The parts of a result that a finding may be about, in words.
PARTS: Final = {"loss": "loss", "grad_logits": "gradient by logits", "grad_targets": "gradient by targets"}


def part_name(part: str) -> str:
    """A part of a result in words."""
    return PARTS.get(part, part)


Fault = tuple[Kind, Cause, str]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One judged difference.

    Attributes:
        kind, severity: see the enums.
        subject, problem: ids. family, dtype: of the problem.
        part: "loss", "grad_logits", "grad_targets" or "" where it is about the whole call.
        cause: why the result is not as expected; findings are grouped by it.
        summary: the cause in words; the same for every finding with this cause.
        detail: this problem's own numbers in words.
        expected: the exact value as "[lo, hi]" or words; observed: the result.
        row, index: where: the row, and the class for a gradient.
        alternatives: other causes that explain it equally well.
        instead: the cause if other results of the subject refute `cause`; None: it is then unexplained.
        effect: of a change that a switch makes, the cause that the result with the switch has by itself; None: it is
            uncertain.
        without: the result without the switch.
        ulps: |r - y| in ulps of the result (None: not a number). share: of the B+ budget used.
    """

    kind: Kind
    severity: Severity
    subject: str
    problem: str
    family: str
    dtype: str
    part: str
    cause: Cause
    summary: str
    detail: str = ""
    expected: str = ""
    observed: str = ""
    alternatives: tuple[Cause, ...] = ()
    row: int | None = None
    index: int | None = None
    ulps: float | None = None
    share: float | None = None
    instead: Cause | None = None
    effect: Cause | None = None
    without: str = ""

    @property
    def id(self) -> str:
        """8 hexadecimal digits that identify it permanently: a hash of its subject, kind, cause, part and problem."""
        text = "\n".join((self.subject, self.kind.value, self.cause, self.part, self.problem))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def fault(self) -> Fault:
        """Kind, cause and part: what the findings of two subjects on one problem may have in common."""
        return self.kind, self.cause, self.part

    @property
    def key(self) -> tuple[str, str, str, Cause]:
        """The key by which findings are grouped: subject, kind, severity, cause."""
        return (self.subject, self.kind.value, self.severity.value, self.cause)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The judgement of an observation.

    Attributes:
        verdict: in a word. grade: the worst over all judged values (None: nothing was judged).
        rows: the rows judged. absorbed: values absorbed. undecided: values that stayed undecided.
        share, ulps: the worst over all finite judged values.
        reason: why it was not run. lacks_module: because a module is not installed.
        given_up: because workers were lost. findings: in order of severity.
    """

    subject: str
    problem: str
    family: str
    dtype: str
    verdict: Verdict
    grade: Grade | None = None
    rows: int = 0
    absorbed: int = 0
    undecided: int = 0
    share: float = 0.0
    ulps: float = 0.0
    reason: str = ""
    lacks_module: bool = False
    given_up: bool = False
    findings: tuple[Finding, ...] = ()


def smallness(finding: Finding, problem: Problem) -> tuple[object, ...]:
    """Valid labels, fewer classes, fewer rows, float32 first; then anything that is the same on every machine."""
    rows = 1 if problem.reduction == "none" and finding.row is not None else problem.rows
    return (
        not problem.has_valid_labels,  # what such a label does to a function may be another thing
        problem.classes * rows,
        problem.dtype != "float32",
        len(problem.options),
        problem.id,
        finding.subject,
        finding.part,
        finding.row or 0,
        finding.index or 0,
    )
