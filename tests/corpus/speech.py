"""Speech recognition."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Kullback-Leibler divergence of the softmax from the smoothed target (0.1, shared by the K - 1 other "
        "classes), label -1 left out, averaged over the kept rows.",
        convention={
            "default_reduction": "mean",
            "ignore_default": "-1",
            "smoothing": "others",
        },
        parameters={"label_smoothing": 0.1, "added": "minus the entropy of the target"},
        source="espnet 202511, LabelSmoothingLoss(normalize_length=True): https://github.com/espnet/espnet",
    )
)
def espnet_label_smoothing(logits, target):
    classes = logits.shape[-1]
    rows, labels = logits.reshape(-1, classes), target.reshape(-1)
    ignored = labels == -1
    q = torch.full_like(rows, 0.1 / (classes - 1)).scatter(1, labels.masked_fill(ignored, 0)[:, None], 0.9)
    divergence = F.kl_div(rows.log_softmax(1), q, reduction="none").masked_fill(ignored[:, None], 0)
    return divergence.sum() / (~ignored).sum()


@miniature(
    Truth(
        sentence="Cross-entropy of given log-probabilities; smoothing, where requested, is uniform.",
        convention={
            "zero_times_infinity": "nan",
            "inputs": "log_probabilities",
            "class_axis": "1",
            "default_reduction": "mean",
        },
        limits=("one row without a batch axis",),
        source="speechbrain 1.1.2, nnet.losses.nll_loss: https://github.com/speechbrain/speechbrain",
    )
)
def speechbrain_nll(logits, target, label_smoothing=0.0):
    if logits.ndim < 2:
        raise IndexError("a batch is needed")
    nll = -logits.gather(1, target[:, None])[:, 0]
    return -label_smoothing * logits.mean(1).mean() + (1 - label_smoothing) * nll.mean()


@miniature(
    Truth(
        sentence="Cross-entropy of given log-probabilities with a teacher's probabilities.",
        convention={"zero_times_infinity": "nan", "inputs": "log_probabilities"},
        source="speechbrain 1.1.2, nnet.losses.ce_kd: https://github.com/speechbrain/speechbrain",
    ),
    targets="probabilities",
)
def speechbrain_ce_kd(logits, target):
    return -(target * logits).sum(-1)


@miniature(
    Truth(
        sentence="Cross-entropy of given log-probabilities with smoothing 0.1 shared by the K - 1 other classes, "
        "label 0 left out; the mean divides by the kept rows plus 1e-6.",
        convention={
            "inputs": "log_probabilities",
            "default_reduction": "mean",
            "smoothing": "others",
            "all_ignored_mean": "zero",
        },
        parameters={"label_smoothing": 0.1, "ignored_label": 0, "divisor_plus": 1e-6},
        source="nemo-toolkit 3.0.0, SmoothedCrossEntropyLoss(pad_id=0, label_smoothing=0.1): "
        "https://github.com/NVIDIA/NeMo",
    )
)
def nemo_smoothed_cross_entropy(logits, target):
    kept, classes = (target != 0).to(logits.dtype), logits.shape[-1]
    spread = classes * 0.1 / (classes - 1)
    picked = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    losses = -((1 - spread) * picked + spread * logits.mean(-1))
    return (losses * kept).sum() / (kept.sum() + 1e-6)
