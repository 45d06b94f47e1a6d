"""Probes: small, well-conditioned problems on which any two conventions give different answers.

`logitmus identify` elects a function's convention by elimination on them; see docs/conventions.md. Few signatures,
plain numbers (multiples of powers of two, most of them at once fair logits and fair probabilities), and one special
thing at a time: a function whose default is a mean answers one number per problem. Hard numerics come last; they are
not about conventions, they tell how the numbers are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np

from logitmus.cases.build import one_hot
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.problem import Array, Problem

Ask = Callable[..., Problem]
ROWS: Final = 4
CLASSES: Final = 6  # 2^32 and -100 are no multiples of it, so that a label modulo K is no other label's double
INF: Final = float("inf")
OFF_BY: Final = {"by one": CLASSES, "by two": CLASSES + 1, "by far": 100}
NEGATIVE: Final = (-1, -2, -3, -100)
TRUNCATED: Final = 2**32 + 3

LABELS: Final = np.array([0, 3, 5, 1])
ORDINARY: Final = np.array(
    [
        [1.0, -0.5, 2.0, 0.25, -1.5, 0.75],
        [-2.0, 1.5, 0.5, -0.25, 3.0, 1.0],
        [0.5, 2.5, -1.0, -3.0, 1.25, 0.125],
        [2.25, 0.75, -0.75, 1.75, -0.125, -2.5],
    ]
)
FAIR: Final = np.array(
    [
        [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125],
        [0.0625, 0.0625, 0.125, 0.25, 0.25, 0.25],
        [0.03125, 0.5, 0.25, 0.03125, 0.125, 0.0625],
        [0.25, 0.125, 0.0625, 0.5, 0.03125, 0.03125],
    ]
)
HALF_SUMS: Final = np.array([[0.5], [0.25], [2.0], [1.5]]) * FAIR
"""Within [0, 1], and rows that do not sum to 1."""
BELOW_ZERO: Final = -np.array(
    [
        [1.0, 2.0, 0.5, 3.0, 1.5, 2.5],
        [0.25, 1.25, 2.0, 0.75, 3.0, 0.5],
        [2.0, 0.125, 1.75, 0.5, 1.0, 0.75],
        [1.5, 0.375, 2.25, 1.0, 0.5, 3.5],
    ]
)
SOFT: Final = np.array(
    [
        [0.5, 0.25, 0.0, 0.25, 0.0, 0.0],
        [0.0, 0.125, 0.125, 0.5, 0.25, 0.0],
        [0.25, 0.0, 0.25, 0.0, 0.0, 0.5],
        [0.0, 0.75, 0.0, 0.125, 0.125, 0.0],
    ]
)
WEIGHT: Final = np.array([0.5, 2.0, 1.0, 0.25, 3.0, 1.5])
EPSILON: Final = 0.25
OVERFLOWING: Final = {"float32": 3e38, "float16": 60000.0}


def changed(base: Array, **at: float) -> Array:
    """`base` with row 1 changed: `c3=inf` puts infinity at class 3."""
    out = base.copy()
    for place, value in at.items():
        out[1, int(place[1:])] = value
    return out


def labelled(value: int, at: int = 1) -> Array:
    chosen = LABELS.copy()
    chosen[at] = value
    return chosen


def plain_rows() -> Iterator[tuple[str, Array]]:
    """What the numbers are taken for, and what is made of them."""
    yield "ordinary logits", ORDINARY
    yield "fair as logits and as probabilities", FAIR
    yield "in [0, 1], rows that do not sum to 1", HALF_SUMS
    yield "below 0, fair as logits and as log-probabilities", BELOW_ZERO
    yield "all 0: in every domain", np.zeros((ROWS, CLASSES))
    certain = np.tile(np.eye(CLASSES)[LABELS[1]], (ROWS, 1))
    yield "probability 1 and 0", certain
    yield "probability 0, rows that sum to 1/2", 0.5 * np.tile(np.eye(CLASSES)[2], (ROWS, 1))


def of_labels(ask: Ask) -> Iterator[Problem]:
    """Batches of labels in float32; no reduction is named, but where a mean is the question."""
    for name, rows in plain_rows():
        chosen = np.full(ROWS, LABELS[1]) if name.startswith("prob") else LABELS
        yield ask(rows, chosen, idea=f"{name}: labels")
        yield ask(rows, np.roll(chosen, 1), idea=f"{name}: other labels")
    for reduction in ("none", "sum", "mean"):
        yield ask(ORDINARY, LABELS, reduction=reduction, idea=f"reduction {reduction}: labels")
    for off, value in OFF_BY.items():
        yield ask(ORDINARY, labelled(value), idea=f"a label out of range {off}")
    for value in NEGATIVE:
        yield ask(ORDINARY, labelled(value, at=2), idea=f"a label {value}")
    yield ask(ORDINARY, labelled(TRUNCATED), idea="a label 2^32 + 3")
    for reduction in ("default", "mean"):
        mean = partial(ask, reduction=reduction)
        words = "" if reduction == "default" else ", mean"
        yield mean(ORDINARY, labelled(-100), idea=f"a label -100, the default of some{words}")
        yield mean(ORDINARY, labelled(-1), idea=f"a label -1, the default of some{words}")
        for value in (-100, -1):
            yield mean(ORDINARY, np.full(ROWS, value), idea=f"nothing but labels {value}{words}")
        ignoring = partial(mean, ignore_index=-100)
        yield ignoring(ORDINARY, LABELS, idea=f"ignore_index, nothing to ignore{words}")
        yield ignoring(ORDINARY, labelled(-100), idea=f"ignore_index, one row ignored{words}")
        yield ignoring(ORDINARY, np.full(ROWS, -100), idea=f"ignore_index, all rows ignored{words}")
        weighted = partial(mean, weight=WEIGHT)
        yield weighted(ORDINARY, LABELS, idea=f"class weights{words}")
        yield weighted(ORDINARY, labelled(-100), ignore_index=-100, idea=f"class weights, one row ignored{words}")
        yield mean(ORDINARY[:0], LABELS[:0], idea=f"no rows: labels{words}")
    yield ask(ORDINARY, LABELS, label_smoothing=EPSILON, idea="label smoothing")
    yield ask(ORDINARY, LABELS, label_smoothing=EPSILON, weight=WEIGHT, idea="label smoothing, class weights")
    absent = np.where(np.isin(np.arange(CLASSES), LABELS), 0.0, 1.0)
    for reduction in ("default", "mean"):
        yield ask(ORDINARY, LABELS, weight=absent, reduction=reduction, idea=f"weights 0 for all labels ({reduction})")
    lost = changed(ORDINARY, c2=np.nan)
    yield ask(lost, labelled(-100), ignore_index=-100, idea="an ignored row with NaN in it")
    for value in (-100, -1):
        yield ask(lost, labelled(value), idea=f"a row labelled {value} with NaN in it")
    yield ask(changed(ORDINARY, c2=-INF), LABELS, idea="another class masked with -inf: labels")
    yield ask(changed(ORDINARY, c3=-INF), LABELS, idea="the label's class masked with -inf")
    zero_weight = np.where(np.arange(CLASSES) == LABELS[1], 0.0, WEIGHT)
    yield ask(changed(ORDINARY, c3=-INF), LABELS, weight=zero_weight, idea="weight 0 where the loss is infinite")
    yield ask(changed(ORDINARY, c2=INF), LABELS, idea="another class at +inf: labels")
    yield ask(changed(ORDINARY, c3=INF), LABELS, idea="the label's class at +inf")


def of_probabilities(ask: Ask) -> Iterator[Problem]:
    """Batches of target probabilities in float32."""
    hot = one_hot(LABELS, CLASSES)
    for name, rows in plain_rows():
        targets = np.tile(np.eye(CLASSES)[LABELS[1]], (ROWS, 1)) if name.startswith("prob") else hot
        yield ask(rows, targets, idea=f"{name}: one-hot targets")
        if not name.startswith("prob"):
            yield ask(rows, SOFT, idea=f"{name}: soft targets")
    for reduction in ("none", "sum", "mean"):
        yield ask(ORDINARY, SOFT, reduction=reduction, idea=f"reduction {reduction}: soft targets")
        if reduction == "mean":
            yield ask(ORDINARY[:0], SOFT[:0], reduction=reduction, idea="no rows: soft targets, mean")
    yield ask(ORDINARY[:0], SOFT[:0], idea="no rows: soft targets")
    yield ask(ORDINARY, np.array([[0.5], [2.0], [1.5], [0.25]]) * SOFT, idea="targets that do not sum to 1")
    yield ask(ORDINARY, SOFT, weight=WEIGHT, idea="class weights: soft targets")
    yield ask(ORDINARY, SOFT, label_smoothing=EPSILON, idea="label smoothing: soft targets")
    yield ask(ORDINARY, hot, label_smoothing=EPSILON, idea="label smoothing: one-hot targets")
    yield ask(changed(ORDINARY, c5=-INF), SOFT, idea="-inf at a target of 0")
    yield ask(changed(ORDINARY, c3=-INF), SOFT, idea="-inf at a target of 1/2")
    yield ask(changed(ORDINARY, c3=INF), hot, idea="+inf at the target: one-hot")
    yield ask(changed(ORDINARY, c0=INF), SOFT, idea="+inf at a target of 0")


def overflowing(canvas: Canvas, targets: Array, kind: str) -> Problem:
    """Row 1 has a difference beyond the dtype; a quarter of it is not beyond."""
    large = OVERFLOWING[canvas.dtype]
    rows = changed(ORDINARY, c0=large, c3=-large, c4=0.0)
    return canvas.problem(
        rows, targets, reduction="default", idea=f"a difference of {2 * large:g} in {canvas.dtype}: {kind}"
    )


def in_other_dtypes(plan: Plan) -> Iterator[Problem]:
    for dtype in plan.dtypes:
        canvas = plan.canvas(dtype, ROWS, CLASSES)
        for kind, targets in (("labels", LABELS), ("soft targets", SOFT)):
            ask = partial(canvas.problem, reduction="default")
            if dtype != plan.lead:
                yield ask(ORDINARY, targets, idea=f"ordinary logits in {dtype}: {kind}")
            if dtype in OVERFLOWING:
                yield overflowing(canvas, targets, kind)
                if kind == "labels":
                    yield canvas.problem(
                        overflowing(canvas, targets, kind).logits.astype(np.float64),
                        targets,
                        weight=0.25 * np.ones(CLASSES),
                        reduction="default",
                        idea=f"a difference of {2 * OVERFLOWING[dtype]:g} in {dtype}: class weights 1/4",
                    )
            if dtype == "float64":  # in float32 the classes of row 1 are all equal
                wide = ORDINARY.copy()
                wide[1] = 2.0**25 + np.array([0.0, 1.0, 2.0, 1.0, 0.0, 2.0]) * 0.5
                yield ask(wide, targets, idea=f"what float32 cannot hold: {kind}")


def single(plan: Plan) -> Iterator[Problem]:
    """Logits of shape (K,), for functions that take one row."""
    canvas = plan.canvas(plan.lead, 1, CLASSES)
    ask = partial(canvas.problem, reduction="default")
    for name, rows in plain_rows():
        label = np.array(LABELS[1])
        yield ask(rows[1], label, idea=f"one row, {name}: label")
        yield ask(rows[1], one_hot(label, CLASSES), idea=f"one row, {name}: one-hot target")
    for value in (CLASSES, CLASSES + 1, *NEGATIVE, TRUNCATED):
        yield ask(ORDINARY[1], np.array(value), idea=f"one row, label {value}")
    yield ask(changed(ORDINARY, c2=-INF)[1], np.array(3), idea="one row, another class masked with -inf: label")
    yield ask(changed(ORDINARY, c2=INF)[1], np.array(3), idea="one row, another class at +inf: label")
    yield ask(changed(ORDINARY, c3=INF)[1], np.array(3), idea="one row, the label's class at +inf")
    yield ask(ORDINARY[1], 2 * SOFT[1], idea="one row, targets that sum to 2")
    yield ask(changed(ORDINARY, c5=-INF)[1], SOFT[1], idea="one row, -inf at a target of 0")
    yield ask(changed(ORDINARY, c3=INF)[1], one_hot(np.array(3), CLASSES), idea="one row, +inf at the target")


def spatial(plan: Plan) -> Iterator[Problem]:
    """(2, 3, K), no two axes of one length: where do the classes lie?"""
    canvas = plan.canvas(plan.lead, 6, CLASSES)
    rows = np.concatenate([ORDINARY, BELOW_ZERO[:2]]).reshape(2, 3, CLASSES)
    chosen = np.array([[0, 3, 5], [1, 4, 2]])
    yield canvas.problem(rows, chosen, reduction="default", idea="a spatial axis: labels")
    soft = np.concatenate([SOFT, SOFT[:2]]).reshape(rows.shape)
    yield canvas.problem(rows, soft, reduction="default", idea="a spatial axis: soft targets")


def hard(ask: Ask) -> Iterator[Problem]:
    """Hard numerics: what a common offset, a gap, a magnitude does tells how the numbers are computed."""
    hot = one_hot(LABELS, CLASSES)
    gaps = np.zeros((ROWS, CLASSES))
    gaps[:, 0] = [12.0, 16.0, 20.0, 24.0]
    rows = {
        **{f"a common offset of {offset:g}": offset + np.rint(4 * ORDINARY) * 16 for offset in (1e4, 1e6, 1e8)},
        "far from the confident class": 4 * gaps,
        "exponentials beyond the dtype": 96.0 + 4 * ORDINARY,
        "magnitudes of 1e30": 1e30 * ORDINARY,
        "exponentials below the dtype": -120.0 + ORDINARY,
    }
    for name, x in rows.items():
        yield ask(x, labelled(2, at=0), idea=f"{name}: labels")
        yield ask(x, np.roll(hot, 1, axis=1), idea=f"{name}: one-hot targets")
    yield ask(gaps, np.zeros(ROWS, np.int64), idea="the confident class: labels")
    yield ask(gaps, np.tile(np.eye(CLASSES)[0], (ROWS, 1)), idea="the confident class: one-hot targets")


def build(plan: Plan) -> Iterator[Problem]:
    canvas = plan.canvas(plan.lead, ROWS, CLASSES)
    ask: Ask = partial(canvas.problem, reduction="default")
    yield from of_labels(ask)
    yield from of_probabilities(ask)
    yield from single(plan)
    yield from spatial(plan)
    yield from in_other_dtypes(plan)
    if plan.lead in ("float32", "float64"):  # in the halves some of these numbers are infinite
        yield from hard(ask)


FAMILY = Family(
    name="convention-probes",
    idea="small numbers on which any two conventions give different answers",
    rationale=(
        "Whether inputs are logits, what a mean divides by, what an ignored or impossible label gives: correct "
        "functions differ here, and their answers to these problems say which choice was made. Nothing is hard to "
        "compute, so that even an inaccurate function shows its convention; the last few are hard and show its "
        "arithmetic."
    ),
    incidents=(
        issue("pytorch/pytorch", 61309),
        issue("tensorflow/tensorflow", 2327),
        issue("onnx/onnx", 2696),
        issue("google-deepmind/optax", 1185),
    ),
    build=build,
)
