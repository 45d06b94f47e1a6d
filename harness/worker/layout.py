"""Presenting a problem to a subject: its axis order, its memory layout, fresh writable arrays. And the way back.

Light (numpy, ml_dtypes): the worker imports it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from logitmus.core.backend import Inputs, Outputs
from logitmus.core.floats import Array
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject


def present(problem: Problem, subject: Subject) -> Inputs:
    """What `subject` gets: classes on the axis where it wants them, memory as `problem.layout` says.

    Every array is a fresh, writable copy, so that a call that writes into its inputs is seen and harms nothing else.
    Logits and targets are laid out; weight and cotangent are contiguous.
    """
    dense = problem.target_kind == TargetKind.PROBABILITIES
    targets = _outward(problem.targets, subject) if dense else problem.targets
    return Inputs(
        logits=_laid_out(_outward(problem.logits, subject), problem.layout),
        # The rows of the logits are equal where they are "expanded"; those of the targets need not be.
        targets=_laid_out(targets, "contiguous" if problem.layout == "expanded" else problem.layout),
        weight=None if problem.weight is None else problem.weight.copy(),
        ignore_index=problem.ignore_index,
        label_smoothing=problem.label_smoothing,
        reduction=problem.reduction,
        cotangent=None if problem.cotangent is None else problem.cotangent.copy(),
        signature=problem.signature,
        class_axis=_class_axis(subject, problem.logits.ndim),
    )


def canonical(outputs: Outputs, problem: Problem, subject: Subject) -> Outputs:
    """The outputs with the gradients' classes last.

    The loss stays unchanged, and so does a gradient with another number of axes than the logits: the judge says what
    is wrong with their shapes.
    """
    return replace(
        outputs,
        grad_logits=_inward(outputs.grad_logits, problem, subject),
        grad_targets=_inward(outputs.grad_targets, problem, subject),
        second_logits=_inward(outputs.second_logits, problem, subject),
    )


def _class_axis(subject: Subject, ndim: int) -> int:
    return -1 if subject.convention.class_axis == "last" else min(1, ndim - 1)


def _outward(array: Array, subject: Subject) -> Array:
    axis = _class_axis(subject, array.ndim)
    return array if axis in (-1, array.ndim - 1) else np.moveaxis(array, -1, axis)


def _inward(array: Array | None, problem: Problem, subject: Subject) -> Array | None:
    if array is None or array.ndim != problem.logits.ndim:
        return array
    axis = _class_axis(subject, array.ndim)
    return np.ascontiguousarray(array if axis in (-1, array.ndim - 1) else np.moveaxis(array, axis, -1))


def _laid_out(array: Array, layout: str) -> Array:
    """A writable array of the same values whose memory lies as `layout` says (`problem.LAYOUTS`)."""
    if array.ndim == 0:
        return array.copy()
    match layout:
        case "transposed":
            return array.copy(order="F")
        case "sliced":
            return _every_second(array)
        case "expanded" if array.ndim > 1 and array.shape[0] > 0:
            row = array[:1].copy()
            return np.lib.stride_tricks.as_strided(row, shape=array.shape, strides=(0, *row.strides[1:]))
        case "reversed":
            backward = (slice(None, None, -1),) * array.ndim
            return array[backward].copy()[backward]
        case "misaligned":
            return _off_by_one(array)
        case "moved" if array.ndim > 2:
            return np.moveaxis(np.moveaxis(array, 1, -1).copy(order="C"), -1, 1)
        case _:
            return array.copy(order="C")


def _off_by_one(array: Array) -> Array:
    """A copy that starts one element behind a multiple of 16 bytes."""
    size = array.itemsize
    memory = np.empty(array.size + 16 // size + 1, array.dtype)
    start = (-memory.ctypes.data % 16) // size + 1
    copy = memory[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def _every_second(array: Array) -> Array:
    """Every second element, along every axis, of an array whose gaps betray a reader: NaN, or an impossible label."""
    gap = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.nan
    view = np.full(tuple(2 * length for length in array.shape), gap, array.dtype)[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view
