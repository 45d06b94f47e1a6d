"""All that is planted in NumPy, and the backend that one worker asks it through."""

from __future__ import annotations

from typing import Final

from logitmus.backends import numpy_backend
from logitmus.cases.planted import Planted, backend
from logitmus.cases.planted.numpy_correct import BED as CORRECT
from logitmus.cases.planted.numpy_faults import BED as FAULTS

PLANTED: Final[tuple[Planted, ...]] = (*FAULTS.planted, *CORRECT.planted)
BACKEND: Final = backend(PLANTED, numpy_backend.BACKEND, "planted-numpy")
