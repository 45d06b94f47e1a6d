"""Explain: which reading of some logits and targets gives the number that was observed?

Needs no framework. The exact loss comes from the oracle; then every change of the catalogue (`hypotheses`) is tried
alone and, where none alone gives the number, in pairs. What is listed first is simplest.

A single number carries little information, and thousands of pairs are tried: five digits agree with some pair by
accident. A pair is therefore certain only where the digits carry more information than the choice among all pairs;
otherwise it is listed as possible, and more digits or more rows would settle it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from logitmus.conventions.declared import Saying, sayings
from logitmus.conventions.explain_gradient import GradientReading, gradient_readings, parse_gradient
from logitmus.conventions.hypotheses.arithmetic import ARITHMETIC, FLOAT32
from logitmus.conventions.hypotheses.catalogue import catalogue, not_tried
from logitmus.conventions.hypotheses.change import USUAL, Change
from logitmus.conventions.hypotheses.evaluate import Evaluator
from logitmus.conventions.printed_numbers import DTYPES, ExplainError, PrintedNumber, printed
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import REDUCTIONS, Problem, TargetKind
from logitmus.oracle.answer import UnanswerableError, answer
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.question import Question
from logitmus.oracle.resolve import resolve

Numbers = str | float | Sequence[str | float]

_FRACTION_BITS: Final = {"float16": 10, "bfloat16": 7}
_SUM_TOLERANCE: Final = 1e-4  # typed probabilities have few digits: a third is written 0.3333
_RELATIVE: Final = 2.0**-40  # error of a value computed in float64 here, far below any printed digit but the last
_MOST: Final = 5  # explanations that are worth listing
_RANK_RANGE: Final = 2  # readings that are more unusual than the first by more than this are left out
_IN_FLOAT32: Final = 4  # ranks lost by a reading that gives the number in float32 only
_OVERFLOWS: Final = 3  # ranks gained by an arithmetic where the number is infinite or NaN: that is what it does
_TO_THE_BIT: Final = 3  # ranks gained by a reading that gives exactly the number, not another with the same digits
_NEAREST: Final = 3
_PAIR_BITS: Final = 16  # log2 of the number of pairs tried, and four bits more


@dataclass(frozen=True)
class Reading:
    """One explanation of a number.

    Attributes:
        changes: what differs from the plain definition, as (name, value): fields of `Convention` and names of the
            catalogue in `hypotheses`; empty: nothing does.
        reduction: how the rows are reduced. value: the loss under these changes, for a person.
        words: the changes as clauses in the past tense. mend: the code that undoes or reproduces each.
        certain: whether the digits suffice to tell these changes from all others that were tried.
        rank: how unusual the changes are; 0: what people meet most often.
    """

    changes: tuple[tuple[str, str], ...]
    reduction: str
    value: str
    words: str
    mend: tuple[str, ...] = ()
    certain: bool = True
    rank: int = 0

    @property
    def convention(self) -> Convention:
        """The convention of the changes, leaving out what no convention names."""
        known = PORTABLE.as_dict()
        return PORTABLE.but(**{name: value for name, value in self.changes if name in known})


PLAIN_WORDS: Final = "the natural-log cross-entropy of softmax(logits), as defined"


@dataclass(frozen=True)
class Nearest:
    """A hypothesis that does not give the number: its words, its value and the relative distance."""

    words: str
    reduction: str
    value: str
    distance: float


@dataclass(frozen=True)
class Explanation:
    """What is known about an observed number.

    Attributes:
        portable: the exact answer under the portable convention, by reduction, for a person.
        divisor: what the mean divides by, in words.
        observed: the readings that yield the observed number, simplest first. expected: likewise, what was expected.
        declared: what each framework does with the question, by what its backend declares.
        gradient: the readings that yield the gradient that was given, simplest first; None: none was given.
        nearest: for "observed" and "expected", where nothing fits, the closest hypotheses.
        not_tried: what the search leaves out.
    """

    problem: Problem
    portable: dict[str, str]
    divisor: str
    observed: tuple[Reading, ...]
    expected: tuple[Reading, ...] | None
    declared: tuple[Saying, ...]
    gradient: tuple[GradientReading, ...] | None
    nearest: dict[str, tuple[Nearest, ...]]
    not_tried: str

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person may not have meant: probabilities that do not sum to 1."""
        if self.problem.target_kind == TargetKind.LABELS:
            return ()
        sums = self.problem.targets.reshape(self.problem.rows, -1).astype(np.float64).sum(axis=-1)
        off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
        if not len(off):
            return ()
        return (f"the target probabilities of row {off[0]} sum to {sums[off[0]]:.6g}; they are taken as they are",)


def explain(
    *,
    logits: object,
    targets: object,
    observed: Numbers | None = None,
    expected: Numbers | None = None,
    weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str | None = None,
    gradient: Sequence[Sequence[str | float]] | None = None,
    upstream: Numbers | None = None,
    dtype: str = "float32",
) -> Explanation:
    """Find the readings of a question that yield the observed number, simplest first.

    Of a gradient: what it is right for, be it the loss's own, that of another convention, or of a faulty rule.

    Args:
        logits: a row (K,), rows (N, K), or spatial: (N, K, d1, ...) with labels (N, d1, ...), or classes last.
        targets: a label per row, or probabilities shaped as the logits.
        observed, expected: a number, or a number per row; give them as text to keep their digits ("0.7437").
        reduction: None tries all.
        gradient: by the logits, as rows (N, K). upstream: the upstream gradient, a number per row, or a single number
            for a sum or a mean; None: ones.
        dtype: what the observed numbers were computed in: "float64", "float32", "float16" or "bfloat16"; their
            rounding is allowed for.

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
    if dtype not in DTYPES:
        raise ExplainError(f"dtype: {dtype!r}; choose from {', '.join(DTYPES)}")
    problem = _problem(logits, targets, weight, ignore_index, label_smoothing)
    if reduction not in (None, *REDUCTIONS):
        raise ExplainError(f"reduction: {reduction!r}; choose from {', '.join(REDUCTIONS)}")
    numbers: dict[str, tuple[PrintedNumber, ...]] = {}
    for name, given in (("observed", observed), ("expected", expected), ("upstream", upstream)):
        if given is not None:
            numbers[name] = printed(given, dtype)
            if len(numbers[name]) not in (1, problem.rows):
                raise ExplainError(
                    f"{name}: {len(numbers[name])} numbers for {problem.rows} rows; give a number, or a number per row"
                )
    reductions = [reduction] if reduction else list(REDUCTIONS)
    by_row = [float(number.text) for number in numbers["upstream"]] if "upstream" in numbers else None
    found = {name: _Search(problem, reductions, numbers[name]) for name in ("observed", "expected") if name in numbers}
    rows = None if gradient is None else parse_gradient(gradient, problem, dtype)
    return Explanation(
        problem=problem,
        portable={name: _portable(resolve(problem.but(reduction=name), PORTABLE)) for name in reductions},
        divisor=_divisor(problem),
        observed=found["observed"].readings if observed is not None else (),
        expected=None if expected is None else found["expected"].readings,
        declared=sayings(problem, reduction),
        gradient=None if rows is None else tuple(gradient_readings(problem, reductions, rows, by_row)),
        nearest={name: search.nearest for name, search in found.items() if not search.readings},
        not_tried=not_tried(problem),
    )


def fits(saying: Saying, given: Numbers, dtype: str = "float32") -> bool:
    """Whether what a framework is declared to do is the number (or numbers, by row) that was given."""
    numbers = printed(given, dtype)
    exact = saying.loss is not None and len(numbers) == saying.loss.mid.size and _agree(numbers, saying.loss)
    computed = saying.computed is not None and _matches(numbers, saying.computed)
    return exact or computed


class _Search:
    """The search for the readings of a given number (or numbers, by row)."""

    def __init__(self, problem: Problem, reductions: Iterable[str], numbers: tuple[PrintedNumber, ...]) -> None:
        self._numbers = numbers
        self._shaped = [
            problem.but(reduction=reduction)
            for reduction in reductions
            if len(numbers) == (problem.rows if reduction == "none" else 1)
        ]
        if problem.rows == 1:
            self._shaped = self._shaped[:1]  # a single row is its own sum and mean
        self._evaluators = {problem.reduction: Evaluator(problem) for problem in self._shaped}
        self._distances: list[tuple[float, int, Nearest]] = []
        self.readings: tuple[Reading, ...] = self._plain() or self._single() or self._pairs()

    @property
    def nearest(self) -> tuple[Nearest, ...]:
        """The hypotheses that come closest, each of its words once."""
        by_words: dict[str, Nearest] = {}
        for _, _, near in sorted(self._distances, key=lambda item: item[:2]):
            by_words.setdefault(near.words, near)
        return tuple(by_words.values())[:_NEAREST]

    def _plain(self) -> tuple[Reading, ...]:
        return tuple(
            reading
            for problem in self._shaped
            if (reading := self._try(problem, ())) or (reading := self._exact(problem))
        )

    def _exact(self, problem: Problem) -> Reading | None:
        """The plain definition by the oracle's exact answer, for what plain floating point cannot decide."""
        question = resolve(problem, PORTABLE)
        if question.refused is not None or bool(question.unjudged.any()):
            return None
        loss = answer(question).loss
        if not _agree(self._numbers, loss):
            return None
        return Reading((), problem.reduction, _shown(loss), PLAIN_WORDS)

    def _single(self) -> tuple[Reading, ...]:
        found: list[Reading] = []
        for problem in self._shaped:
            fields: set[tuple[str, str]] = set()  # two values of a field may be equivalent for this problem
            for change in catalogue(problem):
                reading = None if change == FLOAT32 else self._try(problem, (change,))
                if reading and (change.name, reading.value) not in fields:
                    fields.add((change.name, reading.value))
                    found.append(reading)
        return _first(found)

    def _pairs(self) -> tuple[Reading, ...]:
        found: list[Reading] = []
        for problem in self._shaped:
            changes = [change for change in catalogue(problem) if change != FLOAT32 and change.rank <= USUAL]
            for first, second in combinations(changes, 2):
                if (first.stage != second.stage or _two_fields(first, second)) and (
                    reading := self._try(problem, (first, second))
                ):
                    found.append(reading)
        return _first(found)

    def _try(self, problem: Problem, changes: tuple[Change, ...]) -> Reading | None:
        """The reading, if the changes give the number: computed exactly (for the digits given), or in float32."""
        evaluator = self._evaluators[problem.reduction]
        value = evaluator.loss(changes)
        if value is None:
            return None
        if len(changes) < 2:
            self._note(problem, changes, value)
        fitting = value if self._fits(value, changes) else None
        rank = sum(change.rank for change in changes)
        if not all(np.isfinite(number.lo) for number in self._numbers):
            rank -= _OVERFLOWS * any(change.stage == "arithmetic" for change in changes)
        if fitting is None and not any(change.stage == "arithmetic" for change in changes) and len(changes) < 2:
            single = evaluator.loss((*changes, FLOAT32))
            fitting = single if single is not None and _matches(self._numbers, single) else None
            rank += _IN_FLOAT32
        if fitting is None:
            return None
        bits = sum(number.bits for number in self._numbers)
        return Reading(
            tuple(change.key for change in changes),
            problem.reduction,
            _digits(fitting),
            "; and ".join(change.words for change in changes) or PLAIN_WORDS,
            tuple(change.mend for change in changes if change.mend),
            certain=len(changes) < 2 or bits >= _PAIR_BITS,
            rank=rank - _TO_THE_BIT * _identical(self._numbers, fitting),
        )

    def _fits(self, value: Array, changes: tuple[Change, ...]) -> bool:
        stored = next((ARITHMETIC[change.value].stored for change in changes if change.stage == "arithmetic"), None)
        return _matches(self._numbers, value) if stored is None else _stored_near(self._numbers, value, stored)

    def _note(self, problem: Problem, changes: tuple[Change, ...], value: Array) -> None:
        """Remember how far off a hypothesis is."""
        flat, given = np.atleast_1d(value).ravel(), np.array([number.mid for number in self._numbers])
        if flat.size != given.size or not (np.isfinite(flat).all() and np.isfinite(given).all()):
            return
        scale = np.maximum(np.abs(given), 1e-300)
        distance = float(np.max(np.abs(flat - given) / scale))
        words = changes[0].words if changes else PLAIN_WORDS
        self._distances.append((distance, len(changes), Nearest(words, problem.reduction, _digits(value), distance)))


def _two_fields(first: Change, second: Change) -> bool:
    """Whether both are choices of a convention, of different fields."""
    return first.stage == second.stage == "convention" and first.name != second.name


def _first(found: list[Reading]) -> tuple[Reading, ...]:
    """The readings to list, most usual first; the same words under several reductions count once."""
    if not found:
        return ()
    ordered = sorted(found, key=lambda reading: reading.rank)
    usual = [reading for reading in ordered if reading.rank <= ordered[0].rank + _RANK_RANGE]
    words = list(dict.fromkeys(reading.words for reading in usual))[:_MOST]
    return tuple(reading for reading in usual if reading.words in words)


def _identical(numbers: tuple[PrintedNumber, ...], value: Array) -> bool:
    """Whether the numbers are the value to the last bit of float32."""
    flat = np.atleast_1d(value).ravel()
    given = np.array([number.mid for number in numbers])
    if not np.isfinite(given).all():
        return False  # an infinity has no digits
    with np.errstate(over="ignore", invalid="ignore"):
        return flat.shape == given.shape and bool((flat.astype(np.float32) == given.astype(np.float32)).all())


def _matches(numbers: tuple[PrintedNumber, ...], value: Array) -> bool:
    flat = np.atleast_1d(value).ravel().tolist()
    if len(flat) != len(numbers):
        return False
    slack = [abs(at) * _RELATIVE if np.isfinite(at) else 0.0 for at in flat]
    return all(number.overlaps(at - off, at + off) for number, at, off in zip(numbers, flat, slack, strict=True))


def _stored_near(numbers: tuple[PrintedNumber, ...], value: Array, dtype: str) -> bool:
    """Whether the numbers are values of a narrow dtype, at most a step of that dtype away from the exact values."""
    given = np.array([float(number.text) for number in numbers])
    flat = np.atleast_1d(value).ravel()
    if flat.shape != given.shape or not np.isfinite(given).all():
        return False
    held = float_array(given, dtype).astype(np.float64)
    step = np.abs(given) * 2.0 ** -_FRACTION_BITS[dtype]
    return bool((held == given).all() and (np.abs(flat - given) <= step).all())


def _agree(numbers: tuple[PrintedNumber, ...], loss: Enclosure) -> bool:
    return all(number.agrees(loss, (n,) if loss.shape else ()) for n, number in enumerate(numbers))


def _problem(
    logits: object, targets: object, weight: object, ignore_index: int | None, label_smoothing: float
) -> Problem:
    x = np.atleast_2d(np.asarray(logits, dtype=np.float64))
    if x.ndim < 2 or not x.size:
        raise ExplainError(f"logits: shape {x.shape}; give a row (K,), rows (N, K) or spatial logits (N, K, d1, ...)")
    t = np.asarray(targets)
    if t.dtype.kind in "iu":
        t = np.atleast_1d(t).astype(np.int64)
        if x.ndim > 2 and t.shape == (x.shape[0], *x.shape[2:]) and t.shape != x.shape[:-1]:
            x = np.moveaxis(x, 1, -1)
        elif t.shape != x.shape[:-1] and t.shape == x.shape and x.ndim == 2:
            t = t.astype(np.float64)  # one-hot targets in whole numbers
        if t.shape == x.shape[:-1]:
            return _with_options(x, t, weight, ignore_index, label_smoothing)
    q = np.atleast_2d(t.astype(np.float64))
    if q.shape != x.shape:
        rows, classes = x.shape[:-1], x.shape[-1]
        raise ExplainError(
            f"targets: shape {t.shape} does not fit logits of shape {x.shape}; give labels of shape {rows}, or "
            f"probabilities of shape {(*rows, classes)}"
        )
    return _with_options(x, q, weight, ignore_index, label_smoothing)


def _with_options(x: Array, t: Array, weight: object, ignore_index: int | None, label_smoothing: float) -> Problem:
    w = None if weight is None else np.asarray(weight, np.float64)
    if w is not None and w.shape != (x.shape[-1],):
        raise ExplainError(f"weight: {w.size} numbers for {x.shape[-1]} classes; give a number per class")
    return Problem(logits=x, targets=t, weight=w, ignore_index=ignore_index, label_smoothing=label_smoothing)


def _divisor(problem: Problem) -> str:
    """What the mean of the plain definition divides by, with the number."""
    question = resolve(problem.but(reduction="mean"), PORTABLE)
    if question.refused is not None:
        return ""
    if question.weight is not None and question.labels is not None:
        return f"{question.denominator:g}, the sum of the class weights at the labels of the kept rows"
    kept = int(question.kept.sum())
    rows = f"{problem.rows} row{'s' * (problem.rows != 1)}"
    return f"the number of rows, {kept}" if kept == problem.rows else f"the number of kept rows, {kept} of {rows}"


def _portable(question: Question) -> str:
    try:
        return _shown(answer(question).loss)
    except UnanswerableError as refusal:
        return str(refusal)


def _shown(loss: Enclosure) -> str:
    return _digits(loss.mid + loss.rest)


def _digits(value: Array) -> str:
    return ", ".join(f"{number:.10g}" for number in np.atleast_1d(value).ravel().tolist())
