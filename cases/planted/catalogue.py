"""All that is planted, by who asks it."""

from __future__ import annotations

from typing import Final

from logitmus.cases.planted import (
    Planted,
    dying_faults,
    numpy_convention_faults,
    numpy_correct,
    numpy_forward_faults,
    numpy_gradient_faults,
    numpy_integrity_faults,
    numpy_value_faults,
    torch_correct,
    torch_faults,
)

IN_NUMPY: Final[tuple[Planted, ...]] = (
    *numpy_forward_faults.BED.planted,
    *numpy_convention_faults.BED.planted,
    *numpy_gradient_faults.BED.planted,
    *numpy_integrity_faults.BED.planted,
    *numpy_value_faults.BED.planted,
    *numpy_correct.BED.planted,
)
IN_TORCH: Final[tuple[Planted, ...]] = (*torch_faults.BED.planted, *torch_correct.BED.planted)
# In NumPy, too; each has a worker of its own.
DYING: Final[tuple[Planted, ...]] = tuple(dying_faults.BED.planted)
