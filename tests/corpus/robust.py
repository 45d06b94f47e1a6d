"""Losses for noisy labels, and losses of probabilities."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Generalised cross-entropy with q = 0.7: (1 - p^0.7) / 0.7.",
        parameters={"generalized_q": 0.7},
        source="Zhang and Sabuncu 2018 (https://arxiv.org/abs/1805.07836), as in many repositories on noisy labels",
    )
)
def generalized_cross_entropy(logits, target):
    p = logits.softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return (1 - p**0.7) / 0.7


@miniature(
    Truth(
        sentence="Generalised cross-entropy of given probabilities with q = 0.5: 2 (1 - sqrt p).",
        convention={"inputs": "probabilities"},
        parameters={"generalized_q": 0.5},
        source="keras 3.15.1, losses.categorical_generalized_cross_entropy(q=0.5): https://github.com/keras-team/keras",
    )
)
def keras_generalized_cross_entropy(logits, target):
    hot = F.one_hot(target.long(), logits.shape[-1]).to(logits.dtype)
    return (1 - (hot * logits).sum(-1) ** 0.5) / 0.5


@miniature(
    Truth(
        sentence="Cross-entropy plus twice 1 - p.",
        convention={"zero_times_infinity": "nan"},
        parameters={"poly": 2},
        source="optax 0.2.8, losses.poly_loss_cross_entropy: https://github.com/google-deepmind/optax",
    ),
    targets="probabilities",
)
def poly_one(logits, target):
    log_p = logits.log_softmax(-1)
    return (target * (2 * (1 - log_p.exp()) - log_p)).sum(-1)


@miniature(
    Truth(
        sentence="Symmetric cross-entropy: 0.1 times the cross-entropy plus 1 - p times -log 1e-4.",
        convention={"default_reduction": "mean", "class_axis": "1"},
        parameters={"factor": 0.1, "poly": 92.10340371976183},
        limits=("one row without a batch axis", "spatial axes"),
        source="Wang et al. 2019 (https://arxiv.org/abs/1908.06112), SCELoss with alpha 0.1, beta 1: "
        "https://github.com/HanxunH/SCELoss-Reproduce (there, p is also kept above 1e-7)",
    )
)
def symmetric_cross_entropy(logits, target):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    hot = F.one_hot(target, logits.shape[1]).to(logits.dtype)
    reverse = -(logits.softmax(1) * hot.clamp(1e-4, 1).log()).sum(1)
    return 0.1 * F.cross_entropy(logits, target) + reverse.mean()


@miniature(
    Truth(
        sentence="Cross-entropy of given probabilities and target both kept above a floor, plus the same with the "
        "roles exchanged.",
        explainable=False,
        source="catalyst 22.4, SymmetricCrossEntropyLoss: https://github.com/catalyst-team/catalyst",
    )
)
def catalyst_symmetric(logits, target):
    p = logits.clamp(1e-7, 1)
    q = F.one_hot(target, logits.shape[1]).to(logits.dtype).clamp(1e-4, 1)
    return -(q * p.log()).sum(1).mean() - (p * q.log()).sum(1).mean()


@miniature(
    Truth(
        sentence="The bi-tempered logistic loss with temperatures 0.8 and 1.4.",
        explainable=False,
        source="pytorch-toolbelt 0.8.0, bi_tempered_logistic_loss: https://github.com/BloodAxe/pytorch-toolbelt",
    )
)
def bi_tempered(logits, target):
    t1, t2 = 0.8, 1.4
    top = logits.amax(-1, keepdim=True)
    moved = logits - top
    for _ in range(60):  # the normaliser of the heavy-tailed softmax, by fixed point
        partition = (1 + (1 - t2) * moved).pow(1 / (1 - t2)).sum(-1, keepdim=True)
        moved = (logits - top) * partition.pow(1 - t2)
    norm = -(partition.pow(t2 - 1) - 1) / (1 - t2)
    p = (1 + (1 - t2) * (logits - top - norm)).pow(1 / (1 - t2))
    hot = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
    log_t1 = (p.pow(1 - t1) - 1) / (1 - t1)
    return (-hot * log_t1 - hot / (2 - t1) + p.pow(2 - t1) / (2 - t1)).sum(-1)


@miniature(
    Truth(
        sentence="Cross-entropy of given probabilities, kept within the machine epsilon of 0 and 1, averaged over the "
        "rows.",
        convention={"inputs": "probabilities", "default_reduction": "mean"},
        parameters={"clip": 2.0**-52},
        limits=("one row without a batch axis", "spatial axes"),
        source="scikit-learn 1.9.1, metrics.log_loss: https://github.com/scikit-learn/scikit-learn (the gradient is "
        "ours)",
    ),
    framework="numpy",
)
def sklearn_log_loss(logits, target):
    if logits.ndim != 2:
        raise ValueError("probabilities of shape (N, K) only")
    epsilon = np.finfo(logits.dtype).eps
    rows = np.arange(len(target))
    p = np.clip(logits, epsilon, 1 - epsilon)[rows, target]
    gradient = np.zeros_like(logits)
    gradient[rows, target] = np.where(logits[rows, target] == p, -1 / p, 0) / len(target)
    return np.mean(-np.log(p)), gradient


@miniature(
    Truth(
        sentence="Cross-entropy of given probabilities kept above 1e-30, in logarithms to base K.",
        convention={"inputs": "probabilities"},
        parameters={"floor": 1e-30, "factor_in_classes": "1/log K"},
        source="cleanlab 2.9.0, compute_soft_cross_entropy: https://github.com/cleanlab/cleanlab (the gradient is "
        "ours)",
    ),
    framework="numpy",
    targets="probabilities",
)
def cleanlab_soft_cross_entropy(logits, target):
    p = np.maximum(logits, 1e-30)
    scale = 1 / np.log(logits.shape[-1])
    return -scale * np.sum(target * np.log(p), axis=-1), np.where(logits >= 1e-30, -scale * target / p, 0)


@miniature(
    Truth(
        sentence="Cross-entropy of given probabilities: divided by their sum, then clipped to [1e-7, 1 - 1e-7].",
        convention={"inputs": "probabilities", "probability_scale": "before_clip", "probability_clip": "1e-7"},
        source="keras 3.15.1, sparse_categorical_crossentropy on PyTorch: https://github.com/keras-team/keras",
    )
)
def keras_probabilities(logits, target):
    p = (logits / logits.sum(-1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -p.log().gather(-1, target.unsqueeze(-1)).squeeze(-1)


@miniature(
    Truth(
        sentence="Cross-entropy of the softmax clipped to [1e-7, 1 - 1e-7], averaged over the rows.",
        convention={"default_reduction": "mean"},
        parameters={"clip": 1e-7},
        source="Keras 2's categorical_crossentropy with from_logits=False behind a softmax layer: "
        "https://github.com/keras-team/tf-keras",
    )
)
def clipped_softmax(logits, target):
    p = logits.softmax(-1).gather(-1, target.unsqueeze(-1)).clamp(1e-7, 1 - 1e-7)
    return -torch.log(p).mean()
