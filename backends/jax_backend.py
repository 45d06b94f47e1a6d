"""JAX: optax's cross-entropies and jax.nn.log_softmax with a gather, eager and jitted, with gradients by jax.vjp."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from logitmus.backends import compiled_code, keras_losses
from logitmus.core.backend import ALL_MANNERS, Backend, Function, Inputs, Outputs, Usage, computed_from, differentiated
from logitmus.core.computed_logits import COMPUTED, SCALED
from logitmus.core.convention import Convention
from logitmus.core.floats import Array
from logitmus.core.problem import ONCE, TargetKind
from logitmus.core.subject import LEAST_PROFILE, Offer, Precision, same_precision


def _integer_labels(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def _integer_labels_on_axis_1(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(logits, labels, axis=1)


def _integer_labels_masked(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    """Beside a class that the mask leaves out, whose logit is the largest number of the dtype."""
    import jax
    import optax

    finfo: Any = jax.numpy.finfo  # without annotations
    largest = jax.numpy.full_like(logits[..., :1], finfo(logits.dtype).max)
    kept = jax.numpy.arange(logits.shape[-1] + 1) < logits.shape[-1]
    return optax.softmax_cross_entropy_with_integer_labels(
        jax.numpy.concatenate([logits, largest], axis=-1),
        labels,
        where=jax.numpy.ones_like(logits[..., :1], bool) & kept,
    )


def _integer_labels_vmapped(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    import jax
    import optax

    return jax.vmap(optax.softmax_cross_entropy_with_integer_labels)(logits, labels)


def _integer_labels_jitted(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    import jax
    import optax

    return jax.jit(optax.softmax_cross_entropy_with_integer_labels)(logits, labels)


def _dense(logits: Any, targets: Any, _options: Mapping[str, Any]) -> Any:
    import optax

    return optax.softmax_cross_entropy(logits, targets)


def _safe(logits: Any, targets: Any, _options: Mapping[str, Any]) -> Any:
    import optax

    return optax.safe_softmax_cross_entropy(logits, targets)


def _smoothed(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    import optax

    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, options.get("label_smoothing", 0.0)))


def _gather(logits: Any, labels: Any, _options: Mapping[str, Any]) -> Any:
    import jax

    return -jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]


def _start(variant: str) -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU is shared with the other workers
    import jax

    settings: Any = jax.config
    settings.update("jax_enable_x64", variant == "x64")
    _keep_compiled_code(settings)


def _keep_compiled_code(settings: Any) -> None:
    """Lets later workers load what this one compiles, which takes two thirds of a run's time.

    A cache that the user has set up is left as it is.
    """
    from jaxlib import version

    if getattr(settings, "jax_compilation_cache_dir", None):
        return
    folder = compiled_code.folder(f"jaxlib-{version.__version__}", Path(version.__file__).parent.glob("*.so"))
    if folder is None:
        return
    with contextlib.suppress(AttributeError):  # an old release lacks some of these settings
        settings.update("jax_compilation_cache_dir", str(folder))
        settings.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        settings.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # A file that a worker left half written is compiled anew; no result is to carry a warning of it.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")


def _devices() -> Sequence[str]:
    import jax

    default = jax.default_backend()
    return tuple(dict.fromkeys(("cpu", "cuda" if default == "gpu" else default)))


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    return _ask(function, mode, device, inputs, ONCE, inputs.cotangent)


def _differentiate(function: Function, mode: str, device: str, inputs: Inputs, manner: str) -> Outputs:
    return differentiated(inputs, manner, partial(_ask, function, mode, device, inputs, manner))


def _ask(function: Function, mode: str, device: str, inputs: Inputs, manner: str, seed: Array | None) -> Outputs:
    """The loss, and what comes of `seed`: an upstream gradient, or in forward mode a direction."""
    import jax

    place = jax.devices(device)[0]
    options = inputs.given
    if inputs.weight is not None:
        options["weight"] = jax.device_put(inputs.weight, place)
    if mode == "jit":
        if seed is None:  # an argument all the same: a single compilation serves problems with and without it
            seed = np.ones(inputs.logits.shape[:-1], inputs.logits.dtype)
        run = _compiled(function.call, tuple(options.items()), manner)
    else:
        run = _differentiated(function.call, options, manner)
    logits, extra = inputs.logits, inputs.at_labels if manner == "second_order" else None
    if manner in COMPUTED:
        logits, extra = computed_from(inputs, manner)
    given = (logits, inputs.targets, seed, extra)
    loss, gradients = run(*(None if a is None else jax.device_put(a, place) for a in given))
    if not isinstance(loss, jax.Array):
        return Outputs(loss=loss)
    names = ("grad_logits", "second_logits" if manner == "second_order" else "grad_targets")
    return Outputs(loss=np.asarray(loss), **dict(zip(names, map(np.asarray, gradients), strict=False)))


# (logits, targets, seed, extra) -> the loss, and its gradients or its derivative along the seed. The extra argument is
# the direction of the derivative that goes with the gradient by the logits, or the other operand of computed logits.
_Run = Callable[..., tuple[Any, tuple[Any, ...]]]


def _differentiated(call: Callable[..., Any], options: Mapping[str, Any], manner: str) -> _Run:
    """The call and its derivatives as a single function, so that jit compiles both at once."""
    import jax

    def reverse(logits: Any, targets: Any, upstream: Any, _: None = None) -> tuple[Any, tuple[Any, ...]]:
        if jax.numpy.issubdtype(targets.dtype, jax.numpy.floating):
            loss, pull_back = jax.vjp(lambda x, q: call(x, q, options), logits, targets)
        else:
            loss, pull_back = jax.vjp(lambda x: call(x, targets, options), logits)
        if not isinstance(loss, jax.Array) or (upstream is not None and upstream.shape != loss.shape):
            return loss, ()
        seed = jax.numpy.ones_like(loss) if upstream is None else upstream.astype(loss.dtype)
        if manner == "backward_twice":
            pull_back(seed)
        return loss, pull_back(seed)

    def second(logits: Any, targets: Any, upstream: Any, direction: Any) -> tuple[Any, tuple[Any, ...]]:
        loss, gradients = reverse(logits, targets, upstream)
        if not gradients:
            return loss, ()
        gradient, pull_back = jax.vjp(lambda x: reverse(x, targets, upstream)[1][0], logits)
        return loss, (gradient, *pull_back(direction.astype(gradient.dtype)))

    def forward(logits: Any, targets: Any, direction: Any, _: None) -> tuple[Any, tuple[Any, ...]]:
        try:
            loss, along = jax.jvp(lambda x: call(x, targets, options), (logits,), (direction,))
        except TypeError as error:
            if "custom_vjp" not in str(error):
                raise
            raise NotImplementedError(str(error)) from error
        return loss, (along.astype(logits.dtype),)

    def computed(source: Any, targets: Any, upstream: Any, other: Any) -> tuple[Any, tuple[Any, ...]]:
        make = _computation(manner)
        return _differentiated(lambda x, q, given: call(make(x, other), q, given), options, ONCE)(
            source, targets, upstream, None
        )

    others: Mapping[str, _Run] = {
        "forward_mode": forward,
        "second_order": second,
        **dict.fromkeys(COMPUTED, computed),
    }
    return others.get(manner, reverse)


def _computation(manner: str) -> Callable[[Any, Any], Any]:
    """(source, other) -> logits; the gradient by the logits passes for that by the source."""
    import jax

    def plain(source: Any, other: Any) -> Any:
        return source * other if manner == SCALED else jax.numpy.matmul(source, other, precision="highest")

    make: Any = jax.custom_vjp(plain)
    make.defvjp(lambda source, other: (plain(source, other), None), lambda _, upstream: (upstream, None))
    return cast(Callable[[Any, Any], Any], make)


@lru_cache(maxsize=256)
def _compiled(call: Callable[..., Any], options: tuple[tuple[str, Any], ...], manner: str) -> _Run:
    import jax

    compiled: _Run = jax.jit(_differentiated(call, dict(options), manner))
    return compiled


_OPTAX = "https://optax.readthedocs.io/en/latest/api/losses.html#optax.losses."
_JAX = "https://docs.jax.dev/en/latest/"
_LOG_SOFTMAX = _JAX + "_autosummary/jax.nn.log_softmax.html"  # "if any input values are +inf, the result is all NaN"
_LOGSUMEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/ops/special.py"
_INDEXING = _JAX + "_autosummary/jax.numpy.ndarray.at.html"  # negative ones wrap, others beyond the array give NaN

_WIDE = {"result_dtype": "at_most_float32", "wide_inputs": "narrowed", "wide_labels": "narrowed"}
_LOG_SOFTMAX_FIELDS = Convention(infinite_logits="nan", overflowing_shift="infinite").but(**_WIDE)
_LABELS = {"label_out_of_range": "nan", "label_negative": "wrap"}
_DOCS = {
    **dict.fromkeys(_WIDE, _JAX + "default_dtypes.html"),
    "label_out_of_range": _JAX + "_autosummary/jax.numpy.take_along_axis.html",
    "label_negative": _INDEXING,
    "infinite_logits": _LOG_SOFTMAX,
    "overflowing_shift": "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
}
_PRECISION = {
    **same_precision(half_storage="result"),
    "float64": Precision("float32", "float32", "float32"),  # without x64; with it, see `variant_precision`
}
_LABEL_OFFER = Offer(targets=TargetKind.LABELS, manners=ALL_MANNERS, gradients=frozenset({"logits"}))
_PROBABILITY_OFFER = Offer(targets=TargetKind.PROBABILITIES, manners=ALL_MANNERS)

_HELPERS = {
    "one_hot": "jax.nn.one_hot({targets}, K)",
    "softmax": "jax.nn.softmax({logits})",
    "log_softmax": "jax.nn.log_softmax({logits})",
    "normalize": "({logits} / jnp.sum({logits}, axis=-1, keepdims=True))",
    "clip": "jnp.clip({logits}, {low}, 1 - {low})",
    "log": "jnp.log({logits})",
    "exp": "jnp.exp({logits})",
    "classes_last": "jnp.moveaxis({logits}, 1, -1)",
    "classes_1": "jnp.moveaxis({logits}, -1, 1)",
}
_KERAS_ON_JAX = "https://github.com/keras-team/keras/blob/master/keras/src/backend/jax/nn.py"
_X64 = 'jax.config.update("jax_enable_x64", True)'


def _function(
    name: str,
    call: Callable[..., object],
    offer: Offer,
    convention: Convention,
    page: str,
    usage: str,
    *,
    eager: str = LEAST_PROFILE,
    **docs: str,
) -> Function:
    """A function, eager and jitted.

    Args:
        eager: the least profile that has it eagerly, where every operation is compiled for every shape: a second
            each, three times as long as for the jitted function.
    """
    return Function(
        name=name,
        call=call,
        offer=offer,
        convention=convention,
        precision=_PRECISION,
        modes=("", "jit"),
        least_profiles={"": eager},
        flushes_subnormals=True,  # XLA's CPU code does
        docs={"": page, **_DOCS, **docs},
        usage=Usage(
            call=usage,
            arguments={"label_smoothing": "alpha={}"} if "label_smoothing" in offer.options else {},
            statements={"wide_inputs=kept": _X64, "wide_labels=kept": _X64, "result_dtype=as_input": _X64},
            helpers=_HELPERS,
        ),
    )


_INTEGER_LABELS = _function(
    "optax.softmax_cross_entropy_with_integer_labels",
    _integer_labels,
    _LABEL_OFFER,
    # It subtracts the label's logit from the logsumexp: inf - inf, but no difference of two logits.
    _LOG_SOFTMAX_FIELDS.but(**_LABELS, overflowing_shift="exact", infinite_logits="nan_where_met"),
    _OPTAX + "softmax_cross_entropy_with_integer_labels",
    "optax.softmax_cross_entropy_with_integer_labels({logits}, {targets})",
    infinite_logits=_LOGSUMEXP,
)


def _called_otherwise(how: str, call: Callable[..., object], usage: str, **convention: str) -> Function:
    """The same function, eager only, in the full profile: called for one row at a time, compiled by itself, ..."""
    function = _INTEGER_LABELS
    return replace(
        function,
        name=f"{how}-{function.name}",
        call=call,
        offer=replace(function.offer, single_row=False, manners=("again",)),
        convention=function.convention.but(**convention),
        modes=("",),
        least_profiles={"": "full"},
        docs={**function.docs, **dict.fromkeys(convention, function.docs[""])},
        usage=replace(function.usage, call=usage),
    )


BACKEND = Backend(
    name="jax",
    distributions=("jax", "optax"),
    evaluate=_evaluate,
    differentiate=_differentiate,
    start=_start,
    devices=_devices,
    adopt=lambda call: call,
    variants=("", "x64"),
    variant_conventions={"x64": {"result_dtype": "as_input", "wide_inputs": "kept", "wide_labels": "kept"}},
    variant_dtypes={"x64": ("float64",)},
    variant_precision={"x64": {"float64": Precision("float64", "float64", "float64")}},
    functions=(
        _INTEGER_LABELS,
        _called_otherwise(
            "axis_1",
            _integer_labels_on_axis_1,
            "optax.softmax_cross_entropy_with_integer_labels({logits}, {targets}, axis=1)",
            class_axis="1",
        ),
        _called_otherwise(
            "where",
            _integer_labels_masked,
            "optax.softmax_cross_entropy_with_integer_labels(jnp.concatenate("
            "[{logits}, jnp.full_like({logits}[..., :1], jnp.finfo({logits}.dtype).max)], axis=-1), {targets}, where="
            "jnp.ones_like({logits}[..., :1], bool) & (jnp.arange({logits}.shape[-1] + 1) < {logits}.shape[-1]))",
            label_out_of_range="garbage",  # the class that the mask leaves out is no less a class
            label_negative="garbage",
        ),
        _called_otherwise(
            "vmap",
            _integer_labels_vmapped,
            "jax.vmap(optax.softmax_cross_entropy_with_integer_labels)({logits}, {targets})",
        ),
        _called_otherwise(
            "jit",
            _integer_labels_jitted,
            "jax.jit(optax.softmax_cross_entropy_with_integer_labels)({logits}, {targets})",
        ),
        _function(
            "optax.softmax_cross_entropy",
            _dense,
            _PROBABILITY_OFFER,
            _LOG_SOFTMAX_FIELDS.but(zero_times_infinity="nan"),
            _OPTAX + "softmax_cross_entropy",
            "optax.softmax_cross_entropy({logits}, {targets})",
            zero_times_infinity=_OPTAX + "safe_softmax_cross_entropy",  # documents the difference
        ),
        _function(
            "optax.safe_softmax_cross_entropy",
            _safe,
            _PROBABILITY_OFFER,
            _LOG_SOFTMAX_FIELDS,
            _OPTAX + "safe_softmax_cross_entropy",
            "optax.safe_softmax_cross_entropy({logits}, {targets})",
            eager="full",
            zero_times_infinity=_OPTAX + "safe_softmax_cross_entropy",
        ),
        _function(
            "optax.smooth_labels-softmax_cross_entropy",
            _smoothed,
            replace(_PROBABILITY_OFFER, options=frozenset({"label_smoothing"})),
            _LOG_SOFTMAX_FIELDS.but(zero_times_infinity="nan"),
            _OPTAX + "smooth_labels",
            "optax.softmax_cross_entropy({logits}, optax.smooth_labels({targets}, {more}))",
            smoothing=_OPTAX + "smooth_labels",
            zero_times_infinity=_OPTAX + "safe_softmax_cross_entropy",
        ),
        _function(
            "nn.log_softmax-take_along_axis",
            _gather,
            _LABEL_OFFER,
            _LOG_SOFTMAX_FIELDS.but(**_LABELS),
            _LOG_SOFTMAX,
            "-jnp.take_along_axis(jax.nn.log_softmax({logits}), {targets}[..., None], axis=-1)[..., 0]",
            eager="full",
        ),
        *keras_losses.functions(
            "jax",
            _HELPERS,
            labels={"wide_labels": "narrowed"},
            probabilities={"zero_times_infinity": "nan"},
            links={"wide_labels": _DOCS["wide_labels"], "zero_times_infinity": _KERAS_ON_JAX},
        ),
    ),
)
