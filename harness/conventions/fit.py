"""Fit: does a convention predict an observation, does the observation refute it, or does it say nothing?

What `identify` eliminates with. A number fits inside the widest of the derived budgets (grade C) at a precision of the
arithmetic that is given; never inside a tolerance that somebody liked.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from enum import Enum, StrEnum
from functools import cached_property
from typing import Final

import numpy as np

from logitmus.core.convention import FIELDS, Convention
from logitmus.core.finding import Grade
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array, format_of
from logitmus.core.observation import FIRST_ORDER, Answered, Outcome, Raised
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, TargetKind
from logitmus.core.relevance import is_ordinary
from logitmus.core.subject import Precision, Subject, outside_domain
from logitmus.judging.assessment import assess
from logitmus.judging.bench import Bench
from logitmus.oracle.answer import answer
from logitmus.oracle.question import Question

# How finely the arithmetic computes, best first; "" is the dtype of the logits itself.
LEVELS: Final = ("", "float16", "bfloat16")
# Beyond this e^|x| leaves float16: what is wrong there may be the arithmetic's fault.
_MODERATE: Final = float(np.log(np.finfo(np.float16).max))


class Reading(Enum):
    """What an observation says of a convention."""

    FITS = "it is what the convention predicts, as closely as a shift-stable function has it (grade B)"
    LOOSELY = "it is what the convention predicts, within the widest budget (grade C)"
    SILENT = "the convention predicts nothing here"
    REFUTED = "the convention predicts something else"

    @property
    def fits(self) -> bool:
        return self in (Reading.FITS, Reading.LOOSELY)


class BatchKind(StrEnum):
    """The arrangement of a problem's rows, in words for a reader."""

    SINGLE_ROW = "a single row"
    ROWS = "batches"
    SPATIAL = "spatial axes"


@dataclass(eq=False)
class Observed:
    """One problem and what the subject did with it: `Answered` or `Raised`.

    Attributes:
        bench: reference values of the problem, shared by all subjects that were given it.
    """

    problem: Problem
    outcome: Outcome
    bench: InitVar[Bench | None] = None
    _bench: Bench = field(init=False)
    _readings: dict[tuple[object, ...], Reading] = field(default_factory=dict)

    def __post_init__(self, bench: Bench | None) -> None:
        self._bench = bench or Bench(self.problem)

    @property
    def raised(self) -> bool:
        return isinstance(self.outcome, Raised)

    @property
    def result_text(self) -> str:
        """The result in words: the first numbers, or the exception."""
        if isinstance(self.outcome, Answered):
            numbers = self.outcome.loss.reshape(-1)[:4].astype(np.float64)
            return f" (gave {np.array2string(numbers, precision=6)})"
        return f" (raised {self.error})"

    @property
    def error(self) -> str:
        """The exception on a single line; empty where there is none."""
        outcome = self.outcome
        return " ".join(f"{outcome.type}: {outcome.message}".split())[:200] if isinstance(outcome, Raised) else ""

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts that were returned; an exception takes the place of a loss."""
        return ("loss",) if self.raised else tuple(p for p in FIRST_ORDER if getattr(self.outcome, p) is not None)

    @property
    def loss_dtype(self) -> str:
        """The dtype of the loss; empty for an exception."""
        return str(self.outcome.loss.dtype.name) if isinstance(self.outcome, Answered) else ""

    @cached_property
    def batch_kind(self) -> BatchKind:
        """The arrangement of the rows."""
        return {0: BatchKind.SINGLE_ROW, 1: BatchKind.ROWS}.get(len(self.problem.batch), BatchKind.SPATIAL)

    @cached_property
    def context(self) -> tuple[str, ...]:
        """What may fail as a whole: the kind of batch, the dtype, the options, the reduction."""
        reduction = self.problem.reduction
        named = () if reduction == DEFAULT_REDUCTION else (f"reduction={reduction!r}",)
        dtype = () if self.problem.dtype == "float32" else (self.problem.dtype,)
        return (self.batch_kind, *dtype, *sorted(self.problem.options), *named)

    @cached_property
    def moderate(self) -> bool:
        """Whether any arithmetic can compute it: finite logits, no large ones."""
        x = self.problem.logits.astype(np.float64)
        return bool(np.isfinite(x).all() and (np.abs(x) < _MODERATE).all())

    @cached_property
    def valid(self) -> bool:
        """Whether every convention answers the problem."""
        return is_ordinary(self.problem)

    @property
    def control(self) -> bool:
        """Valid and moderate: whoever fails it does not take such problems at all, or is wrong about them."""
        return self.valid and self.moderate

    @cached_property
    def wide(self) -> bool:
        """Float64 logits that float32 cannot hold."""
        x = self.problem.logits
        return x.dtype == np.float64 and bool((float_array(x, "float32") != x).any())

    @cached_property
    def hard(self) -> bool:
        """Finite numbers, and large ones."""
        return not self.moderate and bool(np.isfinite(self.problem.logits.astype(np.float64)).all())

    def read(self, part: str, subject: Subject, convention: Convention, level: str) -> Reading:
        """Read a part under a convention; questions with the same key are read once."""
        if self._outside[convention.inputs]:
            return Reading.SILENT
        if convention.inputs != "probabilities":  # so that fewer conventions are different ones
            convention = convention.but(probability_clip="none", probability_scale="none")
        question = self._bench.question(convention)
        key = (question.key, part, convention.wide_inputs, level)
        if key not in self._readings:
            self._readings[key] = self._read(question, part, subject, convention, level)
        return self._readings[key]

    def depends(self, name: str, convention: Convention) -> bool:
        """Whether another value of a field gives another exact loss, or an exception, than this convention."""
        mine = self._predicted(convention)
        others = (convention.but(**{name: value}) for value in FIELDS[name].values)
        return any(self._predicted(other) != mine for other in others)

    def _predicted(self, convention: Convention) -> object:
        question = self._bench.question(convention)
        if question.refused is not None or (question.rows and question.unjudged.all()):
            return question.refused is not None
        loss = answer(question).loss.rounded(self.problem.dtype)
        return (loss.tobytes(), question.unjudged.tobytes())

    @cached_property
    def _outside(self) -> dict[str, bool]:
        return {inputs: bool(outside_domain(inputs, self.problem)) for inputs in FIELDS["inputs"].values}

    def _read(self, question: Question, part: str, subject: Subject, convention: Convention, level: str) -> Reading:
        outcome = self.outcome
        silent = bool(question.rows) and bool(question.unjudged.all())
        if not isinstance(outcome, Answered):
            silent = silent or _turns_twice(self.problem, convention)
            return Reading.FITS if question.refused is not None else Reading.SILENT if silent else Reading.REFUTED
        if question.refused is not None or not self.well_shaped(part, question.reduction):
            return Reading.REFUTED
        if silent:
            return Reading.SILENT
        candidate = replace(
            subject,
            convention=convention.but(target_gradient="yes"),
            precision={self.problem.dtype: _precision(self.problem.dtype, convention, level)},
        )
        alone = replace(outcome, grad_logits=None, grad_targets=None)
        if part != "loss":
            alone = replace(alone, loss=_no_loss(question), **{part: getattr(outcome, part)})
        found = next(found for found in assess(self._bench, candidate, question, alone) if found.part == part)
        return _of(found.judged, found.undecided, found.grade, coarse=found.coarse)

    def well_shaped(self, part: str, reduction: str) -> bool:
        """Whether the part has as many numbers as it should, of a dtype that is known."""
        result = getattr(self.outcome, part)
        if result.dtype.name not in FLOAT_DTYPES:
            return False
        wanted = self.problem.logits.size if part != "loss" else self.problem.rows if reduction == "none" else 1
        return bool(result.size == wanted)


def _no_loss(question: Question) -> Array:
    return np.zeros((question.rows,) if question.reduction == "none" else (), np.float32)


def _turns_twice(problem: Problem, convention: Convention) -> bool:
    """A label that wraps only when taken around more than once: NaN in JAX, an exception in Python."""
    if problem.target_kind != TargetKind.LABELS:
        return False
    below, above = problem.targets < -problem.classes, problem.targets >= 2 * problem.classes
    return bool(
        (convention.label_negative == "wrap" and below.any())
        or (convention.label_out_of_range == "wrap" and above.any())
    )


def _of(judged: Array, undecided: Array, grade: Grade, *, coarse: bool) -> Reading:
    if coarse or not judged.any():
        return Reading.SILENT
    if grade.rank <= Grade.C.rank:
        return Reading.FITS if grade.rank <= Grade.B.rank else Reading.LOOSELY
    return Reading.SILENT if undecided.any() else Reading.REFUTED


def _precision(dtype: str, convention: Convention, level: str) -> Precision:
    """Everything as coarse as the dtype of the logits, or as `level` where that is coarser."""
    own = "float32" if dtype == "float64" and convention.wide_inputs == "narrowed" else dtype
    arithmetic = level if level and format_of(level).u > format_of(own).u else own
    return Precision(dtype, arithmetic, arithmetic)
