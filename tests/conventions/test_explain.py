"""`logitmus explain`: the conventions behind a number, with the digits given."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from logitmus.cli import app
from logitmus.conventions.explain import explain
from logitmus.conventions.printed_numbers import ExplainError, PrintedNumber


def shown(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def fields(found: object) -> set[tuple[tuple[str, str], ...]]:
    return {reading.changes for reading in found}  # type: ignore[attr-defined]


def test_the_seed_question() -> None:
    found = explain(logits=[0, 0, 0, 1], targets=3, observed="0.7437", expected="0")
    assert fields(found.observed) == {()}
    assert fields(found.expected) == {(("inputs", "probabilities"),)}


@pytest.mark.parametrize(
    ("observed", "options", "expected"),
    [
        ("0.3718", {"ignore_index": -100}, ("mean_denominator", "rows")),
        ("1.0729", {"ignore_index": -100, "reduction": "mean"}, ("log_base", "2")),
    ],
)
def test_one_choice(observed: str, options: dict[str, object], expected: tuple[str, str]) -> None:
    found = explain(logits=[[0, 0, 0, 1], [1, 2, 0, 0]], targets=[3, -100], observed=observed, **options)  # type: ignore[arg-type]
    assert (expected,) in fields(found.observed)


def test_two_choices_together() -> None:
    found = explain(
        logits=[[0, 0, 0, 1, 0], [1, 2, 0, 0, 0]],
        targets=[3, -100],
        observed="0.652699",
        ignore_index=-100,
        reduction="mean",
    )
    assert {frozenset(changes) for changes in fields(found.observed)} >= {
        frozenset({("mean_denominator", "rows"), ("log_base", "2")})
    }


def test_fewer_digits_fit_more() -> None:
    assert (
        PrintedNumber.of("0.7").hi - PrintedNumber.of("0.7").lo
        > PrintedNumber.of("0.7437").hi - PrintedNumber.of("0.7437").lo
    )


def test_an_unexplained_number_is_reported_and_exits_with_1() -> None:
    code, output = shown("--logits", "0,0,0,1", "--target", "3", "--observed", "0.123456")
    assert code == 1
    assert "Nothing that was tried gives 0.123456" in output
    assert output.count("% off)") == 3


def test_the_command_line() -> None:
    code, output = shown("--logits", "0,0,0,1", "--target", "3", "--observed", "0.7437", "--expected", "0")
    assert code == 0
    assert "natural-log cross-entropy" in output
    assert "-log x_t" in output
    code, output = shown("--logits", "0,0,0,1", "--target", "0.,0.,0.,1.", "--observed", "0.7437", "--json")
    assert json.loads(output)["observed"][0]["changes"] == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--logits", "0,x", "--target", "0"], "'x' is not a number"),
        (["--logits", "0,1;2", "--target", "0,0"], "rows of 2, 1 numbers"),
        (["--logits", "0,1", "--target", "0,1,2"], "does not fit logits"),
        (["--logits", "0,1", "--target", "0", "--observed", "about 1"], "is not a number"),
        (["--logits", "0,1", "--target", "0", "--observed", "1,2,3"], "3 numbers for 1 rows"),
        (["--logits", "0,1", "--target", "0", "--weight", "1"], "1 numbers for 2 classes"),
        (["--logits", "0,1", "--target", "0", "--reduction", "average"], "'average'"),
    ],
)
def test_bad_input_gets_a_clear_message(arguments: list[str], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        shown(*arguments)


def test_a_label_out_of_range_is_answered_by_the_convention() -> None:
    found = explain(logits=[0, 1], targets=2)
    assert "exception" in found.portable["none"]


# --- what the frameworks are declared to do ---------------------------------------------------------------------


def declared(*arguments: str) -> list[dict[str, object]]:
    return list(json.loads(shown(*arguments, "--json")[1])["declared"])


@pytest.mark.parametrize(
    ("targets", "remarks"),
    [
        ([[0.2, 0.1, 0.0]], ("the target probabilities of row 0 sum to 0.3; they are taken as they are",)),
        (
            [[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]],
            ("the target probabilities of row 1 sum to 2; they are taken as they are",),
        ),
        ([[0.3333, 0.3333, 0.3333]], ()),
        ([2], ()),
    ],
)
def test_probabilities_that_do_not_sum_to_1_are_remarked_on(targets: list, remarks: tuple[str, ...]) -> None:
    assert explain(logits=[[0.0, 0.0, 1.0]] * len(targets), targets=targets).remarks == remarks


def test_without_an_observed_number_every_framework_is_shown() -> None:
    first, keras = declared("--logits", "0,0,0,1", "--target", "3")[:2]
    assert first["value"] == "0.7436684"
    assert first["functions"]["torch"] == ["cross_entropy", "nn.CrossEntropyLoss", "log_softmax-nll_loss"]  # type: ignore[index]
    assert "optax.softmax_cross_entropy_with_integer_labels" in first["functions"]["jax"]  # type: ignore[index]
    assert keras["functions"] == {"tensorflow": ["keras.losses.SparseCategoricalCrossentropy"]}
    assert float(str(keras["value"])) < 1e-6


def test_every_framework_takes_its_own_default_unless_a_reduction_is_named() -> None:
    rows = ("--logits", "0,0,0,1;0,0,0,0", "--target", "3,0")
    by_value = {s["value"]: set(s["functions"]) for s in declared(*rows)}  # type: ignore[call-overload]
    assert by_value["0.7436684, 1.3862944"] == {"jax", "numpy", "tensorflow"}
    assert by_value["1.0649813"] == {"tensorflow", "torch"}
    summed = {s["value"]: set(s["functions"]) for s in declared(*rows, "--reduction", "sum")}  # type: ignore[call-overload]
    assert summed["2.1299627"] == {"tensorflow", "torch"}
    assert summed[None] == {"jax", "numpy", "tensorflow"}  # they reduce nothing


def test_exceptions_and_unsupported_questions_come_last() -> None:
    entries = declared("--logits", "0,0,0,1", "--target", "7", "--ignore-index", "3")
    assert [(s["asked"], bool(s["value"])) for s in entries] == [(True, False), (False, False)]
    assert entries[0]["why"] == "an exception: a label >= K"
    assert entries[1]["why"] == "does not offer ignore_index"
    code, output = shown("--logits", "0,0,0,1", "--target", "7", "--ignore-index", "3")
    assert code == 0
    assert "not applicable (does not offer ignore_index)  jax (2); numpy (1); tensorflow (1)" in output


def test_functions_of_probabilities_are_asked_with_probabilities_only() -> None:
    for target, kind in (("3", "cross_entropy"), ("0.,0.,0.,1.", "cross_entropy.probabilities")):
        named = [
            name
            for s in declared("--logits", "0,0,0,1", "--target", target)
            for name in s["functions"].get("torch", [])
        ]  # type: ignore[attr-defined]
        assert kind in named
        assert len({name.endswith(".probabilities") for name in named}) == 1


def test_the_observed_number_is_marked() -> None:
    _, output = shown("--logits", "0,0,0,1", "--target", "3", "--observed", "0.7437")
    assert "0.7436684, as observed  jax:" in output
