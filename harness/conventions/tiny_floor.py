"""A floor or clip of probabilities that is too small to show in ordinary rows: 1e-16, the machine epsilon, 1e-30.

The losses of rows with large gaps then share a largest value, -log e. It gives e; all rows decide whether p is raised
to e, or e is added. A clip to [e, 1 - e] is named only where its upper end shows: it raises p to e, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.conventions.row_fit import Rows, shares
from logitmus.conventions.row_numbers import parameter_of
from logitmus.conventions.simple_numbers import Interval, simplest
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.row_model import OF_SIGMOID, RowModel

_FEWEST: Final = 6  # rows that share the largest loss
_PENALTIES: Final = ("floor", "clip", "log_plus")


def with_tiny_floor(model: RowModel, rows: Sequence[Rows], hard: Sequence[Rows], level: Level) -> RowModel | None:
    """The model with a floor of the probabilities, if it then predicts all rows; None: it does not, or several do.

    Args:
        model: predicts the ordinary rows. rows: these, by the number of classes. hard: the others.
    """
    plain = model.penalty == "log" and model.core and model.smoothing is None and not model.terms and not model.outer
    if not hard or not plain or model.factor.law or model.inputs in OF_SIGMOID:
        return None
    missed = np.concatenate([group.r[shares(model, group, level) > 1] for group in hard]) / model.factor.value
    largest = missed[np.isfinite(missed)].max(initial=0)
    if largest <= 0 or (np.abs(missed - largest) <= 8 * level.u * largest).sum() < _FEWEST:
        return None
    e = np.exp(-EXACT(largest))
    found = simplest(Interval(e, 8 * level.u * largest * e))
    if not found.exactly:
        return None
    models = [replace(model, penalty=name, theta={**model.theta, "e": parameter_of(found)}) for name in _PENALTIES]
    fitting = {m.penalty: m for m in models if all((shares(m, group, level) <= 1).all() for group in (*rows, *hard))}
    if len(fitting) > 1:
        fitting.pop("clip", None)
    return next(iter(fitting.values())) if len(fitting) == 1 else None
