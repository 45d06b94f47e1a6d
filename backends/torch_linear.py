"""torch.nn.functional.linear_cross_entropy, whose logits are the product of hidden states and weights.

One of the two is a permutation matrix, so that the product is exact, and the gradient by the other is the gradient by
the logits in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from logitmus.core.backend import Function, NotAskedError, Switch
from logitmus.core.problem import TargetKind
from logitmus.core.subject import same_precision

MATMUL: Final = "matmul-medium"
_SWITCHES: Final = {
    MATMUL: Switch(
        statement='torch.set_float32_matmul_precision("medium")',
        docs="https://docs.pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html",
    )
}
# Options that must not matter. (The policy of accumulation is meant to: it decides about the dtype.)
_MUST_NOT_MATTER: Final[Mapping[str, Mapping[str, Any]]] = {
    "rows_1": {"batch_chunk_size": 1},
    "rows_7": {"batch_chunk_size": 7},
}
_LARGEST_PERMUTATION: Final = 4096  # 128 MiB in float64

# What `linear_cross_entropy` gets in place of hidden states and weights (`_linear`, `_linear_by_weight`).
_BY_HIDDEN = "{logits}.roll(-1, -1), torch.eye({logits}.shape[-1]).roll(1, 0).to({logits})"
_CHUNKED = "https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/linear_cross_entropy.py"
_BY_WEIGHT = "torch.eye({logits}.shape[0]).roll(1, 0).to({logits}), {logits}.roll(-1, 0).T"


def _of_hidden(
    suffix: str,
    of: Function,
    call: Callable[..., Any],
    operands: str,
    *,
    chunked: Mapping[str, Any] | None = None,
    single_row: bool = True,
    default: bool = False,
) -> Function:
    """`linear_cross_entropy` with the arguments and the convention of `cross_entropy`, as its documentation has it.

    Chunked it differentiates once, takes int64 labels without smoothing, and computes in float32 at least.

    Args:
        chunked: the arguments of `LinearCrossEntropyOptions`; None: without chunks.
    """
    written = ", ".join(f"{name}={value!r}" for name, value in (chunked or {}).items())
    how = f"options=torch.nn.LinearCrossEntropyOptions({written}), " if chunked is not None else ""
    offer = replace(of.offer, spatial=False, layouts=("contiguous",), single_row=single_row)
    docs = {
        **of.docs,
        "": "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html",
    }
    convention = of.convention
    if offer.targets is TargetKind.PROBABILITIES:  # it takes no ignore_index with them
        offer = replace(offer, options=offer.options - {"ignore_index"})
    if chunked is not None:
        convention, docs = convention.but(overflowing_shift="infinite_float32"), {**docs, "overflowing_shift": _CHUNKED}
        offer = replace(
            offer,
            options=offer.options - {"label_smoothing"},
            label_dtypes=("int64",),
            manners=("again", "after_others"),
        )
    return Function(
        name=f"linear_cross_entropy{suffix}",
        call=partial(call, chunked=chunked),
        offer=offer,
        convention=convention,
        precision=of.precision if chunked is None else same_precision(),
        # Without chunks it is `linear` and `cross_entropy`, one after the other.
        least_profiles={"": "default" if default else "full"},
        docs=docs,
        switches=_SWITCHES,
        usage=replace(
            of.usage,
            call=f"torch.nn.functional.linear_cross_entropy({operands}, {{targets}}, {how}{{more}})",
        ),
    )


def functions(of_labels: Function, of_probabilities: Function) -> tuple[Function, ...]:
    """The functions, with the arguments and the convention of these two forms of `cross_entropy`."""
    return (
        _of_hidden("", of_labels, _linear, _BY_HIDDEN),
        _of_hidden(".probabilities", of_probabilities, _linear, _BY_HIDDEN),
        _of_hidden(".chunked", of_labels, _linear, _BY_HIDDEN, chunked={}, default=True),
        _of_hidden(".chunked.by_weight", of_labels, _linear_by_weight, _BY_WEIGHT, chunked={}, single_row=False),
        *(
            _of_hidden(f".chunked-{name}", of_labels, _linear, _BY_HIDDEN, chunked=options)
            for name, options in _MUST_NOT_MATTER.items()
        ),
    )


def _linear(logits: Any, targets: Any, options: Mapping[str, Any], *, chunked: Mapping[str, Any] | None = None) -> Any:
    """The logits are the hidden states, in another order of the classes, which the weights undo."""
    import torch

    order = torch.eye(_size(logits, logits.shape[-1])).roll(1, 0).to(logits)
    return _linear_cross_entropy(logits.roll(-1, -1), order, targets, options, chunked=chunked)


def _linear_by_weight(
    logits: Any, targets: Any, options: Mapping[str, Any], *, chunked: Mapping[str, Any] | None = None
) -> Any:
    """The logits are the weights, in another order of the rows, which the hidden states undo."""
    import torch

    order = torch.eye(_size(logits, logits.shape[0])).roll(1, 0).to(logits)
    return _linear_cross_entropy(order, logits.roll(-1, 0).T, targets, options, chunked=chunked)


def _linear_cross_entropy(
    hidden: Any, weights: Any, targets: Any, options: Mapping[str, Any], *, chunked: Mapping[str, Any] | None
) -> Any:
    import torch

    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        raise NotAskedError(f"torch {torch.__version__} has no linear_cross_entropy; it comes with torch 2.13")
    how = None if chunked is None else torch.nn.LinearCrossEntropyOptions(**chunked)
    return torch.nn.functional.linear_cross_entropy(hidden, weights, targets, options=how, **options)


def _size(logits: Any, size: int) -> int:
    """The size of the permutation matrix.

    Raises:
        NotAskedError: where the product with it is not exactly the logits, or takes too long.
    """
    if not bool(logits.isfinite().all()):
        raise NotAskedError("a matrix product with infinities or NaN has NaN in other places, too")
    if not 0 < size <= _LARGEST_PERMUTATION:
        raise NotAskedError(f"takes a permutation matrix of 1 to {_LARGEST_PERMUTATION} rows")
    return size
