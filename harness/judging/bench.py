"""The bench of a problem: its questions, answers, comparisons and budgets, each computed once.

Many subjects are judged on each problem, and a diagnosis tries many conventions and precisions; most of them share a
question, an answer or a budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from logitmus.core.convention import Convention
from logitmus.core.finding import Grade
from logitmus.core.floats import Array, dtype_name
from logitmus.core.problem import Problem
from logitmus.core.relevance import relevant_choices
from logitmus.judging.budget import Budget, Roundoffs
from logitmus.judging.comparison import Compared, compare
from logitmus.oracle.answer import FAST, WIDE, Answer, answer
from logitmus.oracle.question import Question
from logitmus.oracle.resolve import resolve
from logitmus.oracle.softmax import Softmaxes


@dataclass(eq=False)
class Bench:
    """The workspaces of a problem."""

    problem: Problem
    _questions: dict[tuple[object, ...], Question] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Answer] = field(default_factory=dict)
    _softmaxes: Softmaxes = field(default_factory=Softmaxes)
    _budgets: dict[tuple[object, ...], Budget] = field(default_factory=dict)
    _compared: dict[tuple[object, ...], tuple[Array, Compared]] = field(default_factory=dict)

    def question(self, convention: Convention) -> Question:
        """The problem, resolved under a convention."""
        choices = self._relevant_choices(convention)
        if choices not in self._questions:
            self._questions[choices] = resolve(self.problem, convention)
        return self._questions[choices]

    @cached_property
    def _relevant_choices(self) -> Callable[[Convention], tuple[object, ...]]:
        return relevant_choices(self.problem)

    def answer(self, question: Question, bits: int | None = None) -> Answer:
        """The exact answer at `bits` of precision; by default from the fast tier that suits the dtype.

        Float64 logits need more than float64: their budgets are as narrow as that tier's own error.
        """
        precision = bits or (WIDE if self.problem.dtype == "float64" else FAST)
        key = (question.key, precision)
        if key not in self._answers:
            self._answers[key] = answer(question, bits=precision, softmaxes=self._softmaxes)
        return self._answers[key]

    def compared(self, result: Array, exact: Answer, part: str, *, flushing: bool) -> Compared:
        """The distances of a part of a result from its exact values; they serve every precision."""
        key = (id(result), exact.question.key, exact.bits, part, flushing)
        if key not in self._compared:
            enclosure = getattr(exact, part)
            compared = compare(result.reshape(enclosure.shape), enclosure, dtype_name(result), flushing=flushing)
            self._compared[key] = result, compared  # `result` stays referenced, so that its id stays unique
        return self._compared[key][1]

    def budget(self, exact: Answer, roundoffs: Roundoffs, grade: Grade) -> Budget:
        """The budgets of an answer at a precision and grade."""
        key = (exact.question.key, exact.bits, roundoffs, grade)
        if key not in self._budgets:
            self._budgets[key] = Budget(exact, roundoffs, grade)
        return self._budgets[key]
