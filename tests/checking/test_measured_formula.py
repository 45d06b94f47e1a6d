"""A function that applies a parameter by itself, or computes another formula: one difference, and no false names."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_intended_parameters import SETTINGS, loss_of

from logitmus.checking.check import check
from logitmus.checking.result import CheckResult
from logitmus.core.finding import Severity
from logitmus.core.subject import Subject
from logitmus.results.reproduction import find
from logitmus.storage.store import Store, StoreError


def causes(result: CheckResult) -> dict[str, int]:
    return {str(group.finding.cause): group.count for group in result.groups}


@pytest.mark.parametrize(
    ("keywords", "cause", "words"),
    [
        ({"eps": 0.1}, "parameter:label_smoothing=0.1", "applies its own label smoothing, 0.1"),
        ({"temperature": 2}, "parameter:temperature=2", "applies its own temperature, 2"),
        ({"z_loss": 1e-3}, "parameter:z_loss=0.001", "applies its own z-loss, 0.001"),
        ({"factor": 0.25}, "parameter:factor=0.25", "applies its own factor, 0.25"),
    ],
    ids=str,
)
def test_a_parameter_of_its_own_is_one_difference(keywords: dict[str, float], cause: str, words: str) -> None:
    result = check(loss_of(**keywords), dtypes=["float32"], **SETTINGS)
    assert set(causes(result)) == {cause}, str(result)
    (group,) = result.groups
    assert group.finding.severity is Severity.DIFFERENCE
    assert words in group.finding.summary
    assert result.intentions == dict([cause.removeprefix("parameter:").split("=")])
    assert result.grades["float32"].rank <= result.reference_grades.get("float32", result.grades["float32"]).rank
    again = check(loss_of(**keywords), but=result.intentions, dtypes=["float32"], **SETTINGS)
    assert again.conforms, str(again)


def test_two_parameters_are_two_differences() -> None:
    result = check(loss_of(eps=0.1, factor=0.5), dtypes=["float32"], **SETTINGS)
    assert set(causes(result)) == {"parameter:label_smoothing=0.1", "parameter:factor=0.5"}, str(result)
    assert result.intentions == {"label_smoothing": "0.1", "factor": "0.5"}


def test_a_parameter_other_than_the_intended_one_says_what_was_intended() -> None:
    result = check(loss_of(eps=0.2), but={"label_smoothing": 0.1}, dtypes=["float32"], **SETTINGS)
    (group,) = result.groups
    assert group.finding.cause == "parameter:label_smoothing=0.2"
    assert "by numpy:textbook@cpu it is 0.1" in group.finding.detail


def smoothed_but_in_float16(logits: Any, labels: Any) -> Any:
    return loss_of(eps=0.0 if logits.dtype == np.float16 else 0.1)(logits, labels)


def test_results_that_are_as_promised_are_right_whatever_other_dtypes_do() -> None:
    result = check(smoothed_but_in_float16, dtypes=["float64", "float32", "float16"], **SETTINGS)
    (group,) = [group for group in result.groups if group.finding.cause.name == "parameter"]
    assert group.dtypes <= {"float64", "float32"}
    assert not [group for group in result.groups if "float16" in group.dtypes], str(result)


def smoothed_in_float32(logits: Any, labels: Any) -> Any:
    """In float32, gradients included; magnitudes that float32 cannot hold are computed as they are given."""
    moderate = logits.dtype == np.float64 and np.abs(logits[np.isfinite(logits)]).max(initial=0) < 1e6
    loss, gradient = loss_of(eps=0.1)(logits.astype(np.float32) if moderate else logits, labels)
    return np.asarray(loss, logits.dtype), np.asarray(gradient, logits.dtype)


def test_a_parameter_does_not_hide_arithmetic_in_float32() -> None:
    """Results of float64 logits that float32 explains are no results of float64."""
    found = causes(check(smoothed_in_float32, dtypes=["float64"], **SETTINGS))
    assert {"parameter:label_smoothing=0.1", "convention:wide_inputs=narrowed"} <= found.keys()
    assert found["convention:wide_inputs=narrowed"] > 20


def unshifted_and_smoothed(logits: Any, labels: Any) -> Any:
    """Two faults: a smoothing of its own, and exponentials that overflow."""
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    with np.errstate(all="ignore"):
        lse = np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        lp = logits - lse
        at = np.take_along_axis(lp, labels[..., None], -1)[..., 0]
        return (-(logits.dtype.type(0.9)) * at - logits.dtype.type(0.1) * lp.mean(axis=-1)).astype(logits.dtype)


def test_a_second_fault_still_shows_beside_a_parameter() -> None:
    found = causes(check(unshifted_and_smoothed, dtypes=["float32"], **SETTINGS))
    assert "parameter:label_smoothing=0.1" in found
    assert {"spurious_overflow", "lost"} & set(found)
    assert not any(cause.startswith("convention:") for cause in found)


def focal(logits: Any, labels: Any) -> Any:
    """The focal loss with gamma 2, its gradient left to nobody."""
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    with np.errstate(all="ignore"):
        d = logits - logits.max(axis=-1, keepdims=True)
        lp = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
        loss = -np.take_along_axis(lp, labels[..., None], -1)[..., 0]
        return (np.expm1(-loss) ** 2 * loss).astype(logits.dtype)


def test_another_formula_is_one_difference_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "focal.logitmus"
    result = check(focal, dtypes=["float64", "float32"], out=file, **SETTINGS)
    found = causes(result)
    assert found["other_formula"] > 20 * sum(count for cause, count in found.items() if cause != "other_formula")
    (formula,) = [group for group in result.groups if group.finding.cause == "other_formula"]
    assert "computes another formula: for each row the focal cross-entropy with gamma = 2" in formula.finding.summary
    named = {cause for cause in found if cause.startswith(("convention:", "mechanism:", "gradient"))}
    assert not named, "changes of a cross-entropy were fitted to another loss"
    with Store.open(file) as store:  # the file alone gives the same finding, under the id that the report shows
        examined, _ = find(store, formula.finding.id)
        assert examined.finding.cause == "other_formula"


def test_a_damaged_model_in_a_file_is_refused_with_the_file_s_name(tmp_path: Path) -> None:
    file = tmp_path / "focal.logitmus"
    check(focal, dtypes=["float32"], out=file, **SETTINGS)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        change = r"\"penalty\":\"focal\"", r"\"penalty\":\"eval\""
        connection.execute("UPDATE subjects SET value = replace(value, ?, ?)", change)
        connection.commit()
    with Store.open(file) as store, pytest.raises(StoreError, match=r"focal\.logitmus.*penalty='eval'"):
        store.backends()


def test_what_a_formula_does_not_predict_is_a_finding_of_its_own() -> None:
    def wrong_at_the_end(logits: Any, labels: Any) -> Any:
        K = logits.shape[-1]
        return np.where((labels == K - 1) & (K > 100), 7, focal(logits, labels)).astype(logits.dtype)

    found = causes(check(wrong_at_the_end, dtypes=["float32"], **SETTINGS))
    assert "other_formula" in found
    assert any(cause != "other_formula" for cause in found)


def test_plain_functions_are_judged_as_before() -> None:
    def described(result: CheckResult) -> list[Subject]:
        return list(result.subjects.values())

    for function in (loss_of(), lambda logits, labels: loss_of()(logits, labels)[0]):
        result = check(function, dtypes=["float32"], **SETTINGS)
        assert result.conforms, str(result)
        assert all(subject.promised is None and not subject.model for subject in described(result))


def test_a_crash_that_only_the_problems_of_the_model_show_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "losses.py"
    file.write_text(
        "import os\n\nimport numpy as np\n\n\n"
        "def dies(logits, labels):\n"
        "    if logits.shape[-1] == 33:\n"
        "        os.abort()\n"
        "    d = logits - logits.max(axis=-1, keepdims=True)\n"
        "    lp = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))\n"
        "    return -np.take_along_axis(lp, labels[..., None], -1)[..., 0]\n"
    )
    result = check(f"{file}:dies", dtypes=["float32"], **SETTINGS)
    (crash,) = [group for group in result.groups if group.finding.cause == "crashed:SIGABRT"]
    assert crash.problem.classes == 33
    assert not result.explanations
