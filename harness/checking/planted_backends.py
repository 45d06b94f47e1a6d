"""The planted functions as backends: one of all that is planted in a framework, so that one worker asks them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from logitmus.backends import numpy_backend, torch_backend
from logitmus.cases.planted import Planted
from logitmus.cases.planted.catalogue import IN_NUMPY, IN_TORCH
from logitmus.core.backend import Backend
from logitmus.core.convention import PORTABLE
from logitmus.worker.user_function import adopt


def backend(planted: Iterable[Planted], framework: Backend) -> Backend:
    """A backend of all of these, evaluated as `framework` evaluates; classes on the last axis."""
    functions = [
        function
        for one in planted
        for function in adopt(one.function, framework, name=one.name, convention=PORTABLE).functions
        if function.offer.targets == one.targets
    ]
    return replace(framework, name=f"planted-{framework.name}", functions=tuple(functions), variants=("",))


NUMPY: Final = backend(IN_NUMPY, numpy_backend.BACKEND)
TORCH: Final = backend(IN_TORCH, torch_backend.BACKEND)
