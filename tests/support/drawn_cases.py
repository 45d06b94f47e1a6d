"""Random problems and conventions with the oracle's answer, as values for the page's own cross-entropy."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from logitmus.core.convention import FIELDS, Convention
from logitmus.core.floats import float_array
from logitmus.core.parameters import NO_PARAMETERS, Parameters
from logitmus.core.problem import Problem
from logitmus.oracle.answer import UnanswerableError, answer
from logitmus.oracle.resolve import resolve


def drawn_convention(draw: random.Random) -> Convention:
    share = draw.choice((0.1, 0.5, 1.0))
    chosen = {name: draw.choice(list(field.values)) for name, field in FIELDS.items() if draw.random() < share}
    parameters = NO_PARAMETERS
    if draw.random() < 0.15:
        parameters = Parameters(
            label_smoothing=draw.choice((0.0, 0.2)),
            temperature=draw.choice((1.0, 0.5, 3.0)),
            z_loss=draw.choice((0.0, 0.01)),
            factor=draw.choice((1.0, 2.0, -1.0)),
            clip=draw.choice((0.0, 1e-3)),
        )
    return Convention(**chosen, parameters=parameters)


def drawn_logit(draw: random.Random, inputs: str, dtype: str) -> float:
    if inputs == "probabilities":
        return draw.choice((0.0, 1.0, 1e-9, 1 - 1e-9, 1e-6, draw.random(), draw.random(), draw.random() ** 9, math.nan))
    special = (math.inf, -math.inf, -math.inf, math.nan)
    largest = 3.4028234663852886e38 if dtype == "float32" else 8e307
    extreme = (largest, -largest, largest / 2, 1e30, -1e4, -745.2, 88.8, 40.0, 1e-30, 1e39)
    logit = draw.choice(
        (draw.randint(-8, 8), draw.randint(-8, 8), draw.gauss(0, 9), draw.choice(extreme), draw.choice(special))
    )
    return -abs(logit) if inputs == "log_probabilities" else float(logit)


def drawn_problem(draw: random.Random, inputs: str) -> Problem:
    dtype, soft, tame = draw.choice(("float32", "float64")), draw.random() < 0.35, draw.random() < 0.4
    rows, classes = draw.randint(1, 4), draw.choice((1, 2, 2, 3, 4, 5))
    logits = [[drawn_logit(draw, inputs, "float32" if soft else dtype) for _ in range(classes)] for _ in range(rows)]
    if tame and inputs != "probabilities":
        logits = [[float(-draw.randint(0, 9)) for _ in row] for row in logits]
    ignored = draw.choice((None, None, -100, -1, 0, classes - 1))
    bad = (-1, classes, -100, 2 * classes + 1, -classes - 3, 2**32 + 1, -(2**33), 2**32 - 1, ignored or 0)
    if soft:
        shares = [[draw.choice((0.0, 1.0, 0.5, draw.random())) for _ in range(classes)] for _ in range(rows)]
        hot = np.eye(classes)[[draw.randrange(classes) for _ in range(rows)]]
        targets = float_array(hot if draw.random() < 0.4 else shares, dtype)
    else:
        likely = draw.choice((0.0, 0.0, 0.4, 1.0))
        labels = [draw.choice(bad) if draw.random() < likely else draw.randrange(classes) for _ in range(rows)]
        targets = np.array([ignored or 0] * rows if draw.random() < 0.1 else labels, np.int64)
    weight = [draw.choice((0.0, 0.0, 1.0, 2.0, 1 / 3, draw.random(), 1e-3, 1e4)) for _ in range(classes)]
    if draw.random() < 0.05:
        weight[0] = math.inf
    problem = Problem(
        logits=float_array(logits, dtype),
        targets=targets,
        weight=float_array(weight, dtype) if draw.random() < 0.4 else None,
        ignore_index=ignored,
        label_smoothing=draw.choice((0.0, 0.0, 0.1, 0.5, 1.0)),
        reduction=draw.choice(("default", "none", "sum", "mean")),
    )
    # Sums and products beyond the doubles are infinite on the page, which the oracle may divide by something large.
    plain = {"weight": None, "label_smoothing": 0.0, "reduction": "none"}
    return problem.but(**plain) if bool((np.abs(problem.logits.astype(np.float64)) == 8e307).any()) else problem


def texts(array: Any) -> Any:
    return [texts(part) for part in array] if isinstance(array, list) else repr(float(array))


def as_case(problem: Problem, convention: Convention) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """A problem and a convention as the page has them, and what the oracle answers."""
    soft = problem.target_kind == "probabilities"
    given = {
        "logits": texts(problem.logits.astype(np.float64).tolist()),
        "labels": None if soft else problem.targets.tolist(),
        "probabilities": texts(problem.targets.astype(np.float64).tolist()) if soft else None,
        "weight": None if problem.weight is None else texts(problem.weight.astype(np.float64).tolist()),
        "ignoreIndex": problem.ignore_index,
        "labelSmoothing": problem.label_smoothing,
        "reduction": problem.reduction,
        "dtype": problem.dtype,
    }
    question = resolve(problem, convention)
    try:
        loss = np.atleast_1d(answer(question, bits=256).loss.mid)
    except UnanswerableError:
        return given, {**convention.as_dict(), "parameters": convention.parameters.chosen}, "raises"
    undefined = question.unjudged if question.reduction == "none" else [question.unjudged.any()]
    expected = [None if lost else repr(float(value)) for value, lost in zip(loss, undefined, strict=True)]
    return given, {**convention.as_dict(), "parameters": convention.parameters.chosen}, expected
