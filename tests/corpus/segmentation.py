"""Semantic segmentation and medical images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Cross-entropy with optional smoothing, in which ignored rows are zero but counted by the mean.",
        convention={
            "zero_times_infinity": "nan",
            "class_axis": "1",
            "default_reduction": "mean",
            "mean_denominator": "rows",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        limits=("one row without a batch axis",),
        source="segmentation-models-pytorch 0.6.0, SoftCrossEntropyLoss: "
        "https://github.com/qubvel-org/segmentation_models.pytorch (there, 'none' also keeps the class axis)",
    )
)
def smp_soft_cross_entropy(logits, target, label_smoothing=0.0, ignore_index=-100, reduction="mean"):
    if logits.ndim < 2:
        raise IndexError("a class axis after the batch axis is needed")
    ignored = (target == ignore_index)[:, None]
    log_p = logits.log_softmax(1)
    nll = -log_p.gather(1, target[:, None].masked_fill(ignored, 0)).masked_fill(ignored, 0)[:, 0]
    total = -log_p.sum(1, keepdim=True).masked_fill(ignored, 0)[:, 0]
    losses = (1 - label_smoothing) * nll + label_smoothing / logits.shape[1] * total
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


@miniature(
    Truth(
        sentence="Cross-entropy whose mean divides by all pixels, ignored ones included.",
        convention={
            "class_axis": "1",
            "default_reduction": "mean",
            "mean_denominator": "rows",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        source="mmsegmentation 1.2.2, cross_entropy(avg_non_ignore=False): "
        "https://github.com/open-mmlab/mmsegmentation",
    )
)
def mmseg_cross_entropy(logits, target, ignore_index=-100, reduction="mean"):
    losses = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    return losses if reduction == "none" else losses.sum() / (1 if reduction == "sum" else target.numel())


@miniature(
    Truth(
        sentence="Cross-entropy with label 255 ignored; the mean divides by the kept pixels plus 1e-8 of all pixels.",
        convention={
            "class_axis": "1",
            "default_reduction": "mean",
            "all_ignored_mean": "zero",
        },
        parameters={"ignored_label": 255, "divisor_plus_per_row": 1e-8},
        limits=("one row without a batch axis",),
        source="PaddleSeg 2.8.0, CrossEntropyLoss: https://github.com/PaddlePaddle/PaddleSeg",
    )
)
def paddleseg_cross_entropy(logits, target):
    if logits.ndim < 2:
        raise ValueError("logits of shape (N, K, ...)")
    kept = (target != 255).to(logits.dtype)
    losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none") * kept
    return losses.mean() / (kept.mean() + 1e-8)


@miniature(
    Truth(
        sentence="Focal loss with gamma 2 and label 255 ignored; the mean divides by the kept pixels plus 1e-10 of "
        "all.",
        convention={
            "class_axis": "1",
            "default_reduction": "mean",
            "all_ignored_mean": "zero",
        },
        parameters={"focal_gamma": 2, "ignored_label": 255, "divisor_plus_per_row": 1e-10},
        limits=("one row without a batch axis",),
        source="PaddleSeg 2.8.0, MultiClassFocalLoss: https://github.com/PaddlePaddle/PaddleSeg",
    )
)
def paddleseg_focal(logits, target):
    if logits.ndim < 2:
        raise ValueError("logits of shape (N, K, ...)")
    kept = (target != 255).to(logits.dtype)
    loss = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    return ((1 - (-loss).exp()) ** 2 * loss * kept).mean() / (kept.mean() + 1e-10)


@miniature(
    Truth(
        sentence="Focal loss with gamma 2 in float32, averaged over rows and classes.",
        convention={
            "zero_times_infinity": "nan",
            "class_axis": "1",
            "default_reduction": "mean",
            "mean_denominator": "elements",
            "result_dtype": "always_float32",
            "wide_inputs": "narrowed",
        },
        parameters={"focal_gamma": 2},
        arithmetic={"inputs": "float32", "computed": "float32", "returned": "float32"},
        limits=("one row without a batch axis", "spatial axes"),
        source="MONAI 1.6.1, FocalLoss(to_onehot_y=True, use_softmax=True): https://github.com/Project-MONAI/MONAI "
        "(for logits of shape (N, K), 'sum' returns the mean, too)",
    )
)
def monai_softmax_focal(logits, target):
    if logits.ndim != 2:
        raise ValueError("this miniature takes logits of shape (N, K)")
    hot = F.one_hot(target, logits.shape[1]).float()
    log_p = logits.float().log_softmax(1)
    return (-((1 - log_p.exp()) ** 2) * log_p * hot).mean()


@miniature(
    Truth(
        sentence="Focal loss of given probabilities: (1 - p)^2 times -log(p + 1e-16), label -100 ignored, the mean "
        "over the kept rows.",
        convention={
            "inputs": "probabilities",
            "default_reduction": "mean",
            "ignore_default": "-100",
        },
        parameters={"log_plus": 1e-16, "focal_gamma": 2},
        limits=("one row without a batch axis",),
        source="focal-loss-torch 0.1.2, FocalLoss(gamma=2): https://github.com/mathiaszinnen/focal_loss_torch",
    )
)
def focal_loss_torch(logits, target, reduction="mean"):
    if logits.ndim < 2:
        raise ValueError("probabilities of shape (..., K)")
    target, rows = target.flatten(), logits.reshape(-1, logits.shape[-1])
    kept = target != -100
    p = (rows * F.one_hot(target * kept, rows.shape[1])).sum(1) * kept
    losses = (1 - p) ** 2 * torch.where(kept, -(p + 1e-16).log(), 0)
    if reduction == "none":
        return losses
    return losses.sum() / (kept.sum() if reduction == "mean" else 1)


@miniature(
    Truth(
        sentence="The mean cross-entropy of the pixels whose target has a probability below 0.7, and of at least one.",
        explainable=False,
        source="mmsegmentation 1.2.2, OhemCrossEntropy(thres=0.7, min_kept=1): "
        "https://github.com/open-mmlab/mmsegmentation",
    )
)
def mmseg_ohem(logits, target):
    losses = F.cross_entropy(logits, target, reduction="none").flatten()
    p, order = (-losses.detach()).exp().sort()
    limit = max(float(p[min(1, len(p) - 1)]), 0.7)
    return losses[order][p < limit].mean()


@miniature(
    Truth(
        sentence="The mean of the largest quarter of the cross-entropies.",
        explainable=False,
        source="PaddleSeg 2.8.0, CrossEntropyLoss(top_k_percent_pixels=0.25): "
        "https://github.com/PaddlePaddle/PaddleSeg",
    )
)
def paddleseg_top_k(logits, target):
    losses = F.cross_entropy(logits, target, reduction="none").flatten()
    return losses.topk(max(1, len(losses) // 4)).values.mean()


@miniature(
    Truth(
        sentence="Cross-entropy plus one minus the smoothed Dice overlap of the softmax and the one-hot target, "
        "averaged over rows and classes.",
        explainable=False,
        source="MONAI 1.6.1, DiceCELoss(to_onehot_y=True, softmax=True): https://github.com/Project-MONAI/MONAI (each "
        "row its own image of one pixel)",
    )
)
def monai_dice_ce(logits, target):
    p, hot = logits.softmax(1), F.one_hot(target, logits.shape[1]).to(logits.dtype)
    dice = 1 - (2 * p * hot + 1e-5) / (p + hot + 1e-5)
    return dice.mean() + F.cross_entropy(logits, target)
