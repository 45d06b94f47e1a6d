"""What the catalogue of causes says of a cause."""

import pytest

from logitmus.core import catalogue
from logitmus.core.causes import Cause


@pytest.mark.parametrize(
    ("harmful", "harmless"),
    [
        ("convention:infinite_logits=nan", "convention:infinite_logits=limit"),
        ("convention:overflowing_shift=infinite", "convention:overflowing_shift=exact"),
        ("convention:ignored_row=nan_leaks", "convention:ignored_row=zero"),
    ],
)
def test_the_portable_choice_has_no_harm_where_another_is_promised(harmful: str, harmless: str) -> None:
    assert catalogue.impact(Cause(harmful))
    assert catalogue.impact(Cause(harmless)) == ""


def test_another_count_matters_in_both_directions() -> None:
    assert catalogue.impact(Cause("convention:mean_denominator=weights"))
    assert catalogue.impact(Cause("convention:mean_denominator=rows"))
