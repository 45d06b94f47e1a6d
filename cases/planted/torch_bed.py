"""All that is planted in PyTorch, and the backend that one worker asks it through."""

from __future__ import annotations

from typing import Final

from logitmus.backends import torch_backend
from logitmus.cases.planted import Planted, backend
from logitmus.cases.planted.torch_correct import BED as CORRECT
from logitmus.cases.planted.torch_faults import BED as FAULTS

PLANTED: Final[tuple[Planted, ...]] = (*FAULTS.planted, *CORRECT.planted)
BACKEND: Final = backend(PLANTED, torch_backend.BACKEND, "planted-torch")
