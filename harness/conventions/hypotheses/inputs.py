"""Changes of the logits and of the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.conventions.hypotheses.change import Change
from logitmus.conventions.hypotheses.evaluate import log_softmax
from logitmus.core.problem import Problem, TargetKind
from logitmus.oracle.question import Question

SMOOTHINGS: Final = (0.1, 0.05, 0.2, 0.01, 0.15, 0.3, 0.02, 0.001)
TEMPERATURES: Final = (2.0, 0.5, 4.0, 3.0, 5.0, 10.0, 20.0, 0.1, 0.07, 0.05, 0.01, 0.2, 0.25, 1.5, 8.0, 1.3, 0.7)
CAPS: Final = (30.0, 50.0, 15.0, 20.0, 10.0)


def logit_changes(problem: Problem) -> Iterator[Change]:
    """Yield other axes, signs, scales and caps of the logits."""
    yield Change(
        "softmax",
        "twice",
        "question",
        "softmax was applied twice (the function got probabilities and took them as logits)",
        "cross_entropy(logits, target), not cross_entropy(logits.softmax(-1), target)",
        0,
        _softmaxed,
    )
    yield Change(
        "sign",
        "negative_logits",
        "question",
        "the logits had the opposite sign",
        "cross_entropy(-logits, target)",
        3,
        lambda question: replace(question, x=-question.x),
    )
    if problem.rows > 1 and len(problem.batch) == 1:
        if problem.rows == problem.classes:
            yield Change(
                "layout",
                "transposed",
                "question",
                "the softmax ran over the other axis (transposed logits, or dim=0)",
                "logits.T, or dim=-1",
                2,
                _transposed,
            )
        yield Change(
            "softmax_axis",
            "rows",
            "question",
            "the softmax ran over the rows (dim=0), and the label was picked from the classes",
            "logits.log_softmax(dim=-1)",
            2,
            _softmax_over_rows,
        )
    for temperature in TEMPERATURES:
        yield Change(
            "temperature",
            f"{temperature:g}",
            "question",
            f"the logits were divided by a temperature of {temperature:g}",
            f"cross_entropy(logits / {temperature:g}, target)",
            2 if temperature in (2.0, 0.5, 4.0) else 4,
            _scaled(1 / temperature),
        )
    root = float(np.sqrt(problem.classes))
    if root > 1 and root not in TEMPERATURES:
        yield Change(
            "temperature",
            "sqrt(K)",
            "question",
            "the logits were divided by the square root of the number of classes",
            "logits / math.sqrt(logits.shape[-1])",
            6,
            _scaled(1 / root),
        )
    for cap in CAPS:
        yield Change(
            "soft_cap",
            f"{cap:g}",
            "question",
            f"the logits were capped softly at {cap:g} (c tanh(x / c))",
            f"{cap:g} * torch.tanh(logits / {cap:g})",
            3 if cap in (30.0, 50.0) else 5,
            lambda question, cap=cap: replace(question, x=cap * np.tanh(question.x / cap)),
        )


def target_changes(problem: Problem) -> Iterator[Change]:
    """Yield smoothings, other readings of target probabilities, and weights that are not read."""
    if not problem.label_smoothing:
        for eps in SMOOTHINGS:
            for spread in ("uniform", "others"):
                over = "all classes" if spread == "uniform" else "the other classes"
                yield Change(
                    "label_smoothing" if spread == "uniform" else "label_smoothing_others",
                    f"{eps:g}",
                    "question",
                    f"a label smoothing of {eps:g} was applied, spread over {over}",
                    f"label_smoothing={eps:g} is on: set it to 0, or pass it to the other function",
                    (1 if spread == "uniform" else 3) + 3 * (eps not in (0.1, 0.05, 0.2)),
                    lambda question, eps=eps, spread=spread: replace(question, eps=eps, spread=spread),
                )
    if problem.target_kind == TargetKind.PROBABILITIES:
        yield Change(
            "targets",
            "normalised",
            "question",
            "the target probabilities were divided by their sum",
            "q / q.sum(-1, keepdim=True)",
            1,
            lambda question: replace(question, q=question.q / question.q.sum(axis=1, keepdims=True)),
        )
        yield Change(
            "targets",
            "softmax",
            "question",
            "softmax was applied to the targets (they were taken as logits)",
            "pass the target probabilities themselves",
            2,
            lambda question: replace(question, q=np.exp(-log_softmax(question.q, "")[0])),
        )
        yield Change(
            "targets",
            "largest",
            "question",
            "only the largest target probability counted (a label instead of a distribution)",
            "pass the distribution, not its argmax",
            3,
            lambda question: replace(question, q=np.eye(question.classes)[question.q.argmax(axis=1)]),
        )
    if problem.weight is not None:
        yield Change(
            "weight",
            "dropped",
            "question",
            "the class weights were ignored",
            "pass weight=...",
            0,
            lambda question: replace(question, weight=None, divisor=np.array([float(question.kept.sum())])),
        )


def tail_changes(problem: Problem) -> Iterator[Change]:
    """Yield classes that the logsumexp gains or loses at its end: padding, an incomplete last block."""
    for extra in (1, 2, 3, 4, 8):
        yield Change(
            "extra_zero_logits",
            str(extra),
            "question",
            f"the logsumexp included {extra} extra logit{'s' * (extra > 1)} of 0 (padding that is not masked)",
            "mask the padding with -inf before the logsumexp",
            5,
            _padded(extra),
        )
    for block in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
        lost = problem.classes % block
        if lost and block < problem.classes:
            yield Change(
                "lost_tail",
                str(lost),
                "question",
                f"the last {lost} class{'es were' if lost > 1 else ' was'} left out of the logsumexp "
                f"(the incomplete last block of {block})",
                f"loop over ceil(K / {block}) blocks and mask the last",
                3,
                _truncated(lost),
            )
        padding = -problem.classes % block
        if padding and padding not in (1, 2, 3, 4, 8) and block < 2 * problem.classes:
            yield Change(
                "extra_zero_logits",
                str(padding),
                "question",
                f"the logsumexp included {padding} extra logits of 0 (the last block of {block} is not masked)",
                "mask the padding with -inf before the logsumexp",
                4,
                _padded(padding),
            )
    if problem.classes > 2:
        yield Change(
            "lost_tail",
            "1",
            "question",
            "the last class was left out of the logsumexp",
            "range(K), not range(K - 1)",
            4,
            _truncated(1),
        )


def _softmaxed(question: Question) -> Question:
    return replace(question, x=np.exp(-log_softmax(question.x, "")[0])) if question.classes else question


def _transposed(question: Question) -> Question | None:
    return replace(question, x=question.x.T.copy()) if question.rows == question.classes else None


def _softmax_over_rows(question: Question) -> Question:
    """Log-probabilities over the rows in place of logits."""
    return replace(question, x=-log_softmax(question.x.T, "")[0].T, inputs="log_probabilities")


def _scaled(factor: float) -> Callable[[Question], Question]:
    return lambda question: replace(question, x=question.x * factor)


def _padded(extra: int) -> Callable[[Question], Question | None]:
    def act(question: Question) -> Question | None:
        if question.q is not None or question.weight is not None or question.eps or question.inputs != "logits":
            return None
        return replace(question, x=np.concatenate([question.x, np.zeros((question.rows, extra))], axis=1))

    return act


def _truncated(lost: int) -> Callable[[Question], Question | None]:
    """The logsumexp without the last classes, as log-probabilities: the label's own logit may lie among the lost."""

    def act(question: Question) -> Question | None:
        if question.inputs != "logits":
            return None
        lse = log_softmax(question.x[:, :-lost], "")[1]
        return replace(question, x=question.x - lse[:, None], inputs="log_probabilities")

    return act
