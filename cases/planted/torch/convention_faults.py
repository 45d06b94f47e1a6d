"""Planted in PyTorch: other conventions than those of PyTorch's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logitmus.cases.planted.cards import (
    DENSE,
    IGNORES,
    LABELS,
    LOG_PROBABILITIES,
    MEAN,
    PROBABILITIES,
    REDUCES,
    card,
    merged,
    only,
)
from logitmus.cases.planted.torch.loss import (
    IGNORED,
    at,
    checked_losses,
    in_range,
    kept_labels,
    losses,
    reduced,
    right,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.problem import TargetKind

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")
# The loss of an ignored row is 0, and its gradient is NaN where the logits are infinite.
_IGNORED_ROW: Final = ("ignored_row",)
_KERAS: Final = merged(
    only(PROBABILITIES, "default_reduction", "log_base", "class_axis", "result_dtype", "wide_inputs"),
    target_gradient="yes",
)
_SOFT: Final = merged(DENSE, soft_target_gradient="scaled", target_gradient="yes")


@ZOO.fault(
    "convention",
    "Paddle #53516: labels of 16 bits",
    "accepted:*",
    "raised:*",
    card=card(wide_labels="narrowed"),
)
def labels_of_16_bits(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    return right(logits, targets.short().long(), None, IGNORED, 0.0, reduction)


@ZOO.fault(
    "convention",
    "labels pass through 32 bits",
    "accepted:*",
    card=card(base=LABELS, wide_labels="narrowed"),
)
def labels_of_32_bits(logits: Tensor, labels: Tensor) -> Tensor:
    return losses(logits, in_range(labels.int(), logits.shape[-1]))


@ZOO.fault(
    "convention",
    "NLL of probabilities",
    "convention:inputs=probabilities",
    card=card("probability_clip", base=PROBABILITIES, inputs="probabilities"),
)
def takes_probabilities(p: Tensor, labels: Tensor) -> Tensor:
    return -at(p, in_range(labels, p.shape[-1])).log()


@ZOO.fault(
    "convention",
    "Keras's categorical_crossentropy without from_logits: rescaled, then clipped; the targets come first",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    "computes:inputs=probabilities_scaled",
    "computes:penalty=clip",
    targets=TargetKind.PROBABILITIES,
    card=card(base=_KERAS, inputs="probabilities", probability_clip="1e-7", probability_scale="before_clip"),
)
def probabilities_scaled_and_clipped(y_true: Tensor, y_pred: Tensor) -> Tensor:
    p = y_pred / y_pred.sum(-1, keepdim=True)
    return -(y_true * p.clamp(1e-7, 1 - 1e-7).log()).sum(-1)


@ZOO.fault(
    "convention",
    "NLLLoss takes log-probabilities",
    "convention:inputs=log_probabilities",
    card=card(base=merged(LOG_PROBABILITIES, MEAN), inputs="log_probabilities"),
)
def takes_log_probabilities(log_p: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    return reduced(-at(log_p, in_range(labels, log_p.shape[-1])), reduction)


@ZOO.fault("convention", "bits for nats", "convention:log_base=2", card=card(base=LABELS, log_base="2"))
def in_bits(logits: Tensor, labels: Tensor) -> Tensor:
    return checked_losses(logits, labels) * 1.4426950408889634


@ZOO.fault(
    "convention",
    "Megatron-LM #5522: the mean counts ignored rows",
    "convention:mean_denominator=rows",
    card=card(base=merged(LABELS, IGNORES), inconsistent=_IGNORED_ROW, mean_denominator="rows"),
)
def mean_over_all_rows(logits: Tensor, labels: Tensor, *, ignore_index: int = IGNORED) -> Tensor:
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    return losses(logits, safe).where(kept, 0).mean()


@ZOO.fault(
    "convention",
    "nanoGPT ignores -1; its class weights do not enter the denominator",
    "convention:mean_denominator=kept",
    "convention:ignore_default=-1",
    card=card(
        base=merged(LABELS, IGNORES, zero_times_infinity="nan"),
        inconsistent=_IGNORED_ROW,
        mean_denominator="kept",
        ignore_default="-1",
    ),
)
def mean_over_kept_rows(
    logits: Tensor, labels: Tensor, *, weight: Tensor | None = None, ignore_index: int = -1
) -> Tensor:
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    rows = losses(logits, safe)
    rows = rows if weight is None else rows * weight[safe]
    return rows.where(kept, 0).sum() / kept.sum()


@ZOO.fault(
    "convention",
    "mean() over the classes, too",
    "convention:mean_denominator=elements",
    targets=TargetKind.PROBABILITIES,
    card=card(base=merged(_SOFT, MEAN), mean_denominator="elements", default_reduction="mean"),
)
def mean_over_elements(logits: Tensor, q: Tensor) -> Tensor:
    return -(q * logits.log_softmax(-1)).mean()


@ZOO.fault(
    "convention",
    "a sum where no reduction is named",
    "convention:default_reduction=sum",
    card=card(base=merged(LABELS, REDUCES), default_reduction="sum"),
)
def sums_by_default(logits: Tensor, labels: Tensor, reduction: str = "sum") -> Tensor:
    return reduced(checked_losses(logits, labels), reduction)


@ZOO.fault(
    "convention",
    "ignored rows are multiplied by 0",
    "convention:ignored_row=nan_leaks",
    card=card(base=merged(LABELS, IGNORES), ignored_row="nan_leaks"),
)
def ignored_rows_times_zero(logits: Tensor, labels: Tensor, *, ignore_index: int = IGNORED) -> Tensor:
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    mask = kept.to(logits.dtype)
    return (losses(logits, safe) * mask).sum() / mask.sum()


@ZOO.fault(
    "convention",
    "pytorch #69339: 0 where no row is kept",
    "convention:all_ignored_mean=zero",
    "convention:empty_batch_mean=zero",
    card=card(
        base=merged(LABELS, IGNORES), inconsistent=_IGNORED_ROW, all_ignored_mean="zero", empty_batch_mean="zero"
    ),
)
def zero_for_nothing(logits: Tensor, labels: Tensor, *, ignore_index: int = IGNORED) -> Tensor:
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    return losses(logits, safe).where(kept, 0).sum() / kept.sum().clamp(min=1)


@ZOO.fault(
    "convention",
    "pytorch #50224: the mean of no rows is refused",
    "convention:empty_batch_mean=error",
    "raised:ValueError",
    card=card(base=merged(LABELS, MEAN), empty_batch_mean="error"),
)
def refuses_the_mean_of_nothing(logits: Tensor, labels: Tensor) -> Tensor:
    if not labels.numel():
        raise ValueError("the mean of nothing")
    return checked_losses(logits, labels).mean()


@ZOO.fault(
    "convention",
    "fairseq's label_smoothed_nll_loss, of logits: the smoothing is spread over the other classes",
    "convention:smoothing=others",
    card=card(
        base=LABELS,
        # Where there is no smoothing, it multiplies an infinite sum by 0, too.
        inconsistent=("zero_times_infinity", "overflowing_shift", "wide_inputs"),
        mechanisms=("lost",),
        smoothing="others",
    ),
    options={"label_smoothing": "epsilon"},
)
def smoothing_over_the_others(logits: Tensor, target: Tensor, epsilon: float = 0.0) -> Tensor:
    log_p = logits.log_softmax(-1)
    share = epsilon / (log_p.shape[-1] - 1)
    return -(1 - epsilon - share) * at(log_p, in_range(target, log_p.shape[-1])) - share * log_p.sum(-1)


@ZOO.fault(
    "convention",
    "an argument that nothing reads: label_smoothing",
    "convention:smoothing=dropped",
    card=card(
        base=merged(LABELS, class_axis="1", ignore_default="-100", ignored_row="zero", zero_times_infinity="nan"),
        inconsistent=_IGNORED_ROW,
        smoothing="dropped",
    ),
)
def smoothing_dropped(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    from torch.nn import functional

    del label_smoothing
    return functional.cross_entropy(logits, labels, weight, reduction="none")


@ZOO.fault(
    "convention",
    "tensorflow #8484: a label that is no class costs nothing",
    "accepted:*zero*",
    card=card(base=LABELS, label_out_of_range="zero", label_negative="zero"),
)
def bad_labels_cost_nothing(logits: Tensor, labels: Tensor) -> Tensor:
    import torch

    hot = labels.unsqueeze(-1) == torch.arange(logits.shape[-1])
    return -logits.log_softmax(-1).where(hot, 0).sum(-1)


@ZOO.fault(
    "convention",
    "pytorch #95794: labels are clamped into range",
    "accepted:*clamp*",
    card=card(base=LABELS, label_out_of_range="clamp", label_negative="clamp"),
)
def labels_clamped(logits: Tensor, labels: Tensor) -> Tensor:
    return losses(logits, labels.clamp(0, logits.shape[-1] - 1))
