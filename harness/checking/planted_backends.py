"""Offers the planted functions as backends: one for each framework, so that a single worker runs all its functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from logitmus.backends import numpy_backend, torch_backend
from logitmus.cases.planted.catalogue import IN_NUMPY, IN_TORCH
from logitmus.cases.planted.zoo import Planted
from logitmus.core.backend import Backend
from logitmus.core.convention import PORTABLE
from logitmus.worker.user_function import adopt


def backend(planted: Iterable[Planted], framework: Backend) -> Backend:
    """A backend of all these functions, evaluated as `framework` evaluates; each gets its classes on its own axis."""
    functions = [
        function
        for fault in planted
        for function in adopt(
            fault.function,
            framework,
            name=fault.name,
            names=fault.options,
            convention=PORTABLE.but(class_axis=fault.class_axis),
        ).functions
        if function.offer.targets == fault.targets
    ]
    return replace(framework, name=f"planted-{framework.name}", functions=tuple(functions), variants=("",))


NUMPY: Final = backend(IN_NUMPY, numpy_backend.BACKEND)
TORCH: Final = backend(IN_TORCH, torch_backend.BACKEND)
