"""TensorFlow's two cross-entropies and the Keras losses on it, eager and under XLA, with gradients by GradientTape."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final

from logitmus.core.backend import (
    ALL_MANNERS,
    Backend,
    Function,
    Inputs,
    Outputs,
    Switch,
    Usage,
    computed_from,
    differentiated,
)
from logitmus.core.computed_logits import COMPUTED, SCALED
from logitmus.core.convention import Convention
from logitmus.core.floats import Array
from logitmus.core.problem import ONCE, TargetKind
from logitmus.core.subject import Offer, Precision, same_precision

_DEVICES: Final = {"cpu": "CPU", "cuda": "GPU"}
# Keras' mean is called so in every version of Keras 3.
_KERAS_REDUCTIONS: Final = {"none": "none", "sum": "sum", "mean": "sum_over_batch_size"}


_Options = Mapping[str, Any]  # those that the problem gives


def _sparse(logits: Any, targets: Any, _options: _Options) -> Any:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)


def _dense(logits: Any, targets: Any, _options: _Options) -> Any:
    import tensorflow as tf

    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)


def _keras_reduction(options: _Options) -> dict[str, Any]:
    """The argument for a requested reduction; without it, Keras' own default holds."""
    return {"reduction": _KERAS_REDUCTIONS[options["reduction"]]} if "reduction" in options else {}


def _keras_sparse(
    logits: Any, targets: Any, options: _Options, *, from_logits: bool = False, dtype: str | None = None
) -> Any:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=from_logits,
        ignore_class=options.get("ignore_index"),
        dtype=dtype,
        **_keras_reduction(options),
    )
    return loss(targets, logits)


def _keras_sparse_logits(logits: Any, targets: Any, options: _Options) -> Any:
    return _keras_sparse(logits, targets, options, from_logits=True)


def _keras_dense(logits: Any, targets: Any, options: _Options, *, from_logits: bool = False, axis: int = -1) -> Any:
    import keras

    loss = keras.losses.CategoricalCrossentropy(
        from_logits=from_logits,
        label_smoothing=options.get("label_smoothing", 0.0),
        axis=axis,
        **_keras_reduction(options),
    )
    return loss(targets, logits)


def _keras_dense_logits(logits: Any, targets: Any, options: _Options) -> Any:
    return _keras_dense(logits, targets, options, from_logits=True)


def _keras_sparse_softmax(logits: Any, targets: Any, options: _Options) -> Any:
    import tensorflow as tf

    return _keras_sparse(tf.nn.softmax(logits), targets, options)


def _keras_sparse_own_dtype(logits: Any, targets: Any, options: _Options) -> Any:
    return _keras_sparse(logits, targets, options, from_logits=True, dtype=logits.dtype.name)


def _keras_dense_axis_1(logits: Any, targets: Any, options: _Options) -> Any:
    return _keras_dense(logits, targets, options, from_logits=True, axis=min(1, logits.ndim - 1))


def _start(switch: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # these subjects are Keras on TensorFlow, whatever the user's default
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of many signatures, which are what a suite is made of
    if switch == "deterministic":
        tf.config.experimental.enable_op_determinism()
    elif switch == "threads-2":
        tf.config.threading.set_intra_op_parallelism_threads(2)
        tf.config.threading.set_inter_op_parallelism_threads(2)


def _devices() -> Sequence[str]:
    import tensorflow as tf

    return tuple(ours for ours, theirs in _DEVICES.items() if tf.config.list_logical_devices(theirs))


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    return _ask(function, mode, device, inputs, ONCE, inputs.cotangent)


def _differentiate(function: Function, mode: str, device: str, inputs: Inputs, manner: str) -> Outputs:
    return differentiated(inputs, manner, partial(_ask, function, mode, device, inputs, manner))


def _ask(function: Function, mode: str, device: str, inputs: Inputs, manner: str, seed: Array | None) -> Outputs:
    """The loss, and what comes of `seed`: an upstream gradient, or in forward mode a direction."""
    import tensorflow as tf

    options = inputs.given
    with tf.device(f"/{_DEVICES[device]}:0"):
        targets = tf.constant(inputs.targets)
        logits, extra = inputs.logits, inputs.at_labels if manner == "second_order" else None
        if manner in COMPUTED:
            logits, extra = computed_from(inputs, manner)
        along = None if seed is None else tf.constant(seed)
        if inputs.weight is not None:
            options["weight"] = tf.constant(inputs.weight)
        run = (
            _compiled(function.call, tuple(options.items()), manner, (device, *inputs.signature), xla=mode == "xla")
            if mode
            else _differentiated(function.call, options, manner)
        )
        loss, gradients = run(tf.constant(logits), targets, along, None if extra is None else tf.constant(extra))
    if not tf.is_tensor(loss):
        return Outputs(loss=loss)
    # Converted, for the gradient of a gather may come as slices.
    arrays = [None if gradient is None else tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    names = ("grad_logits", "second_logits" if manner == "second_order" else "grad_targets")
    return Outputs(loss=loss.numpy(), **dict(zip(names, arrays, strict=False)))


# (logits, targets, seed, extra) -> the loss, and its gradients or its derivative along the seed. The extra argument is
# the direction of the derivative that goes with the gradient by the logits, or the other operand of computed logits.
_Run = Callable[..., tuple[Any, list[Any]]]


def _differentiated(call: Callable[..., object], options: _Options, manner: str) -> _Run:
    import tensorflow as tf

    def reverse(logits: Any, targets: Any, upstream: Any, _: None = None) -> tuple[Any, list[Any]]:
        watched = [logits, targets] if targets.dtype.is_floating else [logits]
        twice = manner == "backward_twice"
        with tf.GradientTape(persistent=twice) as tape:
            tape.watch(watched)
            loss: Any = call(logits, targets, options)
        if not tf.is_tensor(loss) or (upstream is not None and loss.shape != upstream.shape):
            return loss, [None] * len(watched)
        seed = None if upstream is None else tf.cast(upstream, loss.dtype)  # Keras' losses have a dtype of their own
        if twice:
            tape.gradient(loss, watched, output_gradients=seed)
        return loss, tape.gradient(loss, watched, output_gradients=seed)

    def second(logits: Any, targets: Any, upstream: Any, direction: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss, (gradient,) = reverse(logits, targets, upstream)
            if gradient is None:
                return loss, [None]
            gradient = tf.convert_to_tensor(gradient)
        along = tf.cast(direction, gradient.dtype)
        return loss, [gradient, tape.gradient(gradient, logits, along, unconnected_gradients="zero")]

    def forward(logits: Any, targets: Any, direction: Any, _: None) -> tuple[Any, list[Any]]:
        try:
            with tf.autodiff.ForwardAccumulator(logits, direction) as accumulator:
                loss: Any = call(logits, targets, options)
            along = accumulator.jvp(loss)
        except LookupError as error:
            if isinstance(error, KeyError | IndexError):
                raise
            # It differentiates the gradient, which may have none.
            raise NotImplementedError(str(error)) from error
        return loss, [None if along is None else tf.cast(along, logits.dtype)]

    def computed(source: Any, targets: Any, upstream: Any, other: Any) -> tuple[Any, list[Any]]:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def make(source: Any) -> tuple[Any, Callable[[Any], Any]]:
            """The gradient by the logits passes for that by the source."""
            return source * other if manner == SCALED else tf.matmul(source, other), lambda upstream: upstream

        return _differentiated(lambda x, q, given: call(make(x), q, given), options, ONCE)(
            source, targets, upstream, None
        )

    others: Mapping[str, _Run] = {
        "forward_mode": forward,
        "second_order": second,
        **dict.fromkeys(COMPUTED, computed),
    }
    return others.get(manner, reverse)


@lru_cache(maxsize=256)
def _compiled(
    call: Callable[..., object],
    options: tuple[tuple[str, Any], ...],
    manner: str,
    _signature: tuple[object, ...],
    *,
    xla: bool,
) -> _Run:
    """The same as a graph, which XLA may compile.

    One tf.function a signature: it keeps every trace, and can only be dropped here.
    """
    import tensorflow as tf

    compiled: _Run = tf.function(_differentiated(call, dict(options), manner), jit_compile=xla, autograph=False)
    return compiled


_TF = "https://www.tensorflow.org/api_docs/python/tf/nn/"
_KERNELS = "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/"
_KERAS = "https://keras.io/api/losses/probabilistic_losses/"
_KERAS_SOURCE = "https://github.com/keras-team/keras/blob/master/keras/src/"

_MODES = ("", "xla")
_NO_REFUSAL = {"label_out_of_range": "nan", "label_negative": "nan"}
# Both kernels shift in float32 for narrower logits (the sparse kernel not for bfloat16, whose range is the same).
_SPARSE = Convention(infinite_logits="nan", overflowing_shift="infinite_float32")
# Its documentation: where a row of labels is no distribution, "the computation of the gradient will be incorrect".
_DENSE = _SPARSE.but(soft_target_gradient="plain", zero_times_infinity="nan")
_SPARSE_DOCS = {
    **dict.fromkeys(("", "label_out_of_range", "label_negative"), _TF + "sparse_softmax_cross_entropy_with_logits"),
    **dict.fromkeys(("infinite_logits", "overflowing_shift"), _KERNELS + "sparse_xent_op.h"),
}
_DENSE_DOCS = {
    **dict.fromkeys(("", "soft_target_gradient"), _TF + "softmax_cross_entropy_with_logits"),
    **dict.fromkeys(("infinite_logits", "overflowing_shift", "zero_times_infinity"), _KERNELS + "xent_op.h"),
}
_KERAS_FIELDS = {
    "default_reduction": "mean",
    "all_ignored_mean": "zero",
    "empty_batch_mean": "zero",
    "result_dtype": "always_float32",
    "wide_inputs": "narrowed",
}
_FROM_PROBABILITIES = {"inputs": "probabilities", "probability_clip": "1e-7", "zero_times_infinity": "zero"}
_KERAS_DOCS = {
    **dict.fromkeys(("", "inputs", "default_reduction", "result_dtype", "wide_inputs"), _KERAS),
    # The documentation says "divide by the sample size"; a mask, and nothing to divide by, only the source knows.
    **dict.fromkeys(("mean_denominator", "all_ignored_mean", "empty_batch_mean"), _KERAS_SOURCE + "losses/loss.py"),
    **dict.fromkeys(("probability_clip", "probability_scale"), _KERAS_SOURCE + "backend/tensorflow/nn.py"),
    "smoothing": _KERAS,
}

_HELPERS = {
    "one_hot": "tf.one_hot({targets}, K)",
    "softmax": "tf.nn.softmax({logits})",
    "log_softmax": "tf.nn.log_softmax({logits})",
    "normalize": "({logits} / tf.reduce_sum({logits}, axis=-1, keepdims=True))",
    "clip": "tf.clip_by_value({logits}, {low}, 1 - {low})",
    "log": "tf.math.log({logits})",
    "exp": "tf.exp({logits})",
    "classes_last": "tf.experimental.numpy.moveaxis({logits}, 1, -1)",
    "classes_1": "tf.experimental.numpy.moveaxis({logits}, -1, 1)",
}


_CONFIG = "https://www.tensorflow.org/api_docs/python/tf/config/"
# Each is a worker of its own: neither can be set after the first call, or unset. Otherwise workers have one thread.
_SWITCHES = {
    "deterministic": Switch(
        statement="tf.config.experimental.enable_op_determinism()", docs=_CONFIG + "experimental/enable_op_determinism"
    ),
    "threads-2": Switch(
        statement="tf.config.threading.set_intra_op_parallelism_threads(2); "
        "tf.config.threading.set_inter_op_parallelism_threads(2)",
        docs=_CONFIG + "threading/set_intra_op_parallelism_threads",
    ),
}


def _keras_usage(name: str, offer: Offer) -> Usage:
    """`NAME.from_logits` is NAME with that argument; what stands behind a hyphen is not a part of NAME."""
    plain, given, _ = name.partition("-")[0].partition(".from_logits")
    options = {"ignore_index": "ignore_class={}", "label_smoothing": "label_smoothing={}"}
    return Usage(
        call=f"{plain}({'from_logits=True, ' if given else ''}{{more}})({{targets}}, {{logits}})",
        arguments={
            **{option: text for option, text in options.items() if option in offer.options},
            **{f"reduction={ours}": f'reduction="{theirs}"' for ours, theirs in _KERAS_REDUCTIONS.items()},
            **({"inputs=probabilities": "from_logits=False"} if given else {"inputs=logits": "from_logits=True"}),
        },
        helpers=_HELPERS,
    )


def _keras(
    name: str,
    call: Callable[..., object],
    offer: Offer,
    convention: Convention,
    docs: Mapping[str, str],
    *,
    xla: Mapping[str, str],
    cuda: Mapping[str, str],
    modes: tuple[str, ...] = _MODES,
) -> Function:
    return Function(
        name=name,
        call=call,
        offer=offer,
        convention=convention,
        # A Keras loss converts whatever it gets to keras.config.floatx().
        precision=dict.fromkeys(
            ("float64", "float32", "bfloat16", "float16"), Precision("float32", "float32", "float32")
        ),
        modes=modes,
        flushes_subnormals=True,
        docs={**docs, **_KERAS_DOCS},
        mode_conventions={"xla": xla},
        device_conventions={"cuda": cuda},
        usage=_keras_usage(name, offer),
        switches=_SWITCHES,
    )


_REDUCTIONS = ("none", "sum", "mean")
_SPARSE_OFFER = Offer(targets=TargetKind.LABELS, manners=ALL_MANNERS, gradients=frozenset({"logits"}))
_DENSE_OFFER = Offer(targets=TargetKind.PROBABILITIES, manners=ALL_MANNERS)
_KERAS_SPARSE_OFFER = replace(_SPARSE_OFFER, options=frozenset({"ignore_index"}), reductions=_REDUCTIONS)
_KERAS_DENSE_OFFER = replace(_DENSE_OFFER, options=frozenset({"label_smoothing"}), reductions=_REDUCTIONS)
_KERAS_SPARSE = _SPARSE.but(**_KERAS_FIELDS, mean_denominator="kept")
_KERAS_DENSE = _DENSE.but(**_KERAS_FIELDS, mean_denominator="rows")


def _special(function: Function, call: str, *, least_profile: str = "default") -> Function:
    """A way to call a Keras loss that is not the usual one; `call` is how it is written."""
    arguments = {name: text for name, text in function.usage.arguments.items() if not name.startswith("inputs=")}
    return replace(
        function,
        usage=replace(function.usage, call=call, arguments=arguments),
        least_profiles=dict.fromkeys(function.modes, least_profile),
        switches={},
    )


_SPECIAL: Final = (
    _special(
        _keras(
            "keras.losses.SparseCategoricalCrossentropy-nn.softmax",
            _keras_sparse_softmax,
            replace(_KERAS_SPARSE_OFFER, dtypes=("float32",), manners=("again",), spatial=False),
            _KERAS_SPARSE,
            _SPARSE_DOCS,
            xla={},
            cuda=_NO_REFUSAL,
            modes=("", "graph"),
        ),
        "keras.losses.SparseCategoricalCrossentropy({more})({targets}, tf.nn.softmax({logits}))",
        least_profile="full",  # eagerly it has so many findings that to judge them takes long
    ),
    _special(
        replace(
            _keras(
                "keras.losses.SparseCategoricalCrossentropy-dtype",
                _keras_sparse_own_dtype,
                replace(_KERAS_SPARSE_OFFER, dtypes=("bfloat16", "float16"), manners=("again",)),
                _KERAS_SPARSE.but(result_dtype="as_input", overflowing_shift="infinite"),
                _SPARSE_DOCS,
                xla={},
                cuda=_NO_REFUSAL,
                modes=("",),
            ),
            precision=same_precision(half_storage="result"),
        ),
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype={logits}.dtype.name, {more})"
        "({targets}, {logits})",
    ),
    _special(
        _keras(
            "keras.losses.CategoricalCrossentropy-axis_1",
            _keras_dense_axis_1,
            replace(_KERAS_DENSE_OFFER, dtypes=("float32",), manners=("again",), single_row=False),
            _KERAS_DENSE.but(class_axis="1"),
            {**_DENSE_DOCS, "class_axis": _KERAS},
            xla={},
            cuda={},
            modes=("",),
        ),
        "keras.losses.CategoricalCrossentropy(from_logits=True, axis=1, {more})({targets}, {logits})",
    ),
)

BACKEND = Backend(
    name="tensorflow",
    distributions=("tensorflow", "keras"),
    evaluate=_evaluate,
    differentiate=_differentiate,
    start=_start,
    devices=_devices,
    adopt=lambda call: call,
    functions=(
        Function(
            name="nn.sparse_softmax_cross_entropy_with_logits",
            call=_sparse,
            offer=replace(_SPARSE_OFFER, label_dtypes=("int32", "int64")),
            convention=_SPARSE,
            # nn_ops.py casts float16 to float32 around the kernel, and bfloat16 not.
            precision={
                **same_precision(),
                "bfloat16": Precision("bfloat16", "bfloat16", "float32"),
            },
            modes=_MODES,
            flushes_subnormals=True,
            docs=_SPARSE_DOCS,
            mode_conventions={"xla": _NO_REFUSAL},
            device_conventions={"cuda": _NO_REFUSAL},
            usage=Usage(
                call="tf.nn.sparse_softmax_cross_entropy_with_logits(labels={targets}, logits={logits})",
                helpers=_HELPERS,
            ),
            switches=_SWITCHES,
        ),
        Function(
            name="nn.softmax_cross_entropy_with_logits",
            call=_dense,
            offer=_DENSE_OFFER,
            convention=_DENSE,
            precision=same_precision(),
            modes=_MODES,
            flushes_subnormals=True,
            docs=_DENSE_DOCS,
            mode_conventions={"xla": {"zero_times_infinity": "zero"}},
            usage=Usage(
                call="tf.nn.softmax_cross_entropy_with_logits(labels={targets}, logits={logits})", helpers=_HELPERS
            ),
            switches=_SWITCHES,
        ),
        _keras(
            "keras.losses.SparseCategoricalCrossentropy",
            _keras_sparse,
            _KERAS_SPARSE_OFFER,
            _KERAS_SPARSE.but(**_FROM_PROBABILITIES, probability_scale="after_clip"),
            _SPARSE_DOCS,
            xla=_NO_REFUSAL,
            cuda=_NO_REFUSAL,
        ),
        _keras(
            "keras.losses.SparseCategoricalCrossentropy.from_logits",
            _keras_sparse_logits,
            _KERAS_SPARSE_OFFER,
            _KERAS_SPARSE,
            _SPARSE_DOCS,
            xla=_NO_REFUSAL,
            cuda=_NO_REFUSAL,
        ),
        _keras(
            "keras.losses.CategoricalCrossentropy",
            _keras_dense,
            _KERAS_DENSE_OFFER,
            _KERAS_DENSE.but(**_FROM_PROBABILITIES, probability_scale="before_clip", soft_target_gradient="scaled"),
            _DENSE_DOCS,
            xla={},
            cuda={},
        ),
        _keras(
            "keras.losses.CategoricalCrossentropy.from_logits",
            _keras_dense_logits,
            _KERAS_DENSE_OFFER,
            _KERAS_DENSE,
            _DENSE_DOCS,
            xla={"zero_times_infinity": "zero"},
            cuda={},
        ),
        *_SPECIAL,
    ),
)
