"""Floats as bits: ordinals, neighbours and distances of every dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logitmus.core.floats import (
    FLOAT_DTYPES,
    float_array,
    format_of,
    from_ordinal,
    neighbour,
    ordinal,
    ulp,
    ulp_distance,
)


@given(st.integers(0, 2**16 - 1), st.sampled_from(["float16", "bfloat16"]))
def test_ulps_and_distances_agree_with_the_bit_patterns(bits: int, dtype: str) -> None:
    value = np.array([bits], np.uint16).view(FLOAT_DTYPES[dtype])
    number = float(value[0])
    if not np.isfinite(number) or abs(number) == format_of(dtype).largest:
        return
    up = np.array([bits + 1], np.uint16).view(FLOAT_DTYPES[dtype])
    step = abs(float(up[0]) - number)
    assert step == float(ulp(np.array([number]), dtype)[0])
    assert ulp_distance(value, up).tolist() == [1]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_neighbours_and_ulps_agree(dtype) -> None:
    assert neighbour(1.5, dtype) - 1.5 == ulp(np.array(1.5), dtype)
    assert neighbour(neighbour(-3.0, dtype), dtype, -1) == -3.0
    assert neighbour(0.0, dtype) == format_of(dtype).smallest_subnormal


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_an_ordinal_gives_its_number_back(dtype) -> None:
    numbers = [-np.inf, -1.5, 0.0, format_of(dtype).smallest_subnormal, 1.0, format_of(dtype).largest, np.inf]
    places = [ordinal(number, dtype) for number in numbers]
    assert places == sorted(places)
    assert [from_ordinal(place, dtype) for place in places] == numbers
    assert ordinal(-0.0, dtype) == 0


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_ulp_distance_counts_representable_numbers(dtype):
    tiny = {"float64": 2.0**-1074, "float32": 2.0**-149, "bfloat16": 2.0**-133, "float16": 2.0**-24}[dtype]
    u = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}[dtype]
    left = float_array([0.0, -tiny, 1.0, 1.0, -1.0, np.inf], dtype)
    right = float_array([-0.0, tiny, 1.0 + u, 1.0 - u / 2, -1.0 - 3 * u, np.finfo(np.float64).max], dtype)
    right[-1] = np.frombuffer((left[-1:].view(f"u{left.itemsize}") - 1).tobytes(), left.dtype)[0]
    assert ulp_distance(left, right).tolist() == [0, 2, 1, 1, 3, 1]


def test_ulp_distance_does_not_overflow():
    extremes = np.array([-np.inf, np.inf])
    inf_bits = 0x7FF0000000000000
    assert ulp_distance(extremes, extremes[::-1]).tolist() == [2 * inf_bits] * 2
