"""Offers all mutants as one backend, so that a single worker runs them; the module is imported in that worker."""

from __future__ import annotations

from typing import Final

from logitmus.backends import numpy_backend
from logitmus.cases.planted.mutants import all_mutants
from logitmus.checking.planted_backends import backend

MUTANTS: Final = backend((mutant.planted for mutant in all_mutants()), numpy_backend.BACKEND)
