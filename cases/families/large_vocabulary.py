"""Vocabularies of language models."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import cotangent, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, commit, issue
from logitmus.core.problem import Problem

# A sum of as many ones rounds to the largest float16, is beyond it, and is beyond it by far.
UNCOUNTABLE = (65505, 65536, 128256)


def on(canvas: Canvas, *, dense: bool) -> Iterator[Problem]:
    """Equal logits, ordinary logits, a confident last class; labels last and beyond int16."""
    last = canvas.classes - 1
    beyond = min(32768 if last >= 32768 else 255, last)
    equal, noise = np.zeros((1, canvas.classes)), ordinary(canvas, 1)
    confident = np.zeros((1, canvas.classes))
    confident[:, last] = 16.0
    upstream = cotangent(canvas)
    yield canvas.problem(np.concatenate([equal, noise]), np.array([last, beyond]), idea="equal and ordinary logits")
    if canvas.dtype == "float32":
        rows = np.concatenate([confident, -confident + noise])
        labels = np.array([last, min(65536, last - 1)])
        yield canvas.problem(rows, labels, idea="the last class stands out", cotangent=upstream)
    if dense:
        rows = np.concatenate([confident, noise])
        targets = soft_targets(canvas, np.array([last, beyond]))
        yield canvas.problem(rows, targets, idea="soft targets", cotangent=upstream)


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.large_canvases():
        yield from on(canvas, dense=canvas.classes == 50257)
    if "float16" in plan.dtypes and not plan.quick:
        asked = {canvas.classes for canvas in plan.large_canvases() if canvas.dtype == "float16"}
        for classes in UNCOUNTABLE:
            if classes not in asked:
                yield from on(plan.canvas("float16", 2, classes), dense=False)


FAMILY = Family(
    name="large-vocabulary",
    idea="32 000, 50 257, 65 505, 65 536 and 128 256 classes; labels beyond int16",
    rationale=(
        "No power of two and no multiple of a block; labels that int16 cannot hold; a sum of ones that half "
        "precision cannot count. Equal logits must give log K, where an accumulation in bfloat16 reads log 256 and "
        "float16 overflows."
    ),
    incidents=(
        issue("jax-ml/jax", 40409),
        issue("jax-ml/ml_dtypes", 63),
        issue("pytorch/executorch", 20090),
        issue("pytorch/pytorch", 55657),
        issue("PaddlePaddle/Paddle", 53516),
        commit("Dao-AILab/flash-attention", "c79de85f"),
        issue("keras-team/keras", 15012),
    ),
    build=build,
)
