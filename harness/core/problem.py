"""A problem: an exact set of inputs and options for a cross-entropy.

Everything is held in the canonical layout (classes last) as read-only NumPy arrays, and the id is a hash of the
exact bits, so that two machines give the same problem the same id. Needs only numpy and ml_dtypes: the
worker imports this module inside foreign environments.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from logitmus.core.computed_logits import COMPUTED, PRODUCT, SCALED
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import FLOAT_DTYPES, Array, dtype_name, frozen, little_endian_bytes

Reduction = Literal["none", "sum", "mean", "default"]


class TargetKind(StrEnum):
    """The two kinds of targets."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"


class Option(StrEnum):
    """The options of a problem that a function may offer, under the names of their arguments."""

    WEIGHT = "weight"
    IGNORE_INDEX = "ignore_index"
    LABEL_SMOOTHING = "label_smoothing"


class Purpose(StrEnum):
    """Why a problem is in a run.

    The suite has many families; the problems of each other purpose form a family, whose name is the value.
    """

    SUITE = "suite"
    DISAMBIGUATION = "separating"  # competing conventions give different results on it
    REDUCTION = "examining"  # a variant of a problem that shows a finding
    EXPLORATION = "explored"  # bred from problems that come closest to their error budgets


REDUCTIONS: Final = ("none", "sum", "mean")
# No reduction is requested: the argument is not passed, and the function's own default applies.
DEFAULT_REDUCTION: Final = "default"
# How the logits (and the targets) lie in memory when the subject gets them, in its own axis order.
LAYOUTS: Final = MappingProxyType(
    {
        "contiguous": "row-major, classes as the framework wants them",
        "transposed": "axes stored in the opposite order",
        "sliced": "every second element of a larger array whose gaps hold NaN",
        "expanded": "one stored row, repeated with stride 0 (all rows are equal)",
        "reversed": "negative strides along every axis",
        "misaligned": "row-major, from an address that is no multiple of 16",
        "moved": "axis 1 stored last, as channels-last pictures are; with one or two axes as contiguous",
    }
)


# How the subject is called. The exact result is the same. The result of this call mode is kept, with the parts whose
# bits differ from those of a plain call in the same process (`Answered.changed`).
ONCE: Final = "once"
MANNERS: Final = MappingProxyType(
    {
        ONCE: "a single call, and its gradient by reverse-mode differentiation",
        "again": "the call, and then the very same call twice more",
        "after_others": "the call, then calls with other logits and another number of rows, then the call again",
        "backward_twice": "a call, differentiated twice; the second gradient counts",
        "forward_mode": "the gradient by the logits by forward-mode differentiation",
        "second_order": "the gradient by the logits, differentiated once more along the indicator of each row's label",
        SCALED: "the logits are the product of an array and a number, computed in the function that is compiled",
        PRODUCT: "the logits are the product of a matrix and a permutation, computed in the function that is compiled",
    }
)
# The call modes for which `Backend.differentiate` is used.
DERIVATIVES: Final = ("backward_twice", "forward_mode", "second_order", *COMPUTED)

# The family of the problems that a function is asked with and without a switch (`core.backend.Switch`).
SWITCHES: Final = "process-switches"

_PURPOSES: Final = MappingProxyType({purpose.value: purpose for purpose in Purpose})


class ProblemError(LogitmusError, ValueError):
    """An invalid problem; the message names the field, its value and what is allowed."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """One question: the arrays, the options, the memory layout and the upstream gradient.

    Args:
        logits: the inputs, shape (*batch, K), dtype of `FLOAT_DTYPES`.
        targets: labels, shape batch, dtype of `LABEL_DTYPES`; or probabilities, the shape and dtype of the logits.
        weight: class weights, shape (K,), the dtype of the logits; None: not given.
        ignore_index: the label whose rows are left out; None: not given (a subject's own default applies).
        label_smoothing: epsilon, exactly the float64 given; 0.0: not given.
        reduction: "none", "sum" or "mean"; "default": not given (a subject's own default applies).
        cotangent: the upstream gradient, shape batch for reduction "none" and () for "sum" and "mean", the dtype
            of the logits; None: ones, and all that "default" allows, whose result has no shape yet.
        layout: of `LAYOUTS`. manner: of `MANNERS`.
        family, idea: its source and its purpose; not part of its identity.

    Raises:
        ProblemError: where shapes, dtypes or values do not fit together.
    """

    logits: Array
    targets: Array
    weight: Array | None = None
    ignore_index: int | None = None
    label_smoothing: float = 0.0
    reduction: Reduction = "none"
    cotangent: Array | None = None
    layout: str = "contiguous"
    manner: str = ONCE
    family: str = field(default="", compare=False)
    idea: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in ("logits", "targets", "weight", "cotangent"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, frozen(array))
        _validate(self)

    @cached_property
    def dtype(self) -> str:
        """The name of the logits' dtype."""
        return dtype_name(self.logits)

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return int(self.logits.shape[-1])

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape without the classes: () for a single row, (N,), (N, d1, d2)."""
        return self.logits.shape[:-1]

    @cached_property
    def rows(self) -> int:
        """The number of rows, the product of `batch`."""
        return int(np.prod(self.batch, dtype=np.int64))

    @property
    def target_kind(self) -> TargetKind:
        """Integers are labels, floating-point numbers are probabilities."""
        return TargetKind.LABELS if self.targets.dtype.kind in "iu" else TargetKind.PROBABILITIES

    @property
    def purpose(self) -> Purpose:
        """Why it is in a run, by its family."""
        return _PURPOSES.get(self.family, Purpose.SUITE)

    @cached_property
    def options(self) -> frozenset[Option]:
        """The options that this problem needs a subject to offer."""
        given = {
            Option.WEIGHT: self.weight is not None,
            Option.IGNORE_INDEX: self.ignore_index is not None,
            Option.LABEL_SMOOTHING: self.label_smoothing != 0.0,
        }
        return frozenset(option for option, is_given in given.items() if is_given)

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """The static part that a compiler sees: problems with the same signature share a compilation."""
        return (
            self.logits.shape,
            self.dtype,
            dtype_name(self.targets),
            self.targets.ndim,
            self.weight is not None,
            self.ignore_index,
            self.label_smoothing,
            self.reduction,
            self.layout,
            self.manner,
        )

    @cached_property
    def has_valid_labels(self) -> bool:
        """Whether every label is that of a class, or ignored; probabilities are no labels."""
        if self.target_kind != TargetKind.LABELS:
            return True
        valid = (self.targets >= 0) & (self.targets < self.classes)
        return bool((valid if self.ignore_index is None else valid | (self.targets == self.ignore_index)).all())

    @cached_property
    def id(self) -> str:
        """20 hexadecimal digits of the BLAKE2b hash of the exact bits, the options, the layout and the manner."""
        header = {
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing.hex(),
            "layout": self.layout,
            "reduction": self.reduction,
            "arrays": {
                name: None if array is None else [dtype_name(array), list(array.shape)]
                for name, array in self._arrays()
            },
            **({} if self.manner == ONCE else {"manner": self.manner}),
        }
        digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=10)
        for _, array in self._arrays():
            if array is not None:
                digest.update(little_endian_bytes(array))
        return digest.hexdigest()

    def _arrays(self) -> tuple[tuple[str, Array | None], ...]:
        return (
            ("logits", self.logits),
            ("targets", self.targets),
            ("weight", self.weight),
            ("cotangent", self.cotangent),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.logits.shape))
        return f"<Problem {self.id} {self.family or 'unnamed'} {self.dtype}[{shape}] {self.reduction}>"

    def but(self, **changes: Any) -> Problem:
        """A copy with some fields changed (its id follows)."""
        return replace(self, **changes)


def _validate(problem: Problem) -> None:
    logits, targets = problem.logits, problem.targets
    if dtype_name(logits) not in FLOAT_DTYPES:
        raise ProblemError(f"logits: dtype {logits.dtype}; choose from {', '.join(FLOAT_DTYPES)}")
    if logits.ndim == 0:
        raise ProblemError("logits: a scalar; use shape (*batch, K), classes last")
    if targets.dtype.kind in "iu":
        expected: tuple[int, ...] = problem.batch
    elif targets.dtype == logits.dtype:
        expected = logits.shape
    else:
        raise ProblemError(
            f"targets: dtype {targets.dtype}; use integers for labels, or the logits' dtype {logits.dtype} "
            "for probabilities"
        )
    if targets.shape != expected:
        raise ProblemError(f"targets: shape {targets.shape} does not fit logits {logits.shape}; use {expected}")
    if problem.weight is not None and (
        problem.weight.shape != (problem.classes,) or problem.weight.dtype != logits.dtype
    ):
        raise ProblemError(
            f"weight: {problem.weight.dtype}{problem.weight.shape}; use {logits.dtype}({problem.classes},)"
        )
    _validate_reduction(problem)
    if problem.layout not in LAYOUTS:
        raise ProblemError(f"layout: {problem.layout!r}; choose from {', '.join(LAYOUTS)}")
    if problem.manner not in MANNERS:
        raise ProblemError(f"manner: {problem.manner!r}; choose from {', '.join(MANNERS)}")
    if problem.layout == "expanded" and problem.rows > 1:
        rows = logits.reshape(problem.rows, problem.classes)
        if any(little_endian_bytes(row) != little_endian_bytes(rows[0]) for row in rows[1:]):
            raise ProblemError("layout: 'expanded' repeats one stored row; all rows of the logits must be equal")


def _validate_reduction(problem: Problem) -> None:
    if problem.reduction not in (*REDUCTIONS, DEFAULT_REDUCTION):
        raise ProblemError(
            f"reduction: {problem.reduction!r}; choose from {', '.join((*REDUCTIONS, DEFAULT_REDUCTION))}"
        )
    if problem.reduction == DEFAULT_REDUCTION and problem.cotangent is not None:
        raise ProblemError("cotangent: its shape depends on the reduction, and none is given; leave the cotangent out")
    upstream_shape = problem.batch if problem.reduction == "none" else ()
    if problem.cotangent is not None and (
        problem.cotangent.shape != upstream_shape or problem.cotangent.dtype != problem.logits.dtype
    ):
        raise ProblemError(
            f"cotangent: {problem.cotangent.dtype}{problem.cotangent.shape}; use {problem.logits.dtype}{upstream_shape}"
        )
