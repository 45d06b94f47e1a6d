"""torch.compile as a mode of PyTorch's functions: `also_compiled` declares it, `compiled` is the call."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from logitmus.core.backend import Function, NotAskedError
from logitmus.core.computed_logits import COMPUTED, SCALED
from logitmus.core.problem import TargetKind
from logitmus.core.subject import Offer

# What is compiled for few signatures: shapes are free, and every dtype, reduction and option is compiled anew. Compiled
# functions are differentiated once.
_COMPILED = Offer(
    targets=TargetKind.LABELS,
    reductions=("none", "mean"),
    dtypes=("float32", "bfloat16"),
    label_dtypes=("int64",),  # of others the eager function takes uint8
    manners=("again", "after_others", *COMPUTED),
    spatial=False,
    single_row=False,
    gradients=frozenset({"logits"}),
)


def also_compiled(function: Function) -> Function:
    """The function, with the mode "compile" beside eager."""
    kind, gradients = function.offer.targets, function.offer.gradients
    return replace(
        function,
        modes=("", "compile"),
        mode_offers={"compile": replace(_COMPILED, targets=kind, gradients=gradients)},
        least_profiles={"compile": "full"},
    )


@cache
def of_computed_logits(call: Callable[..., Any], manner: str) -> Callable[..., Any]:
    """(source, targets, options, other) -> the call on logits that are computed from source and other.

    The gradient by the logits passes for that by the source.
    """
    import torch

    class Logits(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, source: Any, other: Any) -> Any:
            return source * other if manner == SCALED else source @ other

        @staticmethod
        def backward(context: Any, upstream: Any) -> Any:
            return upstream, None

    def computed(source: Any, targets: Any, options: Any, other: Any) -> Any:
        make: Any = Logits.apply
        return call(make(source, other), targets, options)

    return computed


_COMPILED_SIGNATURES: Final = 512  # PyTorch's own limit is 8; beyond it, it runs the eager code


@cache
def compiled(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call compiled by torch.compile, for all shapes at once: few sizes (0 and 1) are compiled for themselves."""
    kept = os.environ.get("LOGITMUS_CACHE")
    if kept:  # PyTorch separates its versions in it
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(kept) / "torchinductor"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # a worker starts no pool of processes
    import torch

    settings: Any = importlib.import_module("torch._dynamo.config")
    for name in ("recompile_limit", "cache_size_limit", "accumulated_recompile_limit", "accumulated_cache_size_limit"):
        if hasattr(settings, name):
            setattr(settings, name, _COMPILED_SIGNATURES)
    of_call = torch.compile(call, dynamic=True, fullgraph=True)

    def run(*arguments: Any) -> Any:
        try:
            return of_call(*arguments)
        except Exception as error:
            if "InvalidCxxCompiler" in repr(error):
                raise NotAskedError("torch.compile needs a C++ compiler, and finds none") from error
            raise

    return run
