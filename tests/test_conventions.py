"""The lattice of conventions: its definitions, and choices that no framework installed here makes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logitmus import Convention, Problem, reference
from logitmus.convention import FIELDS
from logitmus.oracle import UnanswerableError

ROWS = np.zeros((3, 4), np.float32)
HOT = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_every_value_is_defined_in_a_line(field: object) -> None:
    assert set(field.formulas) <= set(field.values)  # type: ignore[attr-defined]
    for text in (field.decides, *field.values.values(), *field.formulas.values()):  # type: ignore[attr-defined]
        assert text == text.strip() != ""
        assert "\n" not in text


def test_a_mean_over_the_classes_too() -> None:
    problem = Problem(logits=ROWS, targets=np.array([0, 1, 2]), reduction="mean")
    assert reference(problem, Convention(mean_denominator="elements")).loss.contains(math.log(4) / 4)


def test_an_ignored_class_beside_probabilities() -> None:
    problem = Problem(logits=ROWS, targets=HOT[[0, 1, 1]], ignore_index=1, reduction="sum")
    assert reference(problem).loss.contains(3 * math.log(4))
    leaving_out = Convention(ignore_with_probabilities="one_hot", mean_denominator="kept")
    assert reference(problem, leaving_out).loss.contains(math.log(4))
    assert reference(problem.but(reduction="mean"), leaving_out).loss.contains(math.log(4))
    refusing = Convention(ignore_with_probabilities="error")
    with pytest.raises(UnanswerableError, match="ignored label beside probabilities"):
        reference(problem, refusing)
    assert reference(problem.but(ignore_index=-100), refusing).loss.contains(3 * math.log(4))


@pytest.mark.parametrize("epsilon", ["1e-7", "1e-8", "1e-12", "1e-15"])
def test_clips(epsilon: str) -> None:
    problem = Problem(logits=np.array([[0, 1]], np.float32), targets=np.array([0]))
    clipped = Convention(inputs="probabilities", probability_clip=epsilon)
    loss = reference(problem, clipped).loss
    assert float(loss.mid[0]) == pytest.approx(-math.log(float(epsilon)), rel=2.0**-50)


def test_a_clip_that_the_arithmetic_cannot_hold_lets_a_certain_class_through() -> None:
    certain = Problem(logits=np.array([[0, 1]], np.float32), targets=np.array([1]))
    fine = Convention(inputs="probabilities", probability_clip="1e-12")
    assert reference(certain, fine).loss.contains(0.0, (0,))
    assert not reference(certain.but(logits=np.array([[0.0, 1.0]])), fine).loss.contains(0.0, (0,))
