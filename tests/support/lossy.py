"""A package that exists only in tests, in several releases, with a backend for its loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wheels import build_forwarding, build_wheel

LOSS = """
import numpy as np

def loss(logits, targets):
    shifted = logits.astype(np.float64) - logits.astype(np.float64).max(axis=-1, keepdims=True)
    hot = np.arange(logits.shape[-1]) == targets[..., None]
    value = np.log(np.exp(shifted).sum(axis=-1)) - shifted[hot].reshape(targets.shape)
    return value * {factor}
"""
BACKEND = """
from lossy import loss
from logitmus.core.backend import Backend, Function, Inputs, Outputs
from logitmus.core.convention import Convention
from logitmus.core.subject import Offer

def evaluate(_function, _mode, _device, inputs):
    return Outputs(loss=loss(inputs.logits, inputs.targets).astype(inputs.logits.dtype))

OFFER = Offer(targets="labels", dtypes=("float32",), single_row=False, spatial=False, gradients=frozenset())
FUNCTION = Function(name="cross_entropy", call=loss, offer=OFFER, convention=Convention())
BACKEND = Backend(name="lossy", distributions=("lossy",), functions=(FUNCTION,), evaluate=evaluate)
"""


def build_releases(folder: Path, factors: Mapping[str, float], requires: Mapping[str, list[str]] | None = None) -> None:
    """Wheels of `lossy` in a folder, by version, with the factor by which the losses of that release are too large.

    Args:
        requires: the requirements of some of the releases.
    """
    build_forwarding(folder)
    for version, factor in factors.items():
        sources = {"lossy.py": LOSS.format(factor=factor)}
        build_wheel(folder, "lossy", version, sources, requires=(requires or {}).get(version, ()))
