"""A check of a function that returns nothing to judge ends after a few calls with the reason."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from logitmus.checking.check import check

SETTINGS: dict[str, Any] = {"framework": "numpy", "like": "numpy:textbook", "compare": False}


def raises(logits, labels):
    raise RuntimeError("not today")


def not_a_number(logits, labels):
    return np.full(len(logits), np.nan, logits.dtype)


def constant(logits, labels):
    return logits.dtype.type(1.5)


def by_chance(logits, labels):
    return logits.dtype.type(random.random())


SHAPES = itertools.count()


def of_any_shape(logits, labels):
    return np.ones([1] * (next(SHAPES) % 4) + [2], logits.dtype)


def nothing(logits, labels):
    return None


def right(logits, labels):
    d = logits - logits.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None].astype(int), axis=-1)[..., 0]


def noisy(logits, labels):
    return right(logits, labels) * logits.dtype.type(1 + random.choice([0, 1e-6]))


def only_of_large_problems(logits, labels):
    if logits.shape[-1] < 10:
        raise RuntimeError("too few classes")
    return right(logits, labels)


@pytest.mark.parametrize(
    ("function", "sentence", "cause"),
    [
        (raises, "it raises on every call: RuntimeError: not today", "raised:RuntimeError"),
        (not_a_number, "it is never finite: NaN on every call.", "lost"),
        (constant, "it returns 1.5 for every input.", "unexplained"),
        (by_chance, "it returns different results for identical calls.", "depends_on:chance"),
        (of_any_shape, "it returns losses of different shapes for logits of the same shape.", "shape:loss"),
        (nothing, "it returns no result on any call: loss: a value of type NoneType", "garbled"),
    ],
)
def test_a_fault_of_every_call_is_the_headline(function: Callable[..., Any], sentence: str, cause: str) -> None:
    result = check(function, **SETTINGS)
    assert not result.conforms
    assert sentence in result.headline
    assert [finding.cause for finding in result.findings] == [cause]
    assert result.problems < 100
    assert not result.explanations
    assert not result.intentions
    assert "computes" not in str(result)
    assert "nothing else was tested" in str(result)
    assert result.as_dict()["hopeless"] == result.hopeless


@pytest.mark.parametrize("function", [noisy, only_of_large_problems])
def test_a_function_that_returns_something_to_judge_gets_all_problems(function: Callable[..., Any]) -> None:
    result = check(function, profile="quick", dtypes=["float32"], **SETTINGS)
    assert not result.hopeless
    assert result.problems > 60


def test_fail_fast_finds_a_fault_of_every_call_after_a_few_problems() -> None:
    result = check(lambda logits, labels: 2 * right(logits, labels), fail_fast=True, **SETTINGS)
    assert not result.conforms
    assert result.stopped
    assert result.problems < 20
