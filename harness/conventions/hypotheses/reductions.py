"""Changes of the reduction: sums, means of other groups of rows, micro-batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from logitmus.conventions.hypotheses.change import Change
from logitmus.conventions.hypotheses.evaluate import Rows
from logitmus.core.floats import Array
from logitmus.core.problem import Problem


def reduction_changes(problem: Problem) -> Iterator[Change]:
    if problem.rows < 2:
        return
    requested = problem.reduction

    def kept(rows: Rows) -> Array:
        return np.asarray(rows.question.kept)

    for other, words, mend in (
        ("sum", "the rows were summed", 'reduction="sum"'),
        ("mean", "the rows were averaged", 'reduction="mean"'),
    ):
        if requested not in (other, "none"):
            yield Change(
                "reduction",
                other,
                "reduction",
                words,
                mend,
                0,
                lambda rows, losses, other=other: np.asarray(
                    losses.sum() if other == "sum" else losses.sum() / _divisor(rows)
                ),
            )
    if requested == "none":
        return
    for size in range(1, problem.rows):
        if size > 1 and problem.rows % size and problem.rows - size * (problem.rows // size) == 0:
            continue
        for join, words in (("mean", "averaged"), ("sum", "added up")):
            if size == 1:
                continue  # single rows: the mean of the rows, or their sum
            yield Change(
                f"micro_batch_{join}",
                str(size),
                "reduction",
                f"the means of micro-batches of {size} rows were {words}",
                "divide the sum over all micro-batches by the number of all rows: loss.sum() / total",
                3,
                lambda rows, losses, size=size, join=join: _micro_batches(rows, losses, size, join),
            )
    if len(problem.batch) > 1:
        examples = problem.batch[0]
        yield Change(
            "reduction",
            "sum_per_example",
            "reduction",
            f"the positions of each example were summed, and the sums averaged over the {examples} examples",
            "reduction over all positions: loss.mean()",
            2,
            lambda _, losses: np.asarray(losses.sum() / examples),
        )
        yield Change(
            "reduction",
            "mean_of_example_means",
            "reduction",
            "the mean of each example was taken first, and then the mean of these",
            "loss.sum() / number of kept positions",
            2,
            lambda rows, losses: _micro_batches(rows, losses, problem.rows // examples, "mean"),
        )


def _divisor(rows: Rows) -> float:
    question = rows.question
    if question.weight is not None and question.labels is not None:
        return float(question.weight[question.labels[question.kept]].sum())
    return float(question.kept.sum())


def _micro_batches(rows: Rows, losses: Array, size: int, join: str) -> Array:
    question = rows.question
    weights = np.ones(len(losses))
    if question.weight is not None and question.labels is not None:
        weights = question.weight[question.labels]
    weights = np.where(question.kept, weights, 0)
    starts = range(0, len(losses), size)
    means = [losses[at : at + size].sum() / weights[at : at + size].sum() for at in starts]
    return np.asarray(np.mean(means) if join == "mean" else np.sum(means))
