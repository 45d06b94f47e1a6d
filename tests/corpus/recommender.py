"""Recommenders, retrieval and metric learning."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Cross-entropy of the probability plus 1e-8, averaged over the rows.",
        convention={"default_reduction": "mean"},
        parameters={"log_plus": 1e-8},
        source="recbole 1.2.1, SASRecCPR.calculate_loss (log(p + 1e-8), then nll_loss): "
        "https://github.com/RUCAIBox/RecBole",
    )
)
def recbole_log_plus(logits, target, reduction="mean"):
    p = logits.softmax(-1)
    losses = -(p + 1e-8).log().gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


@miniature(
    Truth(
        sentence="Cross-entropy at temperature 0.07.",
        convention={"default_reduction": "mean"},
        parameters={"temperature": 0.07},
        source="recbole 1.2.1, CORE (temperature 0.07; also NTXentLoss of pytorch-metric-learning 2.9.0): "
        "https://github.com/RUCAIBox/RecBole",
    )
)
def low_temperature(logits, target):
    losses = -(logits / 0.07).log_softmax(-1).gather(-1, target.unsqueeze(-1))
    return losses.mean()


@miniature(
    Truth(
        sentence="Cross-entropy of scores that are multiplied by 20, averaged over the rows.",
        convention={"default_reduction": "mean", "class_axis": "1", "ignore_default": "-100"},
        parameters={"scale": 20},
        source="sentence-transformers 6.2.0, MultipleNegativesRankingLoss(scale=20): "
        "https://github.com/huggingface/sentence-transformers",
    )
)
def multiple_negatives_ranking(logits, target, reduction="mean"):
    return F.cross_entropy(20.0 * logits, target, reduction=reduction)


@miniature(
    Truth(
        sentence="The sum of cross-entropies at temperature 0.1.",
        convention={"zero_times_infinity": "nan", "default_reduction": "sum"},
        parameters={"temperature": 0.1},
        source="tensorflow-recommenders 0.7.7, tasks.Retrieval(temperature=0.1): "
        "https://github.com/tensorflow/recommenders",
    ),
    targets="probabilities",
)
def retrieval_sum(logits, target):
    return -(target * (logits / 0.1).log_softmax(-1)).sum()


@miniature(
    Truth(
        sentence="Cross-entropy of cosines, the target's reduced by a margin of 0.35, all multiplied by 64.",
        convention={"default_reduction": "mean"},
        parameters={"margin": 0.35, "scale": 64},
        limits=("one row without a batch axis", "spatial axes"),
        source="pytorch-metric-learning 2.9.0, CosFaceLoss: https://github.com/KevinMusgrave/pytorch-metric-learning",
    )
)
def cosface(logits, target, reduction="mean"):
    if logits.ndim != 2:
        raise ValueError("cosines of shape (N, K) only")
    moved = logits - 0.35 * F.one_hot(target, logits.shape[1]).to(logits.dtype)
    return F.cross_entropy(64 * moved, target, reduction=reduction)


@miniature(
    Truth(
        sentence="Cross-entropy minus 0.05 times the entropy of the softmax.",
        convention={"zero_times_infinity": "nan"},
        parameters={"entropy": -0.05},
        source="the confidence penalty of Pereyra et al. 2017 (https://arxiv.org/abs/1701.06548), as the entropy "
        "bonus of stable-baselines3 2.7.0: https://github.com/DLR-RM/stable-baselines3",
    )
)
def confidence_penalty(logits, target):
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return -log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1) - 0.05 * entropy


@miniature(
    Truth(
        sentence="Bayesian personalised ranking: -log(1e-10 + sigmoid(the target's score - the mean of the others)).",
        explainable=False,
        source="recbole 1.2.1, BPRLoss (the mean of the other scores as the negative one): "
        "https://github.com/RUCAIBox/RecBole",
    )
)
def recbole_bpr(logits, target):
    positive = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    negative = (logits.sum(-1) - positive) / (logits.shape[-1] - 1)
    return -torch.log(1e-10 + torch.sigmoid(positive - negative))
