"""The question that started it: [0, 0, 0, 1] with target 3."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import cotangent, one_hot
from logitmus.cases.family import Family, Plan
from logitmus.core.problem import Problem

QUESTION = np.array([0.0, 0.0, 0.0, 1.0])


def build(plan: Plan) -> Iterator[Problem]:
    for dtype in plan.dtypes:
        single = plan.canvas(dtype, 1, 4)
        logits, target = QUESTION[np.newaxis], np.array([3])
        if dtype == plan.lead or plan.full:
            yield single.problem(logits, target, idea="the question itself")
            yield single.problem(logits, one_hot(target, 4), idea="the question itself, one-hot target")
        if plan.quick:
            continue
        canvas = plan.canvas(dtype, 32, 4)
        rows, chosen = np.tile(QUESTION, (32, 1)), np.arange(32) % 4
        upstream = cotangent(canvas)
        yield canvas.problem(rows, np.full(32, 3), idea="the question, 32 times")
        yield canvas.problem(rows, chosen, idea="every label", cotangent=upstream)
        yield canvas.problem(rows, one_hot(chosen, 4), idea="every label, one-hot targets", cotangent=upstream)
        yield canvas.problem(rows, rows, idea="the logits as their own targets", cotangent=upstream)


FAMILY = Family(
    name="seed-question",
    idea="[0, 0, 0, 1] with target 3: 0.7437, or 0?",
    rationale=(
        "A person who takes the inputs for probabilities expects -log(1) = 0; a function that takes logits answers "
        "0.7437. Neither is wrong, and no test-suite says which it is. The rows are trivial, so whatever differs "
        "here is a convention."
    ),
    build=build,
)
