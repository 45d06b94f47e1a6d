"""Backends: plain values that list the functions of a framework and evaluate them.

A framework author writes a module with a `Backend` value and names it in the entry-point group
`logitmus.backends`. Light (numpy, ml_dtypes): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from logitmus.core.computed_logits import COMPUTED, Operands, operands
from logitmus.core.convention import Convention
from logitmus.core.floats import Array
from logitmus.core.problem import DEFAULT_REDUCTION, LAYOUTS, MANNERS, ONCE
from logitmus.core.subject import BY_CALL, BY_START, LEAST_PROFILE, OFF, Offer, Precision, Subject, same_precision

# (logits, targets, options that are given) -> what a function returns, all in the framework's own arrays.
Call = Callable[[Any, Any, Mapping[str, Any]], Any]


class NotAskedError(Exception):
    """Raised by `Backend.evaluate` and `differentiate`: the function cannot be called with this problem.

    It is not a finding.
    """


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of a call: NumPy arrays in the subject's own axis order and memory layout.

    class_axis: where the classes of the logits (and of probabilities) lie.
    cotangent: the upstream gradient, of the shape of the loss: () for a sum or a mean; None: ones.
    The other fields: as in `Problem`.
    """

    logits: Array
    targets: Array
    weight: Array | None
    ignore_index: int | None
    label_smoothing: float
    reduction: str
    cotangent: Array | None
    signature: tuple[object, ...] = ()
    class_axis: int = -1

    @property
    def given(self) -> dict[str, Any]:
        """The options that the problem gives, under the problem's names; a function's own defaults hold for others."""
        options = {
            "weight": self.weight,
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing or None,
            "reduction": None if self.reduction == DEFAULT_REDUCTION else self.reduction,
        }
        return {name: value for name, value in options.items() if value is not None}

    @property
    def at_labels(self) -> Array:
        """The indicator of each row's label, laid out as the logits; 0 where the label is no class."""
        direction = np.zeros(self.logits.shape, self.logits.dtype)
        classes = np.arange(self.logits.shape[self.class_axis])
        np.moveaxis(direction, self.class_axis, -1)[...] = classes == self.targets[..., None]
        return direction


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The results of a call, as NumPy arrays in the subject's own axis order."""

    loss: Array
    grad_logits: Array | None = None
    grad_targets: Array | None = None
    second_logits: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How a person writes a call in the framework; `logitmus port` shows it. All of it is optional.

    Attributes:
        call: with {logits}, {targets} and {more} where these and the further arguments go.
        arguments: by option ("ignore_index": "ignore_class={}", {} for the value), by a value of it
            ("reduction=mean"), or by a choice of the convention that an argument makes ("inputs=logits":
            "from_logits=True"), for which the backend has another function ("NAME.from_logits") or variant.
        statements: by choice, what is written before the call.
        helpers: expressions for "one_hot" (of {targets}), "softmax", "log_softmax", "log", "exp", "normalize" (by the
            sum over the classes), "clip" (to {low} and 1 - {low}), "classes_last" and "classes_1" (of {logits}: the
            classes moved from axis 1 to the last, and back).
    """

    call: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    statements: Mapping[str, str] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A setting of the process that must not change an answer, but for what is declared here.

    A function is asked the few problems of the family `process-switches` with it and without it. A result with the
    switch that has a fault which the result without it lacks is a finding, with both results.

    Attributes:
        statement: how a person sets it, as a Python statement; for scripts that reproduce a finding.
        docs: the link to its documentation.
        convention: the fields that it changes.
        precision: the precisions that it changes, by input dtype.
        flushes_subnormals: it has subnormals flushed to zero.
        modes: the modes of the function that are asked with it.
    """

    statement: str = ""
    docs: str = ""
    convention: Mapping[str, str] = field(default_factory=dict)
    precision: Mapping[str, Precision] = field(default_factory=dict)
    flushes_subnormals: bool = False
    modes: tuple[str, ...] = ("",)


@dataclass(frozen=True, kw_only=True)
class Function:
    """One public function of a framework, with its declared properties.

    Attributes:
        name: as a user would look it up, e.g. "nn.softmax_cross_entropy_with_logits".
        call: the framework-side callable that `Backend.evaluate` uses; its shape is the backend's own business.
        modes: "" is eager; "jit", "xla", "compile" as the framework has them.
        convention: what its documentation says it does; tested, like all else.
        precision: by input dtype.
        docs: a link for the function ("") and for fields of its convention.
        mode_offers: the offer of a mode, where it is another.
        mode_conventions, device_conventions: the fields that a mode or a device changes, by its name.
        least_profiles: by mode, the least profile that includes it, where that is not "quick", for what it costs.
        usage: how a person calls it.
        switches: by name, the settings of the process under which it is asked, too.
    """

    name: str
    call: Callable[..., object]
    offer: Offer
    convention: Convention
    precision: Mapping[str, Precision] = field(default_factory=same_precision)
    modes: tuple[str, ...] = ("",)
    flushes_subnormals: bool = False
    docs: Mapping[str, str] = field(default_factory=dict)
    mode_offers: Mapping[str, Offer] = field(default_factory=dict)
    mode_conventions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    device_conventions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    least_profiles: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    switches: Mapping[str, Switch] = field(default_factory=dict)


def _cpu_only() -> Sequence[str]:
    return ("cpu",)


def _nothing(_variant: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One framework.

    Attributes:
        name: "torch"; the part of a subject's id before the colon.
        distributions: the installed packages whose versions identify it.
        functions: what it offers.
        evaluate: (function, mode, device, inputs) -> outputs; runs the call and the framework's own autodiff. May
            raise anything: what it raises is the observation. What is no array of the framework goes back as the
            loss unchanged; gradients are left out where the loss has none, or has not the shape of the cotangent.
        start: called once with the variant, or with the name of a switch, before anything else.
        devices: the devices that the framework reports, called after `start`.
        variants: process-wide settings, each run in a worker of its own with all problems; "" is the framework's
            default. A setting that must not change an answer is a `Switch` of each function instead.
        variant_conventions: the fields that a variant changes, by variant.
        variant_dtypes: the logits dtypes that a variant is run with; left out: those of the function.
        variant_precision: the precisions that a variant changes, by variant and input dtype.
        adopt: makes a `Function.call` of a call in the framework's own arrays, so that functions of a user's own
            can be tested (`logitmus.worker.user_function`); None: it takes none.
        autodiff: whether the framework differentiates a user's function.
        differentiate: (function, mode, device, inputs, manner) -> outputs, as `evaluate`, with the gradients of one of
            `problem.DERIVATIVES`; raises NotAskedError, with the reason, where that is not to be had. `differentiated`
            makes it from a call. What of a gradient does not depend on the logits has the derivative 0.
        switched: (name of a switch) -> a context in which a call has it, for switches that can be set and unset in a
            running process: a single worker serves all of them. None: each has a worker, which is started with it.
    """

    name: str
    distributions: tuple[str, ...]
    functions: tuple[Function, ...]
    evaluate: Callable[[Function, str, str, Inputs], Outputs]
    start: Callable[[str], None] = _nothing
    devices: Callable[[], Sequence[str]] = _cpu_only
    variants: tuple[str, ...] = ("",)
    variant_conventions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variant_dtypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variant_precision: Mapping[str, Mapping[str, Precision]] = field(default_factory=dict)
    adopt: Callable[[Call], Callable[..., object]] | None = None
    autodiff: bool = True
    differentiate: Callable[[Function, str, str, Inputs, str], Outputs] | None = None
    switched: Callable[[str], AbstractContextManager[object]] | None = None

    def subjects(self, devices: Sequence[str]) -> list[Subject]:
        """Every function in every mode and variant on these devices, and then with its switches.

        Variants with none of the dtypes of a function are left out.
        """
        plain = [
            subject
            for device in devices
            for variant in self.variants
            for function in self.functions
            for mode in function.modes
            if (subject := self._subject(function, mode, variant, device)).offer.dtypes
        ]
        switched = [
            self._with_switch(self._subject(function, mode, "", device), name, switch)
            for device in devices
            for function in self.functions
            for name, switch in function.switches.items()
            for mode in function.modes
            if mode in switch.modes
        ]
        return plain + switched

    def _subject(self, function: Function, mode: str, variant: str, device: str) -> Subject:
        changes = {
            **function.mode_conventions.get(mode, {}),
            **function.device_conventions.get(device, {}),
            **self.variant_conventions.get(variant, {}),
        }
        offer = function.mode_offers.get(mode, function.offer)
        dtypes = self.variant_dtypes.get(variant, offer.dtypes)
        if dtypes != offer.dtypes:
            offer = replace(offer, dtypes=tuple(d for d in offer.dtypes if d in dtypes))
        return Subject(
            backend=self.name,
            function=function.name,
            mode=mode,
            variant=variant,
            device=device,
            offer=offer,
            convention=function.convention.but(**changes),
            precision={**function.precision, **self.variant_precision.get(variant, {})},
            flushes_subnormals=function.flushes_subnormals,
            docs=function.docs,
            switch=OFF if not variant and any(mode in switch.modes for switch in function.switches.values()) else "",
            least_profile=function.least_profiles.get(mode, LEAST_PROFILE),
        )

    def _with_switch(self, subject: Subject, name: str, switch: Switch) -> Subject:
        return replace(
            subject,
            variant=name,
            switch=BY_START if self.switched is None else BY_CALL,
            convention=subject.convention.but(**switch.convention),
            precision={**subject.precision, **switch.precision},
            flushes_subnormals=subject.flushes_subnormals or switch.flushes_subnormals,
            docs={**subject.docs, **({name: switch.docs for name in switch.convention if switch.docs})},
        )


def computed_from(inputs: Inputs, manner: str) -> Operands:
    """What the logits are computed from in one of the call modes `computed_logits.COMPUTED`.

    Raises:
        NotAskedError: where there is nothing from which they result to the bit.
    """
    is_last = inputs.class_axis in (-1, inputs.logits.ndim - 1)
    found = operands(inputs.logits, manner) if is_last else None
    if found is None:
        raise NotAskedError("these logits are not the exact result of such a computation")
    return found


def differentiated(inputs: Inputs, manner: str, ask: Callable[[Array | None], Outputs]) -> Outputs:
    """What `Backend.differentiate` gives, made from calls of a single kind.

    Args:
        ask: makes a call. It takes the upstream gradient and gives the gradients; in forward mode it takes a direction
            in the logits, and gives in the place of `grad_logits` the derivative of the loss along it. It may raise
            NotImplementedError where there is none.

    Raises:
        NotAskedError: where forward mode cannot give the gradient by the logits, or there are no labels along which
            to differentiate it.
    """
    if manner == "second_order" and inputs.targets.dtype.kind not in "iu":
        raise NotAskedError("second derivatives are taken along labels")
    if manner != "forward_mode":
        return ask(inputs.cotangent)
    if inputs.cotangent is not None:
        raise NotAskedError("forward mode takes no upstream gradient")
    rows = np.moveaxis(inputs.logits, inputs.class_axis, -1).shape[:-1]
    loss, columns = None, []
    for direction in _unit_vectors(inputs):
        try:
            along = ask(direction)
        except NotImplementedError as error:
            raise NotAskedError(f"has no forward-mode derivative: {error}") from error
        if np.size(along.loss) != np.prod(rows):
            raise NotAskedError("forward mode gives the gradient of a loss for each row; this loss joins several")
        if along.grad_logits is None:
            raise NotAskedError("has no forward-mode derivative: its loss carries no tangent")
        columns.append(along.grad_logits.reshape(rows))
        loss = along.loss if loss is None else loss
    if loss is None:
        raise NotAskedError("forward mode takes a class at a time, and there is none")
    return Outputs(loss=loss, grad_logits=np.stack(columns, axis=inputs.class_axis))


def _unit_vectors(inputs: Inputs) -> Iterator[Array]:
    """The vector of each class in turn, the same for every row: along it the losses have one column of the gradient."""
    for label in range(inputs.logits.shape[inputs.class_axis]):
        direction = np.zeros(inputs.logits.shape, inputs.logits.dtype)
        np.moveaxis(direction, inputs.class_axis, -1)[..., label] = 1
        yield direction


ALL_LAYOUTS = tuple(LAYOUTS)
ALL_MANNERS = tuple(manner for manner in MANNERS if manner != ONCE)
EAGER_MANNERS = tuple(manner for manner in ALL_MANNERS if manner not in COMPUTED)
"""Those that can show something where nothing is compiled."""
REPEATED = ("again", "after_others")
"""The manners that need nothing of a framework."""
