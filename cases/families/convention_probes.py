"""Probes: small, well-conditioned problems on which any two conventions give different answers.

`logitmus identify` elects a function's convention by elimination on them; see docs/conventions.md. Few signatures,
plain numbers (multiples of powers of two, most of them at once fair logits and fair probabilities), and one special
thing at a time: a function whose default is a mean gives a single number per problem. Hard numerics come last; they are
not about conventions, they tell how the numbers are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np

from logitmus.cases.build import one_hot
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

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
_SIXTY_FOURTHS: Final = np.array([32.0, 16.0, 8.0, 4.0, 3.0, 1.0]) / 64
FAIR: Final = np.array([np.roll(_SIXTY_FOURTHS, shift) for shift in (1, 4, 2, 5)])
"""Probabilities that sum to 1, all different in a row."""
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
# No sum of these over the labels of all rows, or of all but one, is a number of rows.
WEIGHT: Final = np.array([0.5, 2.0, 1.0, 0.375, 3.0, 1.75])
# Rows for what is not about the numbers: fair as logits and probabilities, and as logits and log-probabilities.
BASES: Final = (("", FAIR), (", below 0", BELOW_ZERO))
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


def reductions(ask: Ask) -> Iterator[tuple[str, Ask]]:
    """Without a reduction, and with a mean."""
    yield "", ask
    yield ", mean", partial(ask, reduction="mean")


def of_labels(ask: Ask) -> Iterator[Problem]:
    """Batches of labels in the lead dtype."""
    for name, rows in plain_rows():
        chosen = np.full(ROWS, LABELS[1]) if name.startswith("prob") else LABELS
        yield ask(rows, chosen, idea=f"{name}: labels")
        yield ask(rows, np.roll(chosen, 1), idea=f"{name}: other labels")
    for base, rows in BASES:
        for reduction in ("none", "sum"):
            yield ask(rows, LABELS, reduction=reduction, idea=f"reduction {reduction}: labels{base}")
        for off, value in OFF_BY.items():
            yield ask(rows, labelled(value), idea=f"a label out of range {off}{base}")
        for value in NEGATIVE:
            yield ask(rows, labelled(value, at=2), idea=f"a label {value}{base}")
        yield ask(rows, labelled(TRUNCATED), idea=f"a label 2^32 + 3{base}")
        for words, reduced in reductions(ask):
            yield from of_rows_left_out(rows, reduced, words + base)
            yield reduced(rows, LABELS, weight=WEIGHT, idea=f"class weights{words}{base}")
            absent = np.where(np.isin(np.arange(CLASSES), LABELS), 0.0, 1.0)
            yield reduced(rows, LABELS, weight=absent, idea=f"class weights 0 for all labels{words}{base}")
        yield ask(rows, LABELS, label_smoothing=EPSILON, idea=f"label smoothing{base}")
        yield ask(rows, LABELS, label_smoothing=EPSILON, weight=WEIGHT, idea=f"label smoothing, class weights{base}")
    for words, reduced in reductions(ask):
        yield reduced(FAIR, LABELS, idea=f"a mean of labels, or the default{words}")
        yield reduced(FAIR[:0], LABELS[:0], idea=f"no rows: labels{words}")
    yield from of_special_values(ask)


def of_rows_left_out(rows: Array, ask: Ask, words: str) -> Iterator[Problem]:
    """Ignored rows, by the labels that some functions ignore by default and by ignore_index."""
    for value in (-100, -1):
        yield ask(rows, labelled(value), idea=f"a label {value}, which some ignore{words}")
        yield ask(rows, np.full(ROWS, value), idea=f"nothing but labels {value}{words}")
    ignoring = partial(ask, ignore_index=-100)
    yield ignoring(rows, LABELS, idea=f"ignore_index, nothing to ignore{words}")
    yield ignoring(rows, labelled(-100), idea=f"ignore_index, one row ignored{words}")
    yield ignoring(rows, np.full(ROWS, -100), idea=f"ignore_index, all rows ignored{words}")
    yield ignoring(rows, labelled(-100), weight=WEIGHT, idea=f"class weights, one row ignored{words}")


def of_special_values(ask: Ask) -> Iterator[Problem]:
    """NaN in ignored rows, masked classes, +inf."""
    lost = changed(ORDINARY, c2=np.nan)
    yield ask(lost, labelled(-100), ignore_index=-100, idea="an ignored row with NaN in it")
    for value in (-100, -1):
        yield ask(lost, labelled(value), idea=f"a row labelled {value} with NaN in it")
    yield ask(changed(BELOW_ZERO, c2=-INF), LABELS, idea="another class masked with -inf: labels")
    yield ask(changed(BELOW_ZERO, c3=-INF), LABELS, idea="the label's class masked with -inf")
    zero_weight = np.where(np.arange(CLASSES) == LABELS[1], 0.0, WEIGHT)
    yield ask(changed(BELOW_ZERO, c3=-INF), LABELS, weight=zero_weight, idea="weight 0 where the loss is infinite")
    yield ask(changed(ORDINARY, c2=INF), LABELS, idea="another class at +inf: labels")
    yield ask(changed(ORDINARY, c3=INF), LABELS, idea="the label's class at +inf")


def of_probabilities(ask: Ask) -> Iterator[Problem]:
    """Batches of target probabilities in the lead dtype."""
    hot = one_hot(LABELS, CLASSES)
    for name, rows in plain_rows():
        targets = np.tile(np.eye(CLASSES)[LABELS[1]], (ROWS, 1)) if name.startswith("prob") else hot
        yield ask(rows, targets, idea=f"{name}: one-hot targets")
        if not name.startswith("prob"):
            yield ask(rows, SOFT, idea=f"{name}: soft targets")
    for base, rows in BASES:
        for reduction in ("none", "sum"):
            yield ask(rows, SOFT, reduction=reduction, idea=f"reduction {reduction}: soft targets{base}")
        for words, reduced in reductions(ask):
            yield reduced(rows, hot, ignore_index=-100, idea=f"ignore_index -100: one-hot targets{words}{base}")
            yield reduced(rows, hot, ignore_index=3, idea=f"ignore_index 3: one-hot targets, one at it{words}{base}")
        yield ask(rows, SOFT, weight=WEIGHT, idea=f"class weights: soft targets{base}")
        yield ask(rows, SOFT, label_smoothing=EPSILON, idea=f"label smoothing: soft targets{base}")
        yield ask(rows, hot, label_smoothing=EPSILON, idea=f"label smoothing: one-hot targets{base}")
    for words, reduced in reductions(ask):
        yield reduced(FAIR, SOFT, idea=f"a mean of soft targets, or the default{words}")
        yield reduced(FAIR[:0], SOFT[:0], idea=f"no rows: soft targets{words}")
    yield ask(ORDINARY, np.array([[0.5], [2.0], [1.5], [0.25]]) * SOFT, idea="targets that do not sum to 1")
    yield ask(changed(BELOW_ZERO, c5=-INF), SOFT, idea="-inf at a target of 0")
    yield ask(changed(BELOW_ZERO, c3=-INF), SOFT, idea="-inf at a target of 1/2")
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
        seldom = SOFT.copy()
        seldom[1] = [0.75, 0.0, 0.0, 0.25, 0.0, 0.0]
        for kind, targets in (("labels", LABELS), ("soft targets", seldom)):
            ask = partial(canvas.problem, reduction="default")
            for base, rows in BASES:
                yield ask(rows, targets, idea=f"{dtype}: {kind}{base}")
            if dtype in OVERFLOWING:
                yield overflowing(canvas, targets, kind)
                if kind == "labels":
                    quarter = partial(ask, weight=0.25 * np.ones(CLASSES))
                    beyond = overflowing(canvas, targets, kind)
                    yield quarter(beyond.logits.astype(np.float64), targets, idea=f"{beyond.idea}, class weights 1/4")
                    yield quarter(FAIR, targets, idea=f"{dtype}, class weights 1/4")
            if dtype == "float64":
                for base, rows in (*BASES, (", of any sign", ORDINARY)):
                    yield ask(rows / 3, targets, idea=f"thirds, which float32 cannot hold: {kind}{base}")
                large = ORDINARY.copy()  # row 1 in float32: all equal
                large[1] = 2.0**25 + np.array([0.0, 0.5, 1.0, 1.0, 0.5, 1.0])
                yield ask(large, targets, idea=f"differences that float32 cannot hold: {kind}")


def single(plan: Plan) -> Iterator[Problem]:
    """Logits of shape (K,), for functions that take a single row."""
    canvas = plan.canvas(plan.lead, 1, CLASSES)
    ask = partial(canvas.problem, reduction="default")
    for name, rows in plain_rows():
        label = np.array(LABELS[1])
        yield ask(rows[1], label, idea=f"one row, {name}: label")
        yield ask(rows[1], one_hot(label, CLASSES), idea=f"one row, {name}: one-hot target")
    for value in (CLASSES, CLASSES + 1, *NEGATIVE, TRUNCATED):
        yield ask(FAIR[1], np.array(value), idea=f"one row, label {value}")
    yield ask(changed(BELOW_ZERO, c2=-INF)[1], np.array(3), idea="one row, another class masked with -inf: label")
    yield ask(changed(ORDINARY, c2=INF)[1], np.array(3), idea="one row, another class at +inf: label")
    yield ask(changed(ORDINARY, c3=INF)[1], np.array(3), idea="one row, the label's class at +inf")
    yield ask(ORDINARY[1], 2 * SOFT[1], idea="one row, targets that sum to 2")
    yield ask(changed(BELOW_ZERO, c5=-INF)[1], SOFT[1], idea="one row, -inf at a target of 0")
    yield ask(changed(ORDINARY, c3=INF)[1], one_hot(np.array(3), CLASSES), idea="one row, +inf at the target")
    if plan.lead in ("float32", "float64"):
        for offset in (1e4, 1e6):
            far = offset + np.array([0.0, 1.0, 0.0, 2.0, 1.0, 0.0])
            yield ask(far, np.array(3), idea=f"one row, a common offset of {offset:g}: label")
            yield ask(
                far, one_hot(np.array(3), CLASSES), idea=f"one row, a common offset of {offset:g}: one-hot target"
            )


def spatial(plan: Plan) -> Iterator[Problem]:
    """(2, 3, K), no two axes of equal length: where do the classes lie?"""
    canvas = plan.canvas(plan.lead, 6, CLASSES)
    chosen = np.array([[0, 3, 5], [1, 4, 2]])
    for base, rows in BASES:
        six, soft = (np.concatenate([a, a[:2]]).reshape(2, 3, CLASSES) for a in (rows, SOFT))
        yield canvas.problem(six, chosen, reduction="default", idea=f"a spatial axis: labels{base}")
        yield canvas.problem(six, soft, reduction="default", idea=f"a spatial axis: soft targets{base}")


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
    if plan.quick:  # every option and dtype is a compilation of its own, too many for a minute
        return
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
