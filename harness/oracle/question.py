"""Questions: a problem under a convention, with every choice resolved into numbers and masks.

A convention has two dozen fields, and most of them matter to few problems: a label out of range, a row that is
ignored, a mean of nothing, 0 times infinity. What is hard is that oracle, budgets and diagnosis all need to get each of
these right, in three kinds of arithmetic (float64, extended, Arb balls) that must agree.

If each of them read the convention, every field would be interpreted in several places, and a forgotten field
would show as a false finding. So a convention is interpreted only once, by `resolve`, and a `Question` holds the
outcome: float64 arrays (which hold every input exactly), three masks of rows, and a few choices of formula. The code
behind it knows formulas and no conventions. The masks are enough for all special rows:

- `kept`: rows that are read at all. An ignored row is not kept.
- `forced`: rows whose value a convention prescribes, NaN or 0, as for a label out of range that gives NaN. It is a
  factor (1 elsewhere), so that it also applies to gradients.
- `unjudged`: rows for which a convention names no value ("garbage"), or where no exact value exists.

A faulty gradient is explained in the same terms: as the right gradient of a modified question (`gradient_variants`).

Different conventions often resolve a problem to the same question. `key`, a digest of its content, identifies it:
answers are computed once for each key, and a difference between conventions with the same key is never reported.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from logitmus.core.floats import Array, row_sums


@dataclass(frozen=True, kw_only=True)
class Question:
    """A problem under a convention; see the module.

    Attributes (R rows, K classes; float64 holds every input exactly):
        inputs, log_base, probability_scale, soft_target_gradient: as in `Convention`.
        clip: the bounds that probabilities are clipped to, or None.
        temperature, z_loss, factor: as in `Parameters`; x is not divided yet.
        x: (R, K). labels: (R,) int64 in [0, K), or None. q: (R, K) target probabilities, or None.
        weight: (K,) or None. eps, spread, weigh: label smoothing, where it goes, whose weight it carries.
        kept: (R,) rows that are read. forced: (R,) NaN or 0 where a convention prescribes the value of the row, else 1.
        unjudged: (R,) rows for which the convention names no value.
        reduction: "none", "sum" or "mean"; never the default.
        divisor: the terms whose exact sum a mean divides by (class weights, or a single count).
        upstream: (R,) cotangent of each row, before a mean divides.
        refused: why an exception is the right answer; None: it is not.
        fixed: the whole result, where a convention prescribes it (the mean of no rows); None: computed.
        nan_products: 0 * inf is NaN. nan_infinities: a +inf logit gives NaN.
        open_infinities: any gradient is right at a +inf logit of a kept row (it depends on inf - inf).
        narrowed: 64-bit inputs were rounded to 32 bits, and the results are as precise as these.
        single_rows: each row is a batch of its own, whose sum or mean is judged with others (`judging.batching`):
            its value is that of the row (`reduction` is "none"), and may be rounded as that of a reduction.
    """

    inputs: str
    log_base: str
    clip: tuple[float, float] | None
    probability_scale: str
    soft_target_gradient: str
    x: Array
    labels: Array | None
    q: Array | None
    weight: Array | None
    eps: float
    spread: str
    weigh: str
    kept: Array
    forced: Array
    unjudged: Array
    reduction: str
    divisor: Array
    upstream: Array
    refused: str | None = None
    fixed: float | None = None
    nan_products: bool = False
    nan_infinities: bool = False
    open_infinities: bool = False
    narrowed: bool = False
    single_rows: bool = False
    temperature: float = 1.0
    z_loss: float = 0.0
    factor: float = 1.0

    @cached_property
    def key(self) -> str:
        """A digest of all fields: questions with equal keys have equal answers."""
        values = [getattr(self, name) for name in _NAMES]
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr([_layout(value) if isinstance(value, np.ndarray) else value for value in values]).encode())
        for array in arrays:
            digest.update(array.ravel(order="K").data)
        return digest.hexdigest()

    @property
    def rows(self) -> int:
        return int(self.x.shape[0])

    @property
    def classes(self) -> int:
        return int(self.x.shape[1])

    @cached_property
    def kinds_of_rows(self) -> tuple[Array, Array, Array]:
        """Rows of a kind have the same content: the first row of each, (R,) the kind of each row, the counts."""
        columns = (self.x, self.q, self.labels, self.kept, self.forced, self.upstream)
        content = np.column_stack([np.asarray(values, np.float64) for values in columns if values is not None])
        rows = np.ascontiguousarray(content).view(np.dtype((np.void, content.itemsize * content.shape[1])))
        return np.unique(rows.reshape(-1), return_index=True, return_inverse=True, return_counts=True)[1:]

    @property
    def has_answer(self) -> bool:
        """Whether any row has a value that the convention names (an empty batch has an answer, too)."""
        return self.classes > 0 and not (self.rows and bool(self.unjudged.all()))

    @cached_property
    def denominator(self) -> float:
        """The divisor of a mean, correctly rounded: exactly 0 iff the exact sum is 0."""
        return math.fsum(self.divisor) if np.isfinite(self.divisor).all() else float(self.divisor.sum())

    @cached_property
    def effective(self) -> tuple[Array, Array, Array]:
        """`effective_in` float64."""
        return self.effective_in(np.float64)

    @property
    def is_plain(self) -> bool:
        """Whether the loss is a cross-entropy of the inputs as they are, without another factor or term."""
        return self.temperature == 1 and self.z_loss == 0 and self.factor == 1

    @property
    def hard(self) -> bool:
        """Whether each row has a single target, its label."""
        return self.labels is not None and not self.eps

    @cached_property
    def lone(self) -> Array:
        """(R,): the label of a row's only target; -1: the row has no target or several."""
        if not self.hard or self.labels is None:
            return self.effective[2]
        return self.labels if self.weight is None else np.where(self.weight[self.labels] != 0, self.labels, -1)

    @cached_property
    def target_size(self) -> Array:
        """(R,): H, the sum of the magnitudes of a row's targets."""
        if not self.hard or self.labels is None:
            return row_sums(self.effective[1])
        return np.ones(self.rows) if self.weight is None else np.abs(self.weight[self.labels])

    def effective_in(self, dtype: Any) -> tuple[Array, Array, Array]:
        """Effective targets a_k, their magnitudes h_k (both (R, K)) and the labels of lone targets (R,), -1: none.

        a_k = w_k((1-eps) q_k + eps/K), h_k = |w_k|(|1-eps||q_k| + |eps|/K); docs/accuracy.md, section 1.
        """
        classes = self.classes
        q = (self.q if self.q is not None else one_hot(self.labels, classes)).astype(dtype, copy=False)
        a, h = q, np.abs(q)
        if self.eps:
            others = self.spread == "others"
            eps = dtype(self.eps)
            base = eps / max(classes - 1, 1) if others else eps / classes
            share = np.where(q != 0, 0.0, base) if others else base
            a, h = (1 - eps) * q + share, abs(1 - eps) * np.abs(q) + np.abs(share)
        if self.weight is not None:
            w = self.weight.astype(dtype, copy=False)
            if self.weigh == "target" and self.labels is not None:
                w = w[self.labels][:, None]
            a, h = a * w, h * np.abs(w)
        nonzero = a != 0
        lone = np.where(nonzero.sum(axis=1) == 1, nonzero.argmax(axis=1) if classes else 0, -1)
        return a, h, lone

    @cached_property
    def log_inputs(self) -> Array:
        """The logits in float64: x (divided by the temperature), or the logs of the (scaled, clipped) probabilities."""
        if self.inputs != "probabilities":
            return self.x if self.temperature == 1 else self.x / self.temperature
        p = self.x
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.probability_scale == "before_clip":
                p = p / row_sums(p)[:, None]
            if self.clip is not None:
                p = np.clip(p, *self.clip)
            return np.log(p)


_NAMES: Final = tuple(field.name for field in fields(Question))


def _layout(array: Array) -> tuple[object, ...]:
    return array.dtype.str, array.shape, array.flags.c_contiguous


def fast_order(shape: tuple[int, ...]) -> Literal["C", "F"]:
    """The memory order of (R, K) in which NumPy's inner loops run along the longer axis."""
    return "F" if len(shape) == 2 and shape[0] > shape[1] else "C"


def one_hot(labels: Array | None, classes: int) -> Array:
    """(R, K) float64 with 1 at each label."""
    if labels is None:
        raise ValueError("one_hot needs labels")
    shape = labels.shape[0], classes
    out = np.zeros(shape, order=fast_order(shape))
    out[np.arange(len(labels)), labels] = 1.0
    return out
