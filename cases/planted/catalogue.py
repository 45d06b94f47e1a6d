"""All that is planted, by who asks it."""

from __future__ import annotations

from typing import Final

from logitmus.cases.planted import Planted, dying_faults
from logitmus.cases.planted.numpy import (
    convention_faults,
    correct,
    forward_faults,
    gradient_faults,
    integrity_faults,
    value_faults,
)
from logitmus.cases.planted.torch import correct as torch_correct
from logitmus.cases.planted.torch import faults as torch_faults

IN_NUMPY: Final[tuple[Planted, ...]] = (
    *forward_faults.BED.planted,
    *convention_faults.BED.planted,
    *gradient_faults.BED.planted,
    *integrity_faults.BED.planted,
    *value_faults.BED.planted,
    *correct.BED.planted,
)
IN_TORCH: Final[tuple[Planted, ...]] = (*torch_faults.BED.planted, *torch_correct.BED.planted)
# In NumPy, too; each has a worker of its own.
DYING: Final[tuple[Planted, ...]] = tuple(dying_faults.BED.planted)
