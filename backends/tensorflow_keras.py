"""Keras' losses on TensorFlow: `functions`. Those on PyTorch and JAX are in `keras_losses`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from logitmus.backends.keras_losses import PAGE, REDUCTIONS, SOURCE
from logitmus.core.backend import Function, Usage
from logitmus.core.floats import LABEL_DTYPES
from logitmus.core.subject import Offer, Precision, same_precision

_FIELDS: Final = {
    "default_reduction": "mean",
    "all_ignored_mean": "zero",
    "empty_batch_mean": "zero",
    "result_dtype": "always_float32",
    "wide_inputs": "narrowed",
}
_FROM_PROBABILITIES: Final = {"inputs": "probabilities", "probability_clip": "1e-7", "zero_times_infinity": "zero"}
_DOCS: Final = {
    **dict.fromkeys(("", "inputs", "default_reduction", "result_dtype", "wide_inputs", "smoothing"), PAGE),
    # The documentation says "divide by the sample size"; a mask, and nothing to divide by, only the source knows.
    **dict.fromkeys(("mean_denominator", "all_ignored_mean", "empty_batch_mean"), SOURCE + "losses/loss.py"),
    **dict.fromkeys(("probability_clip", "probability_scale"), SOURCE + "backend/tensorflow/nn.py"),
}
# A loss converts whatever it gets to keras.config.floatx(); the functions keep the dtype, and reduce nothing.
_CONVERTED: Final = dict.fromkeys(
    ("float64", "float32", "bfloat16", "float16"), Precision("float32", "float32", "float32")
)
_OF_FUNCTIONS: Final = {"default_reduction": "none", "result_dtype": "as_input", "wide_inputs": "kept"}
_ARGUMENTS: Final = {"ignore_index": "ignore_class={}", "label_smoothing": "label_smoothing={}"}


def _loss(inputs: Any, targets: Any, options: Mapping[str, Any], *, name: str, **arguments: Any) -> Any:
    """A loss object with the arguments that the options are, called."""
    import keras

    given = _given(options)
    if "reduction" in options:  # else Keras' own default holds
        given["reduction"] = REDUCTIONS[options["reduction"]]
    return getattr(keras.losses, name)(**arguments, **given)(targets, inputs)


def _sparse_of_softmax(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    import tensorflow as tf

    return _loss(tf.nn.softmax(logits), targets, options, name="SparseCategoricalCrossentropy")


def _sparse_in_own_dtype(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    sparse = "SparseCategoricalCrossentropy"
    return _loss(logits, targets, options, name=sparse, from_logits=True, dtype=logits.dtype.name)


def _dense_on_axis_1(logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
    axis = min(1, logits.ndim - 1)
    return _loss(logits, targets, options, name="CategoricalCrossentropy", from_logits=True, axis=axis)


def _function(logits: Any, targets: Any, options: Mapping[str, Any], *, name: str) -> Any:
    import keras

    return getattr(keras.losses, name)(targets, logits, from_logits=True, **_given(options))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keras' arguments for the options that it has, but for the reduction."""
    names = {"ignore_index": "ignore_class", "label_smoothing": "label_smoothing"}
    return {names[option]: value for option, value in options.items() if option in names}


def _usage(name: str, offer: Offer, helpers: Mapping[str, str]) -> Usage:
    """`NAME.from_logits` is NAME with that argument."""
    plain, given, _ = name.partition(".from_logits")
    return Usage(
        call=f"{plain}({'from_logits=True, ' if given else ''}{{more}})({{targets}}, {{logits}})",
        arguments={
            **{option: text for option, text in _ARGUMENTS.items() if option in offer.options},
            **{f"reduction={ours}": f'reduction="{theirs}"' for ours, theirs in REDUCTIONS.items()},
            **({"inputs=probabilities": "from_logits=False"} if given else {"inputs=logits": "from_logits=True"}),
        },
        helpers=helpers,
    )


def _called_otherwise(
    function: Function,
    usage: str,
    *,
    modes: tuple[str, ...] = ("",),
    least_profile: str = "default",
    **offer: Any,
) -> Function:
    """A function of Keras in a way that is not the usual one, without switches.

    Args:
        usage: how it is written. offer: what it takes, where it takes less.
    """
    arguments = {name: text for name, text in function.usage.arguments.items() if not name.startswith("inputs=")}
    return replace(
        function,
        offer=replace(function.offer, manners=("again",), **offer),
        modes=modes,
        mode_conventions={},
        usage=replace(function.usage, call=usage, arguments=arguments),
        least_profiles=dict.fromkeys(modes, least_profile),
        switches={},
    )


def functions(of_labels: Function, of_probabilities: Function) -> tuple[Function, ...]:
    """The losses, with the arrays, modes and switches of these two functions of `tf.nn`, which they call."""

    def loss(name: str, of: Function, option: str, mean_denominator: str, **fields: str) -> Function:
        plain, given, _ = name.partition(".from_logits")
        offer = replace(
            of.offer, options=frozenset({option}), reductions=tuple(REDUCTIONS), label_dtypes=tuple(LABEL_DTYPES)
        )
        return replace(
            of,
            name=f"keras.losses.{name}",
            call=partial(_loss, name=plain, from_logits=bool(given)),
            offer=offer,
            convention=of.convention.but(**_FIELDS, mean_denominator=mean_denominator, **fields),
            precision=_CONVERTED,
            docs={**of.docs, **_DOCS},
            usage=_usage(f"keras.losses.{name}", offer, of.usage.helpers),
        )

    sparse = loss("SparseCategoricalCrossentropy.from_logits", of_labels, "ignore_index", "kept")
    dense = loss("CategoricalCrossentropy.from_logits", of_probabilities, "label_smoothing", "rows")
    return (
        loss(
            "SparseCategoricalCrossentropy",
            of_labels,
            "ignore_index",
            "kept",
            **_FROM_PROBABILITIES,
            probability_scale="after_clip",
        ),
        sparse,
        replace(
            loss(
                "CategoricalCrossentropy",
                of_probabilities,
                "label_smoothing",
                "rows",
                **_FROM_PROBABILITIES,
                probability_scale="before_clip",
                soft_target_gradient="scaled",
            ),
            mode_conventions={},
        ),
        dense,
        _called_otherwise(
            replace(sparse, name="keras.losses.SparseCategoricalCrossentropy-nn.softmax", call=_sparse_of_softmax),
            "keras.losses.SparseCategoricalCrossentropy({more})({targets}, tf.nn.softmax({logits}))",
            modes=("", "graph"),
            least_profile="full",  # eagerly it has so many findings that to judge them takes long
            dtypes=("float32",),
            spatial=False,
        ),
        _called_otherwise(
            replace(
                sparse,
                name="keras.losses.SparseCategoricalCrossentropy-dtype",
                call=_sparse_in_own_dtype,
                convention=sparse.convention.but(result_dtype="as_input", overflowing_shift="infinite"),
                precision=same_precision(half_storage="result"),
            ),
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype={logits}.dtype.name, {more})"
            "({targets}, {logits})",
            dtypes=("bfloat16", "float16"),
        ),
        _called_otherwise(
            replace(
                dense,
                name="keras.losses.CategoricalCrossentropy-axis_1",
                call=_dense_on_axis_1,
                convention=dense.convention.but(class_axis="1"),
                docs={**dense.docs, "class_axis": PAGE},
            ),
            "keras.losses.CategoricalCrossentropy(from_logits=True, axis=1, {more})({targets}, {logits})",
            dtypes=("float32",),
            single_row=False,
        ),
        _functional(sparse, "sparse_categorical_crossentropy"),
        _functional(dense, "categorical_crossentropy"),
    )


def _functional(loss: Function, name: str) -> Function:
    """The function that a loss object calls, after it has converted its inputs."""
    return _called_otherwise(
        replace(
            loss,
            name=f"keras.losses.{name}",
            call=partial(_function, name=name),
            convention=loss.convention.but(**_OF_FUNCTIONS),
            precision=same_precision(half_storage="result"),
            docs={**loss.docs, **dict.fromkeys(_OF_FUNCTIONS, SOURCE + "losses/losses.py")},
        ),
        f"keras.losses.{name}({{targets}}, {{logits}}, from_logits=True, {{more}})",
        least_profile="full",
        reductions=("none",),
    )
