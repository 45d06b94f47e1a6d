"""Mechanisms: known ways of computing a cross-entropy badly, emulated in NumPy.

A mechanism is named only if its emulation reproduces every failing value of the result bit by bit (or, for the order of
a sum and for subtractions of large numbers, its error to within a quarter): a name is evidence, not a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment
from logitmus.oracle.answer import Answer

Emulation = Callable[[Array, Array, np.dtype], tuple[Array, Array]]  # (x, q, working dtype) -> row losses, p


def _exp(x: Array) -> Array:
    return np.exp(x.astype(np.float32) if x.dtype.itemsize < 4 else x).astype(x.dtype, copy=False)


def _log(x: Array) -> Array:
    return np.log(x.astype(np.float32) if x.dtype.itemsize < 4 else x).astype(x.dtype, copy=False)


def _sequential(d: Array) -> Array:
    return _added(_exp(d))


def _added(terms: Array) -> Array:
    """The sum, term by term."""
    total = np.zeros(terms.shape[0], terms.dtype)
    for term in np.ascontiguousarray(terms.T):
        total = total + term
    return total


def _pairwise(terms: Array) -> Array:
    return terms.sum(axis=1, dtype=np.float64 if terms.dtype == np.float64 else np.float32).astype(terms.dtype)


def _sound(d: Array) -> Array:
    return _pairwise(_exp(d))


def _online(d: Array) -> Array:
    """The sum, term by term, each shifted by the largest so far; the sum is rescaled when that grows."""
    largest = np.full(d.shape[0], -np.inf, d.dtype)
    total = np.zeros(d.shape[0], d.dtype)
    for column in np.ascontiguousarray(d.T):
        new = np.maximum(largest, column)
        rescaled = np.where(total == 0, total, total * _exp(largest - new))
        total, largest = rescaled + _exp(column - new), new
    return total


def _lanes(width: int) -> Callable[[Array], Array]:
    """`width` partial sums, each sequential, as vector units make them."""

    def total(d: Array) -> Array:
        terms = _exp(d)
        rows, classes = terms.shape
        blocks = -(-classes // width)
        padded = np.zeros((rows, blocks * width), terms.dtype)
        padded[:, :classes] = terms
        lanes = np.zeros((rows, width), terms.dtype)
        for block in padded.reshape(rows, blocks, width).swapaxes(0, 1):
            lanes = lanes + block
        return _added(lanes)

    return total


def _dot(q: Array, values: Array) -> Array:
    used = q != 0
    with np.errstate(invalid="ignore"):
        return np.where(used, q * np.where(used, values, 0), 0).sum(axis=1).astype(values.dtype)


def _shifted(x: Array, q: Array, total: Callable[[Array], Array]) -> tuple[Array, Array]:
    d = x - x.max(axis=1, keepdims=True)
    sums = total(d)
    return _dot(q, _log(sums)[:, None] - d), _exp(d) / sums[:, None]


def _unshifted(x: Array, q: Array, _: np.dtype) -> tuple[Array, Array]:
    e = _exp(x)
    sums = _pairwise(e)
    return _dot(q, _log(sums)[:, None] - x), e / sums[:, None]


def _log_of_softmax(x: Array, q: Array, _: np.dtype) -> tuple[Array, Array]:
    e = _exp(x - x.max(axis=1, keepdims=True))
    p = e / _pairwise(e)[:, None]
    return _dot(q, -_log(p)), p


def _separate(x: Array, q: Array, _: np.dtype) -> tuple[Array, Array]:
    m = x.max(axis=1, keepdims=True)
    e = _exp(x - m)
    sums = _pairwise(e)
    log_sum_exp = (_log(sums) + m[:, 0])[:, None]
    return _dot(q, log_sum_exp - x), _exp(x - log_sum_exp)


def _clipped(epsilon: float) -> Emulation:
    def emulate(x: Array, q: Array, dtype: np.dtype) -> tuple[Array, Array]:
        _, p = _log_of_softmax(x, q, dtype)
        p = np.clip(p, dtype.type(epsilon), dtype.type(1 - epsilon))
        return _dot(q, -_log(p)), p

    return emulate


# From the shifted logits to the sums of their exponentials.
WEAK_SUMS: Final[Mapping[str, Callable[[Array], Array]]] = MappingProxyType(
    {"sequential_sum": _sequential, "online_sum": _online, **{f"sum_in_{n}_lanes": _lanes(n) for n in (4, 8, 16, 32)}}
)
MECHANISMS: Final[Mapping[str, Emulation]] = MappingProxyType(
    {
        "no_max_shift": _unshifted,
        "log_of_softmax": _log_of_softmax,
        "logsumexp_formed_and_then_subtracted": _separate,
        "probabilities_clipped_to_1e-7": _clipped(1e-7),
        "probabilities_clipped_to_1e-8": _clipped(1e-8),
        "probabilities_clipped_to_1e-12": _clipped(1e-12),
    }
)
# These lose digits in rounding a large number; the roundings of exp and of the sum are negligible beside that.
SUBTRACTING: Final = ("no_max_shift", "logsumexp_formed_and_then_subtracted")


def reproducing(problem: Problem, subject: Subject, outcome: Answered, part: Assessment) -> str | None:
    """The first mechanism that reproduces the failing values of `part`, if any."""
    return next(_reproducing(problem, subject, outcome, part), None)


def all_reproducing(problem: Problem, subject: Subject, outcome: Answered, part: Assessment) -> set[str]:
    """Every mechanism that reproduces the failing values of `part`; an infinity often has several."""
    return set(_reproducing(problem, subject, outcome, part))


def emulated_loss(answer: Answer, working: str, name: str = "") -> Array:
    """The loss, (R,) or of a reduction (), float64, as a mechanism computes it in the dtype `working`.

    Args:
        answer: of a question of logits that has an answer. name: of the mechanism; "": a sound computation.
    """
    return _whole(answer, "loss", *_emulated(answer, name, working))


def _reproducing(problem: Problem, subject: Subject, outcome: Answered, part: Assessment) -> Iterator[str]:
    question = part.answer.question
    if part.part == "grad_targets" or question.inputs != "logits" or question.fixed is not None:
        return
    observed = getattr(outcome, part.part)
    declared = subject.precision[problem.dtype].arithmetic
    for working in dict.fromkeys((declared, problem.dtype)):
        sound = _whole(part.answer, part.part, *_emulated(part.answer, "", working))
        with np.errstate(all="ignore"):
            if _same_bits(sound.astype(observed.dtype), observed, part.failing):
                continue  # the dtype alone does it, and no mechanism is necessary
        for name in MECHANISMS:
            emulated = _whole(part.answer, part.part, *_emulated(part.answer, name, working))
            with np.errstate(all="ignore"):
                reproduced = _same_bits(emulated.astype(observed.dtype), observed, part.failing)
                if reproduced or (name in SUBTRACTING and _same_excess(emulated, part)):
                    yield name
        # Budget B covers every order of summation, and emulating an order takes a loop over the classes.
        if working != declared or bool(part.inside_b[part.failing].all()):
            for name in WEAK_SUMS:
                if _same_excess(_whole(part.answer, part.part, *_emulated(part.answer, name, working)), part):
                    yield name


@lru_cache(maxsize=2 * (len(MECHANISMS) + len(WEAK_SUMS)))  # all of a question, in two dtypes: subjects share them
@np.errstate(all="ignore")
def _emulated(answer: Answer, name: str, working: str) -> tuple[Array, Array]:
    """The row losses and the probabilities as a mechanism computes them in the dtype `working`."""
    a, _, _ = answer.question.effective
    dtype = FLOAT_DTYPES[working]
    x, targets = answer.question.log_inputs.astype(dtype), a.astype(dtype)
    if (emulate := MECHANISMS.get(name)) is not None:
        return emulate(x, targets, dtype)
    return _shifted(x, targets, WEAK_SUMS.get(name, _sound))


@np.errstate(all="ignore")
def _whole(answer: Answer, part: str, losses: Array, p: Array) -> Array:
    """The part of the result, float64 but for the emulated row losses or probabilities."""
    question = answer.question
    kept, losses, p = question.kept, losses.astype(np.float64), p.astype(np.float64)
    lse = answer.workspace.logsumexp()[0] if question.z_loss else np.zeros(question.rows)
    if part == "loss":
        rows = np.where(kept, question.factor * (losses + question.z_loss * lse**2), 0.0)
        return rows if question.reduction == "none" else np.asarray(rows.sum() / question.denominator)
    a, _, _ = question.effective
    total = a.sum(axis=1, keepdims=True) if question.soft_target_gradient == "scaled" else 1.0
    c = np.where(kept, question.factor * question.upstream / question.denominator / question.temperature, 0.0)
    return np.asarray(c[:, None] * ((total + 2 * question.z_loss * lse[:, None]) * p - a))


def _same_bits(emulated: Array, observed: Array, where: Array) -> bool:
    """Whether every failing value is reproduced, and not only NaN, which is no evidence for a formula."""
    emulated, observed = emulated.reshape(where.shape)[where], observed.reshape(where.shape)[where]
    same = emulated == observed
    return bool((same | (np.isnan(emulated) & np.isnan(observed))).all() and same.any())


@np.errstate(all="ignore")
def _same_excess(emulated: Array, part: Assessment) -> bool:
    """Whether the emulated errors agree with the observed ones to within a quarter."""
    where, exact = part.failing, part.compared.y
    observed_error, emulated_error = (part.compared.r - exact)[where], (emulated.reshape(where.shape) - exact)[where]
    return bool((np.abs(observed_error - emulated_error) <= np.abs(observed_error) / 4).all())
