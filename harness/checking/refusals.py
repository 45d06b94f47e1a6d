"""What a function does not take: kinds of input on which it raises every time and never returns a result.

A loss that takes float32 logits of shape (N, K) and nothing else is limited, and not wrong. Such a limit is a kind of
input (`kinds_of_input`), so that a user recognises it. An exception counts as one only if the function raised on
every problem of that kind; an exception on an ordinary batch, or on some problems of a kind only, remains a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from logitmus.core.finding import Finding
from logitmus.core.problem import Problem, Reduction, TargetKind

# A function may refuse to average nothing and still return no rows, or 0 as their sum.
_EMPTY: Final[Mapping[Reduction, str]] = {
    "none": "an empty batch without a reduction",
    "sum": "the sum of an empty batch",
    "mean": "the mean of an empty batch",
    "default": "an empty batch with the default reduction",
}


def is_refusal(finding: Finding) -> bool:
    """Whether the finding is about an exception where a result was expected."""
    return finding.cause.name == "raised" or refuses_by_convention(finding)


def refuses_by_convention(finding: Finding) -> bool:
    """Whether the exception is a choice of a convention, such as for an empty batch."""
    return finding.cause.name == "convention" and finding.cause.value == "error"


def kinds_of_input(problem: Problem) -> Iterator[str]:
    """The kinds of input of which the problem is an example, as the report names them; none for an ordinary batch."""
    if problem.batch == ():
        yield "logits of shape (K,)"
    if len(problem.batch) > 1:
        yield "more than one batch axis"
    if problem.dtype != "float32":
        yield f"{problem.dtype} logits"
    if problem.target_kind == TargetKind.LABELS:
        yield f"{problem.targets.dtype} labels"
    if problem.rows == 0:
        yield _EMPTY[problem.reduction]
    if problem.classes == 0:
        yield "no classes (K = 0)"
    if problem.classes == 1:
        yield "a single class (K = 1)"
    if problem.label_smoothing == 1.0:
        yield "label_smoothing = 1"


class Refusals:
    """Counts, for each kind of input of one function, the problems with a result and those with an exception."""

    def __init__(self) -> None:
        self._answered: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def add(self, problem: Problem, *, answered: bool, refused: bool) -> None:
        """Count a problem that was put to the function."""
        for kind in kinds_of_input(problem):
            self._answered[kind] += answered
            self._refused[kind] += refused

    @property
    def limits(self) -> dict[str, int]:
        """The number of refused problems by kind of input, of the kinds that the function does not take."""
        return {kind: count for kind, count in self._refused.items() if count and not self._answered[kind]}

    def covers(self, problem: Problem) -> bool:
        """Whether the problem is of a kind that the function does not take."""
        return not self.limits.keys().isdisjoint(kinds_of_input(problem))
