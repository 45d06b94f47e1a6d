"""What a model predicts of results, and its text in a run's file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logitmus.core.floats import float_array
from logitmus.core.problem import Problem
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import BatchLaw, FunctionModel, Precisions
from logitmus.oracle.model_prediction import predicted
from logitmus.oracle.model_record import ModelRecordError, from_text, to_text
from logitmus.oracle.parameter import LAWS, MACHINE_NUMBERS, Parameter
from logitmus.oracle.row_model import INPUTS, OUTERS, PENALTIES, TERMS, RowModel
from logitmus.oracle.sentence import DIVERGENCE, LINEAR, STANDARD_WEIGHTS

DOUBLE = Precisions(*["float64"] * 5)
FOCAL = FunctionModel(
    row=RowModel(penalty="focal", theta={"g": Parameter(EXACT(2), text="2")}),
    precisions=DOUBLE,
    batch=BatchLaw("mean", unusual={-100: "zero"}, weights=STANDARD_WEIGHTS),
)
X = np.array([[1.5, 0, -2, 0.5], [3, 1, -1, 0], [0, 0, 0, 0]])
LABELS = np.array([1, 0, 3])


def focal(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The row losses and their derivatives, in double precision: l (1-p)^2."""
    x, t = problem.logits.astype(np.float64), problem.targets
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    at = np.arange(len(t)), t
    loss = -np.log(p[at])
    slope = (1 - p[at]) ** 2 + 2 * (1 - p[at]) * p[at] * loss  # by the cross-entropy
    q = np.zeros_like(p)
    q[at] = 1
    return loss * (1 - p[at]) ** 2, slope[:, None] * (p - q)


def problem(x: np.ndarray = X, labels: np.ndarray = LABELS, dtype: str = "float32", **options: object) -> Problem:
    return Problem(logits=float_array(x, dtype), targets=labels, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_every_row_of_a_right_result_is_predicted_in_every_dtype(dtype: str) -> None:
    asked = problem(dtype=dtype)
    loss, gradient = (float_array(values, dtype) for values in focal(asked))
    assert predicted(FOCAL, asked, "loss", loss).all()
    assert predicted(FOCAL, asked, "grad_logits", gradient).all()


def test_only_the_rows_that_are_wrong_are_not_predicted() -> None:
    asked = problem()
    loss, gradient = (float_array(values, "float32") for values in focal(asked))
    loss[1] *= 1 + 1e-4
    gradient[2, 1] *= 1 + 1e-4
    assert predicted(FOCAL, asked, "loss", loss).tolist() == [True, False, True]
    where = predicted(FOCAL, asked, "grad_logits", gradient)
    assert where.sum() == where.size - 1
    assert not where[2, 1]


@pytest.mark.parametrize(("reduction", "divisor"), [("mean", 3), ("sum", 1), ("default", 3)])
def test_the_reduction_is_the_requested_one_or_the_model_s_own(reduction: str, divisor: int) -> None:
    asked = problem(reduction=reduction)
    rows, _ = focal(asked)
    assert predicted(FOCAL, asked, "loss", np.float32(rows.sum() / divisor).reshape(())).all()
    assert not predicted(FOCAL, asked, "loss", np.float32(rows.sum() / 2).reshape(())).any()


def test_class_weights_weight_rows_and_their_mean() -> None:
    weight = np.array([1, 2, 0.5, 4], np.float32)
    asked = problem(weight=weight, reduction="mean")
    rows, slopes = focal(asked)
    w = weight[LABELS].astype(np.float64)
    loss = np.asarray((rows * w).sum() / w.sum(), np.float32)
    gradient = (slopes * (w / w.sum())[:, None]).astype(np.float32)
    assert predicted(FOCAL, asked, "loss", loss).all()
    assert predicted(FOCAL, asked, "grad_logits", gradient).all()
    unknown = replace(FOCAL, batch=replace(FOCAL.batch, weights=""))
    assert not predicted(unknown, asked, "loss", loss).any()


def test_classes_at_minus_infinity_are_absent() -> None:
    present = problem()
    x = np.insert(X, [1, 4], -np.inf, axis=1)  # the labels 1 and 3 become 2 and 4
    absent = problem(x, np.array([2, 0, 4]))
    loss, _ = focal(present)
    assert predicted(FOCAL, absent, "loss", loss.astype(np.float32)).all()
    assert predicted(FOCAL, absent, "grad_logits", focal(absent)[1].astype(np.float32)).all()
    smoothed = replace(FOCAL, row=replace(FOCAL.row, smoothing=Parameter(EXACT("0.1"), text="0.1")))
    assert not predicted(smoothed, absent, "loss", loss.astype(np.float32)).any()
    assert predicted(smoothed, absent, "loss", np.float32([np.inf] * 3)).all()
    assert not predicted(FOCAL, absent, "loss", np.float32([np.inf] * 3)).any()
    at_the_label = problem(np.array([[0, -np.inf, 0]]), np.array([1]))
    assert predicted(FOCAL, at_the_label, "loss", np.float32([np.inf])).all()


def test_a_capped_logit_at_infinity_is_as_any_large_one() -> None:
    cap = FunctionModel(row=RowModel(inputs="cap", theta={"c": Parameter(EXACT(30), text="30")}), precisions=DOUBLE)
    cap = replace(cap, batch=BatchLaw("none"))
    asked = problem(np.array([[0, -np.inf, np.inf]]), np.array([1]))
    assert predicted(cap, asked, "loss", np.float32([60])).all()
    assert not predicted(FOCAL, asked, "loss", np.float32([60])).any()


def test_a_shifted_label_leaves_the_last_row_without_a_gradient() -> None:
    shifted = replace(FOCAL, batch=BatchLaw("mean", shifted=True))
    asked = problem(reduction="mean")
    rows, slopes = focal(problem(X[:-1], LABELS[1:]))
    gradient = np.concatenate([slopes / 2, np.zeros((1, 4))]).astype(np.float32)
    assert predicted(shifted, asked, "loss", np.float32(rows.mean()).reshape(())).all()
    assert predicted(shifted, asked, "grad_logits", gradient).all()
    gradient[2, 0] = 1e-3
    assert not predicted(shifted, asked, "grad_logits", gradient)[2, 0]
    assert predicted(shifted, problem(X[:1], LABELS[:1]), "grad_logits", np.zeros((1, 4), np.float32)).sum() == 0


def divergence(x: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """9 KL(q || softmax(x / 3)) of rows, and the derivatives by x and by q."""
    z = x.astype(np.float64) / 3
    lp = z - z.max(axis=1, keepdims=True)
    lp = lp - np.log(np.exp(lp).sum(axis=1, keepdims=True))
    total = q.sum(axis=1, keepdims=True)
    return 9 * (q * (np.log(q) - lp)).sum(axis=1), 3 * (total * np.exp(lp) - q), 9 * (np.log(q) + 1 - lp)


def test_target_probabilities_of_a_distillation_loss() -> None:
    row = RowModel(
        inputs="scale", theta={"s": Parameter(1 / EXACT(3), text="1/3")}, factor=Parameter(EXACT(9), text="9")
    )
    model = FunctionModel(row=row, precisions=DOUBLE, batch=BatchLaw("mean"), soft_targets=DIVERGENCE)
    q = np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25], [0.125, 0.5, 0.25, 0.125]])
    loss, by_logits, by_targets = divergence(X, q)
    asked = Problem(logits=float_array(X, "float32"), targets=float_array(q, "float32"), reduction="mean")
    right = {
        "loss": np.asarray(loss.mean(), np.float32),
        "grad_logits": (by_logits / 3).astype(np.float32),
        "grad_targets": (by_targets / 3).astype(np.float32),
    }
    for part, values in right.items():
        assert predicted(model, asked, part, values).all(), part
        assert not predicted(model, asked, part, np.asarray(1.001 * values, np.float32)).all(), part
    linear = replace(model, soft_targets=LINEAR)
    assert not predicted(linear, asked, "loss", right["loss"]).any()
    assert predicted(linear, asked, "grad_logits", right["grad_logits"]).all()  # the entropy of q has no slope by x
    assert not predicted(replace(model, soft_targets=""), asked, "loss", right["loss"]).any()


def test_an_ignored_row_counts_as_the_model_says_and_an_unknown_label_is_not_spoken_of() -> None:
    ignored = problem(labels=np.array([1, -100, 3]), reduction="mean")
    rows, _ = focal(problem())
    assert predicted(FOCAL, ignored, "loss", np.float32((rows[0] + rows[2]) / 3).reshape(())).all()
    _, slopes = focal(problem())
    gradient = (slopes / 3).astype(np.float32)
    assert predicted(FOCAL, ignored, "grad_logits", gradient).all(axis=1).tolist() == [True, False, True]
    gradient[1] = 0
    assert predicted(FOCAL, ignored, "grad_logits", gradient).all()
    assert not predicted(FOCAL, problem(labels=np.array([1, -7, 3])), "loss", rows.astype(np.float32)).any()


def test_a_label_beyond_the_classes_may_be_a_class_of_more() -> None:
    refusing = replace(FOCAL, batch=BatchLaw("none", unusual={255: "refused"}))
    few, many = problem(labels=np.array([1, 255, 3])), problem(np.zeros((1, 256)), np.array([255]))
    assert not predicted(refusing, few, "loss", focal(problem())[0].astype(np.float32)).any()
    assert predicted(refusing, many, "loss", focal(many)[0].astype(np.float32)).all()


def test_the_gradient_in_forward_mode_is_the_gradient() -> None:
    asked = problem(manner="forward_mode")
    loss, gradient = focal(asked)
    assert predicted(FOCAL, asked, "loss", loss.astype(np.float32)).all()
    assert predicted(FOCAL, asked, "grad_logits", gradient.astype(np.float32)).all()
    assert not predicted(FOCAL, asked, "grad_logits", (1.01 * gradient).astype(np.float32)).any()


def test_tiny_upstream_gradients_may_underflow_on_the_way() -> None:
    asked = problem(reduction="mean", cotangent=np.asarray(9e-38, np.float32))
    _, slopes = focal(asked)
    gradient = (slopes * 3e-38).astype(np.float32)
    gradient[np.abs(gradient) < 1e-38] = 0
    assert predicted(FOCAL, asked, "grad_logits", gradient).all()


def test_of_many_classes_some_derivatives_stand_for_all() -> None:
    K = 4000
    x = np.zeros((2, K))
    x[:, 7] = 3
    asked = problem(x, np.array([7, 9]))
    _, slopes = focal(asked)
    gradient = slopes.astype(np.float32)
    assert predicted(FOCAL, asked, "grad_logits", gradient).all()
    assert not predicted(FOCAL, asked, "grad_logits", 2 * gradient).any()


@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 0.1}, {"ignore_index": 2}, {"manner": "second_order"}],
    ids=str,
)
def test_nothing_is_said_of_options_and_other_derivatives(options: dict[str, object]) -> None:
    asked = problem(**options)
    rows, _ = focal(asked)
    assert not predicted(FOCAL, asked, "loss", rows.astype(np.float32)).any()


def test_a_divisor_of_its_own_scales_losses_and_gradients() -> None:
    """The factor of the row is that of one row, 1/1.5; of three rows it is 1/3.5, and of a requested sum 1."""
    half, third = Parameter(EXACT("0.5"), text="0.5"), Parameter(1 / EXACT("1.5"), text="1/1.5")
    model = replace(FOCAL, row=replace(FOCAL.row, factor=third), batch=BatchLaw("mean", divisor_plus=half))
    rows, slopes = focal(problem())
    for reduction, divisor in (("default", 3.5), ("mean", 3.5), ("sum", 1)):
        asked = problem(reduction=reduction)
        assert predicted(model, asked, "loss", np.float32(rows.sum() / divisor).reshape(())).all()
        assert predicted(model, asked, "grad_logits", (slopes / divisor).astype(np.float32)).all()
        assert not predicted(model, asked, "grad_logits", (slopes / 3).astype(np.float32)).any(axis=1).all()
    assert predicted(model, problem(), "loss", rows.astype(np.float32)).all()


@pytest.mark.parametrize("own", ["none", "mean"])
def test_a_mean_over_all_elements_divides_by_the_classes_too(own: str) -> None:
    """The row is that of the function's own reduction: with the divisor where that is the mean."""
    law = "1/K" if own == "mean" else ""
    row = replace(FOCAL.row, factor=Parameter(EXACT(1), law, "1"))
    model = replace(FOCAL, row=row, batch=BatchLaw(own, elements=True))
    rows, slopes = focal(problem())
    for reduction, loss, factor in (("none", rows, 1), ("sum", rows.sum(), 1), ("mean", rows.mean() / 4, 1 / 12)):
        asked = problem(reduction=reduction)
        assert predicted(model, asked, "loss", np.asarray(loss, np.float32)).all()
        assert predicted(model, asked, "grad_logits", (slopes * factor).astype(np.float32)).all()


def test_a_number_may_be_that_of_the_dtype() -> None:
    eps = {"e": Parameter(EXACT(2.0**-52), text="eps", machine="eps")}
    model = FunctionModel(
        row=RowModel(inputs="probabilities", penalty="floor", theta=eps), precisions=DOUBLE, batch=BatchLaw("none")
    )
    assert model.phrase().endswith("raised to at least eps; eps is the machine epsilon of the dtype")
    for dtype, floor in (("float64", 2.0**-52), ("float32", 2.0**-23), ("float16", 2.0**-10), ("bfloat16", 2.0**-7)):
        asked = problem(np.array([[0.0, 1.0]]), np.array([0]), dtype)
        assert predicted(model, asked, "loss", float_array(np.array([-np.log(floor)]), dtype)).all()
        assert not predicted(model, asked, "loss", float_array(np.array([-np.log(floor / 2)]), dtype)).any()
    with pytest.raises(ModelRecordError, match="machine='pi'"):
        from_text(to_text(model).replace('"machine":"eps"', '"machine":"pi"'))


def test_where_the_formula_gives_nan_a_gradient_may_be_nan() -> None:
    model = FunctionModel(row=RowModel(inputs="probabilities_scaled"), precisions=DOUBLE, batch=BatchLaw("none"))
    asked = problem(np.array([[0.0, 0.0], [0.25, 0.25]]), np.array([0, 0]))
    nan = np.full((2, 2), np.nan, np.float32)
    assert predicted(model, asked, "loss", nan[:, 0]).tolist() == [True, False]
    assert predicted(model, asked, "grad_logits", nan).all(axis=1).tolist() == [True, False]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_loss_of_target_probabilities_is_the_weighted_sum_of_the_losses_of_each_class(data: st.DataObject) -> None:
    """Evaluated at once, with the gradient; probabilities that are negative, 0, or no distribution are weights, too."""
    small = st.floats(0.25, 2).map(lambda value: Parameter(EXACT(value)))
    inputs = data.draw(st.sampled_from(["x", "scale", "cap", "softmax", "probabilities", "sigmoid"]))
    sigmoid = inputs == "sigmoid"
    penalty = data.draw(st.sampled_from(["log", "focal"] if sigmoid else ["log", "focal", "generalized", "log_plus"]))
    terms = ("others", "x_t", "x_mean", "one") if sigmoid else ("lse", "lse2", "entropy", "one_minus_p", "one")
    row = RowModel(
        inputs=inputs,
        penalty=penalty,
        theta={name: data.draw(small) for name in (*INPUTS[inputs], *PENALTIES[penalty])},
        factor=data.draw(small),
        smoothing=None if sigmoid else data.draw(st.none() | st.just(Parameter(EXACT("0.1")))),
        terms=data.draw(st.dictionaries(st.sampled_from(terms), small, max_size=2)),
        inside=data.draw(st.booleans()),
    )
    assert row_model.is_linear(row)
    logits = st.floats(0.01, 1) if inputs == "probabilities" else st.floats(-9, 9)
    x = np.array(data.draw(st.lists(st.lists(logits, min_size=3, max_size=3), min_size=1, max_size=2)))
    q = np.array([data.draw(st.lists(st.sampled_from([0, 0.25, 0.5, 1, -1]), min_size=3, max_size=3)) for _ in x])
    level = DOUBLE.level(separate=True)
    at_once, bound = row_model.budget(row, x, q.astype(EXACT), level)
    slopes, bounds = row_model.gradient(row, x, q.astype(EXACT), level)
    loss, by_logits = np.zeros(len(x), EXACT), np.zeros(x.shape, EXACT)
    for k in range(3):
        loss += q[:, k] * row_model.evaluate(row, x, np.full(len(x), k))
        by_logits += q[:, k, None] * row_model.gradient(row, x, np.full(len(x), k))[0]
    assert (np.abs(at_once - loss) <= bound / 16 + 1e-300).all()
    assert (np.abs(slopes - by_logits) <= bounds / 16 + 1e-300).all()


numbers = st.builds(
    Parameter,
    st.floats(-1e3, 1e3).map(lambda value: EXACT(value) / 3),
    law=st.sampled_from(sorted(LAWS)),
    text=st.text(max_size=8),
    simple=st.booleans(),
    machine=st.sampled_from(["", *MACHINE_NUMBERS]),
)


@st.composite
def models(draw: st.DrawFn) -> FunctionModel:
    inputs, penalty = draw(st.sampled_from(sorted(INPUTS))), draw(st.sampled_from(sorted(PENALTIES)))
    row = RowModel(
        label=draw(st.sampled_from(["t", "t + 1"])),
        inputs=inputs,
        penalty=penalty,
        theta={name: draw(numbers) for name in (*INPUTS[inputs], *PENALTIES[penalty])},
        factor=draw(numbers),
        smoothing=draw(st.none() | numbers),
        core=draw(st.booleans()),
        terms=draw(st.dictionaries(st.sampled_from(TERMS), numbers, max_size=2)),
        inside=draw(st.booleans()),
        outer=draw(st.sampled_from(OUTERS)),
        class_factors=draw(st.dictionaries(st.integers(0, 9), numbers, max_size=2)),
    )
    batch = BatchLaw(draw(st.sampled_from(["", "none", "mean"])), unusual=draw(st.sampled_from([{}, {-100: "nan"}])))
    return FunctionModel(row=row, precisions=DOUBLE, batch=batch, gradient=draw(st.text(max_size=5)))


@given(models())
@settings(max_examples=60)
def test_a_model_is_read_as_it_was_written(model: FunctionModel) -> None:
    assert from_text(to_text(model)) == model


VALID = to_text(FOCAL)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ('"inputs":"x"', '"inputs":"__import__"'),
        ('"penalty":"focal"', '"penalty":"none"'),
        ('"theta":{"g"', '"theta":{"q"'),
        ('"penalty":"focal"', '"penalty":"focal_clip"'),
        ('"value":"2.0"', '"value":"two"'),
        ('"law":""', '"law":"K!"'),
        ('"stored":"float64",', ""),
        ('"stored":"float64"', '"stored":"float80"'),
        ('"-100":"zero"', '"-100":"eaten"'),
        ('"-100":"zero"', '"many":"zero"'),
        ("{", "["),
    ],
    ids=str,
)
def test_a_damaged_model_is_refused_with_what_is_wrong(part: str, other: str) -> None:
    assert part in VALID
    with pytest.raises(ModelRecordError, match="model of a function"):
        from_text(VALID.replace(part, other, 1))
