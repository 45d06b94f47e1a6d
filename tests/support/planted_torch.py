"""Small cross-entropies in PyTorch, each with one or two conventions or mechanisms planted, and plain ones.

As `planted_functions`, with the gradients that autograd makes of them: where a loss hides what it did with an
infinity, its gradient often does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from planted import Planted, Truth
from planted_functions import DENSE, IGNORES, LABELS, MEAN, PROBABILITIES, REDUCES, STRANGE, UNKNOWN
from torch import Tensor
from torch.nn import functional

from logitmus.core.subject import TargetKind


def nats_of(logits: Tensor, labels: Tensor) -> Tensor:
    return -functional.log_softmax(logits, dim=-1).gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def in_range(labels: Tensor, classes: int) -> Tensor:
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise IndexError(f"labels from {int(labels.min())} to {int(labels.max())}; there are {classes} classes")
    return labels.long()


def kept_labels(labels: Tensor, ignore_index: int, classes: int) -> tuple[Tensor, Tensor]:
    kept = labels != ignore_index
    return kept, in_range(labels.where(kept, 0), classes)


def joined(rows: Tensor, reduction: str) -> Tensor:
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


# --- plain ones -------------------------------------------------------------------------------------------------


def the_functional(logits, target, *, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    return functional.cross_entropy(
        logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def of_probability_targets(logits, target, *, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    return functional.cross_entropy(
        logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def in_two_steps(logits, labels):
    return nats_of(logits, in_range(labels, logits.shape[-1]))


def dense(logits, q):
    return -(q * logits.log_softmax(-1)).sum(-1)


def in_float64(logits, labels):
    return nats_of(logits.double(), in_range(labels, logits.shape[-1])).to(logits.dtype)


# --- conventions ------------------------------------------------------------------------------------------------


def of_probabilities(p, labels):
    return -p.gather(-1, in_range(labels, p.shape[-1]).unsqueeze(-1)).squeeze(-1).log()


def of_scaled_and_clipped_probabilities(y_true, y_pred):
    """As Keras has it."""
    p = y_pred / y_pred.sum(-1, keepdim=True)
    return -(y_true * p.clamp(1e-7, 1 - 1e-7).log()).sum(-1)


def of_log_probabilities(log_p, labels, reduction="mean"):
    rows = -log_p.gather(-1, in_range(labels, log_p.shape[-1]).unsqueeze(-1)).squeeze(-1)
    return joined(rows, reduction)


def in_bits(logits, labels):
    return nats_of(logits, in_range(labels, logits.shape[-1])) * 1.4426950408889634


def mean_over_all_rows(logits, labels, *, ignore_index=-100):
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    return nats_of(logits, safe).where(kept, 0).mean()


def mean_over_kept_rows(logits, labels, *, weight=None, ignore_index=-1):
    """As nanoGPT ignores -1; its class weights do not enter the denominator."""
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    rows = nats_of(logits, safe)
    rows = rows if weight is None else rows * weight[safe]
    return rows.where(kept, 0).sum() / kept.sum()


def mean_over_elements(logits, q):
    return -(q * logits.log_softmax(-1)).mean()


def sums_by_default(logits, labels, reduction="sum"):
    return joined(nats_of(logits, in_range(labels, logits.shape[-1])), reduction)


def leaking(logits, labels, *, ignore_index=-100):
    """Ignored rows are multiplied by 0."""
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    mask = kept.to(logits.dtype)
    return (nats_of(logits, safe) * mask).sum() / mask.sum()


def zero_for_nothing(logits, labels, *, ignore_index=-100):
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    return nats_of(logits, safe).where(kept, 0).sum() / kept.sum().clamp(min=1)


def refusing_nothing(logits, labels):
    if not labels.numel():
        raise ValueError("the mean of nothing")
    return nats_of(logits, in_range(labels, logits.shape[-1])).mean()


def smoothing_over_the_others(lprobs, target, epsilon=0.0):
    """As fairseq's label_smoothed_nll_loss, of logits."""
    lprobs = lprobs.log_softmax(-1)
    nll = -lprobs.gather(-1, in_range(target, lprobs.shape[-1]).unsqueeze(-1)).squeeze(-1)
    share = epsilon / (lprobs.shape[-1] - 1)
    return (1 - epsilon - share) * nll + share * -lprobs.sum(-1)


def smoothing_dropped(logits, labels, *, label_smoothing=0.0, weight=None):
    return functional.cross_entropy(logits, labels, weight, reduction="none")


def silent_about_labels(logits, labels):
    hot = labels.unsqueeze(-1) == torch.arange(logits.shape[-1])
    return -logits.log_softmax(-1).where(hot, 0).sum(-1)


def clamping(logits, labels):
    return nats_of(logits, labels.clamp(0, logits.shape[-1] - 1))


def labels_of_32_bits(logits, labels):
    return nats_of(logits, in_range(labels.to(torch.int32), logits.shape[-1]))


def without_target_gradient(logits, q):
    return -(q.detach() * logits.log_softmax(-1)).sum(-1)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, q: Tensor) -> Tensor:
        ctx.save_for_backward(logits.softmax(-1) - q)
        return -(q * logits.log_softmax(-1)).sum(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream.unsqueeze(-1) * ctx.saved_tensors[0], None


def softmax_minus_q(logits, q):
    """A fused kernel with the gradient that TensorFlow documents, and none by the targets."""
    return _Fused.apply(logits, q)


def always_float32(logits, labels):
    return nats_of(logits.float(), in_range(labels, logits.shape[-1]))


def widening(logits, labels):
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return nats_of(wide, in_range(labels, logits.shape[-1]))


def safe_dense(logits, q):
    """A target of 0 costs nothing, whatever stands beside it; nor has it a gradient of its own."""
    log_p = logits.log_softmax(-1)
    return -(q * log_p.masked_fill(q == 0, 0)).sum(-1)


def classes_first(logits, labels):
    """One axis of classes right after the batch; a mean by default."""
    return functional.cross_entropy(logits, labels)


def one_row(x, t):
    (_,) = x.shape
    return x.logsumexp(0) - x[int(in_range(t, len(x)))]


# --- mechanisms -------------------------------------------------------------------------------------------------


def log_of_softmax(logits, labels):
    return -logits.softmax(-1).gather(-1, in_range(labels, logits.shape[-1]).unsqueeze(-1)).squeeze(-1).log()


def unshifted(logits, labels):
    at = logits.gather(-1, in_range(labels, logits.shape[-1]).unsqueeze(-1)).squeeze(-1)
    return logits.exp().sum(-1).log() - at


def separate_logsumexp(logits, labels):
    at = logits.gather(-1, in_range(labels, logits.shape[-1]).unsqueeze(-1)).squeeze(-1)
    return logits.logsumexp(-1) - at


def softmax_twice(logits, labels):
    """The commonest mistake: cross_entropy takes logits, and gets a softmax."""
    return nats_of(logits.softmax(-1), in_range(labels, logits.shape[-1]))


def divergence(logits, q):
    """kl_div subtracts the entropy of the targets."""
    return functional.kl_div(logits.log_softmax(-1), q, reduction="none").sum(-1)


# --- broken -----------------------------------------------------------------------------------------------------


def raising(logits, labels):
    raise RuntimeError("CUDA error: device-side assert triggered")


def keeping_the_axis(logits, labels):
    return nats_of(logits, in_range(labels, logits.shape[-1])).unsqueeze(-1)


def returning_a_float(logits, labels):
    return functional.cross_entropy(logits, labels).item()


# --- the truth --------------------------------------------------------------------------------------------------

_MEANS: Truth = {**MEAN, "default_reduction": "mean"}
_SOFT: Truth = {**DENSE, "soft_target_gradient": "scaled", "target_gradient": "yes"}


def _of(targets: TargetKind) -> Callable[..., Planted]:
    def planted(
        function: Callable[..., Any], base: Truth, *names: str, odd=(), faults=(), remark="", options=(), **truth: Any
    ) -> Planted:
        return Planted(
            name=function.__name__,
            framework="torch",
            function=function,
            targets=targets,
            truth={**base, **truth},
            planted=(*names, *truth),
            odd=tuple(odd),
            faults=tuple(faults),
            remark=remark,
            names=dict(options),
        )

    return planted


_labels, _dense = _of("labels"), _of("probabilities")

PLANTED: tuple[Planted, ...] = (
    _labels(
        the_functional,
        {**LABELS, **IGNORES, "class_axis": "1"},
        "inputs",
        odd=("ignored_row",),  # the loss is 0, and its gradient NaN
        mean_denominator="weights",
        default_reduction="mean",
        ignore_default="-100",
        all_ignored_mean="nan",
        empty_batch_mean="nan",
        smoothing="uniform",
        smoothing_weights="per_class",
        zero_times_infinity="nan",
    ),
    _dense(
        of_probability_targets,
        {**_SOFT, **MEAN, "class_axis": "1", "smoothing_weights": ("per_class", "target")},
        "soft_target_gradient",
        "target_gradient",
        ignore_with_probabilities="error",
        default_reduction="mean",
        zero_times_infinity="nan",
        smoothing="uniform",
    ),
    _labels(in_two_steps, LABELS, "inputs", "default_reduction", "label_negative", "infinite_logits"),
    _dense(dense, _SOFT, "inputs", "soft_target_gradient", "zero_times_infinity"),
    _labels(in_float64, {**LABELS, "overflowing_shift": "exact"}, "inputs"),
    # conventions
    _labels(of_probabilities, PROBABILITIES, "probability_clip", inputs="probabilities"),
    _dense(
        of_scaled_and_clipped_probabilities,
        {
            **{
                n: PROBABILITIES[n]
                for n in ("default_reduction", "log_base", "class_axis", "result_dtype", "wide_inputs")
            },
            "target_gradient": "yes",
        },
        inputs="probabilities",
        probability_clip="1e-7",
        probability_scale="before_clip",
    ),
    _labels(
        of_log_probabilities,
        {n: v for n, v in {**LABELS, **MEAN}.items() if n not in ("infinite_logits", "overflowing_shift")},
        inputs="log_probabilities",
    ),
    _labels(in_bits, LABELS, log_base="2"),
    _labels(mean_over_all_rows, {**LABELS, **IGNORES}, odd=("ignored_row",), mean_denominator="rows"),
    _labels(
        mean_over_kept_rows,
        {**LABELS, **IGNORES, "zero_times_infinity": "nan"},
        odd=("ignored_row",),
        mean_denominator="kept",
        ignore_default="-1",
    ),
    _dense(mean_over_elements, {**_SOFT, **MEAN}, mean_denominator="elements", default_reduction="mean"),
    _labels(sums_by_default, {**LABELS, **REDUCES}, default_reduction="sum"),
    _labels(leaking, {**LABELS, **IGNORES}, ignored_row="nan_leaks"),
    _labels(
        zero_for_nothing, {**LABELS, **IGNORES}, odd=("ignored_row",), all_ignored_mean="zero", empty_batch_mean="zero"
    ),
    _labels(refusing_nothing, {**LABELS, **MEAN}, empty_batch_mean="error"),
    _labels(
        smoothing_over_the_others,
        LABELS,
        odd=("zero_times_infinity", "overflowing_shift", "wide_inputs"),  # 0 * inf where there is no smoothing, too
        faults=("lost",),
        options={"label_smoothing": "epsilon"},
        smoothing="others",
    ),
    _labels(
        smoothing_dropped,
        {**LABELS, "class_axis": "1", "ignore_default": "-100", "ignored_row": "zero", "zero_times_infinity": "nan"},
        odd=("ignored_row",),
        smoothing="dropped",
    ),
    _labels(silent_about_labels, LABELS, label_out_of_range="zero", label_negative="zero"),
    _labels(clamping, LABELS, label_out_of_range="clamp", label_negative="clamp"),
    _labels(labels_of_32_bits, LABELS, wide_labels="narrowed"),
    _dense(without_target_gradient, _SOFT, target_gradient="none"),
    _dense(softmax_minus_q, {**_SOFT, "target_gradient": "none"}, soft_target_gradient="plain"),
    _labels(
        always_float32,
        {**LABELS, "overflowing_shift": "infinite_float32"},
        result_dtype="always_float32",
        wide_inputs="narrowed",
    ),
    _labels(widening, {**LABELS, "overflowing_shift": "infinite_float32"}, result_dtype="float32"),
    _dense(
        safe_dense,
        _SOFT,
        odd=("target_gradient",),
        faults=("unexplained", "missed_infinity", "invented"),
        zero_times_infinity="zero",
    ),
    _labels(
        classes_first,
        {
            **LABELS,
            **MEAN,
            "class_axis": "1",
            "ignore_default": "-100",
            "ignored_row": "zero",
            "all_ignored_mean": "nan",
            "mean_denominator": ("kept", "weights"),
        },
        odd=("ignored_row",),
        default_reduction="mean",
    ),
    _labels(
        one_row,
        {**LABELS, "overflowing_shift": "exact", "infinite_logits": "nan_where_met"},
        "inputs",
        faults=("separate_logsumexp",),
        remark="single row",
    ),
    # mechanisms
    _labels(
        log_of_softmax,
        LABELS,
        "inputs",
        odd=("wide_inputs",),
        faults=("mechanism:log_of_softmax", "spurious_overflow", "lost"),
    ),
    _labels(
        unshifted,
        {**LABELS, "infinite_logits": "nan_where_met"},
        "inputs",
        odd=("overflowing_shift", "wide_inputs", "infinite_logits"),
        faults=("mechanism:no_max_shift", "spurious_overflow", "lost"),
    ),
    _labels(
        separate_logsumexp,
        {**LABELS, "overflowing_shift": "exact", "infinite_logits": "nan_where_met"},
        "inputs",
        faults=("separate_logsumexp",),
    ),
    _labels(
        softmax_twice,
        UNKNOWN,
        odd=STRANGE,
        faults=("unexplained", "missed_infinity", "lost"),
        remark="convention explains",
    ),
    _dense(
        divergence,
        _SOFT,  # as it is for one-hot targets
        odd=(*_SOFT,),
        faults=("unexplained", "lost", "spurious_overflow"),
        remark="convention explains",
    ),
    # broken
    _labels(raising, {}, remark="raises on every call"),
    _labels(keeping_the_axis, LABELS, "inputs", "log_base", remark="shape (4, 1)"),
    _labels(returning_a_float, {}),
)
