"""Everyday puzzles: a number that somebody got, and the explanation that must come first.

The numbers were computed with PyTorch 2.13, Keras 3 and optax in float32 (by the call in the comment), not by Logitmus.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from logitmus.conventions.explain import explain, fits

SEED = [0, 0, 0, 1]
X = [[2.0, -1.0, 0.5, 0.0], [0.25, 1.5, -0.75, 3.0]]
X4 = [*X, [1.25, -0.25, 0.5, 0.25], [0.375, 1.0, -0.125, 1.75]]
X5 = [*X4, [1.0, 1.0, 0.0, -1.0]]
SQUARE = [[2.0, -1.0, 0.5], [0.0, 1.0, 3.0], [-2.0, 0.25, 1.0]]
Q = [[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]]
WIDE = [[1.0, 2.0, 0.0, -1.0, 0.5, 3.0]]
P = [[0.0, 0.5, 0.5]]
OFFSET = [1e6, 1e6, 1e6, 1e6 + 1]
SPATIAL = [  # (N, K, T) = (2, 3, 4)
    [[0.5, 1.5, 2.0, 0.25], [-1.5, -2.0, -0.5, 1.25], [2.0, 0.75, -1.0, -2.0]],
    [[-1.0, 0.75, 2.0, 1.25], [-0.5, -2.0, -1.5, 0.25], [1.75, 1.5, 0.0, -1.75]],
]


@dataclass(frozen=True)
class Puzzle:
    name: str
    logits: Any
    targets: Any
    observed: Any
    first: tuple[tuple[str, str], ...]
    options: dict[str, Any] = field(default_factory=lambda: {"reduction": "mean"})


PUZZLES = [
    Puzzle("as defined", SEED, 3, "0.7437", ()),
    Puzzle("rows as defined", X, [0, 2], ["0.342349648475647", "4.020466327667236"], (), {}),
    Puzzle("label smoothing that nobody mentioned", X, [0, 2], "2.1751577854156494", (("label_smoothing", "0.1"),)),
    Puzzle("smoothing over the other classes", X, [0, 2], "2.173074722290039", (("label_smoothing_others", "0.1"),)),
    Puzzle("temperature 2", X, [0, 2], "1.6149247884750366", (("temperature", "2"),)),
    Puzzle("temperature 0.07", X, [0, 2], "26.785715103149414", (("temperature", "0.07"),)),
    Puzzle(
        "distillation: temperature 2, times 4",
        X,
        [0, 2],
        "6.4596991539001465",
        (("temperature", "2"), ("factor", "4")),
    ),
    Puzzle("z-loss", X, [0, 2], "2.1822171211242676", (("z_loss", "0.0001"),)),
    Puzzle("softmax twice", X, [0, 2], "1.3169028759002686", (("softmax", "twice"),)),
    Puzzle("softmax twice, seed question", SEED, 3, "1.1698060035705566", (("softmax", "twice"),)),
    Puzzle("Kullback-Leibler", X, Q, "0.46803686022758484", (("divergence", "kl"),)),
    Puzzle(
        "Kullback-Leibler, mean over elements",
        X,
        Q,
        "0.11700921505689621",
        (("divergence", "kl"), ("mean_denominator", "elements")),
    ),
    Puzzle("soft targets", X, Q, "1.6314080953598022", ()),
    Puzzle("perplexity", X, [0, 2], "8.858770370483398", (("perplexity", "exp"),)),
    Puzzle("base 2", X, [0, 2], "3.147106409072876", (("log_base", "2"),)),
    Puzzle("base 10", X, [0, 2], "0.9473733901977539", (("log_base", "10"),)),
    Puzzle("sum, not mean", X, [0, 2], "4.362815856933594", (("reduction", "sum"),)),
    Puzzle(
        "mean of weighted rows",
        X,
        [0, 2],
        "1.1762914657592773",
        (("mean_denominator", "rows"),),
        {"reduction": "mean", "weight": [1, 2, 0.5, 4]},
    ),
    Puzzle("weighted mean", X, [0, 2], "1.56838858127594", (), {"reduction": "mean", "weight": [1, 2, 0.5, 4]}),
    Puzzle(
        "weights ignored",
        X,
        [0, 2],
        "2.181407928466797",
        (("weight", "dropped"),),
        {"reduction": "mean", "weight": [1, 2, 0.5, 4]},
    ),
    Puzzle("binary cross-entropy, summed", X, [0, 2], "4.410112380981445", (("binary_cross_entropy", "sum"),)),
    Puzzle("binary cross-entropy, averaged", X, [0, 2], "1.1025280952453613", (("binary_cross_entropy", "mean"),)),
    Puzzle("focal loss", X, [0, 2], "1.9531208276748657", (("focal_gamma", "2"),)),
    Puzzle("focal loss with alpha", X, [0, 2], "0.48828020691871643", (("focal_gamma", "2, alpha=0.25"),)),
    Puzzle("transposed logits", SQUARE, [1, 2, 0], "2.0214905738830566", (("layout", "transposed"),)),
    Puzzle("softmax over the rows", SQUARE, [1, 2, 0], "2.2714908123016357", (("softmax_axis", "rows"),)),
    Puzzle("sign of the loss", X, [0, 2], "-2.181407928466797", (("sign", "negative_loss"),)),
    Puzzle("sign of the logits", X, [0, 2], "1.9492543935775757", (("sign", "negative_logits"),)),
    Puzzle("label one off", X, [0, 2], "1.8064080476760864", (("label_shift", "+1"),)),
    Puzzle("nll_loss of logits", X, [0, 2], "-0.625", (("inputs", "log_probabilities"),)),
    Puzzle("nll_loss of probabilities", X, [0, 2], "-0.36402222514152527", (("linear", "-p"),)),
    Puzzle("Brier score", X, [0, 2], "0.8488177061080933", (("brier", "sum"),)),
    Puzzle(
        "ignored row counted",
        X,
        [0, -100],
        "0.1711748242378235",
        (("mean_denominator", "rows"),),
        {"reduction": "mean", "ignore_index": -100},
    ),
    Puzzle(
        "-100 is the last class",
        X,
        [0, -100],
        "0.3064081072807312",
        (("ignored_label", "last_class"),),
        {"reduction": "mean", "ignore_index": -100},
    ),
    Puzzle(
        "smoothing, and ignored rows counted",
        X,
        [0, -100],
        "0.25242480635643005",
        (("mean_denominator", "rows"), ("label_smoothing", "0.1")),
        {"reduction": "mean", "ignore_index": -100},
    ),
    Puzzle("sum of micro-batch means", X4, [0, 2, 1, 1], "3.983832836151123", (("micro_batch_sum", "2"),)),
    Puzzle("uneven micro-batches, averaged", X5, [0, 2, 1, 1, 3], "2.3004696369171143", (("micro_batch_mean", "2"),)),
    Puzzle("uneven micro-batches, added up", X5, [0, 2, 1, 1, 3], "6.901408672332764", (("micro_batch_sum", "2"),)),
    Puzzle("relative to a uniform guess", X, [0, 2], "1.573553204536438", (("factor", "1/log K"),)),
    Puzzle("gradient accumulation over 4 steps", SQUARE, [0, 2, 1], "0.13177363574504852", (("factor", "1/4"),)),
    Puzzle("padding that is not masked", X, [0, 2], "2.414773941040039", (("extra_zero_logits", "4"),)),
    Puzzle("incomplete last block lost", WIDE, [1], "0.4401895999908447", (("lost_tail", "2"),)),
    Puzzle("separate logsumexp", OFFSET, 3, "0.75", (("arithmetic", "separate_logsumexp in float32"),)),
    Puzzle("no maximum subtracted", [1000.0, 0.0], 1, "inf", (("arithmetic", "no_shift in float32"),)),
    Puzzle("clipped probability", P, [0], "16.118095", (("inputs", "probabilities"), ("probability_clip", "1e-7"))),
    Puzzle(
        "probability plus 1e-8",
        [[1e-6, 0.5, 0.5]],
        [0],
        "13.80556",
        (("inputs", "probabilities"), ("probability_added", "1e-08")),
    ),
    Puzzle("bfloat16 result", SEED, 3, "0.74609375", (("arithmetic", "bfloat16 result"),)),
    Puzzle("bfloat16 result, said so", X, [0, 2], "2.1875", (), {"reduction": "mean", "dtype": "bfloat16"}),
    Puzzle("float16 result, said so", SEED, 3, "0.74365234375", (), {"dtype": "float16"}),
    Puzzle(
        "positions summed, examples averaged",
        SPATIAL,
        [[0, 1, 2, 0], [2, 2, 1, 0]],
        "7.3319268226623535",
        (("reduction", "sum_per_example"),),
    ),
    Puzzle("softmaxed targets", X, Q, "1.980385661125183", (("targets", "softmax"),)),
]


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda puzzle: puzzle.name)
def test_the_first_explanation_is_the_right_one(puzzle: Puzzle) -> None:
    found = explain(logits=puzzle.logits, targets=puzzle.targets, observed=puzzle.observed, **puzzle.options)
    assert found.observed, found.nearest
    assert set(found.observed[0].changes) == set(puzzle.first), [reading.changes for reading in found.observed]
    assert found.observed[0].certain


@pytest.mark.parametrize(
    ("logits", "targets", "observed", "function"),
    [
        (SEED, 3, "3.576278e-07", "keras.losses.SparseCategoricalCrossentropy"),
        (SEED, [[0.0, 0.0, 0.0, 1.0]], "1.1920929e-07", "keras.losses.CategoricalCrossentropy"),
        (X, [0, 2], "8.667246", "keras.losses.SparseCategoricalCrossentropy"),  # raw logits, without from_logits
        (P, [0], "16.118095", "keras.losses.SparseCategoricalCrossentropy"),
    ],
)
def test_a_documented_convention_is_always_a_hypothesis(
    logits: Any, targets: Any, observed: str, function: str
) -> None:
    found = explain(logits=logits, targets=targets, observed=observed)
    fitting = [saying for saying in found.declared if fits(saying, observed)]
    given = [name for saying in fitting for names in saying.functions.values() for name in names]
    assert function in given
