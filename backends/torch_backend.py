"""PyTorch: torch.nn.functional.cross_entropy and its relatives, eager, gradients by autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from logitmus.backend import Backend, Function, Inputs, Offer, Outputs, same_precision
from logitmus.convention import Convention
from logitmus.problem import FLOAT_DTYPES, Array

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html"


def _functional(logits: Any, targets: Any, options: dict[str, Any]) -> Any:
    import torch.nn.functional as F

    return F.cross_entropy(logits, targets, **options)


def _module(logits: Any, targets: Any, options: dict[str, Any]) -> Any:
    import torch

    return torch.nn.CrossEntropyLoss(**options)(logits, targets)


def _two_steps(logits: Any, targets: Any, options: dict[str, Any]) -> Any:
    import torch.nn.functional as F

    return F.nll_loss(F.log_softmax(logits, dim=min(1, logits.ndim - 1)), targets, **options)


def _tensor(array: Array, device: str) -> Any:
    """A tensor with the array's own strides; bfloat16 goes by its bits."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)


def _array(tensor: Any) -> Array:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.contiguous().view(torch.uint16).numpy().view(FLOAT_DTYPES["bfloat16"]))
    return np.asarray(tensor.numpy())


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    del mode
    import torch

    logits = _tensor(inputs.logits, device).requires_grad_()
    targets = _tensor(inputs.targets, device)
    soft = targets.is_floating_point()
    wanted = [logits, targets.requires_grad_()] if soft else [logits]
    options: dict[str, Any] = {"reduction": inputs.reduction}
    if inputs.weight is not None:
        options["weight"] = _tensor(inputs.weight, device)
    if inputs.ignore_index is not None:
        options["ignore_index"] = inputs.ignore_index
    if inputs.label_smoothing:
        options["label_smoothing"] = inputs.label_smoothing
    loss: Any = function.call(logits, targets, options)
    upstream = torch.ones_like(loss) if inputs.cotangent is None else _tensor(inputs.cotangent, device).to(loss.dtype)
    gradients = torch.autograd.grad(loss, wanted, upstream)
    return Outputs(
        loss=_array(loss),
        grad_logits=_array(gradients[0]),
        grad_targets=_array(gradients[1]) if soft else None,
    )


def _devices() -> Sequence[str]:
    import torch

    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


_TORCH = Convention(
    class_axis="1",
    default_reduction="mean",
    ignore_default="-100",
    mean_denominator="weights",
    zero_times_infinity="nan",
    infinite_logits="nan",
)
_SOFT = _TORCH.but(ignore_default="none", mean_denominator="rows")
_ALL_OPTIONS = frozenset({"weight", "ignore_index", "label_smoothing"})
_REDUCTIONS = ("none", "sum", "mean")
_LAYOUTS = ("contiguous", "transposed", "sliced", "expanded")
_LABELS = Offer(
    targets="labels",
    options=_ALL_OPTIONS,
    reductions=_REDUCTIONS,
    label_dtypes=("int64", "uint8"),
    layouts=_LAYOUTS,
    gradients=frozenset({"logits"}),
)
_PROBABILITIES = Offer(
    targets="probabilities",
    options=frozenset({"weight", "label_smoothing"}),
    reductions=_REDUCTIONS,
    layouts=_LAYOUTS,
)
_LINKS = {
    "": _DOCS,
    "class_axis": _DOCS,
    "default_reduction": _DOCS,
    "ignore_default": _DOCS,
    "mean_denominator": _DOCS,
    "smoothing": _DOCS,
}


def _function(name: str, call: Any, offer: Offer, convention: Convention) -> Function:
    return Function(
        name=name,
        call=call,
        offer=offer,
        convention=convention,
        precision=same_precision(half_storage="result"),
        docs=_LINKS,
    )


BACKEND = Backend(
    name="torch",
    distributions=("torch",),
    evaluate=_evaluate,
    devices=_devices,
    functions=(
        _function("cross_entropy", _functional, _LABELS, _TORCH),
        _function("cross_entropy.probabilities", _functional, _PROBABILITIES, _SOFT),
        _function("nn.CrossEntropyLoss", _module, _LABELS, _TORCH),
        _function("nn.CrossEntropyLoss.probabilities", _module, _PROBABILITIES, _SOFT),
        _function(
            "log_softmax-nll_loss",
            _two_steps,
            Offer(
                targets="labels",
                options=frozenset({"weight", "ignore_index"}),
                reductions=_REDUCTIONS,
                label_dtypes=("int64", "uint8"),
                layouts=_LAYOUTS,
                gradients=frozenset({"logits"}),
            ),
            _TORCH,
        ),
    ),
)
