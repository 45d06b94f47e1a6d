"""PyTorch: torch.nn.functional.cross_entropy and its relatives, eager and compiled, with gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from logitmus.backends import keras_losses, torch_compile, torch_linear
from logitmus.core.backend import (
    EAGER_MANNERS,
    Backend,
    Function,
    Inputs,
    NotAskedError,
    Outputs,
    Switch,
    Usage,
    computed_from,
    differentiated,
)
from logitmus.core.computed_logits import COMPUTED
from logitmus.core.convention import Convention
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.problem import ONCE, TargetKind
from logitmus.core.subject import Offer, Precision, same_precision


def _functional(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(logits, targets, **options)


def _module(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    import torch

    return torch.nn.CrossEntropyLoss(**options)(logits, targets)


def _two_steps(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    from torch.nn import functional

    log_probabilities = functional.log_softmax(logits, dim=min(1, logits.ndim - 1))
    return functional.nll_loss(log_probabilities, targets, **options)


def _decomposed(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    from torch._refs.nn import functional

    log_probabilities = functional.log_softmax(logits, dim=min(1, logits.ndim - 1))
    return functional.nll_loss(log_probabilities, targets, **options)


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    return _ask(function, mode, device, inputs, ONCE, inputs.cotangent)


def _differentiate(function: Function, mode: str, device: str, inputs: Inputs, manner: str) -> Outputs:
    return differentiated(inputs, manner, partial(_ask, function, mode, device, inputs, manner))


def _ask(function: Function, mode: str, device: str, inputs: Inputs, manner: str, seed: Array | None) -> Outputs:
    """The loss, and what comes of `seed`: an upstream gradient, or in forward mode a direction."""
    source, more, loss_of = inputs.logits, list[Any](), function.call
    if manner in COMPUTED:
        source, other = computed_from(inputs, manner)
        more, loss_of = [_tensor(other, device)], torch_compile.of_computed_logits(function.call, manner)
    logits, targets = _tensor(source, device), _tensor(inputs.targets, device)
    options = inputs.given
    if inputs.weight is not None:
        options["weight"] = _tensor(inputs.weight, device)
    along = None if seed is None else _tensor(seed, device)
    direction = _tensor(inputs.at_labels, device) if manner == "second_order" else None

    run = torch_compile.compiled(loss_of) if mode == "compile" else loss_of

    def call(x: Any) -> Any:
        return run(x, targets, options, *more)

    if manner == "forward_mode":
        outputs = _forward(call, logits, along)
    else:
        outputs = _reverse(call, logits, targets, along, direction, twice=manner == "backward_twice")
    if device != "cpu":  # on the CPU the tensors are the arrays; elsewhere what was written must be carried back
        for array, tensor in ((inputs.logits, logits), (inputs.targets, targets)):
            _write_back(array, _array(tensor))
    return outputs


def _reverse(
    call: Callable[..., Any], logits: Any, targets: Any, upstream: Any, direction: Any, *, twice: bool
) -> Outputs:
    import torch

    logits.requires_grad_()
    wanted = [logits, targets.requires_grad_()] if targets.is_floating_point() else [logits]
    loss = call(logits)
    if not isinstance(loss, torch.Tensor):
        return Outputs(loss=loss)
    gradients = _gradients(loss, wanted, upstream, twice=twice, differentiable=direction is not None)
    if direction is not None:
        gradients += [None, _again(gradients[0], logits, direction)]
    parts = zip(("grad_logits", "grad_targets", "second_logits"), gradients, strict=False)
    arrays = {name: _array(gradient) for name, gradient in parts if gradient is not None}
    return Outputs(loss=_array(loss), **arrays)


def _gradients(loss: Any, wanted: Sequence[Any], upstream: Any, *, twice: bool, differentiable: bool) -> list[Any]:
    import torch

    if upstream is None:
        upstream = torch.ones_like(loss)
    if not loss.requires_grad or upstream.shape != loss.shape:
        return [None] * len(wanted)
    # What refuses to be differentiated twice (once_differentiable) says so where the upstream gradient wants it.
    upstream = upstream.to(loss.dtype).requires_grad_(differentiable)
    # What a function does not look at has no gradient; that is no error.
    pull_back = partial(torch.autograd.grad, _along(loss, upstream), wanted, allow_unused=True)
    if twice:
        pull_back(retain_graph=True)
    return list(pull_back(create_graph=differentiable))


def _along(values: Any, direction: Any) -> Any:
    """The scalar whose gradient is the pull-back of `direction`, to the bit: what reaches `values` is 1 * direction.

    `torch.autograd.grad(values, inputs, direction)` does the same, but imports SymPy to compare the two shapes (0.4 s).
    """
    return (values * direction).sum()


def _again(gradient: Any, logits: Any, direction: Any) -> Any:
    """The derivative of a gradient along a direction; where nothing of it leads to the logits, it is 0."""
    import torch

    if gradient is None:
        return None
    if gradient.requires_grad:
        # Through the whole graph, as in training: what refuses (once_differentiable) is no way to the logits.
        torch.autograd.backward(_along(gradient, direction.to(gradient.dtype)))
    return torch.zeros_like(logits) if logits.grad is None else logits.grad


def _forward(call: Callable[..., Any], logits: Any, direction: Any) -> Outputs:
    import torch

    forward_ad: Any = torch.autograd.forward_ad
    with forward_ad.dual_level():
        try:
            dual = forward_ad.make_dual(logits, direction)
        except RuntimeError as error:  # not where rows share their memory
            raise NotAskedError(f"there are no dual numbers of these logits: {error}") from error
        loss = call(dual)
        if not isinstance(loss, torch.Tensor):
            return Outputs(loss=loss)
        primal, tangent = forward_ad.unpack_dual(loss)
        return Outputs(loss=_array(primal), grad_logits=None if tangent is None else _array(tangent.to(logits.dtype)))


def _tensor(array: Array, device: str) -> Any:
    """A tensor with the array's own strides: on the CPU its own memory, elsewhere a copy laid out alike."""
    import torch

    if array.dtype.name == "bfloat16":  # NumPy and PyTorch know each other's only by the bits
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    if device == "cpu" or not tensor.numel():
        return tensor.to(device)
    # Tensor.to makes overlapping and sliced tensors dense; the memory is copied as it lies, and viewed alike.
    extent = 1 + sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.stride(), strict=True))
    memory = tensor.as_strided((extent,), (1,)).to(device)
    return memory.as_strided(tensor.shape, tensor.stride())


def _array(tensor: Any) -> Array:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.contiguous().view(torch.int16).numpy().view(FLOAT_DTYPES["bfloat16"]))
    return np.asarray(tensor.numpy())


def _write_back(array: Array, now: Array) -> None:
    if array.tobytes() != now.tobytes():
        array[...] = now


@contextmanager
def _switched(name: str) -> Iterator[None]:
    """A context in which calls have this switch. Flush-to-zero and autocast are settings of this thread."""
    import torch

    def autocast_to_float16(on: bool) -> None:
        torch.set_autocast_dtype("cpu", torch.float16 if on else torch.bfloat16)
        torch.set_autocast_enabled("cpu", on)

    turn: dict[str, Callable[[bool], object]] = {
        # As torch.use_deterministic_algorithms, which also loads the compiler; that takes seconds.
        "deterministic": lambda on: torch.set_deterministic_debug_mode("error" if on else "default"),
        "flush-subnormals": torch.set_flush_denormal,
        "autocast": partial(torch.set_autocast_enabled, "cpu"),
        "autocast-float16": autocast_to_float16,
        torch_linear.MATMUL: lambda on: torch.set_float32_matmul_precision("medium" if on else "highest"),
    }
    if name in turn:
        turn[name](True)
        try:
            yield
        finally:
            turn[name](False)
    else:
        default = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            yield
        finally:
            torch.set_num_threads(default)


def _devices() -> Sequence[str]:
    import torch

    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


_API = "https://docs.pytorch.org/docs/stable/generated/"
_PAGE = _API + "torch.nn.CrossEntropyLoss.html"
_FUNCTIONAL_PAGE = "torch.nn.functional.cross_entropy.html"
_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/"

_LABELS = Convention(
    class_axis="1",
    default_reduction="mean",
    mean_denominator="weights",
    ignore_default="-100",
    zero_times_infinity="nan",
    infinite_logits="nan",
    overflowing_shift="infinite",
)
_PROBABILITIES = _LABELS.but(ignore_default="none", ignore_with_probabilities="error", mean_denominator="rows")
_DOCS = {
    "": _PAGE,
    **dict.fromkeys(
        (
            "class_axis",
            "default_reduction",
            "mean_denominator",
            "ignore_default",
            "ignored_row",  # "does not contribute to the input gradient"
            "smoothing",
            "smoothing_weights",
            "label_out_of_range",  # "class indices in the range [0, C)"
            "label_negative",
        ),
        _PAGE,
    ),
    # The documentation is silent; these are the lines that decide.
    "ignore_with_probabilities": _SOURCE + "LossNLL.cpp",
    "zero_times_infinity": _SOURCE + "LossNLL.cpp",
    "infinite_logits": _SOURCE + "cpu/SoftMaxKernel.cpp",
    "overflowing_shift": _SOURCE + "cpu/SoftMaxKernel.cpp",
}
_REDUCTIONS = ("none", "sum", "mean")
_LAYOUTS = ("contiguous", "transposed", "sliced", "expanded", "misaligned", "moved")  # PyTorch has no negative strides
_LABEL_DTYPES = ("int64", "uint8")

# Autocast has float32 for all of them, whatever its dtype; only log_softmax keeps the dtype of its logits on the CPU.
# The precision of matrix products is left out: these functions have none.
_NO_SWITCHES: Mapping[str, Switch] = {}  # of the modules, which call the functions
_NO_HALF_RESULTS = {dtype: Precision("float32", "float32", "float32") for dtype in ("bfloat16", "float16")}
_NO_HALF_LOSSES = {dtype: Precision("float32", dtype, "float32") for dtype in ("bfloat16", "float16")}
_AUTOCAST_PAGE = "https://docs.pytorch.org/docs/stable/amp.html#cpu-ops-that-can-autocast-to-float32"


def _switches(autocast: Mapping[str, Precision]) -> Mapping[str, Switch]:
    """The switches of a function, whose precisions under autocast are given."""
    return {
        # Without it, a worker has a single thread (`execution.launch`).
        "threads-2": Switch(statement="torch.set_num_threads(2)", docs=_API + "torch.set_num_threads.html"),
        "deterministic": Switch(
            statement="torch.use_deterministic_algorithms(True)",
            docs=_API + "torch.use_deterministic_algorithms.html",
        ),
        "flush-subnormals": Switch(
            statement="torch.set_flush_denormal(True)",
            docs=_API + "torch.set_flush_denormal.html",
            flushes_subnormals=True,
        ),
        "autocast": Switch(
            statement='torch.set_autocast_enabled("cpu", True)', docs=_AUTOCAST_PAGE, precision=autocast
        ),
        "autocast-float16": Switch(
            statement='torch.set_autocast_dtype("cpu", torch.float16); torch.set_autocast_enabled("cpu", True)',
            docs=_AUTOCAST_PAGE,
            precision=autocast,
        ),
    }


_MORE = {
    "weight": "weight={}",
    "ignore_index": "ignore_index={}",
    "label_smoothing": "label_smoothing={}",
    "reduction": 'reduction="{}"',
}
_HELPERS = {
    "one_hot": "torch.nn.functional.one_hot({targets}, K).to(logits.dtype)",
    "softmax": "{logits}.softmax(dim=1)",
    "log_softmax": "{logits}.log_softmax(dim=1)",
    "normalize": "({logits} / {logits}.sum(dim=1, keepdim=True))",
    "clip": "{logits}.clamp({low}, 1 - {low})",
    "log": "{logits}.log()",
    "exp": "{logits}.exp()",
    "classes_last": "{logits}.movedim(1, -1)",
    "classes_1": "{logits}.movedim(-1, 1)",
}
_FUNCTIONAL = Usage(
    call="torch.nn.functional.cross_entropy({logits}, {targets}, {more})", arguments=_MORE, helpers=_HELPERS
)
_MODULE = Usage(call="torch.nn.CrossEntropyLoss({more})({logits}, {targets})", arguments=_MORE, helpers=_HELPERS)
_TWO_STEPS = Usage(
    call="torch.nn.functional.nll_loss({logits}.log_softmax(dim=1), {targets}, {more})",
    arguments=_MORE,
    helpers=_HELPERS,
)


def _of_labels(
    name: str,
    page: str,
    call: Callable[..., Any],
    usage: Usage,
    *options: str,
    switches: Mapping[str, Switch] = _NO_SWITCHES,
) -> Function:
    return Function(
        name=name,
        call=call,
        offer=Offer(
            targets=TargetKind.LABELS,
            options=frozenset({"weight", "ignore_index", *options}),
            reductions=_REDUCTIONS,
            label_dtypes=_LABEL_DTYPES,
            layouts=_LAYOUTS,
            manners=EAGER_MANNERS,
            gradients=frozenset({"logits"}),
        ),
        convention=_LABELS,
        precision=same_precision(half_storage="result"),
        docs={**_DOCS, "": _API + page},
        usage=usage,
        switches=switches,
    )


def _of_probabilities(
    name: str, page: str, call: Callable[..., Any], usage: Usage, *, switches: Mapping[str, Switch] = _NO_SWITCHES
) -> Function:
    return Function(
        name=name,
        call=call,
        offer=Offer(
            targets=TargetKind.PROBABILITIES,
            options=frozenset({"weight", "ignore_index", "label_smoothing"}),
            reductions=_REDUCTIONS,
            layouts=_LAYOUTS,
            manners=EAGER_MANNERS,
        ),
        convention=_PROBABILITIES,
        precision=same_precision(half_storage="result"),
        docs={**_DOCS, "": _API + page},
        usage=usage,
        switches=switches,
    )


_CROSS_ENTROPY = _of_labels(
    "cross_entropy",
    _FUNCTIONAL_PAGE,
    _functional,
    _FUNCTIONAL,
    "label_smoothing",
    switches=_switches(_NO_HALF_RESULTS),
)
_CROSS_ENTROPY_OF_PROBABILITIES = _of_probabilities(
    "cross_entropy.probabilities",
    _FUNCTIONAL_PAGE,
    _functional,
    _FUNCTIONAL,
    switches=_switches(_NO_HALF_RESULTS),
)

BACKEND = Backend(
    name="torch",
    distributions=("torch",),
    evaluate=_evaluate,
    differentiate=_differentiate,
    devices=_devices,
    adopt=lambda call: call,
    switched=_switched,
    functions=(
        torch_compile.also_compiled(_CROSS_ENTROPY),
        torch_compile.also_compiled(_CROSS_ENTROPY_OF_PROBABILITIES),
        _of_labels("nn.CrossEntropyLoss", "torch.nn.CrossEntropyLoss.html", _module, _MODULE, "label_smoothing"),
        _of_probabilities("nn.CrossEntropyLoss.probabilities", "torch.nn.CrossEntropyLoss.html", _module, _MODULE),
        _of_labels(
            "log_softmax-nll_loss",
            "torch.nn.functional.nll_loss.html",
            _two_steps,
            _TWO_STEPS,
            switches=_switches(_NO_HALF_LOSSES),
        ),
        replace(
            _of_labels(
                "_refs.log_softmax-nll_loss",
                "torch.nn.functional.nll_loss.html",
                _decomposed,
                Usage(
                    call="torch._refs.nn.functional.nll_loss("
                    "torch._refs.nn.functional.log_softmax({logits}, dim=1), {targets}, {more})",
                    arguments=_MORE,
                    helpers=_HELPERS,
                ),
            ),
            least_profiles={"": "full"},  # the definitions in Python, which the compiler and exporters may use
        ),
        *keras_losses.functions(
            "torch",
            {**_HELPERS, "softmax": "{logits}.softmax(dim=-1)", "log_softmax": "{logits}.log_softmax(dim=-1)"},
            labels={},
            probabilities={"zero_times_infinity": "nan"},
            links={
                "zero_times_infinity": "https://github.com/keras-team/keras/blob/master/keras/src/backend/torch/nn.py"
            },
        ),
        *torch_linear.functions(_CROSS_ENTROPY, _CROSS_ENTROPY_OF_PROBABILITIES),
    ),
)
