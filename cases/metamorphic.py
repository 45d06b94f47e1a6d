"""Metamorphic relations: changes to a problem that leave its answer what it is, so that no reference is needed.

Every change is exact to the bit: the changed problem has, mathematically, the very same loss, and the same gradient in
other places. Changing is all that is done here; `logitmus.engine.metamorphic` compares the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import ml_dtypes
import numpy as np

from logitmus.core.floats import Array
from logitmus.core.problem import Problem, TargetKind

FAMILY: Final = "relations"  # of the problems that are made for relations


@dataclass(frozen=True)
class Image:
    """A changed problem, and where in its answer the original's is.

    Attributes:
        rows: (R',) the original's row behind each row of the image.
        classes: (K,) the image's class behind each class of the original's that it has: see `kept`.
        kept: (K',) the original's classes that the image has, in the order of `classes`.
    """

    problem: Problem
    rows: Array
    classes: Array
    kept: Array


@dataclass(frozen=True)
class Relation:
    """What it says, and the images of a problem (none: it is not about such a problem)."""

    says: str
    images: Callable[[Problem], Iterator[Image]]


def shift_of(dtype: str) -> float:
    """The largest power of 2 to which multiples of 1/16 can be added without rounding."""
    return float(2.0 ** (int(ml_dtypes.finfo(dtype).nmant) - 4))  # type: ignore[no-untyped-call]


def shifted(problem: Problem) -> Iterator[Image]:
    """Every logit greater by the same number; where the dtype holds all of them exactly."""
    wide = problem.logits.astype(np.float64)
    moved = wide + shift_of(problem.dtype)
    logits = moved.astype(problem.logits.dtype)
    finite = np.isfinite(wide)
    exact = (logits.astype(np.float64) == moved) & (moved - shift_of(problem.dtype) == wide)
    if bool((exact | ~finite).all()):
        yield _image(problem.but(logits=logits))


def reordered_classes(problem: Problem) -> Iterator[Image]:
    """The classes from the last to the first; labels, target probabilities and weights with them."""
    labels = problem.target_kind == TargetKind.LABELS
    if labels and not _in_range(problem):
        return
    mirrored = (problem.classes - 1 - problem.targets) if labels else problem.targets[..., ::-1]
    image = problem.but(
        logits=problem.logits[..., ::-1],
        targets=np.asarray(mirrored).astype(problem.targets.dtype),
        weight=None if problem.weight is None else problem.weight[::-1],
    )
    yield Image(image, np.arange(problem.rows), np.arange(problem.classes)[::-1], np.arange(problem.classes))


def reordered_rows(problem: Problem) -> Iterator[Image]:
    """The rows from the last to the first, each with its upstream gradient."""
    if len(problem.batch) != 1:
        return
    by_row = problem.reduction == "none" and problem.cotangent is not None
    image = problem.but(
        logits=problem.logits[::-1],
        targets=problem.targets[::-1],
        cotangent=problem.cotangent[::-1] if by_row and problem.cotangent is not None else problem.cotangent,
    )
    yield Image(image, np.arange(problem.rows)[::-1], np.arange(problem.classes), np.arange(problem.classes))


def single_rows(problem: Problem) -> Iterator[Image]:
    """Each row by itself, without a batch axis."""
    if len(problem.batch) != 1 or problem.reduction != "none":
        return
    every = np.arange(problem.classes)
    for n in range(problem.rows):
        yield Image(_row(problem, n, every, ()), np.array([n]), every, every)


def without_masked_classes(problem: Problem) -> Iterator[Image]:
    """Each row without the classes that are at -inf in all rows, as a batch of its own."""
    if len(problem.batch) != 1 or problem.reduction != "none" or problem.weight is not None or problem.label_smoothing:
        return
    masked = np.isneginf(problem.logits).all(axis=0)
    kept = np.flatnonzero(~masked)
    if not masked.any() or not len(kept) or kept[-1] != len(kept) - 1:
        return
    if problem.target_kind == TargetKind.LABELS:
        fits = _in_range(problem) and int(problem.targets.max(initial=0)) < len(kept)
    else:
        fits = not problem.targets[:, masked].any()
    for n in range(problem.rows) if fits else ():
        yield Image(_row(problem, n, kept, (1,)), np.array([n]), kept, kept)


def one_hot(problem: Problem) -> Iterator[Image]:
    """Labels as probabilities, which are 0 but for one 1; what a weighted mean divides by is a convention."""
    if problem.target_kind != TargetKind.LABELS or problem.ignore_index is not None or not _in_range(problem):
        return
    if problem.weight is None or problem.reduction != "mean":
        hot = problem.targets[..., np.newaxis] == np.arange(problem.classes)
        yield _image(problem.but(targets=hot.astype(problem.logits.dtype)))


RELATIONS: Final[Mapping[str, Relation]] = MappingProxyType(
    {
        "shift": Relation("a number added to all logits changes nothing", shifted),
        "classes": Relation("the order of the classes changes nothing", reordered_classes),
        "rows": Relation("the order of the rows changes nothing", reordered_rows),
        "alone": Relation("a row comes out alone as in its batch", single_rows),
        "padding": Relation("classes at -inf change nothing", without_masked_classes),
        "one_hot": Relation("a label is its one-hot target", one_hot),
    }
)


# --- within ------------------------------------------------------------------------------------------------------


def _image(problem: Problem) -> Image:
    every = np.arange(problem.classes)
    return Image(problem, np.arange(problem.rows), every, every)


def _row(problem: Problem, n: int, classes: Array, batch: tuple[int, ...]) -> Problem:
    by_label = problem.target_kind == TargetKind.LABELS
    targets = problem.targets[n] if by_label else problem.targets[n, classes]
    return problem.but(
        logits=problem.logits[n, classes].reshape(*batch, -1),
        targets=targets.reshape(batch if by_label else (*batch, -1)),
        cotangent=None if problem.cotangent is None else problem.cotangent[n].reshape(batch),
    )


def _in_range(problem: Problem) -> bool:
    return bool(((problem.targets >= 0) & (problem.targets < problem.classes)).all())
