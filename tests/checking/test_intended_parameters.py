"""Checks: parameters that are intended (`--but temperature=2`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logitmus.checking.check import check
from logitmus.checking.reference import IntentionError, intended
from logitmus.results.expectations import ExpectationsError

SETTINGS: dict[str, Any] = {"framework": "numpy", "like": "numpy:textbook", "profile": "quick", "compare": False}


def loss_of(*, eps=0.0, temperature=1.0, z_loss=0.0, factor=1.0):
    """A loss with its gradient, computed in the dtype of the logits."""

    def loss(logits, labels):
        if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
            raise IndexError("no such class")
        K, number = logits.shape[-1], logits.dtype.type
        with np.errstate(all="ignore"):
            z = logits / number(temperature)
            m = z.max(axis=-1, keepdims=True)
            d = z - m
            log_sum = np.log(np.exp(d).sum(axis=-1, keepdims=True))
            minus_log_p, lse = log_sum - d, (m + log_sum)[..., 0]
            q = (np.arange(K) == labels[..., None]) * number(1 - eps) + number(eps / K)
            rows = np.where(q == 0, 0, q * minus_log_p).sum(axis=-1) + number(z_loss) * lse * lse
            p = np.exp(-minus_log_p)
            slope = (p - q + number(2 * z_loss) * lse[..., None] * p) / number(temperature)
            return (number(factor) * rows).astype(logits.dtype), (number(factor) * slope).astype(logits.dtype)

    return loss


@pytest.mark.parametrize(
    "but", [{"label_smoothing": 0.1}, {"temperature": "0.7"}, {"z_loss": 1e-4}, {"factor": 0.3}], ids=str
)
def test_a_function_with_the_intended_parameter_conforms(but: dict[str, Any]) -> None:
    keywords = {{"label_smoothing": "eps"}.get(name, name): float(value) for name, value in but.items()}
    result = check(loss_of(**keywords), but=but, dtypes=["float32"], **SETTINGS)
    assert result.conforms, str(result)
    assert f"intended, and no difference: {next(iter(but))}=" in str(result)


@pytest.mark.parametrize(
    ("keywords", "but"),
    [
        ({"eps": 0.11}, {"label_smoothing": 0.1}),
        pytest.param({"temperature": 2.01}, {"temperature": 2}, marks=pytest.mark.release),
        ({"z_loss": 1.1e-4}, {"z_loss": 1e-4}),
        ({"factor": 0.5}, {"factor": 0.501}),
        ({}, {"z_loss": 1e-4}),
    ],
    ids=str,
)
def test_another_value_is_found(keywords: dict[str, float], but: dict[str, float]) -> None:
    assert not check(loss_of(**keywords), but=but, dtypes=["float32"], fail_fast=True, **SETTINGS).conforms


def test_a_gradient_without_the_z_loss_is_found() -> None:
    whole, plain = loss_of(z_loss=1e-3), loss_of()

    def half_right(logits, labels):
        return whole(logits, labels)[0], plain(logits, labels)[1]

    result = check(half_right, but={"z_loss": 1e-3}, dtypes=["float32"], fail_fast=True, **SETTINGS)
    assert {finding.part for finding in result.findings} == {"grad_logits"}


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"eps": 0.1, "factor": 0.3}, {"label_smoothing": "0.1", "factor": "0.3"}),
        ({"temperature": 0.7, "z_loss": 1e-3}, {"temperature": "0.7", "z_loss": "1e-3"}),
    ],
    ids=str,
)
def test_a_check_names_the_parameters_that_make_the_function_conform(
    keywords: dict[str, float], expected: dict[str, str]
) -> None:
    result = check(loss_of(**keywords), dtypes=["float32"], **SETTINGS)
    assert {name: float(value) for name, value in result.intentions.items()} == {
        name: float(value) for name, value in expected.items()
    }
    assert " ".join(f"--but {name}={value}" for name, value in result.intentions.items()) in str(result)
    assert check(loss_of(**keywords), but=result.intentions, dtypes=["float32"], **SETTINGS).conforms


def test_no_parameters_are_named_for_a_function_with_other_parts() -> None:
    smoothed = loss_of(eps=0.1)
    result = check(lambda x, t: np.exp(smoothed(x, t)[0]), dtypes=["float64"], **SETTINGS)
    assert not result.intentions


@pytest.mark.parametrize(
    ("but", "message"),
    [
        ({"temperatur": 2}, "no convention field or parameter is called 'temperatur'; did you mean 'temperature'?"),
        ({"temperature": "warm"}, "temperature=warm: is not a number; use a number above 0"),
        ({"temperature": 0}, "temperature=0: use a number above 0"),
        ({"label_smoothing": 2}, "label_smoothing=2: use a number between 0 and 1"),
        ({"probability_clip": "1e-6"}, "for another number use clip=NUMBER"),
    ],
)
def test_wrong_intentions_are_errors(but: dict[str, Any], message: str) -> None:
    with pytest.raises(IntentionError) as error:
        intended(but)
    assert message in str(error.value)


def test_a_clip_needs_probabilities() -> None:
    with pytest.raises(IntentionError, match="clip needs probabilities as inputs, and those of numpy:textbook"):
        check(loss_of(), but={"clip": 1e-7}, **SETTINGS)


def test_the_table_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "logitmus.toml"
    file.write_text("[but]\ntemperature = 0.5\n")
    assert check(loss_of(temperature=0.5), expect=file, dtypes=["float32"], **SETTINGS).conforms
    # The caller has the last word.
    assert check(loss_of(temperature=2), expect=file, but={"temperature": 2}, dtypes=["float32"], **SETTINGS).conforms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[but]\ntemprature = 2\n", "[but]: no convention field or parameter is called 'temprature'; did you mean"),
        ("[but]\ntemperature = [2]\n", "but.temperature is a list, [2]"),
        ("but = 1\n", "but is 1; write a table [but]"),
    ],
)
def test_an_invalid_table_is_an_error_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "logitmus.toml"
    file.write_text(text)
    with pytest.raises((IntentionError, ExpectationsError)) as error:
        check(loss_of(), expect=file, **SETTINGS)
    assert str(file) in str(error.value)
    assert message in str(error.value)
