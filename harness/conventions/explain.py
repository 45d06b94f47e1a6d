"""Explain: numbers in, reasons out. Which conventions turn these logits and targets into the observed number?

Needs no framework: every convention (and every pair of choices) is put to the oracle, and those whose exact answer
agrees with the observed digits are listed, simplest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import combinations

import numpy as np

from logitmus.conventions.declared import Saying, sayings
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.errors import LogitmusError
from logitmus.core.problem import REDUCTIONS, Problem
from logitmus.oracle.answer import UnanswerableError, answer
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.gradient_variants import MISREADINGS
from logitmus.oracle.question import Question, ask

# Fields that no single number can show, or that only name a default.
_MUTE = frozenset(
    {"class_axis", "default_reduction", "result_dtype", "wide_inputs", "target_gradient", "soft_target_gradient"}
)
_DIGITS = 1e-4  # what is typed in has few of them: thirds are written 0.3333


class ExplainError(LogitmusError, ValueError):
    """Numbers that do not fit together; the message says which, and what is expected."""


@dataclass(frozen=True)
class Observed:
    """A number with the digits given: any real between `lo` and `hi` would be written so."""

    text: str
    lo: float
    hi: float

    @classmethod
    def of(cls, text: str | float) -> Observed:
        """`0.7437` is [0.74365, 0.74375]; nan and inf are themselves.

        Raises:
            ExplainError: for what is not a number.
        """
        written = str(text).strip()
        try:
            number = Decimal(written)
        except InvalidOperation:
            raise ExplainError(
                f"observed: {written!r} is not a number; write it as it was printed, e.g. 0.7437"
            ) from None
        if not number.is_finite():
            return cls(written, float(number), float(number))
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101  (finite)
        half = Decimal(1).scaleb(exponent) / 2 if exponent < 0 else Decimal(0)
        # Printed digits may themselves be rounded from a float32: one more unit of 2^-24 on either side.
        slack = abs(number) * Decimal(2) ** -23
        return cls(written, float(number - half - slack), float(number + half + slack))

    def agrees(self, exact: Enclosure, index: tuple[int, ...]) -> bool:
        """Whether the exact value could have been written so."""
        lo, hi = float(exact.lo[index]), float(exact.hi[index])
        if np.isnan(lo) or np.isnan(self.lo):
            return bool(np.isnan(lo) and np.isnan(self.lo))
        return lo <= self.hi and self.lo <= hi


@dataclass(frozen=True)
class Reading:
    """One way to read the question.

    Attributes:
        changes: the fields that differ from the portable convention, with their values; empty: none does.
        reduction: how the rows were joined. value: the exact answer, for a person.
    """

    changes: tuple[tuple[str, str], ...]
    convention: Convention
    reduction: str
    value: str

    @property
    def words(self) -> str:
        """The changes in words."""
        if not self.changes:
            return "the natural-log cross-entropy of softmax(logits), as defined"
        return "; ".join(f"{FIELDS[name].decides}: {FIELDS[name].values[value]}" for name, value in self.changes)


@dataclass(frozen=True)
class GradientReading:
    """One way to read a gradient by the logits.

    Attributes:
        changes: the field that differs from the portable convention, with its value; empty: none does.
        misread: a name of `misreadings.MISREADINGS`; "": nothing is misread, the gradient belongs to its loss.
        reduction: how the rows were joined.
    """

    changes: tuple[tuple[str, str], ...]
    misread: str
    reduction: str

    @property
    def cause(self) -> str:
        """As a finding has it: "gradient:zero", "gradient_of:smoothing=dropped"; "": it is right."""
        if self.misread:
            return f"gradient:{self.misread}"
        return f"gradient_of:{'='.join(self.changes[0])}" if self.changes else ""


@dataclass(frozen=True)
class Explanation:
    """What is known about one observed number.

    Attributes:
        portable: the exact answer under the portable convention, by reduction, for a person.
        observed: the readings that yield the observed number, simplest first. expected: likewise, what was expected.
        declared: what each framework does with the question, by what its backend declares.
        gradient: the readings that yield the gradient that was given, simplest first; None: none was given.
    """

    problem: Problem
    portable: dict[str, str]
    observed: tuple[Reading, ...]
    expected: tuple[Reading, ...] | None
    declared: tuple[Saying, ...]
    gradient: tuple[GradientReading, ...] | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person may not have meant: probabilities that do not sum to 1."""
        if self.problem.target_kind == "labels":
            return ()
        sums = self.problem.targets.astype(np.float64).sum(axis=-1)
        off = np.flatnonzero(np.abs(sums - 1) > _DIGITS)
        if not len(off):
            return ()
        return (f"the target probabilities of row {off[0]} sum to {sums[off[0]]:.6g}; they are taken as they are",)


def explain(
    *,
    logits: Sequence[Sequence[float]] | Sequence[float],
    targets: Sequence[int] | Sequence[Sequence[float]] | int,
    observed: str | float | Sequence[str | float] | None = None,
    expected: str | float | Sequence[str | float] | None = None,
    weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str | None = None,
    gradient: Sequence[Sequence[str | float]] | None = None,
    upstream: str | float | Sequence[str | float] | None = None,
) -> Explanation:
    """Every convention, and every combination of two choices, that yields the observed number.

    Of a gradient: what it is right for, be it the loss's own, that of another convention, or of a misread question.

    Args:
        logits: one row (K,) or rows (N, K). targets: a label per row, or probabilities shaped as the logits.
        observed, expected: one number, or one a row; give them as text to keep their digits ("0.7437").
        reduction: None tries all.
        gradient: by the logits, as rows (N, K). upstream: the upstream gradient, one number a row, or one for a sum or
            a mean; None: ones.

    Raises:
        ExplainError: for numbers that do not fit together.

    Example:
        >>> from logitmus import explain
        >>> found = explain(logits=[0, 0, 0, 1], targets=3, observed="0.7437", expected="0", reduction="none")
        >>> found.observed[0].words
        'the natural-log cross-entropy of softmax(logits), as defined'
        >>> found.expected[0].changes
        (('inputs', 'probabilities'),)
    """
    if not 0 <= label_smoothing <= 1:
        raise ExplainError(f"label smoothing: {label_smoothing:g}; it is a share, from 0 to 1")
    problem = _problem(logits, targets, weight, ignore_index, label_smoothing)
    if reduction not in (None, *REDUCTIONS):
        raise ExplainError(f"reduction: {reduction!r}; use one of {', '.join(REDUCTIONS)}")
    for name, given in (("observed", observed), ("expected", expected), ("upstream", upstream)):
        count = 0 if given is None else len(_numbers(given))
        if count not in (0, 1, problem.rows):
            raise ExplainError(f"{name}: {count} numbers for {problem.rows} rows; give one, or one a row")
    reductions = [reduction] if reduction else list(REDUCTIONS)
    came = None if gradient is None else _gradient(gradient, problem)
    by_row = None if upstream is None else [float(one.text) for one in _numbers(upstream)]
    return Explanation(
        problem=problem,
        portable={r: _said(ask(problem.but(reduction=r), PORTABLE)) for r in reductions},
        observed=tuple(_readings(problem, reductions, _numbers(observed))) if observed is not None else (),
        expected=None if expected is None else tuple(_readings(problem, reductions, _numbers(expected))),
        declared=sayings(problem, reduction),
        gradient=None if came is None else tuple(_gradient_readings(problem, reductions, came, by_row)),
    )


def fits(saying: Saying, given: str | float | Sequence[str | float]) -> bool:
    """Whether what a framework is declared to do is the number (one, or one a row) that was given."""
    numbers = _numbers(given)
    return saying.loss is not None and len(numbers) == saying.loss.mid.size and _agree(numbers, saying.loss)


def parse_rows(name: str, text: str) -> list[list[float]]:
    """`0,0,0,1` or `0,1;2,3` as rows.

    Raises:
        ExplainError: for what is not a number, or rows of different lengths.
    """
    rows = [[_number(name, cell) for cell in row.split(",")] for row in text.split(";")]
    if len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows)
        raise ExplainError(f"{name}: rows of {lengths} numbers; give every row as many")
    return rows


def parse_targets(text: str, rows: Sequence[Sequence[float]]) -> list[int] | list[list[float]]:
    """Labels (`3`, `3,0`), or probabilities (`0.,0.,0.,1.`: as many numbers as a row has, or with a dot).

    Raises:
        ExplainError: for what is neither.
    """
    cells = text.replace(";", ",").split(",")
    if len(cells) == len(rows) and all(cell.strip().lstrip("+-").isdigit() for cell in cells):
        return [int(cell) for cell in cells]
    return parse_rows("target", text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ExplainError(f"{name}: {text.strip()!r} is not a number") from None


def _numbers(given: str | float | Sequence[str | float]) -> tuple[Observed, ...]:
    if isinstance(given, (str, float, int)):
        return (Observed.of(given),)
    return tuple(Observed.of(one) for one in given)


def _problem(
    logits: object, targets: object, weight: object, ignore_index: int | None, label_smoothing: float
) -> Problem:
    x = np.atleast_2d(np.asarray(logits, dtype=np.float64))
    if x.ndim != 2:
        raise ExplainError(f"logits: shape {x.shape}; give one row (K,) or rows (N, K)")
    rows, classes = x.shape
    t = np.asarray(targets)
    if t.dtype.kind in "iu":
        t = np.atleast_1d(t)
        if t.shape == (rows,):
            return _with_options(x, t.astype(np.int64), weight, ignore_index, label_smoothing)
    q = np.atleast_2d(t.astype(np.float64))
    if q.shape != x.shape:
        raise ExplainError(
            f"targets: shape {t.shape} does not fit logits of shape {x.shape}; give {rows} label(s), or probabilities "
            f"of shape ({rows}, {classes})"
        )
    return _with_options(x, q, weight, ignore_index, label_smoothing)


def _with_options(
    x: np.ndarray, t: np.ndarray, weight: object, ignore_index: int | None, label_smoothing: float
) -> Problem:
    w = None if weight is None else np.asarray(weight, np.float64)
    if w is not None and w.shape != (x.shape[1],):
        raise ExplainError(f"weight: {w.size} numbers for {x.shape[1]} classes; give one a class")
    return Problem(logits=x, targets=t, weight=w, ignore_index=ignore_index, label_smoothing=label_smoothing)


def _readings(problem: Problem, reductions: Iterable[str], numbers: tuple[Observed, ...]) -> Iterator[Reading]:
    """The readings that agree, simplest first: none changed, one field, two; one reading a question."""
    found: list[Reading] = []
    for reduction in reductions:
        shaped = problem.but(reduction=reduction)
        if len(numbers) != (problem.rows if reduction == "none" else 1):
            continue
        seen: set[tuple[object, ...]] = set()
        for changes in _changes():
            if len(changes) == 2 and any(set(r.changes) <= set(changes) and r.reduction == reduction for r in found):
                continue  # a simpler reading says it already
            convention = PORTABLE.but(**dict(changes))
            question = ask(shaped, convention)
            if question.key in seen or question.refused is not None:
                continue
            seen.add(question.key)
            loss = answer(question).loss
            if bool(question.unjudged.any()) or not _agree(numbers, loss):
                continue
            found.append(Reading(changes, convention, reduction, _shown(loss)))
    yield from sorted(found, key=lambda r: len(r.changes))


def _gradient(rows: Sequence[Sequence[str | float]], problem: Problem) -> list[list[Observed]]:
    came = [list(_numbers(row)) for row in rows]
    if [len(row) for row in came] != [problem.classes] * problem.rows:
        shape = ", ".join(str(len(row)) for row in came)
        raise ExplainError(f"gradient: rows of {shape} numbers; give {problem.rows} of {problem.classes}")
    return came


def _gradient_readings(
    problem: Problem, reductions: Iterable[str], came: list[list[Observed]], upstream: Sequence[float] | None
) -> Iterator[GradientReading]:
    """What the gradient is right for: as defined, misread, or of another convention; each question once."""
    for reduction in reductions:
        if upstream is not None and len(upstream) != (problem.rows if reduction == "none" else 1):
            continue
        cotangent = None if upstream is None else np.array(upstream if reduction == "none" else upstream[0])
        shaped = problem.but(reduction=reduction, cotangent=cotangent)
        portable = ask(shaped, PORTABLE)
        if portable.refused is not None:
            continue
        if _is_gradient(came, portable):
            yield GradientReading((), "", reduction)
            continue
        for name, misread in MISREADINGS.items():
            questions = (replace(q, key=(*q.key, name, n)) for n, q in enumerate(misread(portable, shaped)))
            if any(_is_gradient(came, question) for question in questions):
                yield GradientReading((), name, reduction)
        seen = {portable.key}
        for changes in _changes():
            question = ask(shaped, PORTABLE.but(**dict(changes)))
            if len(changes) == 1 and question.key not in seen and question.refused is None:
                seen.add(question.key)
                if _is_gradient(came, question):
                    yield GradientReading(changes, "", reduction)


def _is_gradient(came: list[list[Observed]], question: Question) -> bool:
    exact = answer(question).grad_logits
    return all(one.agrees(exact, (n, k)) for n, row in enumerate(came) for k, one in enumerate(row))


def _agree(numbers: tuple[Observed, ...], loss: Enclosure) -> bool:
    return all(one.agrees(loss, (n,) if loss.shape else ()) for n, one in enumerate(numbers))


def _changes() -> Iterator[tuple[tuple[str, str], ...]]:
    single = [
        (name, value)
        for name, defined in FIELDS.items()
        if name not in _MUTE
        for value in defined.values
        if value != getattr(PORTABLE, name)
    ]
    yield ()
    yield from ((one,) for one in single)
    yield from (pair for pair in combinations(single, 2) if pair[0][0] != pair[1][0])


def _said(question: Question) -> str:
    try:
        return _shown(answer(question).loss)
    except UnanswerableError as refusal:
        return str(refusal)


def _shown(loss: Enclosure) -> str:
    values = np.atleast_1d(loss.mid + loss.rest)
    return ", ".join(f"{v:.10g}" for v in values.tolist())
