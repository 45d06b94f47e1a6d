"""The convention cards of planted functions: their mechanisms, their remarks, and that the truths are complete."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest

from logitmus.cases.planted.cards import CardTruth
from logitmus.cases.planted.catalogue import DYING, IN_NUMPY, IN_TORCH
from logitmus.cases.planted.zoo import Planted
from logitmus.checking.card_score import errors
from logitmus.conventions.identify import identify
from logitmus.core.convention import FIELDS

# Where several mechanisms give an infinite loss, the first that reproduces it is named, which may be wrong.
MISNAMED = {"numpy:log_of_softmax": "no_max_shift is named for log_of_softmax: docs/accuracy.md, section 4"}


def truth(planted: Planted) -> CardTruth:
    assert planted.card is not None
    return planted.card


EVERY = 5  # of them one in so many; the others before a release, because a card takes seconds


def cases(functions: tuple[Planted, ...]) -> list[object]:
    """Those with a mechanism or a remark. The fields of every card are compared in tests/checking/test_selftest.py."""
    remarkable = [p for p in functions if p.card is not None and (p.card.mechanisms or p.card.remark)]
    return [pytest.param(planted, id=planted.id, marks=marks(planted, n)) for n, planted in enumerate(remarkable)]


def marks(planted: Planted, number: int) -> list[pytest.MarkDecorator]:
    if planted.id in MISNAMED:
        return [pytest.mark.xfail(strict=True, reason=MISNAMED[planted.id])]
    return [pytest.mark.release] if number % EVERY else []


def assert_identified(planted: Planted) -> None:
    with np.errstate(all="ignore"):
        (card,) = identify(planted.function, planted.framework, targets=[planted.targets], options=planted.options)
    assert not errors(truth(planted), card)


@pytest.mark.parametrize("planted", cases(IN_NUMPY))
def test_numpy(planted: Planted) -> None:
    assert_identified(planted)


@pytest.mark.frameworks
@pytest.mark.parametrize("planted", cases(IN_TORCH))
def test_torch(planted: Planted) -> None:
    assert_identified(planted)


@pytest.mark.parametrize("planted", [p for p in (*IN_NUMPY, *IN_TORCH) if p.card], ids=lambda planted: planted.id)
def test_the_truth_names_fields_and_values_of_conventions(planted: Planted) -> None:
    card = truth(planted)
    assert set(card.values) | set(card.measured) | set(card.inconsistent) <= set(FIELDS)
    for name in card.values:
        assert card.right(name) <= set(FIELDS[name].values), name
    assert set(card.measured) <= set(card.values)


def test_only_functions_without_a_fixed_behaviour_have_no_card() -> None:
    for planted in (*IN_NUMPY, *IN_TORCH, *DYING):
        # The labels of a message lie at any address.
        by_address = planted.id == "numpy:misaligned_labels_misread"
        unsteady = (
            planted.kind == "crash"
            or by_address
            or any(
                fnmatchcase(cause, pattern)
                for cause in ("depends_on:chance", "depends_on:earlier_calls")
                for pattern in planted.causes
            )
        )
        assert (planted.card is None) == unsteady, planted.id


def test_every_value_of_every_field_is_right_for_some_function() -> None:
    cards = [planted.card for planted in (*IN_NUMPY, *IN_TORCH) if planted.card is not None]
    measured = {(name, value) for card in cards for name in card.measured for value in card.right(name)}
    missing = {(name, value) for name, field in FIELDS.items() for value in field.values} - measured
    assert missing == {("label_negative", "garbage")}  # it cannot be distinguished from other garbage
