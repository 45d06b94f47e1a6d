"""A class whose rows count more or less than the others: the background of a detector, the end of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.conventions.row_fit import Rows, worst_share
from logitmus.conventions.row_numbers import parameter_of
from logitmus.conventions.simple_numbers import Interval, simplest
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import Level
from logitmus.oracle.row_model import RowModel

_FEWEST: Final = 6  # rows of the class: with fewer, a factor that fits them all may be chance


def with_class_factor(model: RowModel, label: int, rows: Sequence[Rows], level: Level) -> RowModel | None:
    """The model in which the rows of a class have a factor, if it predicts all rows so; else None.

    Args:
        model: predicts the rows of the other classes.
        rows: all rows, by the number of classes.
    """
    common: Interval | None = None
    count = 0
    for group in rows:
        of_class = group.at(group.labels == label)
        if not len(of_class):
            continue
        with np.errstate(all="ignore"):
            values, allowed = row_model.budget(model, of_class.x, of_class.labels, level)
        for value, bound, result in zip(values, allowed, of_class.r, strict=True):
            if not np.isfinite(value) or not np.isfinite(result) or abs(value) < 2 * bound:
                continue
            ratio = result / value
            here = Interval(ratio, 2 * abs(ratio) * bound / abs(value))
            common = here if common is None else common.meeting(here)
            if common is None:
                return None
            count += 1
    if common is None or count < _FEWEST or common.holds(0) or common.holds(1):
        return None
    weighted = replace(model, class_factors={label: parameter_of(simplest(common))})
    return weighted if worst_share(weighted, rows, level) <= 1 else None
