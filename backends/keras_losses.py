"""Keras' losses on PyTorch, JAX and NumPy, which Keras implements for each anew: `functions`.

They are functions of the backend of that framework, called in its arrays and differentiated by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from logitmus.core.backend import Function, NotAskedError, Usage
from logitmus.core.convention import Convention
from logitmus.core.problem import TargetKind
from logitmus.core.subject import Offer, Precision

REDUCTIONS: Final = {"none": "none", "sum": "sum", "mean": "sum_over_batch_size"}
"""Keras' names of the reductions, by ours; "sum_over_batch_size" is called so in every version of Keras 3."""

PAGE: Final = "https://keras.io/api/losses/probabilistic_losses/"
SOURCE: Final = "https://github.com/keras-team/keras/blob/master/keras/src/"
_FIELDS: Final = Convention(
    default_reduction="mean",
    all_ignored_mean="zero",
    empty_batch_mean="zero",
    result_dtype="always_float32",
    wide_inputs="narrowed",
    infinite_logits="nan",
    overflowing_shift="infinite",
)
_OF_PROBABILITIES: Final = {
    "inputs": "probabilities",
    "probability_clip": "1e-7",
    "probability_scale": "before_clip",
    "zero_times_infinity": "zero",
}
_MORE: Final = {f"reduction={ours}": f'reduction="{theirs}"' for ours, theirs in REDUCTIONS.items()}


def _loss(
    inputs: Any,
    targets: Any,
    options: Mapping[str, Any],
    *,
    host: str,
    name: str,
    arguments: Mapping[str, str],
    from_logits: bool,
) -> Any:
    os.environ["KERAS_BACKEND"] = host  # it is read once, when Keras is imported
    try:
        import keras
    except ImportError as error:
        raise NotAskedError(f"Keras is not installed: {error}") from error
    given = {arguments[option]: value for option, value in options.items() if option in arguments}
    if "reduction" in options:
        given["reduction"] = REDUCTIONS[options["reduction"]]
    return getattr(keras.losses, name)(from_logits=from_logits, **given)(targets, inputs)


def functions(
    host: str,
    helpers: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    probabilities: Mapping[str, str],
    links: Mapping[str, str],
    differentiable: bool = True,
) -> tuple[Function, ...]:
    """The losses with labels and with target probabilities, of logits and of probabilities.

    Args:
        host: "torch", "jax" or "numpy".
        helpers: as in `Usage`.
        labels, probabilities: the fields in which their conventions are those of the host.
        links: the documentation of these fields.
        differentiable: whether the host has gradients.
    """

    def function(
        kind: TargetKind, name: str, convention: Convention, arguments: Mapping[str, str], *, from_logits: bool
    ) -> Function:
        of = {} if from_logits else _OF_PROBABILITIES
        gradients = {"logits", "targets"} if kind is TargetKind.PROBABILITIES else {"logits"}
        call: Callable[..., object] = partial(_loss, host=host, name=name, arguments=arguments, from_logits=from_logits)
        return Function(
            name=f"keras.losses.{name}{'' if from_logits else '-of_probabilities'}-on_{host}",
            call=call,
            offer=Offer(
                targets=kind,
                options=frozenset(arguments),
                reductions=tuple(REDUCTIONS),
                dtypes=("float32", "bfloat16", "float16"),
                label_dtypes=("int32", "int64"),
                manners=("again",),
                gradients=frozenset(gradients if differentiable else ()),
            ),
            convention=convention.but(**of),
            # It converts whatever it gets to keras.config.floatx().
            precision=dict.fromkeys(("float32", "bfloat16", "float16"), Precision("float32", "float32", "float32")),
            flushes_subnormals=host == "jax",
            docs={
                **dict.fromkeys(("", "default_reduction", "result_dtype", "wide_inputs"), PAGE),
                **dict.fromkeys(
                    ("mean_denominator", "all_ignored_mean", "empty_batch_mean"), SOURCE + "losses/loss.py"
                ),
                **dict.fromkeys(("infinite_logits", "overflowing_shift"), SOURCE + f"backend/{host}/nn.py"),
                **links,
                **dict.fromkeys(of, SOURCE + f"backend/{host}/nn.py"),
            },
            # JAX compiles each of its operations for each shape, and on PyTorch they are slow as well.
            least_profiles={"": "full"},
            usage=Usage(
                call=f"keras.losses.{name}(from_logits={from_logits}, {{more}})({{targets}}, {{logits}})",
                arguments={**{option: f"{theirs}={{}}" for option, theirs in arguments.items()}, **_MORE},
                helpers=helpers,
            ),
        )

    of_labels = _FIELDS.but(mean_denominator="kept", **labels)
    of_targets = _FIELDS.but(mean_denominator="rows", **probabilities)
    return tuple(
        function(kind, name, convention, arguments, from_logits=from_logits)
        for from_logits in (True, False)
        for kind, name, convention, arguments in (
            (TargetKind.LABELS, "SparseCategoricalCrossentropy", of_labels, {"ignore_index": "ignore_class"}),
            (
                TargetKind.PROBABILITIES,
                "CategoricalCrossentropy",
                of_targets,
                {"label_smoothing": "label_smoothing"},
            ),
        )
    )
