"""TensorFlow's two cross-entropies and the Keras losses on it, eager and under XLA, with gradients by GradientTape."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from logitmus.backends import compiled_code, tensorflow_keras
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
_Options = Mapping[str, Any]  # those that the problem gives


def _sparse(logits: Any, targets: Any, _options: _Options) -> Any:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)


def _dense(logits: Any, targets: Any, _options: _Options) -> Any:
    import tensorflow as tf

    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)


_kept: list[Path] = []  # the folder of this process with compiled code, if there is one


def _start(switch: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # these subjects are Keras on TensorFlow, whatever the user's default
    with _keeping_compiled_code(switch):
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # it warns of many signatures, which are what a suite is made of
        if switch == "deterministic":
            tf.config.experimental.enable_op_determinism()
        elif switch == "threads-2":
            tf.config.threading.set_intra_op_parallelism_threads(2)
            tf.config.threading.set_inter_op_parallelism_threads(2)
        tf.config.list_logical_devices()  # reads the flags


@contextlib.contextmanager
def _keeping_compiled_code(switch: str) -> Iterator[None]:
    """Has XLA keep what it compiles for the CPU; the flag is not left in the environment that a run records.

    Flags that the user has set are left as they are, and nothing is kept.
    """
    package = find_spec("tensorflow")
    places = package.submodule_search_locations if package else None
    libraries = [library for place in places or () for library in Path(place).glob("*.so*")]
    folder = compiled_code.folder("tensorflow", libraries, switch, os.environ.get("XLA_FLAGS", ""))
    if folder is None or "TF_XLA_FLAGS" in os.environ:
        yield
        return
    _kept[:] = [folder]
    os.environ["TF_XLA_FLAGS"] = (
        f"--tf_xla_persistent_cache_directory={folder} --tf_xla_persistent_cache_device_types=CPU"
    )
    try:
        yield
    finally:
        del os.environ["TF_XLA_FLAGS"]


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
        given = tf.constant(logits), targets, along, None if extra is None else tf.constant(extra)
        if mode:
            described = function.call, tuple(options.items()), manner, (device, *inputs.signature)
            loss, gradients = _run_compiled(given, *described, xla=mode == "xla")
        else:
            loss, gradients = _differentiated(function.call, options, manner)(*given)
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


def _run_compiled(given: tuple[Any, ...], *described: Any, xla: bool) -> tuple[Any, list[Any]]:
    """What `_compiled(*described)` gives; where the files with compiled code are damaged, it is compiled anew."""
    import tensorflow as tf

    try:
        return _compiled(*described, xla=xla)(*given)
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):  # of such a file
        for file in (file for folder in _kept for file in folder.glob("*.pb")):
            file.unlink(missing_ok=True)
        _compiled.cache_clear()  # a trace that could not be compiled fails ever after
        return _compiled(*described, xla=xla)(*given)


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


_OF_LABELS = Function(
    name="nn.sparse_softmax_cross_entropy_with_logits",
    call=_sparse,
    offer=Offer(
        targets=TargetKind.LABELS,
        label_dtypes=("int32", "int64"),
        manners=ALL_MANNERS,
        gradients=frozenset({"logits"}),
    ),
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
)
_OF_PROBABILITIES = Function(
    name="nn.softmax_cross_entropy_with_logits",
    call=_dense,
    offer=Offer(targets=TargetKind.PROBABILITIES, manners=ALL_MANNERS),
    convention=_DENSE,
    precision=same_precision(),
    modes=_MODES,
    flushes_subnormals=True,
    docs=_DENSE_DOCS,
    mode_conventions={"xla": {"zero_times_infinity": "zero"}},
    usage=Usage(call="tf.nn.softmax_cross_entropy_with_logits(labels={targets}, logits={logits})", helpers=_HELPERS),
    switches=_SWITCHES,
)

BACKEND = Backend(
    name="tensorflow",
    distributions=("tensorflow", "keras"),
    evaluate=_evaluate,
    differentiate=_differentiate,
    start=_start,
    devices=_devices,
    adopt=lambda call: call,
    functions=(_OF_LABELS, _OF_PROBABILITIES, *tensorflow_keras.functions(_OF_LABELS, _OF_PROBABILITIES)),
)
