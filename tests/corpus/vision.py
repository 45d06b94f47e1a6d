"""Image classification."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Cross-entropy with label smoothing 0.1 that is on by default, averaged over the rows.",
        convention={"default_reduction": "mean"},
        parameters={"label_smoothing": 0.1},
        limits=("one row without a batch axis", "no rows", "labels only"),
        source="timm 1.0.31, LabelSmoothingCrossEntropy: https://github.com/huggingface/pytorch-image-models",
    )
)
def timm_label_smoothing(logits, target):
    if logits.ndim < 2 or len(logits) == 0:
        raise IndexError("a batch of rows is needed")
    losses = -logits.log_softmax(-1)
    picked = losses.gather(-1, target[:, None]).flatten()
    return (0.9 * picked + 0.1 * losses.mean(-1)).mean()


@miniature(
    Truth(
        sentence="Cross-entropy with target probabilities along the last axis, averaged over all rows.",
        convention={"zero_times_infinity": "nan", "default_reduction": "mean"},
        source="timm 1.0.31, SoftTargetCrossEntropy: https://github.com/huggingface/pytorch-image-models",
    ),
    targets="probabilities",
)
def timm_soft_target(logits, target):
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


@miniature(
    Truth(
        sentence="Cross-entropy with label smoothing 0.1 on by default; class weights and their sum as the divisor "
        "apply to the target's term only, as does the label -100; the smoothed term is unweighted, of all "
        "rows, and divided by their number.",
        convention={"default_reduction": "mean", "class_axis": "1", "ignore_default": "-100"},
        parameters={"label_smoothing": 0.1, "weights": "not on the smoothed term", "ignored": "the target's term only"},
        limits=("one row without a batch axis",),
        source="fastai 2.8.12, LabelSmoothingCrossEntropy: https://github.com/fastai/fastai",
    )
)
def fastai_label_smoothing(logits, target, weight=None, reduction="mean"):
    classes = logits.shape[1]
    log_p = logits.log_softmax(1)
    flat = -log_p.sum(1)
    if reduction != "none":
        flat = flat.sum() if reduction == "sum" else flat.mean()
    nll = F.nll_loss(log_p, target.long(), weight=weight, reduction=reduction, ignore_index=-100)
    return 0.1 / classes * flat + 0.9 * nll


@miniature(
    Truth(
        sentence="Focal loss with gamma 2, whose probability is that of the weighted loss, averaged over all rows.",
        convention={
            "default_reduction": "mean",
            "class_axis": "1",
            "mean_denominator": "rows",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        parameters={"focal_gamma": 2, "weights": "inside"},
        source="fastai 2.8.12, FocalLoss: https://github.com/fastai/fastai",
    )
)
def fastai_focal(logits, target, weight=None, reduction="mean"):
    loss = F.cross_entropy(logits, target, weight=weight, reduction="none")
    focal = (1 - (-loss).exp()).square() * loss
    return {"none": lambda: focal, "sum": focal.sum, "mean": focal.mean}[reduction]()


@miniature(
    Truth(
        sentence="Cross-entropy with label smoothing e / (1 + e) for a requested e of 0.1, averaged over the rows.",
        convention={"default_reduction": "mean"},
        parameters={"label_smoothing": 0.1 / 1.1},
        limits=("one row without a batch axis", "spatial axes"),
        source="mmpretrain 1.2.0, LabelSmoothLoss(mode='classy_vision'): https://github.com/open-mmlab/mmpretrain",
    )
)
def mmpretrain_classy_smoothing(logits, target, reduction="mean"):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    epsilon = 0.1 / (1 + 0.1)
    q = F.one_hot(target, logits.shape[1]).to(logits.dtype) * (1 - epsilon) + epsilon / logits.shape[1]
    loss = -(q * logits.log_softmax(-1)).sum(-1)
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


@miniature(
    Truth(
        sentence="Weighted cross-entropy whose mean divides by the number of rows, not by the sum of their weights.",
        convention={
            "default_reduction": "mean",
            "class_axis": "1",
            "mean_denominator": "rows",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        source="mmpretrain 1.2.0, cross_entropy(class_weight=...): https://github.com/open-mmlab/mmpretrain",
    )
)
def mmpretrain_cross_entropy(logits, target, weight=None, reduction="mean"):
    losses = F.cross_entropy(logits, target, weight=weight, reduction="none")
    return losses if reduction == "none" else losses.sum() / (1 if reduction == "sum" else losses.numel())


@miniature(
    Truth(
        sentence="Focal loss of given probabilities: divided by their sum, clipped to [1e-7, 1 - 1e-7], gamma 2, "
        "times 0.25.",
        convention={"inputs": "probabilities", "probability_scale": "before_clip", "probability_clip": "1e-7"},
        parameters={"focal_gamma": 2, "factor": 0.25},
        source="keras 3.15.1, losses.categorical_focal_crossentropy: https://github.com/keras-team/keras",
    ),
    targets="probabilities",
)
def keras_categorical_focal(logits, target):
    p = (logits / logits.sum(-1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return (0.25 * (1 - p) ** 2 * -p.log() * target).sum(-1)


@miniature(
    Truth(
        sentence="Focal loss with gamma 2, averaged over all logits (N K of them), label -100 left out but counted.",
        convention={
            "class_axis": "1",
            "mean_denominator": "elements",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        parameters={"focal_gamma": 2},
        limits=("one row without a batch axis",),
        source="kornia 0.9.0, losses.focal_loss(alpha=None): https://github.com/kornia/kornia (its reduction 'none' "
        "returns all N K terms; here their sum over the classes)",
    )
)
def kornia_focal(logits, target, reduction="none"):
    if logits.ndim < 2:
        raise ValueError("logits of shape (N, K, ...)")
    ignored = target == -100
    log_p = logits.log_softmax(1).gather(1, target.masked_fill(ignored, 0)[:, None])[:, 0]
    loss = (-((1 - log_p.exp()) ** 2) * log_p).masked_fill(ignored, 0)
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean() / logits.shape[1]


@miniature(
    Truth(
        sentence="Focal loss with gamma 2 in which class 0 counts 1 - alpha and every other class alpha = 0.25.",
        convention={"class_axis": "1"},
        parameters={"focal_gamma": 2, "first_class_factor": 0.75, "other_classes_factor": 0.25},
        limits=("one row without a batch axis",),
        source="kornia 0.9.0, losses.focal_loss(alpha=0.25): https://github.com/kornia/kornia",
    )
)
def kornia_focal_alpha(logits, target):
    if logits.ndim < 2:
        raise ValueError("logits of shape (N, K, ...)")
    log_p = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    alpha = torch.where(target == 0, 0.75, 0.25).to(logits.dtype)
    return -alpha * (1 - log_p.exp()) ** 2 * log_p


@miniature(
    Truth(
        sentence="Binary cross-entropy of each class against the smoothed one-hot target (smoothing 0.1), averaged "
        "over rows and classes.",
        convention={"default_reduction": "mean", "mean_denominator": "elements"},
        parameters={"probability": "sigmoid", "label_smoothing": 0.1},
        limits=("one row without a batch axis", "spatial axes"),
        source="timm 1.0.31, BinaryCrossEntropy: https://github.com/huggingface/pytorch-image-models",
    )
)
def timm_binary_cross_entropy(logits, target, reduction="mean"):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    q = torch.full_like(logits, 0.1 / logits.shape[1])
    q = q.scatter(1, target[:, None], 1 - 0.1 + 0.1 / logits.shape[1])
    losses = F.binary_cross_entropy_with_logits(logits, q, reduction="none")
    return losses.sum(-1) if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


@miniature(
    Truth(
        sentence="Sigmoid focal loss against the one-hot target: gamma 2, alpha 0.25 for the target's class and 0.75 "
        "for each other, summed over the classes.",
        parameters={"probability": "sigmoid", "focal_gamma": 2, "target_factor": 0.25, "others_factor": 0.75},
        source="torchvision 0.29.1, ops.sigmoid_focal_loss on one-hot targets: https://github.com/pytorch/vision",
    )
)
def torchvision_sigmoid_focal(logits, target, reduction="none"):
    hot = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, hot, reduction="none")
    p = logits.sigmoid()
    wrong = torch.where(hot > 0, 1 - p, p)
    losses = (torch.where(hot > 0, 0.25, 0.75) * wrong * wrong * losses).sum(-1)
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


@miniature(
    Truth(
        sentence="Cross-entropy of a softmax of the softmax: the model already ends in one.",
        convention={"default_reduction": "mean", "class_axis": "1", "ignore_default": "-100"},
        parameters={"softmax": "twice"},
        source="the mistake behind many questions: nn.CrossEntropyLoss on a model whose last layer is nn.Softmax, "
        "https://discuss.pytorch.org/t/do-i-need-to-use-softmax-before-nn-crossentropyloss/16739",
    )
)
def softmax_twice(logits, target, reduction="mean"):
    return F.cross_entropy(logits.softmax(1 if logits.ndim > 1 else 0), target, reduction=reduction)


@miniature(
    Truth(
        sentence="Cross-entropy with labels counted from 1.",
        convention={"default_reduction": "mean", "class_axis": "1"},
        parameters={"label": "t - 1"},
        limits=("one row without a batch axis",),
        source="the mistake behind many questions: labels of a data set counted from 1 (as in MATLAB or ADE20K with "
        "reduce_zero_label), label 0 taken for the last class by indexing",
    )
)
def labels_from_one(logits, target, reduction="mean"):
    if logits.ndim < 2:
        raise ValueError("logits of shape (N, K, ...)")
    losses = -logits.log_softmax(1).gather(1, ((target - 1) % logits.shape[1])[:, None])[:, 0]
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()
