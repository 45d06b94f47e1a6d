"""Shrinking: search for the simplest problem that still fails.

The search is greedy, as in delta debugging: try smaller candidates, continue from any that still fails, and stop when a
round of all passes finds none. Three requirements shape it.

*It must terminate, and always on the same problem.* Every candidate is smaller than the current problem by a total
preorder (`size`: rows, then classes, then special options, then digits to read), and none is tried twice. There is no
randomness. So a run's file, which holds the result of every candidate, suffices to repeat the search.

*Calls are expensive.* A call on a new shape or with new options may compile for seconds. So the passes run from the
changes that remove most to those that remove least: rows, options, classes, numbers. In each, bold guesses come first
(the failing row alone, without options, with two or three classes), then halves, quarters and so on down to single
elements, as in ddmin: what does not matter goes in a few large steps. A pass may use at most half of the calls left, so
that the others get their turn.

*Workers are faster with batches.* Candidates are tried several at a time, of which the smallest that fails is kept;
the others are not tried again, since they are larger. In passes that change the shape, batches are small: the first
candidate mostly succeeds, and the compilations for the others would be wasted.

The module is pure: the caller says which candidates fail (`fails`), and how many calls the search may spend. It knows
no subjects and no judgements. Where the failing row is known, it is followed through all changes (`Candidate.row`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from logitmus.core.floats import Array, float_array
from logitmus.core.problem import ONCE, Problem, ProblemError, TargetKind

_MANY: Final = 1024  # distinct numbers: with more, digits are not counted
_CALL: Final = 1 << 13  # logits that cost about as much as the overhead of a call
_LARGE: Final = 1 << 18  # numbers: with more, only nonzero ones are counted
_PLAIN: Final = {"weight": None, "ignore_index": None, "label_smoothing": 0.0, "cotangent": None}
# Batches are small where a candidate has another shape or other options: some frameworks compile for each of them.
_ONE: Final = 1
_FEW: Final = 2
_SEVERAL: Final = 6


class Candidate(NamedTuple):
    """A problem, and its failing row (None: unknown, or several)."""

    problem: Problem
    row: int | None


async def shrink(
    problem: Problem, row: int | None, calls: int, fails: Callable[[list[Problem]], Awaitable[Sequence[bool]]]
) -> Candidate:
    """Search for the smallest problem that still fails.

    Args:
        row: the row of `problem` that fails, if it is known.
        calls: the most candidates to try in all; a large problem counts once for each 8,192 of its logits.
        fails: returns for each of some candidates whether it still fails.
    """
    current, left, seen = Candidate(problem, row), calls, {problem.id}
    improved = True
    while improved and left > 0:
        improved = False
        for candidates, together in _PASSES:
            allowance = max(_SEVERAL, left // 2)  # leaves calls for the other passes
            while left > 0 and allowance > 0:
                fresh = list(islice(_smaller(candidates, current, seen), min(together, left, allowance)))
                if not fresh:
                    break
                spent = sum(_effort(candidate.problem) for candidate in fresh)
                left, allowance = left - spent, allowance - spent
                results = await fails([candidate.problem for candidate in fresh])
                failing = [candidate for candidate, failed in zip(fresh, results, strict=True) if failed]
                if failing:  # the others are larger, and are not tried again
                    several = len(failing) > 1
                    current = min(failing, key=lambda candidate: size(candidate.problem)) if several else failing[0]
                    improved = True
    return current


def size(problem: Problem) -> tuple[int, ...]:
    """How large a problem is, most important first: rows, classes, special options, digits of its numbers."""
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
        problem.target_kind == TargetKind.LABELS and problem.targets.dtype != np.int64,
        problem.target_kind == TargetKind.PROBABILITIES and not _sum_to_one(problem.targets),
    )
    return problem.rows, problem.classes, sum(special)


def _digits_in(problem: Problem) -> int:
    numbers = (problem.logits, problem.targets, problem.weight, problem.cotangent)
    return sum(_length(array) for array in numbers if array is not None)


def alone(problem: Problem, row: int) -> Problem:
    """Return the row as a batch by itself."""
    return _of_rows(problem, [row])


_Pass = Callable[[Problem, int | None], Iterator[Candidate]]


def _smaller(candidates: _Pass, current: Candidate, seen: set[str]) -> Iterator[Candidate]:
    """Yield candidates that are new, valid and smaller than `current`; add them to `seen`."""
    bound, digits = _outline(current.problem), cache(partial(_digits_in, current.problem))
    for candidate in candidates(*current):
        if candidate.problem.id in seen:
            continue
        outline = _outline(candidate.problem)  # mostly decides: digits are counted only if it does not
        if outline < bound or (outline == bound and _digits_in(candidate.problem) < digits()):
            seen.add(candidate.problem.id)
            yield candidate


def _effort(problem: Problem) -> int:
    return 1 + problem.logits.size // _CALL


def _but(problem: Problem, **changes: Any) -> Iterator[Problem]:
    """Yield the problem with these changes, if that is valid."""
    try:
        yield problem.but(**changes)
    except ProblemError:
        return


def _fewer_rows(problem: Problem, row: int | None) -> Iterator[Candidate]:
    rows = problem.rows
    if rows < 2:
        return
    guess = _odd_row(problem) if row is None else row
    if guess is not None:
        lone, place = alone(problem, guess), None if row is None else 0
        for plain in _plain(lone):
            # The boldest guess first: if it fails, there are fewer shapes to compile for.
            yield from (Candidate(narrow, place) for narrow in _of_classes(plain, _by_relevance(plain)[:2]))
            yield Candidate(plain, place)
        yield Candidate(lone, place)
    every = np.arange(rows)
    for dropped in _chunks(every if row is None else np.delete(every, row)):
        kept = np.delete(every, dropped)
        yield Candidate(_of_rows(problem, kept), None if row is None else int(np.searchsorted(kept, row)))


def _odd_row(problem: Problem) -> int | None:
    """The first row whose label is outside the classes, or whose logits are not all finite."""
    odd = ~np.isfinite(problem.logits.astype(np.float64)).all(axis=-1)
    if problem.target_kind == TargetKind.LABELS:
        odd = odd | (problem.targets < 0) | (problem.targets >= problem.classes)
    places = np.flatnonzero(odd)
    return int(places[0]) if len(places) else None


def _of_rows(problem: Problem, rows: Sequence[int] | Array) -> Problem:
    flat = (problem.rows,)
    soft = problem.target_kind == TargetKind.PROBABILITIES
    upstream = problem.cotangent
    return problem.but(
        logits=problem.logits.reshape(*flat, problem.classes)[rows],
        targets=problem.targets.reshape(*flat, *((problem.classes,) if soft else ()))[rows],
        cotangent=upstream.reshape(flat)[rows] if upstream is not None and upstream.ndim else upstream,
    )


def _chunks(items: Array) -> Iterator[Array]:
    """Yield halves, quarters, ..., single items."""
    length = len(items)
    while length > 1:
        length = -(-length // 2)
        yield from (items[start : start + length] for start in range(0, len(items), length))
    if len(items) == 1:
        yield items


def _fewer_options(problem: Problem, row: int | None) -> Iterator[Candidate]:
    yield from (Candidate(plain, row) for plain in _plain(problem))
    for _, simpler in without(problem):
        yield Candidate(simpler, row)
    if len(problem.batch) != 1:
        yield Candidate(_of_rows(problem, list(range(problem.rows))), row)
    if problem.target_kind == TargetKind.LABELS and problem.targets.dtype.kind == "i":
        yield Candidate(problem.but(targets=problem.targets.astype(np.int64)), row)


def without(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """Yield the problem without each of its special options, with the option's name."""
    if problem.manner != ONCE:
        yield "manner", problem.but(manner=ONCE)
    if problem.layout != "contiguous":
        yield "layout", problem.but(layout="contiguous")
    if problem.reduction != "none":
        yield from (("reduction", simpler) for simpler in _but(problem, reduction="none", cotangent=_spread(problem)))
    for option, default in _PLAIN.items():
        if not _is_default(getattr(problem, option)):
            yield option, problem.but(**{option: default})


def _is_default(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value == 0.0)


def _plain(problem: Problem) -> Iterator[Problem]:
    """Yield the problem without any special option, if that is valid."""
    return _but(problem, **_PLAIN, reduction="none", layout="contiguous", manner=ONCE)


def _spread(problem: Problem) -> Array | None:
    """Repeat the upstream gradient of a reduced loss for each of its rows."""
    upstream = problem.cotangent
    return None if upstream is None else np.broadcast_to(upstream, problem.batch).copy()


def _fewer_classes(problem: Problem, row: int | None) -> Iterator[Candidate]:
    classes = problem.classes
    needed, by_relevance = _named_classes(problem), _by_relevance(problem)
    width = max(1, len(needed))
    while width < classes:
        yield from (Candidate(narrow, row) for narrow in _of_classes(problem, by_relevance[:width]))
        width = width + 1 if width < 3 else 2 * width
    every = np.arange(classes)
    for dropped in _chunks(np.delete(every, needed)):
        yield from (Candidate(narrow, row) for narrow in _of_classes(problem, np.delete(every, dropped).tolist()))


def _by_relevance(problem: Problem) -> list[int]:
    """Return all classes, those first on which the result most likely depends."""
    return list(dict.fromkeys([*_named_classes(problem), *_largest(problem)]))


def _named_classes(problem: Problem) -> list[int]:
    """Return the classes that are labels."""
    if problem.target_kind != TargetKind.LABELS:
        return []
    return [t for t in sorted(set(problem.targets.ravel().tolist())) if 0 <= t < problem.classes]


def _largest(problem: Problem) -> list[int]:
    """Return all classes: first those with a non-finite logit in any row, then by their largest logit."""
    if not problem.rows:
        return list(range(problem.classes))
    rows = problem.logits.reshape(problem.rows, problem.classes).astype(np.float64)
    special, largest = ~np.isfinite(rows).all(axis=0), np.nan_to_num(rows).max(axis=0)
    return np.lexsort((-largest, ~special)).tolist()


def _of_classes(problem: Problem, classes: Sequence[int]) -> Iterator[Problem]:
    """Yield the problem with these classes only, in their order; an out-of-range label stays out of range."""
    if not classes:  # without classes, it is a different problem
        return
    kept = sorted(classes)
    new = {old: n for n, old in enumerate(kept)}
    changes: dict[str, Any] = {"logits": problem.logits[..., kept]}
    if problem.weight is not None:
        changes["weight"] = problem.weight[kept]
    if problem.target_kind == TargetKind.PROBABILITIES:
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


def _simpler_numbers(problem: Problem, row: int | None) -> Iterator[Candidate]:
    for changes in _simpler(problem):
        yield from (Candidate(simpler, row) for simpler in _but(problem, **changes))


def _simpler(problem: Problem) -> Iterator[dict[str, Any]]:
    """Yield changes of all numbers of an array at once, then of parts of them, then of single ones."""
    if problem.target_kind == TargetKind.LABELS:
        yield {"targets": np.zeros_like(problem.targets)}
        for place in range(min(problem.rows, _MANY)):
            yield {"targets": _with(problem.targets, place, np.zeros_like(problem.targets))}
    elif problem.classes:
        largest = problem.targets.astype(np.float64).argmax(axis=-1)
        yield {"targets": float_array(np.eye(problem.classes)[0 * largest], problem.dtype)}
        yield {"targets": float_array(np.eye(problem.classes)[largest], problem.dtype)}
        yield from ({"targets": rounded} for rounded in _rounded(problem.targets, problem.dtype))
    for name in ("weight", "cotangent"):
        array = getattr(problem, name)
        if array is not None:
            yield {name: float_array(np.ones(array.shape), problem.dtype)}
            yield from ({name: rounded} for rounded in _rounded(array, problem.dtype))
    logits = problem.logits
    offset = logits.astype(np.float64)
    finite = offset[np.isfinite(offset)]
    yield {"logits": np.zeros_like(logits)}
    if finite.size:
        with np.errstate(over="ignore"):
            lifted = offset - finite.min()
        yield {"logits": float_array(lifted, problem.dtype)}
    yield from ({"logits": rounded} for rounded in _rounded(logits, problem.dtype))
    simpler = [np.zeros_like(logits), *_rounded(logits, problem.dtype)]
    places = np.flatnonzero(logits.astype(np.float64).reshape(-1) != 0)
    for part in _chunks(places):
        yield {"logits": _with(logits, part, simpler[0])}
    if len(places) <= _MANY:
        for place in places.tolist():
            yield from ({"logits": _with(logits, place, rounded)} for rounded in simpler[1:])


def _sum_to_one(targets: Array) -> bool:
    return bool((targets.astype(np.float64).sum(axis=-1) == 1).all())


def _rounded(array: Array, dtype: str) -> list[Array]:
    """Round to integers, to one and two significant digits, and divide by ten; non-finite values stay."""
    values = array.astype(np.float64)
    finite = np.isfinite(values) & (values != 0)
    safe = np.where(finite, values, 1.0)
    magnitude = 10.0 ** np.floor(np.log10(np.abs(safe)))
    with np.errstate(over="ignore"):  # the largest numbers overflow when rounded up: an infinity is not simpler
        digits = (np.rint(safe / magnitude) * magnitude, np.rint(10 * safe / magnitude) / 10 * magnitude)
        forms = [np.where(np.isfinite(form), form, safe) for form in (np.rint(safe), *digits, np.trunc(safe / 10))]
        return [float_array(np.where(finite, form, values), dtype) for form in forms]


def _with(array: Array, places: int | Array, other: Array) -> Array:
    """Return `array` with the elements of `other` at these (flat) indices."""
    changed = array.copy().reshape(-1)
    changed[places] = other.reshape(-1)[places]
    return changed.reshape(array.shape)


def _length(array: Array) -> int:
    """Count what there is to read: the digits of each number, none for 0."""
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
    lengths = (_digits(str(typed(v)).removesuffix(".0")) for v in values.tolist())
    return negative_zeros + sum(n * digits for n, digits in zip(counts.tolist(), lengths, strict=True))


@cache
def _digits(text: str) -> int:
    """Count the digits of a number; a trailing zero counts half of another digit."""
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
