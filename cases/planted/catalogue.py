"""Lists all planted functions, by the kind of worker that runs them."""

from __future__ import annotations

from typing import Final

from logitmus.cases.planted import dying_faults
from logitmus.cases.planted.numpy import (
    contract_faults,
    correct,
    forward_faults,
    gradient_faults,
    input_faults,
    integrity_faults,
    label_faults,
    reduction_faults,
    special_value_faults,
)
from logitmus.cases.planted.torch import contract_faults as torch_contract_faults
from logitmus.cases.planted.torch import convention_faults as torch_convention_faults
from logitmus.cases.planted.torch import correct as torch_correct
from logitmus.cases.planted.torch import forward_faults as torch_forward_faults
from logitmus.cases.planted.torch import gradient_faults as torch_gradient_faults
from logitmus.cases.planted.torch import integrity_faults as torch_integrity_faults
from logitmus.cases.planted.zoo import Planted

IN_NUMPY: Final[tuple[Planted, ...]] = (
    *forward_faults.ZOO.planted,
    *input_faults.ZOO.planted,
    *reduction_faults.ZOO.planted,
    *label_faults.ZOO.planted,
    *gradient_faults.ZOO.planted,
    *integrity_faults.ZOO.planted,
    *special_value_faults.ZOO.planted,
    *contract_faults.ZOO.planted,
    *correct.ZOO.planted,
)
IN_TORCH: Final[tuple[Planted, ...]] = (
    *torch_forward_faults.ZOO.planted,
    *torch_convention_faults.ZOO.planted,
    *torch_gradient_faults.ZOO.planted,
    *torch_integrity_faults.ZOO.planted,
    *torch_contract_faults.ZOO.planted,
    *torch_correct.ZOO.planted,
)
# Functions in NumPy that kill their process, hang or exhaust the memory: each has a worker of its own.
DYING: Final[tuple[Planted, ...]] = tuple(dying_faults.ZOO.planted)
ALL: Final[tuple[Planted, ...]] = (*IN_NUMPY, *DYING, *IN_TORCH)
