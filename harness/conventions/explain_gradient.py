"""What a gradient by the logits is right for: its own loss, a faulty rule, or the loss of another convention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from logitmus.conventions.hypotheses.choices import convention_changes
from logitmus.conventions.printed_numbers import ExplainError, PrintedNumber, printed
from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.problem import Problem
from logitmus.oracle.answer import answer
from logitmus.oracle.gradient_variants import VARIANTS
from logitmus.oracle.question import Question
from logitmus.oracle.resolve import resolve

PrintedRows = list[list[PrintedNumber]]


@dataclass(frozen=True)
class GradientReading:
    """One explanation of a gradient by the logits.

    Attributes:
        changes: the field that differs from the portable convention, with its value; empty: none does.
        variant: a name of `gradient_variants.VARIANTS`; "": the gradient belongs to its loss.
        reduction: how the rows are reduced.
    """

    changes: tuple[tuple[str, str], ...]
    variant: str
    reduction: str

    @property
    def cause(self) -> Cause | None:
        """The cause that a finding would have, for example `gradient_of:smoothing=dropped`; None: it is right."""
        if self.variant:
            return Cause.of("gradient", self.variant)
        return Cause.of_choice("gradient_of", *self.changes[0]) if self.changes else None


def parse_gradient(rows: Sequence[Sequence[str | float]], problem: Problem, dtype: str) -> PrintedRows:
    """Read a gradient as rows (N, K) of printed numbers.

    Raises:
        ExplainError: where the shape is not that of the logits.
    """
    given = [list(printed(row, dtype)) for row in rows]
    if [len(row) for row in given] != [problem.classes] * problem.rows:
        shape = ", ".join(str(len(row)) for row in given)
        raise ExplainError(f"gradient: rows of {shape} numbers; give {problem.rows} of {problem.classes}")
    return given


def gradient_readings(
    problem: Problem, reductions: Iterable[str], given: PrintedRows, upstream: Sequence[float] | None
) -> Iterator[GradientReading]:
    """Yield what the gradient is right for, simplest first: as defined, another convention, a faulty rule."""
    for reduction in reductions:
        if upstream is not None and len(upstream) != (problem.rows if reduction == "none" else 1):
            continue
        cotangent = None
        if upstream is not None:
            cotangent = np.array(upstream).reshape(problem.batch) if reduction == "none" else np.array(upstream[0])
        shaped = problem.but(reduction=reduction, cotangent=cotangent)
        portable = resolve(shaped, PORTABLE)
        if portable.refused is not None:
            continue
        if _is_gradient(given, portable):
            yield GradientReading((), "", reduction)
            continue
        seen = {portable.key}
        for change in convention_changes(problem):
            question = resolve(shaped, PORTABLE.but(**{change.name: change.value}))
            if question.key not in seen and question.refused is None:
                seen.add(question.key)
                if _is_gradient(given, question):
                    yield GradientReading((change.key,), "", reduction)
        for name, variant in VARIANTS.items():
            if any(_is_gradient(given, question) for question in variant(portable, shaped)):
                yield GradientReading((), name, reduction)


def _is_gradient(given: PrintedRows, question: Question) -> bool:
    exact = answer(question).grad_logits
    return all(number.agrees(exact, (n, k)) for n, row in enumerate(given) for k, number in enumerate(row))
