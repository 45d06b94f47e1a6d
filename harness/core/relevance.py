"""Which choices of a convention a problem hangs on: most problems give no occasion for most of them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final

import numpy as np

from logitmus.core.convention import Convention
from logitmus.core.floats import format_of
from logitmus.core.problem import DEFAULT_REDUCTION, Problem

_INT32: Final = np.iinfo(np.int32)


def concerned(problem: Problem) -> Callable[[Convention], tuple[str, ...]]:
    """The choices of a convention that `problem` hangs on: where they agree, two conventions ask it the same.

    Left out is what there is no occasion for (no label is out of range, nothing is averaged, no number is special).
    """
    names = attrgetter(*_occasions(problem))
    of_probabilities = attrgetter("probability_clip", "probability_scale", "zero_times_infinity")

    def choices(convention: Convention) -> tuple[str, ...]:
        chosen: tuple[str, ...] = names(convention)
        return (*chosen, *of_probabilities(convention)) if convention.inputs == "probabilities" else chosen

    return choices


def _occasions(problem: Problem) -> list[str]:
    by_labels, x = problem.target_kind == "labels", problem.logits
    names = ["inputs", "log_base"]
    if problem.reduction == DEFAULT_REDUCTION:
        names.append("default_reduction")
    if problem.reduction in (DEFAULT_REDUCTION, "mean"):
        names += ["mean_denominator", "all_ignored_mean", "empty_batch_mean"]
    if problem.label_smoothing:
        names += ["smoothing", "smoothing_weights"]
    if problem.dtype == "float64":
        names.append("wide_inputs")
    if not by_labels:
        names += ["ignore_with_probabilities", "soft_target_gradient"]
    elif problem.targets.size:
        least, most = int(problem.targets.min()), int(problem.targets.max())
        if most > _INT32.max or least < _INT32.min:
            names.append("wide_labels")
        if least < 0 or "wide_labels" in names:
            names += ["ignore_default", "label_negative"]
        if most >= problem.classes or "wide_labels" in names:
            names.append("label_out_of_range")
    # Far from the largest number no difference of two logits overflows, nor does one that is narrowed.
    far = format_of("float32" if problem.dtype == "float64" else problem.dtype).largest / 16
    if not (np.abs(x) < far).all():  # NaN, too
        names += ["ignored_row", "infinite_logits", "overflowing_shift", "zero_times_infinity"]
    return names
