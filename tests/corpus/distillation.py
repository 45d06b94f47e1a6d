"""Distillation: a teacher's probabilities as targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="16 times the divergence of the softmax at temperature 4 from the teacher's probabilities, averaged "
        "over the rows.",
        convention={"zero_times_infinity": "nan", "default_reduction": "mean"},
        parameters={"temperature": 4, "factor": 16, "added": "minus the entropy of the target"},
        source="sentence-transformers 6.2.0, DistillKLDivLoss (and Hinton et al. 2015): "
        "https://github.com/huggingface/sentence-transformers",
    ),
    targets="probabilities",
)
def distillation_kl(logits, target):
    log_p = (logits / 4).log_softmax(-1)
    return F.kl_div(log_p, target, reduction="none").sum(-1).mean() * 4**2


@miniature(
    Truth(
        sentence="100 times the divergence of the softmax at temperature 10 from the teacher's probabilities, "
        "averaged over rows and classes.",
        convention={
            "zero_times_infinity": "nan",
            "default_reduction": "mean",
            "class_axis": "1",
            "mean_denominator": "elements",
        },
        parameters={"temperature": 10, "factor": 100, "added": "minus the entropy of the target"},
        limits=("one row without a batch axis",),
        source="mmdet 3.3.0, KnowledgeDistillationKLDivLoss(T=10): https://github.com/open-mmlab/mmdetection",
    ),
    targets="probabilities",
)
def mmdet_knowledge_distillation(logits, target):
    divergence = F.kl_div((logits / 10).log_softmax(1), target.detach(), reduction="none")
    return divergence.mean(1).mean() * 100


@miniature(
    Truth(
        sentence="The divergence of the softmax from the teacher's probabilities, summed and divided by the rows.",
        convention={"zero_times_infinity": "nan", "default_reduction": "mean"},
        parameters={"added": "minus the entropy of the target"},
        limits=("one row without a batch axis", "spatial axes"),
        source="super-gradients 3.7.1, KDklDivLoss: https://github.com/Deci-AI/super-gradients",
    ),
    targets="probabilities",
)
def super_gradients_kl(logits, target):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    return F.kl_div(logits.log_softmax(1), target, reduction="batchmean")


@miniature(
    Truth(
        sentence="The divergence of the softmax at temperature 2 from the teacher's probabilities, without the usual "
        "factor 4.",
        convention={"zero_times_infinity": "nan", "default_reduction": "mean"},
        parameters={"temperature": 2, "added": "minus the entropy of the target"},
        limits=("one row without a batch axis", "spatial axes"),
        source="avalanche-lib 0.6.0, LearningWithoutForgetting: https://github.com/ContinualAI/avalanche",
    ),
    targets="probabilities",
)
def avalanche_lwf(logits, target):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    return F.kl_div((logits / 2).log_softmax(1), target, reduction="batchmean")


@miniature(
    Truth(
        sentence="A divergence that takes the softmax for its logarithm: q (log q - softmax(x)), summed over the "
        "classes.",
        explainable=False,
        source="mmsegmentation 1.2.2, KLDivLoss (softmax where kl_div expects log_softmax): "
        "https://github.com/open-mmlab/mmsegmentation",
    ),
    targets="probabilities",
)
def mmseg_kl_of_softmax(logits, target):
    return F.kl_div(logits.softmax(-1), target, reduction="none").sum(-1)


@miniature(
    Truth(
        sentence="The Jensen-Shannon divergence between the softmax and the teacher's probabilities.",
        explainable=False,
        source="trl 1.16.0, generalized_jsd_loss(beta=0.5): https://github.com/huggingface/trl",
    ),
    targets="probabilities",
)
def trl_jensen_shannon(logits, target):
    log_p = logits.log_softmax(-1)
    middle = 0.5 * (log_p.exp() + target)
    to_teacher = torch.xlogy(target, target) - torch.xlogy(target, middle)
    to_student = log_p.exp() * log_p - torch.xlogy(log_p.exp(), middle)
    return 0.5 * (to_teacher + to_student).sum(-1)
