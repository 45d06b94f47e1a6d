"""Shrinking: the simplest problem on which something is still the case.

Pure: who shrinks says what is the case, for several candidates at a time, and how many it may be asked for. Every step
makes the problem smaller by one and the same measure (`size`), so that it ends; and there is no chance in it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from logitmus.core.floats import Array, float_array
from logitmus.core.problem import ONCE, Problem, ProblemError

_MANY: Final = 1024  # distinct numbers: beyond these their digits are not counted
_CALL: Final = 1 << 13  # logits: as many as cost about what the call itself does
_LARGE: Final = 1 << 18  # numbers: beyond these only zeros are told from the others
_PLAIN: Final = {"weight": None, "ignore_index": None, "label_smoothing": 0.0, "cotangent": None}
# Rounds are small where a candidate has another shape or other options: some frameworks compile anew for each. The row
# alone does most of the time, and nothing else is then asked.
_ONE: Final = 1
_FEW: Final = 2
_SEVERAL: Final = 6


class Candidate(NamedTuple):
    """A problem, and which of its rows is the one concerned (None: no single one is)."""

    problem: Problem
    row: int | None


def shrinking(problem: Problem, row: int | None, calls: int) -> Generator[list[Problem], Sequence[bool], Candidate]:
    """Search for the smallest problem that still fails: yields candidates, is sent which of them fail, returns it.

    Args:
        row: the row of `problem` that fails, where it is known.
        calls: the most candidates to yield in all; a large problem counts once for each 8,192 of its logits.
    """
    current, left, seen = Candidate(problem, row), calls, {problem.id}
    improved = True
    while improved and left > 0:
        improved = False
        for candidates, together in _PASSES:
            allowance = max(_SEVERAL, left // 2)  # no pass uses up what the others need
            while left > 0 and allowance > 0:
                fresh = list(islice(_smaller(candidates, current, seen), min(together, left, allowance)))
                if not fresh:
                    break
                spent = sum(_effort(one.problem) for one in fresh)
                left, allowance = left - spent, allowance - spent
                answers = yield [one.problem for one in fresh]
                failing = [one for one, failed in zip(fresh, answers, strict=True) if failed]
                if failing:  # the others are larger, and are not asked again
                    smallest = failing[0] if len(failing) == 1 else min(failing, key=lambda one: size(one.problem))
                    current, improved = smallest, True
    return current


def size(problem: Problem) -> tuple[int, ...]:
    """What makes a problem large, most important first: rows, classes, what is special, how long its numbers are."""
    return *_outline(problem), _digits_in(problem)


def _outline(problem: Problem) -> tuple[int, ...]:
    special = (
        problem.weight is not None,
        problem.ignore_index is not None,
        problem.label_smoothing != 0.0,
        problem.cotangent is not None,
        problem.reduction != "none",
        problem.layout != "contiguous",
        problem.manner != ONCE,
        len(problem.batch) != 1,
        problem.target_kind == "labels" and problem.targets.dtype != np.int64,
        problem.target_kind == "probabilities" and not _sum_to_one(problem.targets),
    )
    return problem.rows, problem.classes, sum(special)


def _digits_in(problem: Problem) -> int:
    numbers = (problem.logits, problem.targets, problem.weight, problem.cotangent)
    return sum(_length(one) for one in numbers if one is not None)


def alone(problem: Problem, row: int) -> Problem:
    """That row as a batch of its own."""
    return _of_rows(problem, [row])


# --- within ------------------------------------------------------------------------------------------------------

_Pass = Callable[[Problem, int | None], Iterator[Candidate]]


def _smaller(candidates: _Pass, current: Candidate, seen: set[str]) -> Iterator[Candidate]:
    """Those that are new, valid and smaller than `current`; they are counted as seen."""
    bound, digits = _outline(current.problem), cache(partial(_digits_in, current.problem))
    for one in candidates(*current):
        if one.problem.id in seen:
            continue
        outline = _outline(one.problem)  # decides mostly: digits are counted where it does not
        if outline < bound or (outline == bound and _digits_in(one.problem) < digits()):
            seen.add(one.problem.id)
            yield one


def _effort(problem: Problem) -> int:
    return 1 + problem.logits.size // _CALL


def _but(problem: Problem, **changes: Any) -> Iterator[Problem]:
    """The problem with these changes, if there is such a one."""
    try:
        yield problem.but(**changes)
    except ProblemError:
        return


# --- rows --------------------------------------------------------------------------------------------------------


def _fewer_rows(problem: Problem, row: int | None) -> Iterator[Candidate]:
    rows = problem.rows
    if rows < 2:
        return
    guess = _odd_row(problem) if row is None else row
    if guess is not None:
        lone, place = alone(problem, guess), None if row is None else 0
        for plain in _plain(lone):
            # Boldly: a step less to compile for.
            yield from (Candidate(one, place) for one in _of_classes(plain, _telling(plain)[:2]))
            yield Candidate(plain, place)
        yield Candidate(lone, place)
    every = np.arange(rows)
    for dropped in _chunks(every if row is None else np.delete(every, row)):
        kept = np.delete(every, dropped)
        yield Candidate(_of_rows(problem, kept), None if row is None else int(np.searchsorted(kept, row)))


def _odd_row(problem: Problem) -> int | None:
    """The first row whose label is outside the classes, or whose logits are not all finite."""
    odd = ~np.isfinite(problem.logits.astype(np.float64)).all(axis=-1)
    if problem.target_kind == "labels":
        odd = odd | (problem.targets < 0) | (problem.targets >= problem.classes)
    places = np.flatnonzero(odd)
    return int(places[0]) if len(places) else None


def _of_rows(problem: Problem, rows: Sequence[int] | Array) -> Problem:
    flat = (problem.rows,)
    soft = problem.target_kind == "probabilities"
    upstream = problem.cotangent
    return problem.but(
        logits=problem.logits.reshape(*flat, problem.classes)[rows],
        targets=problem.targets.reshape(*flat, *((problem.classes,) if soft else ()))[rows],
        cotangent=upstream.reshape(flat)[rows] if upstream is not None and upstream.ndim else upstream,
    )


def _chunks(items: Array) -> Iterator[Array]:
    """Halves, quarters, ..., single ones."""
    length = len(items)
    while length > 1:
        length = -(-length // 2)
        yield from (items[start : start + length] for start in range(0, len(items), length))
    if len(items) == 1:
        yield items


# --- options -----------------------------------------------------------------------------------------------------


def _fewer_options(problem: Problem, row: int | None) -> Iterator[Candidate]:
    yield from (Candidate(one, row) for one in _plain(problem))
    for _, one in without(problem):
        yield Candidate(one, row)
    if len(problem.batch) != 1:
        yield Candidate(_of_rows(problem, list(range(problem.rows))), row)
    if problem.target_kind == "labels" and problem.targets.dtype.kind == "i":
        yield Candidate(problem.but(targets=problem.targets.astype(np.int64)), row)


def without(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """The problem without each thing that is special about how it is asked, with that thing's name."""
    if problem.manner != ONCE:
        yield "manner", problem.but(manner=ONCE)
    if problem.layout != "contiguous":
        yield "layout", problem.but(layout="contiguous")
    if problem.reduction != "none":
        yield from (("reduction", one) for one in _but(problem, reduction="none", cotangent=_spread(problem)))
    for option, nothing in _PLAIN.items():
        if not _is_nothing(getattr(problem, option)):
            yield option, problem.but(**{option: nothing})


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value == 0.0)


def _plain(problem: Problem) -> Iterator[Problem]:
    """With nothing special about it."""
    return _but(problem, **_PLAIN, reduction="none", layout="contiguous", manner=ONCE)


def _spread(problem: Problem) -> Array | None:
    """The upstream gradient of a sum for each of its rows."""
    upstream = problem.cotangent
    return None if upstream is None else np.broadcast_to(upstream, problem.batch).copy()


# --- classes -----------------------------------------------------------------------------------------------------


def _fewer_classes(problem: Problem, row: int | None) -> Iterator[Candidate]:
    classes = problem.classes
    needed, telling = _named_classes(problem), _telling(problem)
    width = max(1, len(needed))
    while width < classes:
        yield from (Candidate(one, row) for one in _of_classes(problem, telling[:width]))
        width = width + 1 if width < 3 else 2 * width
    every = np.arange(classes)
    for dropped in _chunks(np.delete(every, needed)):
        yield from (Candidate(one, row) for one in _of_classes(problem, np.delete(every, dropped).tolist()))


def _telling(problem: Problem) -> list[int]:
    """All classes, those first on which the answer is most likely to hang."""
    return list(dict.fromkeys([*_named_classes(problem), *_largest(problem)]))


def _named_classes(problem: Problem) -> list[int]:
    """Those that labels name."""
    if problem.target_kind != "labels":
        return []
    return [int(t) for t in np.unique(problem.targets) if 0 <= t < problem.classes]


def _largest(problem: Problem) -> list[int]:
    """Those with a logit that is not finite in any row; then by the largest logit that any row has there."""
    if not problem.rows:
        return list(range(problem.classes))
    rows = problem.logits.reshape(problem.rows, problem.classes).astype(np.float64)
    special, largest = ~np.isfinite(rows).all(axis=0), np.nan_to_num(rows).max(axis=0)
    return np.lexsort((-largest, ~special)).tolist()


def _of_classes(problem: Problem, classes: Sequence[int]) -> Iterator[Problem]:
    """These classes alone, in their order; labels keep their meaning, those beyond the classes stay beyond."""
    if not classes:  # without any, it is another question
        return
    kept = sorted(classes)
    new = {old: n for n, old in enumerate(kept)}
    changes: dict[str, Any] = {"logits": problem.logits[..., kept]}
    if problem.weight is not None:
        changes["weight"] = problem.weight[kept]
    if problem.target_kind == "probabilities":
        changes["targets"] = problem.targets[..., kept]
    else:
        shift = len(kept) - problem.classes
        renamed = [
            new.get(t, t + shift if t >= problem.classes and t != problem.ignore_index else t)
            for t in problem.targets.reshape(-1).tolist()
        ]
        changes["targets"] = np.array(renamed, problem.targets.dtype).reshape(problem.targets.shape)
    if problem.ignore_index is not None and 0 <= problem.ignore_index < problem.classes:
        if problem.ignore_index not in new:
            return
        changes["ignore_index"] = new[problem.ignore_index]
    yield from _but(problem, **changes)


# --- numbers -----------------------------------------------------------------------------------------------------


def _simpler_numbers(problem: Problem, row: int | None) -> Iterator[Candidate]:
    for changes in _simpler(problem):
        yield from (Candidate(one, row) for one in _but(problem, **changes))


def _simpler(problem: Problem) -> Iterator[dict[str, Any]]:
    """All numbers of an array at once, then parts of them, then one by one."""
    if problem.target_kind == "labels":
        yield {"targets": np.zeros_like(problem.targets)}
        for place in range(min(problem.rows, _MANY)):
            yield {"targets": _with(problem.targets, place, np.zeros_like(problem.targets))}
    elif problem.classes:
        largest = problem.targets.astype(np.float64).argmax(axis=-1)
        yield {"targets": float_array(np.eye(problem.classes)[0 * largest], problem.dtype)}
        yield {"targets": float_array(np.eye(problem.classes)[largest], problem.dtype)}
        yield from ({"targets": one} for one in _rounded(problem.targets, problem.dtype))
    for name in ("weight", "cotangent"):
        array = getattr(problem, name)
        if array is not None:
            yield {name: float_array(np.ones(array.shape), problem.dtype)}
            yield from ({name: one} for one in _rounded(array, problem.dtype))
    logits = problem.logits
    offset = logits.astype(np.float64)
    finite = offset[np.isfinite(offset)]
    yield {"logits": np.zeros_like(logits)}
    if finite.size:
        with np.errstate(over="ignore"):
            lifted = offset - finite.min()
        yield {"logits": float_array(lifted, problem.dtype)}
    yield from ({"logits": one} for one in _rounded(logits, problem.dtype))
    simpler = [np.zeros_like(logits), *_rounded(logits, problem.dtype)]
    places = np.flatnonzero(logits.astype(np.float64).reshape(-1) != 0)
    for part in _chunks(places):
        yield {"logits": _with(logits, part, simpler[0])}
    if len(places) <= _MANY:
        for place in places.tolist():
            yield from ({"logits": _with(logits, place, one)} for one in simpler[1:])


def _sum_to_one(targets: Array) -> bool:
    return bool((targets.astype(np.float64).sum(axis=-1) == 1).all())


def _rounded(array: Array, dtype: str) -> list[Array]:
    """To whole numbers, to one digit and to two, and to a tenth of them; what is not finite stays."""
    values = array.astype(np.float64)
    finite = np.isfinite(values) & (values != 0)
    safe = np.where(finite, values, 1.0)
    magnitude = 10.0 ** np.floor(np.log10(np.abs(safe)))
    with np.errstate(over="ignore"):  # rounded upwards, the largest numbers become infinite: that is no simpler one
        digits = (np.rint(safe / magnitude) * magnitude, np.rint(10 * safe / magnitude) / 10 * magnitude)
        forms = [np.where(np.isfinite(form), form, safe) for form in (np.rint(safe), *digits, np.trunc(safe / 10))]
        return [float_array(np.where(finite, form, values), dtype) for form in forms]


def _with(array: Array, places: int | Array, other: Array) -> Array:
    """`array` with the elements of `other` at these places."""
    made = array.copy().reshape(-1)
    made[places] = other.reshape(-1)[places]
    return made.reshape(array.shape)


def _length(array: Array) -> int:
    """How much there is to read: the digits of each number, none for 0."""
    if array.dtype.kind in "iu":
        values, counts = np.unique(array, return_counts=True)
        return int(sum(n * _digits(str(v)) for v, n in zip(values.tolist(), counts.tolist(), strict=True)))
    if array.size > _LARGE:
        return 40 * int(np.count_nonzero(array))
    values, counts = np.unique(array.astype(np.float64), return_counts=True)
    negative_zeros = int((np.signbit(array) & (array == 0)).sum())
    if len(values) > _MANY:
        return 40 * array.size + len(values) + negative_zeros
    typed = array.dtype.type
    told = (_digits(str(typed(v)).removesuffix(".0")) for v in values.tolist())
    return negative_zeros + sum(n * digits for n, digits in zip(counts.tolist(), told, strict=True))


@cache
def _digits(text: str) -> int:
    """Of one number; a zero at its end is read more easily than another digit."""
    if text in ("0", "-0", "0.0", "-0.0"):
        return 0
    magnitude = text.lstrip("-")
    return len(magnitude) + len(magnitude.rstrip("0")) + text.startswith("-")


_PASSES: Final[tuple[tuple[_Pass, int], ...]] = (
    (_fewer_rows, _ONE),
    (_fewer_options, _FEW),
    (_fewer_classes, _FEW),
    (_simpler_numbers, _SEVERAL),
)
