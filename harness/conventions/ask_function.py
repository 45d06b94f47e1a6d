"""Give a function the problems from which its model is found: in the first dtype that it takes, and some in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from logitmus.cases import function_rows
from logitmus.conventions.explain_function import FunctionExplanation, explain_function
from logitmus.conventions.row_fit import worst_share
from logitmus.conventions.row_results import (
    LEADS,
    Observed,
    by_classes_of,
    leading_dtype,
    nothing_to_explain,
)
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.oracle.model import FunctionModel
from logitmus.oracle.parameter import MACHINE_NUMBERS

_FLOAT32_ONLY: Final = "from float32 logits; what it computes from float64 logits is not explained"
_FLOAT64_ONLY: Final = "from float64 logits; what it computes from float32 logits differs"
_FEW_ROWS: Final = 12  # of each kind, to see whether a model of float64 holds in float32
_ORDINARY: Final = (function_rows.PLAIN, function_rows.SIMPLEX_ROW)
_WITH_HARD: Final = (*_ORDINARY, function_rows.HARD)

Ask = Callable[[Sequence[Problem]], Iterable[tuple[Problem, Outcome]]]


def converse(ask: Ask, targets: str = "labels", dtypes: Sequence[str] = LEADS) -> list[tuple[Problem, Outcome]]:
    """Asks the problems of a model, in the first dtype that the function takes; few where there is nothing to explain.

    Args:
        ask: puts problems to the function. targets: "labels", or "probabilities". dtypes: those to ask in.
    """
    seen: list[tuple[Problem, Outcome]] = []
    for dtype in dtypes:
        first = list(ask(function_rows.problems(dtype, targets, stage=1)))
        seen += first
        if not any(isinstance(outcome, Answered) for _, outcome in first):
            continue
        observed = Observed.of(first, dtype)
        if nothing_to_explain(observed):
            return seen
        copies = 1 if observed.singles_finite else 2
        if copies == 2:
            seen += ask(function_rows.problems(dtype, targets, stage=1, copies=2))
        return [*seen, *ask(function_rows.problems(dtype, targets, stage=2, copies=copies))]
    return seen


def ask_and_explain(ask: Ask, targets: str = "labels", dtypes: Sequence[str] = LEADS) -> FunctionExplanation:
    """Asks a function the problems of a model, and explains it; the arguments are those of `converse`."""
    seen = converse(ask, targets, dtypes)
    return beside_float32(explain_function(seen), ask, targets, dtypes if leading_dtype(seen) == "float64" else ())


def beside_float32(
    found: FunctionExplanation, ask: Ask, targets: str = "labels", dtypes: Sequence[str] = LEADS
) -> FunctionExplanation:
    """An explanation from float64 logits, qualified where the function does something else with float32.

    Losses are written for float32, and some compute a part in it whatever the logits, which no model says: where
    nothing explains the results in float64, an explanation of those in float32 takes its place.
    """
    if "float32" not in dtypes or not found.results:
        return found
    if found.model is not None:
        following = _with_machine_numbers(found.model)
        if following is not None and _holds_in_float32(following, ask, targets, _WITH_HARD):
            return _explained_by(following, found)
        return found if _holds_in_float32(found.model, ask, targets) else found.qualified(_FLOAT64_ONLY)
    again = explain_function(converse(ask, targets, ["float32"]))
    if again.model is None:
        return found
    return replace(again.qualified(_FLOAT32_ONLY), but_float64=not again.qualifier)


def _with_machine_numbers(model: FunctionModel) -> FunctionModel | None:
    """The model, in which numbers that are those of `finfo` for its dtype follow the dtype; None: it has none."""
    theta = {
        name: replace(parameter, text=machine, machine=machine)
        for name, parameter in model.row.theta.items()
        for machine, number in MACHINE_NUMBERS.items()
        if parameter.value == number(model.precisions.logits) and not parameter.law
    }
    return replace(model, row=replace(model.row, theta={**model.row.theta, **theta})) if theta else None


def _explained_by(model: FunctionModel, found: FunctionExplanation) -> FunctionExplanation:
    """The explanation by a model that differs only in the texts of numbers."""
    components = list(found.components)
    for name, parameter in model.row.theta.items():
        old = parameter if found.model is None else found.model.row.theta[name]
        components = [replace(part, value=part.value.replace(old.text, parameter.text)) for part in components]
    return replace(found, model=model, sentence=model.sentence(), components=tuple(components))


def _holds_in_float32(model: FunctionModel, ask: Ask, targets: str, kinds: Sequence[str] = _ORDINARY) -> bool:
    """Whether the model predicts some single rows of float32 logits, where the function takes them."""
    stages = (1, 2) if function_rows.HARD in kinds else (1,)
    problems = [p for stage in stages for p in function_rows.problems("float32", targets, stage=stage)]
    few = [problem for kind in kinds for problem in [p for p in problems if function_rows.role(p) == kind][:_FEW_ROWS]]
    ignored = {label: fate for label, fate in model.batch.unusual.items() if label >= 0}
    observed = replace(Observed.of(list(ask(few)), "float32"), ignored=ignored)
    if model.precisions.logits != "float64" or not observed.singles_finite:
        return True
    level = model.precisions.of_float32().level(separate=True)
    return worst_share(model.row.in_dtype("float32"), by_classes_of(observed.single(kinds)).values(), level) <= 1
