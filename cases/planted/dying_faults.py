"""Planted faults that take their process with them, wait for ever, or eat the memory: each has a worker of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Final

import numpy as np

from logitmus.cases.planted.numpy.loss import Result, cross_entropy
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array

ZOO: Final = Zoo("numpy")


@ZOO.fault("crash", "mlx #594: a bad label aborts the process", "crashed:*", card=None)
def aborts_on_a_bad_label(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    if targets.size and targets.max() >= logits.shape[-1]:
        os.abort()
    return cross_entropy(logits, targets, reduction=reduction)


@ZOO.fault("crash", "Paddle #53516: memory outside the row, for a vocabulary beyond one block", "crashed:*", card=None)
def segfaults_beyond_128_classes(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    if logits.shape[-1] > 128:
        os.kill(os.getpid(), signal.SIGSEGV)
    return cross_entropy(logits, targets, reduction=reduction)


@ZOO.fault("crash", "a library that calls exit()", "crashed:*", "raised:SystemExit", card=None)
def exits_at_nan(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    if np.isnan(logits.astype(np.float64)).any():
        sys.stderr.flush()
        os._exit(1)
    return cross_entropy(logits, targets, reduction=reduction)


@ZOO.fault("crash", "a reduction loop that never ends for a single class", "timeout", card=None)
def hangs_for_one_class(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    while logits.shape[-1] == 1:
        time.sleep(0.1)
    return cross_entropy(logits, targets, reduction=reduction)


@ZOO.fault("crash", "torch.compile #194802: a compilation that never ends", "timeout", card=None)
def hangs_always(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    del logits, targets, reduction
    while True:
        time.sleep(0.1)


@ZOO.fault("crash", "pytorch #111484: a one-hot matrix of the whole vocabulary, squared", "out_of_memory", card=None)
def eats_the_memory(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    held = []
    while logits.shape[-1] > 200:
        held.append(np.ones(1 << 24))
    return cross_entropy(logits, targets, reduction=reduction)
