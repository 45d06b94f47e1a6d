"""Which models parameters and fields of a convention can express, and which are another formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from logitmus.checking.reference import intended
from logitmus.conventions.model_parameters import is_another_formula, parameters_of
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import BatchLaw, FunctionModel, Precisions
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.row_model import RowModel
from logitmus.oracle.sentence import DIVERGENCE

DOUBLE = Precisions(*["float64"] * 5)
TENTH, TWO = Parameter(EXACT("0.1"), text="0.1"), Parameter(EXACT(2), text="2")


def model(row: RowModel | None = None, *, batch: BatchLaw | None = None, **parts: Any) -> FunctionModel:
    return FunctionModel(row=row or RowModel(), precisions=DOUBLE, batch=batch or BatchLaw("mean"), **parts)


@pytest.mark.parametrize(
    ("found", "choices"),
    [
        (model(), {}),
        (model(RowModel(smoothing=TENTH)), {"label_smoothing": "0.1"}),
        (
            model(RowModel(smoothing=Parameter(EXACT("0.1"), "K/(K-1)", "0.1"))),
            {"smoothing": "others", "label_smoothing": "0.1"},
        ),
        (model(RowModel(inputs="scale", theta={"s": Parameter(EXACT("0.5"), text="0.5")})), {"temperature": "2"}),
        (model(RowModel(factor=Parameter(1 / np.log(EXACT(2)), text="1/ln 2"))), {"log_base": "2"}),
        (model(RowModel(factor=TWO, terms={"lse2": TENTH}, inside=True)), {"factor": "2", "z_loss": "0.1"}),
        (model(RowModel(smoothing=TENTH), batch=BatchLaw("mean", unusual={-100: "zero"})), {"label_smoothing": "0.1"}),
        (model(RowModel(inputs="log_probabilities")), {"inputs": "log_probabilities"}),
        (
            model(RowModel(inputs="probabilities_scaled", penalty="clip", theta={"e": TENTH})),
            {"inputs": "probabilities", "probability_scale": "before_clip", "clip": "0.1"},
        ),
        (
            model(RowModel(inputs="probabilities", penalty="clip_scaled", theta={"e": TENTH})),
            {"inputs": "probabilities", "probability_scale": "after_clip", "clip": "0.1"},
        ),
        (
            model(RowModel(inputs="probabilities", penalty="clip", theta={"e": Parameter(EXACT("1e-7"), text="1e-7")})),
            {"inputs": "probabilities", "probability_clip": "1e-7"},
        ),
        (model(batch=BatchLaw("none", elements=True)), {"mean_denominator": "elements"}),
    ],
    ids=str,
)
def test_what_parameters_express(found: FunctionModel, choices: dict[str, str]) -> None:
    assert parameters_of(found, PORTABLE) == choices
    intended(choices)  # what is found can be intended
    fields = {name: value for name, value in choices.items() if name in FIELDS}
    assert parameters_of(found, PORTABLE.but(**fields)).keys() == choices.keys() - fields.keys()


def test_arithmetic_in_float32_is_expressed_beside_parameters() -> None:
    """Alone it is found result by result; beside a parameter no result shows it alone."""
    in_float32 = Precisions("float64", "float64", "float32", "float32", "float32")
    smoothed = FunctionModel(row=RowModel(smoothing=TENTH), precisions=in_float32, batch=BatchLaw("mean"))
    assert parameters_of(smoothed, PORTABLE) == {"label_smoothing": "0.1", "wide_inputs": "narrowed"}
    assert parameters_of(replace(smoothed, row=RowModel()), PORTABLE) == {}
    assert parameters_of(smoothed, PORTABLE.but(wide_inputs="narrowed")) == {"label_smoothing": "0.1"}


@pytest.mark.parametrize(
    "found",
    [
        model(RowModel(penalty="focal", theta={"g": TWO})),
        model(RowModel(penalty="clip", theta={"e": TENTH})),  # of the softmax of logits; `clip` is of probabilities
        model(RowModel(label="t + 1")),
        model(RowModel(smoothing=TENTH), batch=BatchLaw("mean", unusual={1: "zero"})),
        model(RowModel(factor=TWO), soft_targets=DIVERGENCE),
        model(soft_targets=DIVERGENCE),
        model(batch=BatchLaw("mean", shifted=True)),
        model(batch=BatchLaw("mean", elements=True)),  # its losses of rows are larger by K than its mean
        model(RowModel(inputs="probabilities", penalty="clip", theta={"e": replace(TENTH, machine="eps")})),
        FunctionModel(row=RowModel(), precisions=Precisions("float64", "bfloat16", "float32", "float32", "float32")),
    ],
    ids=str,
)
def test_what_is_another_formula(found: FunctionModel) -> None:
    assert parameters_of(found, PORTABLE) == {}
    assert is_another_formula(found)


@pytest.mark.parametrize(
    "found",
    [
        model(),
        model(RowModel(inputs="probabilities", penalty="clip", theta={"e": TENTH})),
        FunctionModel(row=RowModel(), precisions=Precisions("float64", "float32", "float32", "float32", "float32")),
        model(batch=BatchLaw("sum", unusual={-100: "left_out"})),
    ],
    ids=str,
)
def test_what_fields_of_a_convention_say_is_no_other_formula(found: FunctionModel) -> None:
    assert not is_another_formula(found)
