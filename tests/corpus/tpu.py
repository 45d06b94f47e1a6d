"""JAX and TPU libraries, most in NumPy with their gradients, and the arithmetic of hand-written losses."""

from __future__ import annotations

import numpy as np
import torch

from corpus.truth import Truth, miniature


def _softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(-1, keepdims=True)
    return shifted - np.log(total), powers / total, (np.log(total) + logits.max(-1, keepdims=True))[..., 0]


def _one_hot(target, classes):
    return np.arange(classes) == target[..., None]


@miniature(
    Truth(
        sentence="Row losses plus 1e-4 times the squared logsumexp.",
        convention={"zero_times_infinity": "nan"},
        parameters={"z_loss": 1e-4},
        source="t5x (commit 08058ed), losses.cross_entropy_with_logits (z_loss=1e-4): "
        "https://github.com/google-research/t5x (also mesh-tensorflow 0.1.21, levanter 1.1)",
    ),
    framework="numpy",
    targets="probabilities",
)
def t5x_z_loss(logits, target):
    log_p, p, log_z = _softmax(logits)
    loss = -(target * log_p).sum(-1) + 1e-4 * log_z**2
    return loss, p * (target.sum(-1, keepdims=True) + 2e-4 * log_z[..., None]) - target


@miniature(
    Truth(
        sentence="Smoothed row losses (0.1 shared by the K - 1 other classes) minus their least possible value, plus "
        "1e-4 times the squared logsumexp.",
        convention={"smoothing": "others"},
        parameters={"label_smoothing": 0.1, "z_loss": 1e-4, "added": "minus the entropy of the target"},
        source="t5x (commit 08058ed), losses.compute_weighted_cross_entropy (rows not summed): "
        "https://github.com/google-research/t5x",
    ),
    framework="numpy",
)
def t5x_smoothed(logits, target):
    classes = logits.shape[-1]
    low = (1 - 0.9) / (classes - 1)
    q = np.where(_one_hot(target, classes), 0.9, low).astype(logits.dtype)
    log_p, p, log_z = _softmax(logits)
    least = -(0.9 * np.log(0.9) + (classes - 1) * low * np.log(low + 1e-20))
    loss = -(q * log_p).sum(-1) + 1e-4 * log_z**2 - least
    return loss.astype(logits.dtype), (p * (1 + 2e-4 * log_z[..., None]) - q).astype(logits.dtype)


@miniature(
    Truth(
        sentence="Smoothed row losses (0.1 shared by the K - 1 other classes) in float32.",
        convention={"smoothing": "others", "result_dtype": "always_float32", "wide_inputs": "narrowed"},
        parameters={"label_smoothing": 0.1},
        arithmetic={"inputs": "float32", "computed": "float32", "returned": "float32"},
        source="praxis 1.4.0, embedding_softmax.FullSoftmax._compute_xent: https://github.com/google/praxis",
    ),
    framework="numpy",
)
def praxis_smoothed(logits, target):
    x = logits.astype(np.float32)
    share = np.float32(0.1 / (x.shape[-1] - 1))
    q = np.where(_one_hot(target, x.shape[-1]), np.float32(0.9), share)
    log_p, p, _ = _softmax(x)
    return -(q * log_p).sum(-1), (p - q).astype(logits.dtype)


@miniature(
    Truth(
        sentence="Plain row losses, the logsumexp formed and then subtracted from.",
        mechanisms=("separate_logsumexp",),
        source="objax 1.8.0, functional.loss.cross_entropy_logits_sparse (mesh-tensorflow, easydel and others alike): "
        "https://github.com/google/objax",
    ),
    framework="numpy",
)
def objax_sparse(logits, target):
    _, p, log_z = _softmax(logits)
    hot = _one_hot(target, logits.shape[-1])
    return log_z - np.take_along_axis(logits, target[..., None], -1)[..., 0], p - hot


@miniature(
    Truth(
        sentence="Plain cross-entropy without subtracting the largest logit, averaged over the rows.",
        convention={"default_reduction": "mean"},
        mechanisms=("no_max_shift", "separate_logsumexp"),
        source="the first version of many hand-written JAX losses: x - log(sum(exp(x)))",
    ),
    framework="numpy",
)
def no_max_shift(logits, target):
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        total = np.exp(logits).sum(-1, keepdims=True)
        losses = np.take_along_axis(np.log(total) - logits, target[..., None], -1)
        gradient = (np.exp(logits) / total - _one_hot(target, logits.shape[-1])) / target.size
    return losses.mean(), gradient


@miniature(
    Truth(
        sentence="Plain row losses as the logarithm of the softmax.",
        mechanisms=("log_of_softmax",),
        source="the loss of many tutorials: log(softmax(x)), as in fast.ai's lesson notebooks (log_softmax written "
        "out)",
    )
)
def log_of_softmax(logits, target):
    return -logits.softmax(-1).log().gather(-1, target.unsqueeze(-1)).squeeze(-1)


@miniature(
    Truth(
        sentence="Each row against the label of the next row; the mean over the rows that have one.",
        convention={"default_reduction": "mean"},
        parameters={"position": "next row"},
        limits=("one row without a batch axis", "spatial axes"),
        source="levanter 1.1, models.loss.next_token_loss: https://github.com/stanford-crfm/levanter",
    )
)
def levanter_next_token(logits, target):
    if logits.ndim != 2:
        raise ValueError("one sequence of shape (N, K)")
    counted = torch.arange(len(target)) < len(target) - 1
    losses = -logits.log_softmax(-1).gather(-1, target.roll(-1)[:, None])[:, 0]
    return torch.where(counted, losses, 0).sum() / counted.sum()


@miniature(
    Truth(
        sentence="Cross-entropy with optional uniform smoothing; ignored rows take no part and are not counted.",
        convention={"zero_times_infinity": "nan", "default_reduction": "mean", "ignore_default": "-1"},
        source="tinygrad 0.14.0, Tensor.sparse_categorical_crossentropy (with ignore_index given): "
        "https://github.com/tinygrad/tinygrad",
    )
)
def tinygrad_sparse(logits, target, ignore_index=-1, label_smoothing=0.0, reduction="mean"):
    kept = target != ignore_index
    log_p = logits.log_softmax(-1)
    picked = log_p.gather(-1, (target * kept).unsqueeze(-1)).squeeze(-1)
    losses = -((1 - label_smoothing) * picked + label_smoothing * log_p.mean(-1)) * kept
    return losses if reduction == "none" else losses.sum() / (1 if reduction == "sum" else kept.sum())


@miniature(
    Truth(
        sentence="Plain row losses with optional uniform smoothing, from logits less their maximum.",
        convention={"zero_times_infinity": "nan"},
        source="mlx 0.32.4, nn.losses.cross_entropy: https://github.com/ml-explore/mlx",
    )
)
def mlx_cross_entropy(logits, target, label_smoothing=0.0, reduction="none"):
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    score = (1 - label_smoothing) * shifted.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    losses = shifted.logsumexp(-1) - score - label_smoothing * shifted.mean(-1)
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()
