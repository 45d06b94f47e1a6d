"""Accuracy: how far results are from the exact values while one property of the problem varies.

A finding says where a result is wrong; it does not show how an error grows on the way there. So a few families, in
which a single property of the rows varies and the rest is held still, serve as experiments (`SWEEPS`): the gap between
the label and the other classes, a common offset, the number of classes, the number of rows. Their stored results are
assessed once more, row by row, because a problem of such a family holds a row for each value of the property.

Everything is derived from the stored bits with the same budgets as the findings. Options, layouts and call modes are
left out: they would vary as well. An error is the largest over the rows with the same property, and a gradient's the
largest over the classes. Rows whose budget would let any number pass have no error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from logitmus.core.convention import PORTABLE
from logitmus.core.floats import Array, decimal, float_array, format_of, little_endian_bytes, neighbour, ulp
from logitmus.core.observation import Answered
from logitmus.core.problem import ONCE, Problem, TargetKind
from logitmus.core.subject import Subject, SubjectId, same_precision
from logitmus.engine.judge_batches import JudgedSubject, judged_subjects
from logitmus.judging.assessment import Assessment, assess, assess_part
from logitmus.judging.bench import Bench
from logitmus.storage.store import Store


@dataclass(frozen=True)
class Sweep:
    """An experiment: a property of rows or problems that varies, and the families that vary it.

    Attributes:
        title: the experiment, for a choice. axis: the property, with its unit.
        shows: what is to be seen, in a sentence.
        families: the names. reduced: whether it takes sums and means; else losses without a reduction.
        of: (R,) the property of each row; NaN or not positive where a row has none.
        mark: the value of the property at which a dtype begins to lose, and in words why.
    """

    title: str
    axis: str
    shows: str
    families: frozenset[str]
    of: Callable[[Problem], Array]
    mark: Callable[[str], tuple[float, str]]
    reduced: bool = False


def _lead(problem: Problem) -> Array:
    """(R,): the label's logit less the largest other logit."""
    x = problem.logits.reshape(problem.rows, problem.classes).astype(np.float64)
    labels = problem.targets.reshape(problem.rows, 1).astype(np.int64)
    at_label = np.take_along_axis(x, labels, axis=1)[:, 0]
    np.put_along_axis(x, labels, -np.inf, axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(at_label - x.max(axis=1, initial=-np.inf))


def _offset(problem: Problem) -> Array:
    """(R,): the largest magnitude of a row's logits, to two digits: classes a few steps apart have the same offset."""
    x = problem.logits.reshape(problem.rows, problem.classes).astype(np.float64)
    return np.array([float(f"{largest:.1e}") for largest in np.abs(x).max(axis=1, initial=0.0)])


def _largest_count(dtype: str) -> tuple[float, str]:
    return 1 / format_of(dtype).u, f"{dtype} counts no further in steps of 1"


SWEEPS: Final[Mapping[str, Sweep]] = MappingProxyType(
    {
        "lead": Sweep(
            "label above the other classes",
            "gap: logit of the label less the largest other logit",
            "The exact loss is about e^-gap. Beyond the line, a sum that holds the 1 of the label no longer changes, "
            "and the loss is 0: it is absorbed.",
            frozenset({"confident-rows"}),
            _lead,
            lambda dtype: (-math.log(format_of(dtype).u), "e^-gap is the unit roundoff"),
        ),
        "deficit": Sweep(
            "label below the best class",
            "gap: largest logit less the logit of the label",
            "The exact loss is about the gap. Beyond the line, the probability of the label is 0, and its logarithm is "
            "infinite unless the logits are subtracted.",
            frozenset({"confident-rows", "big-gap"}),
            lambda problem: -_lead(problem),
            lambda dtype: (-math.log(format_of(dtype).smallest_subnormal), "e^-gap is 0"),
        ),
        "offset": Sweep(
            "common offset",
            "largest magnitude of the logits in a row",
            "An offset changes no exact loss. Beyond the line, neighbouring floats are farther apart than 1, and a "
            "logsumexp that is formed before the label's logit is subtracted has no digits left.",
            frozenset({"common-offset"}),
            _offset,
            lambda dtype: (1 / format_of(dtype).u, "one ulp of the logits is 2"),
        ),
        "classes": Sweep(
            "number of classes",
            "K: number of classes",
            "Rounding errors of the sum over the classes grow with K, slowly in pairwise summation and linearly in a "
            "loop.",
            frozenset({"ordinary", "large-vocabulary"}),
            lambda problem: np.full(problem.rows, float(problem.classes)),
            _largest_count,
        ),
        "rows": Sweep(
            "number of rows in a sum or mean",
            "N: number of rows",
            "Rounding errors of the reduction grow with N. Beyond the line, a count or a sum in the dtype of the "
            "result stops growing.",
            frozenset({"row-counts", "many-rows"}),
            lambda problem: np.full(problem.rows, float(problem.rows)),
            _largest_count,
            reduced=True,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Point:
    """The largest error at one value of the property.

    Attributes:
        x: the value. ulps: the distance from the exact value in ulps of it. share: in units of the B+ budget.
        finite: False where a result is NaN or infinite and should not be; ulps and share are then of the others.
        problem: the id of the problem with the largest share.
    """

    x: float
    ulps: float
    share: float
    finite: bool
    problem: str


class _Place(NamedTuple):
    """Where a curve belongs: a sweep, a dtype, a part and a subject."""

    sweep: str
    dtype: str
    part: str
    subject: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The errors of subjects of one backend in a sweep (a name of `SWEEPS`), a dtype and a part, by ascending x."""

    sweep: str
    dtype: str
    part: str
    subjects: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCase:
    """The result of a subject that uses most of its error budget.

    Attributes:
        subjects: all that gave these bits. part: "loss", "grad_logits" or "grad_targets". row, index: the element.
        exact: the exact value, rounded to float64 and in hexadecimal notation. expected: the enclosure in words.
        result: the result in decimals. bits: of the result, in hexadecimal notation, most significant digit first.
        ulps, share: the distance from the exact value, in ulps of it and in units of the B+ budget.
    """

    subjects: tuple[str, ...]
    problem: Problem
    part: str
    row: int | None
    index: int | None
    expected: str
    exact: str
    result: str
    bits: str
    ulps: float
    share: float


@dataclass(frozen=True)
class WorkedExample:
    """The metric by numbers that can be checked by hand: a float32 near the loss of [0, 0, 0, 1] with target 3.

    Attributes:
        exact: the loss, ln(3 + e) - 1, in decimals. result: a float32 near it. ulp: the spacing of float32 there.
        ulps, budget, share: the distance of the result in ulps, the error budget, and the distance as a share of it.
    """

    exact: str
    result: str
    ulp: float
    ulps: float
    budget: float
    share: float


def worked_example() -> WorkedExample:
    """The example, computed by the oracle and the budgets that judge every result."""
    problem = Problem(logits=float_array([[0.0, 0.0, 0.0, 1.0]], "float32"), targets=np.array([3]))
    bench = Bench(problem)
    question = bench.question(PORTABLE)
    exact = bench.answer(question).loss
    result = neighbour(float(np.float32(exact.mid[0])), "float32", steps=2)
    precision = same_precision()["float32"]
    loss = assess_part(bench, question, "loss", float_array([result], "float32"), precision, flushes=False)
    ulps, share = float(loss.ulps_rows[0]), float(loss.share_rows[0])
    spacing = float(ulp(exact.mid, "float32")[0])
    return WorkedExample(exact.describe((0,)), decimal(result, "float32"), spacing, ulps, ulps * spacing / share, share)


def curves(store: Store) -> list[Curve]:
    """The errors in every sweep that the run holds problems of, subjects with equal errors together."""
    subjects = [entry for entry in judged_subjects(store) if not entry.subject.has_switch]
    found: dict[_Place, dict[float, Point]] = {}
    for problem in store.problems():
        sweeps = [(name, sweep) for name, sweep in SWEEPS.items() if _takes_part(problem, sweep)]
        for names, parts in _assessed(store, problem, subjects) if sweeps else ():
            for (name, sweep), part in product(sweeps, parts):
                points = list(_points(problem, part, sweep))
                for subject in names:
                    place = _Place(name, problem.dtype, part.part, subject)
                    _keep_worst(found.setdefault(place, {}), points)
    return list(_merged(found))


def _merged(found: Mapping[_Place, Mapping[float, Point]]) -> Iterator[Curve]:
    """Curves, with the subjects of a backend that have the same points together."""
    alike: dict[tuple[_Place, tuple[Point, ...]], list[str]] = {}
    for place, at in found.items():
        if at:
            key = place._replace(subject=SubjectId.parse(place.subject).backend), tuple(at[x] for x in sorted(at))
            alike.setdefault(key, []).append(place.subject)
    for (place, points), subjects in sorted(alike.items(), key=lambda item: (item[0][0], sorted(item[1]))):
        yield Curve(place.sweep, place.dtype, place.part, tuple(sorted(subjects)), points)


def worst_cases(store: Store, worst: Mapping[str, str]) -> list[WorstCase]:
    """The worst case of each subject, the largest share of its budget first.

    Args:
        worst: the id of the problem on which each subject (id) uses most of its budget.
    """
    subjects = {entry.subject.id: entry for entry in judged_subjects(store)}
    by_problem: dict[str, list[JudgedSubject]] = {}
    for subject, identity in worst.items():
        if subject in subjects:
            by_problem.setdefault(identity, []).append(subjects[subject])
    alike: dict[tuple[object, ...], WorstCase] = {}  # results may differ elsewhere
    for identity, entries in by_problem.items():
        problem = store.problem(identity)
        for names, parts in _assessed(store, problem, entries):
            case = _worst_case(problem, names, parts)
            if case is not None:
                backend = SubjectId.parse(names[0]).backend
                key = (backend, identity, case.part, case.row, case.index, case.bits, case.share)
                known = alike.get(key)
                alike[key] = case if known is None else replace(known, subjects=(*known.subjects, *case.subjects))
    return sorted(alike.values(), key=lambda case: (-case.share, case.subjects))


def _takes_part(problem: Problem, sweep: Sweep) -> bool:
    """Whether the sweep's property is all that is special about a problem."""
    return (
        problem.family in sweep.families
        and (problem.reduction != "none") == sweep.reduced
        and problem.target_kind == TargetKind.LABELS
        and not problem.options
        and problem.layout == "contiguous"
        and problem.manner == ONCE
    )


def _assessed(
    store: Store, problem: Problem, subjects: Sequence[JudgedSubject]
) -> Iterator[tuple[tuple[str, ...], list[Assessment]]]:
    """The parts of each distinct result, with the subjects (ids) that gave it under the same declaration."""
    raw, bench = store.raw_outcomes(problem.id), Bench(problem)
    alike: dict[tuple[str, tuple[str, bytes]], list[Subject]] = {}
    for subject, declaration in subjects:
        if subject.id in raw:
            alike.setdefault((declaration, raw[subject.id]), []).append(subject)
    for (_, stored), of in alike.items():
        outcome, question = store.outcome(*stored), bench.question(of[0].convention)
        if isinstance(outcome, Answered) and question.refused is None and question.has_answer:
            parts = assess(bench, of[0], question, outcome)
            yield tuple(subject.id for subject in of), [part for part in parts if part.judges and not part.coarse]


def _points(problem: Problem, part: Assessment, sweep: Sweep) -> Iterator[Point]:
    """The rows of a problem, those with the same property together."""
    x = sweep.of(problem)
    broken: Array = np.asarray(part.failing & ~part.compared.numeric & ~part.compared.same)
    ulps, shares = part.ulps_rows, part.share_rows
    if not ulps.shape:  # a sum or mean: one value, and all rows have the same property
        x = x[:1]
        ulps, shares, broken = ulps[np.newaxis], shares[np.newaxis], broken[np.newaxis]
    broken = np.asarray(broken.any(axis=1)) if broken.ndim == 2 else broken
    for value in np.unique(x[np.isfinite(x) & (x > 0)]):
        at = x == value
        yield Point(
            x=float(value),
            ulps=float(ulps[at].max()),
            share=float(shares[at].max()),
            finite=not bool(broken[at].any()),
            problem=problem.id,
        )


def _keep_worst(found: dict[float, Point], points: Sequence[Point]) -> None:
    for point in points:
        known = found.get(point.x)
        if known is None:
            found[point.x] = point
            continue
        larger = max(known, point, key=lambda point: (point.share, point.problem))
        found[point.x] = Point(
            point.x,
            max(known.ulps, point.ulps),
            larger.share,
            finite=known.finite and point.finite,
            problem=larger.problem,
        )


def _worst_case(problem: Problem, subjects: tuple[str, ...], parts: Sequence[Assessment]) -> WorstCase | None:
    if not parts:
        return None
    part = max(parts, key=lambda part: part.share)
    shares = np.where(part.judged & np.isfinite(part.shares), part.shares, -1.0)
    place = tuple(map(int, np.unravel_index(int(shares.argmax()), shares.shape))) if shares.shape else ()
    compared = part.compared
    result = float(compared.r[place])
    return WorstCase(
        subjects=subjects,
        problem=problem,
        part=part.part,
        row=place[0] if place else None,
        index=place[1] if len(place) > 1 else None,
        expected=part.exact.describe(place),
        exact=float(compared.y[place]).hex(),
        result=decimal(result, compared.dtype),
        bits="0x" + little_endian_bytes(float_array(result, compared.dtype))[::-1].hex(),
        ulps=float(compared.cut(place).ulps()),
        share=float(part.shares[place]),
    )
