"""Changes of the loss of a row: relatives of cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from logitmus.conventions.hypotheses.change import Change
from logitmus.conventions.hypotheses.evaluate import Rows
from logitmus.core.floats import Array
from logitmus.core.problem import Problem, TargetKind

RowLoss = Callable[[Rows], Array]

GAMMAS: Final = (2.0, 1.0, 0.5, 3.0, 4.0, 5.0, 1.5)
Z_LOSSES: Final = (1e-4, 1e-3, 1e-2, 1e-5, 1e-6, 0.1)
_FLOORS: Final = (1e-7, 1e-8, 1e-12, 1e-15, 1e-10, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1e-16)


def loss_changes(problem: Problem) -> Iterator[Change]:
    def change(name: str, value: str, words: str, mend: str, rank: int, act: RowLoss) -> Change:
        return Change(name, value, "loss", words, mend, rank, act)

    for way, words in (("sum", "summed over the classes"), ("mean", "averaged over the classes, too")):
        yield change(
            "binary_cross_entropy",
            way,
            f"it was binary cross-entropy: a sigmoid for each class, {words}",
            "cross_entropy(logits, target), not binary_cross_entropy_with_logits",
            1,
            lambda rows, way=way: _binary(rows, way),  # type: ignore[misc]
        )
    for gamma in GAMMAS:
        for alpha in (1.0, 0.25):
            weighted = f" and alpha {alpha:g}" if alpha != 1 else ""
            yield change(
                "focal_gamma",
                f"{gamma:g}" + (f", alpha={alpha:g}" if alpha != 1 else ""),
                f"it was a focal loss with gamma {gamma:g}{weighted}",
                f"gamma=0{', alpha=1' if weighted else ''} gives cross-entropy",
                2 if gamma == 2 else 4,
                lambda rows, gamma=gamma, alpha=alpha: rows.dot(  # type: ignore[misc]
                    alpha * (-np.expm1(-rows.loss)) ** gamma * rows.loss
                ),
            )
    for factor in Z_LOSSES:
        yield change(
            "z_loss",
            f"{factor:g}",
            f"a z-loss of {factor:g} x logsumexp^2 was added",
            f"z_loss={factor:g} is on: set it to 0",
            3 if factor in (1e-4, 1e-3) else 4,
            lambda rows, factor=factor: rows.dot(rows.loss) + factor * rows.lse**2,  # type: ignore[misc]
        )
    for floor in _FLOORS:
        yield change(
            "probability_floor",
            f"{floor:g}",
            f"the probability was clipped to [{floor:g}, 1 - {floor:g}] before the logarithm",
            "log_softmax of the logits, not log of clipped probabilities",
            3 if floor in (1e-7, 1e-12) else 4,
            lambda rows, floor=floor: rows.dot(-np.log(_clipped(rows.p, floor))),  # type: ignore[misc]
        )
        yield change(
            "probability_added",
            f"{floor:g}",
            f"{floor:g} was added to the probability before the logarithm",
            "log_softmax of the logits, not log(p + eps)",
            3 if floor == 1e-8 else 5,
            lambda rows, floor=floor: rows.dot(-np.log(rows.p + rows.p.dtype.type(floor))),  # type: ignore[misc]
        )
    if problem.target_kind == TargetKind.PROBABILITIES:
        yield change(
            "divergence",
            "kl",
            "it was the Kullback-Leibler divergence (the entropy of the targets subtracted)",
            "cross_entropy(logits, q) = kl_div(logits.log_softmax(-1), q) + entropy(q)",
            0,
            lambda rows: rows.dot(rows.loss + np.log(np.where(rows.a > 0, rows.a, 1))),
        )
        yield change(
            "divergence",
            "reverse_kl",
            "it was the Kullback-Leibler divergence the other way round, KL(p || q)",
            "swap the arguments of kl_div",
            4,
            _reverse_kl,
        )
    for way in ("sum", "mean"):
        yield change(
            "brier",
            way,
            f"it was the squared error of the probabilities (Brier score), {way} over the classes",
            "cross_entropy(logits, target), not mse_loss",
            5,
            lambda rows, way=way: _brier(rows, way),  # type: ignore[misc]
        )
    yield change(
        "linear",
        "1 - p",
        "it was 1 - p of the target (mean absolute error)",
        "-log p, not 1 - p",
        5,
        lambda rows: rows.dot(-np.expm1(-rows.loss)),
    )
    yield change(
        "linear",
        "-p",
        "the logarithm was left out (loss = -p of the target, nll_loss of probabilities)",
        "nll_loss(logits.log_softmax(-1), target), not nll_loss(logits.softmax(-1), target)",
        1,
        lambda rows: rows.dot(-rows.p),
    )
    yield change(
        "poly1",
        "1",
        "it was the poly-1 loss, cross-entropy plus 1 - p of the target",
        "epsilon=0 gives cross-entropy",
        6,
        lambda rows: rows.dot(rows.loss - np.expm1(-rows.loss)),
    )
    for q in (0.7, 0.5):
        yield change(
            "generalised_cross_entropy",
            f"{q:g}",
            f"it was the generalised cross-entropy (1 - p^q) / q with q = {q:g}",
            "q -> 0 gives cross-entropy",
            6,
            lambda rows, q=q: rows.dot(-np.expm1(-q * rows.loss) / q),  # type: ignore[misc]
        )
    yield change(
        "entropy",
        "predictions",
        "it was the entropy of the predictions; the targets were not read",
        "cross_entropy(logits, target)",
        6,
        lambda rows: np.asarray(np.where(rows.p > 0, rows.p * rows.loss, 0).sum(axis=1)),
    )
    yield change(
        "log_sum_exp",
        "alone",
        "it was the logsumexp alone; the target's logit was not subtracted",
        "logits.logsumexp(-1) - logits[target]",
        5,
        lambda rows: rows.lse,
    )


def _clipped(p: Array, floor: float) -> Array:
    low = p.dtype.type(floor)
    return np.clip(p, low, p.dtype.type(1) - low)


def _binary(rows: Rows, way: str) -> Array:
    positive, negative = np.logaddexp(0, -rows.x), np.logaddexp(0, rows.x)
    q = rows.question.q if rows.question.q is not None else np.eye(rows.x.shape[1])[rows.question.labels]
    terms = np.where(q != 0, q * positive, 0) + np.where(q != 1, (1 - q) * negative, 0)
    if rows.question.weight is not None:
        terms = terms * rows.question.weight
    return np.asarray(terms.sum(axis=1) if way == "sum" else terms.mean(axis=1)).astype(rows.x.dtype)


def _brier(rows: Rows, way: str) -> Array:
    q = rows.question.q if rows.question.q is not None else np.eye(rows.x.shape[1])[rows.question.labels]
    squared = (rows.p - q) ** 2
    return np.asarray(squared.sum(axis=1) if way == "sum" else squared.mean(axis=1)).astype(rows.x.dtype)


def _reverse_kl(rows: Rows) -> Array:
    q = np.asarray(rows.question.q)
    return np.asarray(np.where(rows.p > 0, rows.p * (-rows.loss - np.log(q)), 0).sum(axis=1))
