"""Checks: intended differences (`--but`), and kinds of input that a function does not take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from logitmus.checking.check import check
from logitmus.checking.reference import IntentionError
from logitmus.checking.result import CheckResult
from logitmus.cli import app

SETTINGS: dict[str, Any] = {"framework": "numpy", "like": "numpy:textbook", "profile": "quick", "compare": False}

LOSSES = """
import numpy as np


def right(logits, labels, reduction="none"):
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    d = logits - logits.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    rows = -np.take_along_axis(log_p, labels[..., None].astype(int), axis=-1)[..., 0]
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


def matrices_of_float32(logits, labels, reduction="none"):
    if logits.dtype != np.float32 or logits.ndim != 2 or logits.shape[0] == 0:
        raise TypeError("float32 matrices only")
    return right(logits, labels, reduction)


def at_most_100_classes(logits, labels, reduction="none"):
    if logits.shape[-1] > 100:
        raise ValueError("too many classes")
    return right(logits, labels, reduction)


def at_most_100_classes_in_a_batch(logits, labels, reduction="none"):
    if logits.ndim == 1 or logits.shape[-1] > 100:
        raise ValueError("not a batch of at most 100 classes")
    return right(logits, labels, reduction)


def some_of_float64(logits, labels, reduction="none"):
    if logits.dtype == np.float64 and (logits < -1000).any():
        raise ValueError("too low")
    return right(logits, labels, reduction)


def raises_or_returns_text_in_float64(logits, labels, reduction="none"):
    if logits.dtype == np.float64:
        if (logits < 0).any():
            raise ValueError("below 0")
        return "text"
    return right(logits, labels, reduction)


def always_raises(logits, labels):
    raise ValueError("not today")


def no_mean_of_nothing(logits, labels, reduction="none"):
    if reduction == "mean" and logits.shape[0] == 0:
        raise ValueError("nothing to average")
    return right(logits, labels, reduction)


def a_mean_alone(logits, labels):
    return right(logits, labels).mean()


def zero_for_an_empty_batch(logits, labels, reduction="none"):
    if reduction == "mean" and logits.shape[0] == 0:
        return np.zeros((), logits.dtype)
    return right(logits, labels, reduction)
"""


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., CheckResult]:
    """Checks a function of `LOSSES`."""
    file = tmp_path / "limited.py"
    file.write_text(LOSSES)
    return lambda name, **settings: check(f"{file}:{name}", **{**SETTINGS, **settings})


def causes(result: CheckResult) -> set[str]:
    return {finding.cause for finding in result.findings}


def test_inputs_that_a_function_does_not_take_are_limits_and_no_findings(checked) -> None:
    result = checked("matrices_of_float32")
    assert result.conforms
    assert {"float64 logits", "float16 logits", "logits of shape (K,)", "the mean of an empty batch"} <= set(
        result.limits
    )
    (line,) = [line for line in str(result).splitlines() if line.startswith("does not take: ")]
    assert "float64 logits (" in line
    assert result.as_dict()["does_not_take"] == dict(result.limits)


def test_strict_counts_limits(checked) -> None:
    result = checked("matrices_of_float32", strict=True)
    assert causes(result) >= {"raised:TypeError"}
    assert not result.limits
    assert not any(line.startswith("does not take") for line in str(result).splitlines())


@pytest.mark.parametrize("name", ["at_most_100_classes", "some_of_float64", "always_raises"])
def test_an_exception_on_inputs_that_a_function_otherwise_takes_is_a_finding(checked, name: str) -> None:
    result = checked(name)
    assert causes(result) == {"raised:ValueError"}
    assert not result.limits


def test_a_finding_is_shown_on_a_problem_that_the_function_should_take(checked) -> None:
    """It raises the same exception for logits of shape (K,), which is a limit, and on smaller problems."""
    result = checked("at_most_100_classes_in_a_batch", dtypes=["float32"])
    assert result.limits.keys() == {"logits of shape (K,)"}
    (group,) = result.groups
    assert group.finding.cause == "raised:ValueError"
    assert group.problem.batch
    assert group.problem.classes > 100


def test_a_limit_covers_no_more_than_was_tested(checked) -> None:
    """It takes an empty batch without a reduction."""
    assert checked("no_mean_of_nothing").limits == {"the mean of an empty batch": 1}


def test_a_function_without_limits_has_none(checked) -> None:
    assert checked("right").limits == {}


def test_a_check_names_the_intention_that_makes_it_conform(checked) -> None:
    result = checked("zero_for_an_empty_batch")
    assert causes(result) == {"convention:empty_batch_mean=zero"}
    assert result.intentions == {"empty_batch_mean": "zero"}
    assert "--but empty_batch_mean=zero" in str(result)

    intended = checked("zero_for_an_empty_batch", but=result.intentions)
    assert intended.conforms
    assert "intended, and no difference: empty_batch_mean=zero" in str(intended)


def test_an_intention_is_a_promise(checked) -> None:
    assert causes(checked("right", but={"empty_batch_mean": "zero"})) == {"convention:empty_batch_mean=nan"}


@pytest.mark.parametrize(
    ("but", "message"),
    [
        ({"mean_denominater": "rows"}, "did you mean 'mean_denominator'"),
        ({"mean_denominator": "row"}, "did you mean 'rows'"),
        ({"class_axis": "1"}, "use --class-axis"),
    ],
)
def test_an_unknown_intention_is_an_error(checked, but: dict[str, str], message: str) -> None:
    with pytest.raises(IntentionError, match=message):
        checked("right", but=but)


def test_an_intended_reduction_that_is_not_the_measured_one_is_an_error(checked) -> None:
    with pytest.raises(IntentionError, match="the measured reduction is 'mean'"):
        checked("a_mean_alone", but={"default_reduction": "sum"})


def test_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "limited.py"
    file.write_text(LOSSES)
    settings = ["--framework", "numpy", "--like", "numpy:textbook", "--profile", "quick", "--json", "-"]

    def run(*arguments: str) -> tuple[int, str]:
        shown = CliRunner().invoke(app, ["check", *arguments, *settings], standalone_mode=True)
        return shown.exit_code, shown.output

    assert run(f"{file}:zero_for_an_empty_batch", "--but", "empty_batch_mean=zero")[0] == 0
    code, out = run(f"{file}:matrices_of_float32", "--strict")
    assert code == 1
    assert json.loads(out)["does_not_take"] == {}
    code, out = run(f"{file}:right", "--but", "zero")
    assert (code, "use NAME=VALUE" in out) == (2, True)


def test_probes_of_a_kind_decide_together() -> None:
    from logitmus.checking.refusals import Refusals
    from logitmus.core.problem import Problem

    wide = Problem(logits=np.zeros((2, 3)), targets=np.array([0, 1]))
    ordinary = Problem(logits=np.zeros((2, 3), np.float32), targets=np.array([0, 1]))
    refusals = Refusals()
    refusals.add(wide, answered=False, refused=True)
    refusals.add(ordinary, answered=True, refused=False)
    assert refusals.limits == {"float64 logits": 1}
    assert refusals.covers(wide)
    assert not refusals.covers(ordinary)
    refusals.add(wide, answered=True, refused=False)
    assert not refusals.limits


def test_a_kind_with_a_crash_or_a_wrong_result_is_no_limit(checked) -> None:
    result = checked("raises_or_returns_text_in_float64")
    assert "float64 logits" not in result.limits
    assert "raised:ValueError" in causes(result)
