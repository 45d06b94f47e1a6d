"""Every planted function is identified right, or honestly undetermined: never wrong, on any field."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from planted import Planted, wrongs
from planted_functions import PLANTED as NUMPY

from logitmus.conventions.card import Card
from logitmus.conventions.identify import identify
from logitmus.core.convention import FIELDS

TORCH = (
    *("the_functional", "of_probability_targets", "in_two_steps", "dense", "in_float64", "of_probabilities"),
    *("of_scaled_and_clipped_probabilities", "of_log_probabilities", "in_bits", "mean_over_all_rows"),
    *("mean_over_kept_rows", "mean_over_elements", "sums_by_default", "leaking", "zero_for_nothing"),
    *("refusing_nothing", "smoothing_over_the_others", "smoothing_dropped", "silent_about_labels", "clamping"),
    *("labels_of_32_bits", "without_target_gradient", "softmax_minus_q", "always_float32", "widening", "safe_dense"),
    *("classes_first", "one_row", "log_of_softmax", "unshifted", "separate_logsumexp", "softmax_twice", "divergence"),
    *("raising", "keeping_the_axis", "returning_a_float"),
)


def card_of(planted: Planted) -> Card:
    with np.errstate(all="ignore"):
        (card,) = identify(planted.function, planted.framework, targets=[planted.targets], options=planted.names)
    return card


@cache
def in_torch() -> dict[str, Planted]:
    from planted_torch import PLANTED

    return {planted.name: planted for planted in PLANTED}


@pytest.mark.parametrize("planted", NUMPY, ids=lambda planted: planted.name)
def test_numpy(planted: Planted) -> None:
    assert not wrongs(planted, card_of(planted))


@pytest.mark.frameworks
@pytest.mark.parametrize("name", TORCH)
def test_torch(name: str) -> None:
    planted = in_torch()[name]
    assert not wrongs(planted, card_of(planted))


@pytest.mark.frameworks
def test_every_function_in_torch_is_tried() -> None:
    assert set(in_torch()) == set(TORCH)


def test_the_truth_is_stated_in_words_of_the_lattice() -> None:
    assert len(NUMPY) + len(TORCH) >= 60
    for planted in NUMPY:
        assert set(planted.truth) | set(planted.planted) | set(planted.odd) <= set(FIELDS), planted.name
        for name in planted.truth:
            assert planted.right(name) <= set(FIELDS[name].values), (planted.name, name)
        assert set(planted.planted) <= set(planted.truth), planted.name


def test_every_value_is_planted_somewhere() -> None:
    shown = {(name, value) for planted in NUMPY for name in planted.planted for value in planted.right(name)}
    assert {(name, value) for name, field in FIELDS.items() for value in field.values} - shown == {
        ("ignore_with_probabilities", "error"),  # in PyTorch
        ("label_negative", "garbage"),  # not told from other garbage
        (
            "target_gradient",
            "yes",
        ),  # in PyTorch: functions in NumPy have no gradient by targets that could be asked for
        ("target_gradient", "none"),
    }
