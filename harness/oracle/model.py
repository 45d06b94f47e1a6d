"""The model of a whole function: what it computes, of which numbers, in which arithmetic, and what it does not take.

A `FunctionModel` joins the loss of a row (`oracle.row_model`), the law of a batch (`BatchLaw`), the dtypes of the
arithmetic (`Precisions`), the mechanisms of the arithmetic, the rule of the gradient and the limits. `losses` predicts
the loss of every problem with a bound on its error, `sentence` puts the model in words. It is found by
`conventions.explain_function`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.oracle import arithmetic, row_model
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.row_model import RowModel
from logitmus.oracle.sentence import phrase

REDUCTIONS: Final[Mapping[str, tuple[Callable[[int], float], str]]] = MappingProxyType(
    {
        "none": (lambda _: 1.0, "one loss for each row"),
        "sum": (lambda _: 1.0, "the sum over the rows"),
        "mean": (lambda N: 1.0 / N if N else np.nan, "the mean over the rows"),
        "sum_over_one_less": (lambda N: 1.0 / (N - 1) if N != 1 else np.nan, "the sum over the rows divided by N - 1"),
    }
)
"""What is made of the losses of N rows: the factor of their sum (of each, for "none"), and words."""
UNUSUAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "left_out": "left out, of the divisor, too",
        "zero": "0, and counted",
        "wrap": "counted from the other end",
        "clamp": "taken for the nearest class",
        "nan": "NaN",
        "refused": "refused",
    }
)
"""What becomes of a row whose label is no class, or a class that is ignored."""


@dataclass(frozen=True)
class Precisions:
    """The dtypes of a computation, by name. inputs: what 64-bit or 32-bit logits are rounded to first, if anything."""

    logits: str
    inputs: str
    arithmetic: str
    stored: str
    result: str

    def of_float32(self) -> Precisions:
        """The same for float32 logits, where these are for wider ones: no dtype is wider than float32."""
        dtypes = (self.logits, self.inputs, self.arithmetic, self.stored, self.result)
        return Precisions(*("float32" if dtype == "float64" else dtype for dtype in dtypes))

    def level(self, *, separate: bool = False) -> Level:
        """As running errors need it."""
        return Level.of(self.arithmetic, self.stored, self.result, separate=separate)


@dataclass(frozen=True)
class BatchLaw:
    """What a batch yields.

    Attributes:
        reduction: of `REDUCTIONS`; "": not known. unexplained: whether it takes several rows, and no law predicts what
            it makes of them. shifted: row n is given the label of row n + 1, the last row none.
        unusual: of `UNUSUAL`, by label: labels that are no class, and classes whose rows do not count.
        divisor_plus: what a mean adds to the number of rows that it divides by; the factor of the row is 1/(1 + it).
        elements: whether a mean, and no other reduction, divides by the number of classes, too.
        weights: how class weights enter, in words; "": not known, or none are taken.
    """

    reduction: str = ""
    shifted: bool = False
    unexplained: bool = False
    unusual: Mapping[int, str] = field(default_factory=dict)
    divisor_plus: Parameter | None = None
    elements: bool = False
    weights: str = ""

    def factor(self, kept: int) -> Any:
        """What the sum of so many losses is multiplied by (each of them, for "none"); a long double."""
        if self.divisor_plus is None:
            return EXACT(REDUCTIONS[self.reduction][0](kept))
        plus = self.divisor_plus.value  # the losses hold the factor of a single row already, 1/(1 + plus)
        return (1 + plus) / (kept + plus) if self.reduction == "mean" else 1 + plus

    def predict(self, losses: Array, bounds: Array, kept: Array, v: float) -> tuple[Array, Array]:
        """The result for rows of these losses, (N,) each, where only `kept` rows count; with a bound on its error."""
        y, b = losses[kept], bounds[kept]
        if self.reduction == "none":
            each = self.factor(1)
            return np.where(kept, each * losses, 0), np.where(kept, abs(each) * bounds, 0)
        factor = self.factor(int(kept.sum()))
        magnitude = np.abs(y).sum()
        return factor * y.sum(), np.abs(factor) * (b.sum() + (len(y) + 3) * v * magnitude)


@dataclass(frozen=True, kw_only=True)
class FunctionModel:
    """What a function computes.

    Attributes:
        row: of a row. batch: of several. convention: the same, where the fields of a convention can say it.
        precisions: of its arithmetic. mechanisms: of `row_model.MECHANISMS`.
        gradient: how the gradient is not that of the loss; "": it is, or there is none.
        soft_targets: what becomes of targets that are not one-hot, of `sentence.SOFT_TARGETS`.
        label_smoothing: what its argument does, of the field `smoothing`; "": not known.
        limits: what it does not take, in words.
    """

    row: RowModel
    precisions: Precisions
    batch: BatchLaw = field(default_factory=BatchLaw)
    convention: Convention = PORTABLE
    mechanisms: tuple[str, ...] = ()
    gradient: str = ""
    soft_targets: str = ""
    label_smoothing: str = ""
    limits: tuple[str, ...] = ()

    def row_losses(self, x: Array, labels: Array) -> tuple[Array, Array]:
        """The exact losses of rows, and how far a sound implementation may be from them.

        Args:
            x: (R, K), float64. labels: (R,), classes.

        Returns:
            (R,) each, long double. Rounding of the inputs is part of the function: it is in the exact losses.
        """
        separate = "logsumexp_formed_and_then_subtracted" in self.mechanisms
        return row_model.budget(
            self.row, narrowed(x, self.precisions), labels, self.precisions.level(separate=separate)
        )

    def losses(self, x: Array, labels: Array) -> tuple[Array, Array]:
        """What the function returns for a batch, and how far from that it may be.

        Args:
            x: (N, K), float64. labels: (N,), classes, or labels that `batch.unusual` knows.
        """
        if self.batch.shifted:
            x, labels = x[:-1], labels[1:]
        fates = np.array([self.batch.unusual.get(int(label), "") for label in labels], str)
        K = x.shape[-1]
        y, b = self.row_losses(x, np.where(fates == "wrap", labels % K, np.clip(labels, 0, K - 1)))
        silent = np.isin(fates, ("left_out", "zero"))
        y, b = np.where(silent, 0, y), np.where(silent, 0, b)
        y[fates == "nan"] = np.nan
        return self.batch.predict(y, b, fates != "left_out", self.precisions.level().v)

    def gradient_of_rows(self, x: Array, labels: Array) -> tuple[Array, Array]:
        """The derivative of each row's loss by its logits, and its budget: (R, K) each, long double."""
        return row_model.gradient(self.row, narrowed(x, self.precisions), labels, self.precisions.level(separate=True))

    def emulated(self, x: Array, labels: Array, mechanism: str) -> Array:
        """What rows yield if it is computed step by step in its dtypes, with a mechanism; (R,) float64."""
        working = FLOAT_DTYPES[self.precisions.arithmetic]
        with np.errstate(all="ignore"):
            numbers = arithmetic.emulated(working)
            losses = row_model.evaluate(self.row, narrowed(x, self.precisions), labels, numbers, mechanism=mechanism)
            return np.asarray(losses).astype(FLOAT_DTYPES[self.precisions.result]).astype(np.float64)

    def sentence(self) -> str:
        """What it computes, in a sentence."""
        return f"It computes {self.phrase()}."

    def phrase(self) -> str:
        """What it computes, without a verb: "the mean over the rows of the cross-entropy ..."."""
        return phrase(self)

    def but(self, **changes: object) -> FunctionModel:
        """A copy with some parts changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def narrowed(x: Array, precisions: Precisions) -> Array:
    """The logits as the function rounds them first."""
    if precisions.inputs == precisions.logits:
        return x
    return float_array(x, precisions.inputs).astype(np.float64)
