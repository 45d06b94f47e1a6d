"""Backend values for tests of the worker: each function is well made, and does one thing besides."""

import ctypes
import os
import subprocess
import sys
import time
import warnings

import numpy as np

from logitmus.core.backend import Backend, Function, Inputs, Outputs
from logitmus.core.convention import PORTABLE
from logitmus.core.subject import Offer

LIBC = ctypes.CDLL(None)
VARIANT = ""


def well_made(inputs: Inputs) -> Outputs:
    shifted = inputs.logits - inputs.logits.max(-1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(-1, keepdims=True)
    hot = inputs.targets[..., None] == np.arange(inputs.logits.shape[-1])
    loss = (np.log(total)[..., 0] - (shifted * hot).sum(-1)).astype(inputs.logits.dtype)
    return Outputs(loss=loss, grad_logits=(powers / total - hot).astype(inputs.logits.dtype))


def plain(inputs: Inputs) -> Outputs:
    return well_made(inputs)


def prints(inputs: Inputs) -> Outputs:
    print("print", flush=True)
    sys.__stdout__.write('{"type": "done", "batch": 1}\n')
    sys.__stdout__.flush()
    os.write(1, b"straight to the descriptor\n")
    LIBC.puts(b"from C\n" * 1000)
    LIBC.fflush(None)
    subprocess.run(["echo", "from a child"], check=True)
    return well_made(inputs)


def reads_stdin(inputs: Inputs) -> Outputs:
    if sys.stdin.read() or os.read(0, 100):
        raise AssertionError("the standard input had something in it")
    return well_made(inputs)


def warns(inputs: Inputs) -> Outputs:
    for _ in range(3):
        warnings.warn("deprecated since 0.7437", DeprecationWarning, stacklevel=1)
    warnings.warn("imprecise", RuntimeWarning, stacklevel=1)
    return well_made(inputs)


def writes(inputs: Inputs) -> Outputs:
    outputs = well_made(inputs)
    inputs.logits[...] = -0.0
    return outputs


def raises(inputs: Inputs) -> Outputs:
    raise IndexError(f"label {inputs.targets[0]} " + "x" * 5000)


def runs_out_of_memory(inputs: Inputs) -> Outputs:
    raise MemoryError("1 TiB")


def returns_nonsense(inputs: Inputs) -> Outputs:
    return Outputs(loss=np.array(["zero point seven"], dtype=object))


def segfaults(inputs: Inputs) -> Outputs:
    ctypes.string_at(0)
    return well_made(inputs)


def sleeps(inputs: Inputs) -> Outputs:
    time.sleep(3600)
    return well_made(inputs)


def flushes(inputs: Inputs) -> Outputs:
    """Leaves flush-to-zero switched on, as some frameworks do: here by the C library, on x86-64 only."""
    environment = (ctypes.c_uint8 * 64)()
    LIBC.fegetenv(environment)
    environment[29] |= 0x80  # bit 15 of MXCSR, which lies at byte 28 of glibc's fenv_t
    LIBC.fesetenv(environment)
    return well_made(inputs)


def tells_variant(inputs: Inputs) -> Outputs:
    return Outputs(loss=np.full(inputs.targets.shape, len(VARIANT), inputs.logits.dtype))


def start(variant: str) -> None:
    global VARIANT  # noqa: PLW0603  (a process-wide switch is what a variant is)
    VARIANT = variant
    print("banner of a framework", flush=True)


def _function(call: object) -> Function:
    return Function(name=call.__name__, call=call, offer=Offer(targets="labels"), convention=PORTABLE, modes=("",))


FUNCTIONS = tuple(
    map(
        _function,
        (
            plain, prints, reads_stdin, warns, writes, raises, runs_out_of_memory, returns_nonsense, segfaults, sleeps,
            flushes, tells_variant,
        ),
    )
)  # fmt: skip

FAKE = Backend(
    name="fake",
    distributions=("numpy",),
    functions=FUNCTIONS,
    evaluate=lambda function, mode, device, inputs: function.call(inputs),
    start=start,
    variants=("", "long"),
    devices=lambda: ("cpu", "abacus"),
)


def _needs_a_framework(variant: str) -> None:
    import a_framework_that_nobody_has  # noqa: F401


UNINSTALLED = Backend(
    name="uninstalled",
    distributions=("a-framework", "its-helper"),
    functions=(),
    evaluate=FAKE.evaluate,
    start=_needs_a_framework,
)
NO_BACKEND = 7
