"""Changes of the result as a whole: a factor, the sign, the exponential."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from logitmus.conventions.hypotheses.change import Change
from logitmus.core.problem import Problem


def scale_changes(problem: Problem) -> Iterator[Change]:
    yield Change(
        "perplexity",
        "exp",
        "scale",
        "it was the perplexity, exp(loss)",
        "math.log(perplexity)",
        1,
        lambda result, _: np.exp(result),
    )
    yield Change("sign", "negative_loss", "scale", "the loss had the opposite sign", "-loss", 2, lambda r, _: -r)
    if problem.classes > 2:
        yield Change(
            "factor",
            "1/log K",
            "scale",
            "the loss was divided by log K (relative to a uniform guess)",
            "loss * math.log(K)",
            4,
            lambda result, rows: result / np.log(rows.x.shape[1]),
        )
    if problem.rows > 1:
        yield Change(
            "factor",
            "1/N",
            "scale",
            "the loss was divided by the number of rows once more",
            "loss * len(target)",
            3,
            lambda result, rows: result / len(rows.x),
        )
        yield Change(
            "factor",
            "N",
            "scale",
            "the loss was multiplied by the number of rows",
            "loss / len(target)",
            3,
            lambda result, rows: result * len(rows.x),
        )
    for factor in (2, 3, 4, 5, 8, 9, 10, 16, 25, 32, 64, 100, 128, 256, 1000, 1024):
        for up in (False, True):
            times = f"multiplied by {factor}" if up else f"divided by {factor}"
            why = "a weight, a squared temperature" if up else "gradient accumulation, a weight, a number of workers"
            yield Change(
                "factor",
                str(factor) if up else f"1/{factor}",
                "scale",
                f"the loss was {times} ({why})",
                f"loss {'/' if up else '*'} {factor}",
                3 if factor in (2, 4) else 5,
                lambda result, _, by=factor if up else 1 / factor: result * by,
            )
