"""A backend of a few planted functions in NumPy, for real workers: findings of several kinds within seconds."""

from __future__ import annotations

from logitmus.backends import numpy_backend
from logitmus.cases.planted.catalogue import IN_NUMPY
from logitmus.checking.planted_backends import backend

NAMES = ("no_max_shift", "logsumexp_minus_logit")
BACKEND = backend([planted for planted in IN_NUMPY if planted.name in NAMES], numpy_backend.BACKEND)
