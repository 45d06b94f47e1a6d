"""A user's own function as a backend: nothing is declared about it but its signature.

    def my_loss(logits, targets, *, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"): ...

takes and returns the framework's own arrays. Options that it does not name are not offered, and without `reduction` it
is only ever called without it. It may be any callable: a method, a `functools.partial`, a module of PyTorch. Light
(numpy): a worker imports it.

Parameters that must not matter, such as the length of a chunk, can be given other values than their defaults: each such
setting ("chunk=7") is a mode of its own, and so a subject of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import Parameter
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final

from logitmus.core.backend import Backend, Function, NotAskedError
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.errors import suggest
from logitmus.core.problem import REDUCTIONS, Option, TargetKind
from logitmus.core.subject import Offer, Precision, same_precision
from logitmus.worker.user_code import TargetError

OPTIONS: Final = (*(option.value for option in Option), "reduction")
ARGUMENTS: Final = ("logits", "targets", *OPTIONS)
# By these names a function shows that it takes its targets first, as TensorFlow and Keras do.
TARGET_NAMES: Final = frozenset({"y_true", "label", "labels", "target", "targets"})
# What says nothing, for a parameter that must be given.
_NOTHING: Final = MappingProxyType({"weight": None, "label_smoothing": 0.0})
_NAMED: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_ANY: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def adopt(
    function: Callable[..., Any],
    backend: Backend,
    *,
    name: str,
    names: Mapping[str, str] | None = None,
    convention: Convention = PORTABLE,
    settings: Sequence[str] = (),
) -> Backend:
    """A backend of two functions, `name` taking labels and `name`.probabilities, evaluated as `backend` does.

    Args:
        function: see the module. In a framework without autodiff (NumPy) it may return (loss, gradient by logits) or
            (loss, gradient by logits, gradient by targets), the gradients being those of the sum of the loss.
        backend: the framework's.
        name: what its subjects are called.
        names: its own names for `ARGUMENTS`, where they differ; "" for an option that is not to be given.
        convention: what is held to be true of it; its `class_axis` says how logits are handed over.
        settings: "chunk=7": a parameter of its own and its value, one for each further mode.

    Raises:
        TargetError: where the function cannot be called with logits and targets, or lacks a parameter that is named.
    """
    if backend.adopt is None:
        raise TargetError(f"the backend {backend.name} takes no functions of your own: it has no `adopt`")
    caller = _caller(function, name, dict(names or {}))
    call = backend.adopt(caller)
    functions = (_function(name, kind, call, caller, backend, convention) for kind in TargetKind)
    adopted = replace(backend, variants=("",))
    if not settings:
        return replace(adopted, functions=tuple(functions))
    calls = {mode: backend.adopt(replace(caller, fixed=_fixed(mode, name, caller))) for mode in settings}
    return replace(
        adopted,
        functions=tuple(replace(function, modes=("", *settings)) for function in functions),
        evaluate=_with_settings(backend.evaluate, calls),
        differentiate=backend.differentiate and _with_settings(backend.differentiate, calls),
    )


def _with_settings(evaluate: Callable[..., Any], calls: Mapping[str, Callable[..., object]]) -> Callable[..., Any]:
    """`Backend.evaluate` or `Backend.differentiate` in which a setting is a mode."""

    def evaluated(function: Function, mode: str, *arguments: Any) -> Any:
        return evaluate(replace(function, call=calls[mode]) if mode else function, "", *arguments)

    return evaluated


def _fixed(setting: str, name: str, caller: Caller) -> Mapping[str, Any]:
    """The argument of a setting.

    Raises:
        TargetError: where the function has no such parameter, or gets it otherwise.
    """
    parameter, _, text = setting.partition("=")
    known = {p.name for p in _parameters(caller.function) or () if p.kind in _NAMED} - {*caller.parameters.values()}
    if parameter in caller.parameters.values():
        raise TargetError(f"{parameter} is an argument of a cross-entropy, which the problems give; it is no setting")
    if parameter not in known:
        raise TargetError(f"{name} has no parameter {parameter!r}; {suggest(parameter, known)}")
    return {parameter: value_of(text)}


def value_of(text: str) -> bool | int | float | str:
    """The value of a setting: a truth value or a number where it is written as one, otherwise the text."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float) if any(map(str.isdigit, text)) else ():  # "inf" is a text, as "fast" is
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _function(
    name: str,
    kind: TargetKind,
    call: Callable[..., object],
    caller: Caller,
    backend: Backend,
    convention: Convention,
) -> Function:
    """Dtypes and layouts as the framework's own function of this kind takes them; the rest by its signature."""
    pattern = next((f for f in backend.functions if f.offer.targets == kind), None)
    offer = pattern.offer if pattern else Offer(targets=kind)
    gradients = {TargetKind.LABELS: {"logits"}, TargetKind.PROBABILITIES: {"logits", "targets"}}[kind]
    return Function(
        name=name if kind == TargetKind.LABELS else f"{name}.{kind}",
        call=call,
        offer=replace(
            offer,
            options=frozenset(caller.options) - {"reduction"},
            reductions=REDUCTIONS if "reduction" in caller.options else (),
            spatial=True,
            single_row=True,
            gradients=frozenset(gradients if backend.autodiff else ()),
        ),
        convention=convention,
        precision={
            dtype: _stored_in_its_own(dtype, p)
            for dtype, p in (pattern.precision if pattern else same_precision()).items()
        },
        flushes_subnormals=pattern.flushes_subnormals if pattern else False,
    )


def _stored_in_its_own(dtype: str, precision: Precision) -> Precision:
    """A fused kernel may keep halves in float32; nothing indicates that a user's function does so."""
    return precision if dtype in ("float64", "float32") else Precision(dtype, dtype, precision.arithmetic)


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls a function under the names of its own parameters.

    Attributes:
        function: what is called.
        options: of `OPTIONS`, those that it takes.
        parameters: its own names, by ours.
        positional: the parameters that are given by position, in order.
        required: the options that it cannot be called without.
        fixed: further arguments, by its own names.
    """

    function: Callable[..., Any]
    options: tuple[str, ...]
    parameters: Mapping[str, str]
    positional: tuple[Parameter, ...]
    required: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, logits: Any, targets: Any, options: Mapping[str, Any]) -> Any:
        """What the function returns.

        Raises:
            NotAskedError: where it must be given an option that the problem does not give.
        """
        # Without that argument it has a fixed reduction, which `logitmus.checking.reference` measures.
        given = {"logits": logits, "targets": targets, **options}
        if "reduction" not in self.options:
            given.pop("reduction", None)
        for option in sorted(self.required - given.keys()):
            if option not in _NOTHING:
                raise NotAskedError(f"has no default for {self.parameters[option]}")
            given[option] = _NOTHING[option]
        theirs = {self.parameters[ours]: value for ours, value in given.items()}
        positional = [theirs.pop(parameter.name, parameter.default) for parameter in self.positional]
        return self.function(*positional, **theirs, **self.fixed)


def _caller(function: Callable[..., Any], name: str, names: dict[str, str]) -> Caller:
    unknown = sorted(set(names) - set(ARGUMENTS))
    if unknown:
        raise TargetError(f"no option is called {unknown[0]!r}; use {', '.join(ARGUMENTS)}")
    parameters = _parameters(function)
    if parameters is None:  # nothing is known but what the caller says
        chosen = {
            "logits": "logits",
            "targets": "targets",
            **{ours: theirs for ours, theirs in names.items() if theirs},
        }
        leading = tuple(Parameter(chosen[ours], Parameter.POSITIONAL_ONLY) for ours in ("logits", "targets"))
        return Caller(function, tuple(o for o in OPTIONS if o in chosen), chosen, leading)
    named = {parameter.name: parameter for parameter in parameters if parameter.kind in _NAMED}
    open_ended = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
    _check_named(name, names, named, open_ended=open_ended)
    options = {option: names.get(option, option) for option in OPTIONS}
    options = {ours: theirs for ours, theirs in options.items() if theirs and (theirs in named or open_ended)}
    pair = _logits_and_targets(name, names, [parameter for parameter in named if parameter not in options.values()])
    chosen = {**pair, **options}
    required = {name for name, parameter in named.items() if parameter.default is Parameter.empty} - {*pair.values()}
    beyond = [parameter for parameter in named if parameter in required - set(options.values())]
    if beyond:
        raise TargetError(
            f"{name} needs {', '.join(beyond)} too, which a cross-entropy is not given; wrap it in a function of "
            "logits and targets, or say which option it is, e.g. --option weight=class_weights"
        )
    return Caller(
        function,
        tuple(options),
        chosen,
        tuple(takewhile(lambda parameter: _by_position(parameter, pair), named.values())),
        frozenset(ours for ours, theirs in options.items() if theirs in required),
    )


def _by_position(parameter: Parameter, pair: Mapping[str, str]) -> bool:
    leading = parameter.kind is Parameter.POSITIONAL_OR_KEYWORD and parameter.name in pair.values()
    return leading or parameter.kind is Parameter.POSITIONAL_ONLY


def _parameters(function: Callable[..., Any]) -> Sequence[Parameter] | None:
    """Those of its signature; None: it has none that tells anything, as builtins and (*args, **kwargs)."""
    # A module of PyTorch is called through a wrapper of any arguments; its forward has the names.
    for candidate in (function, getattr(function, "forward", None)):
        try:
            parameters = list(inspect.signature(candidate).parameters.values()) if candidate is not None else []
        except (TypeError, ValueError):
            continue
        if candidate is not None and not (parameters and all(parameter.kind in _ANY for parameter in parameters)):
            return parameters
    return None


def _check_named(name: str, names: Mapping[str, str], named: Mapping[str, object], *, open_ended: bool) -> None:
    for ours, theirs in names.items():
        if theirs and theirs not in named and not open_ended:
            raise TargetError(f"{name} has no parameter {theirs!r} for {ours}; {suggest(theirs, named)}")


def _logits_and_targets(name: str, names: Mapping[str, str], free: Sequence[str]) -> dict[str, str]:
    """Its names of logits and targets: as given, else its first two parameters, in the order of their names."""
    given = {ours: names[ours] for ours in ("logits", "targets") if names.get(ours)}
    left = [parameter for parameter in free if parameter not in given.values()]
    if left[:1] == ["self"]:
        raise TargetError(f"{name} is a method without its object; name a bound method or a function")
    wanted = [ours for ours in ("logits", "targets") if ours not in given]
    if len(left) < len(wanted):
        raise TargetError(f"{name} takes {', '.join(free) or 'nothing'}; a loss takes logits and targets")
    if len(wanted) == 2 and left[0] in TARGET_NAMES and left[1] not in TARGET_NAMES:
        wanted.reverse()
    return {**dict(zip(wanted, left, strict=False)), **given}
