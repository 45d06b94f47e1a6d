"""Where a process runs: all that can change an answer's bits, recorded with every run.

Standard library only: the worker imports it inside foreign environments.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

# Variables that change how many threads, which kernels or which numerics a framework uses. By name, never by prefix:
# run files and reports are shared, and TF_VAR_password is somebody's secret.
_TELLING: Final = frozenset({
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "MKL_NUM_THREADS", "MKL_CBWR", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
    "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "KMP_AFFINITY", "ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES",
    "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS", "TF_CUDNN_DETERMINISTIC", "TF_DETERMINISTIC_OPS", "TF_FORCE_GPU_ALLOW_GROWTH",
    "JAX_ENABLE_X64", "JAX_PLATFORMS", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DEBUG_NANS", "KERAS_BACKEND",
    "PYTHONHASHSEED", "PYTHONOPTIMIZE",
})  # fmt: skip


def harness_environment() -> dict[str, Any]:
    """The environment of the harness: that of any process, and the machine's memory and GPUs."""
    return {**process_environment(), "memory_bytes": _memory_bytes(), "gpus": _gpus()}


def process_environment() -> dict[str, Any]:
    """Interpreter, platform, CPU, threads, floating-point environment and every installed distribution's version."""
    return {
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "cpu": {
            "architecture": platform.machine(),
            "model": cpu_model(),
            "count": os.cpu_count(),
            "usable": _usable(),
        },
        "floating_point": {
            "flush_to_zero": flushes_results(),
            "denormals_are_zero": flushes_operands(),
        },
        "variables": {name: value for name, value in sorted(os.environ.items()) if name in _TELLING},
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Every installed distribution (its normalized name) with its exact version.

    Where a distribution is installed twice, the version that is imported. Normalized as in PyPA's "Names and
    normalization": a project's own spelling changes between releases (tensorflow-cpu, tensorflow_cpu).
    """
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = _name_and_version(distribution)
        if name:  # a damaged installation may have none
            found.setdefault(normalized(name), version)
    return dict(sorted(found.items()))


def _name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """The headers Name and Version, or "".

    `distribution.metadata` parses the whole text, README included: for a hundred distributions a tenth of a second,
    between the import of a framework and its first call.
    """
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found = {"name": "", "version": ""}
    for line in text.splitlines():
        if not line:
            break
        header, _, value = line.partition(":")
        if header.lower() in found:
            found[header.lower()] = value.strip()
    return found["name"], found["version"]


def normalized(name: str) -> str:
    """The normalized name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(environment: Mapping[str, Any]) -> dict[str, str]:
    """The version of the interpreter and of every installed distribution."""
    python = environment.get("python", {}).get("version")
    installed = {normalized(name): version for name, version in environment.get("packages", {}).items()}
    return {**installed, **({"python": python} if python else {})}


def changed_version(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first package whose version differs, with both versions; None where all are the same."""
    old, new = versions(before), versions(after)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            return name, old.get(name, "(none)"), new.get(name, "(none)")
    return None


def flushes_subnormals() -> bool:
    """Whether this thread's floating-point unit flushes subnormal results or operands to zero, measured."""
    return flushes_results() or flushes_operands()


def flushes_results() -> bool:
    """Flush-to-zero: half of the smallest normal number comes out as 0."""
    return _half(sys.float_info.min) == 0.0


def flushes_operands() -> bool:
    """Denormals-are-zero: a subnormal operand is taken for 0, though its result is normal."""
    return _scaled_up(_SMALLEST_SUBNORMAL) == 0.0


_SMALLEST_SUBNORMAL = float.fromhex("0x1p-1074")


def _half(value: float) -> float:
    # In a function of its own, so that the compiler cannot do it at compile time.
    return value * 0.5


def _scaled_up(value: float) -> float:
    return value * 2.0**200


def cpu_model() -> str:
    """The name of the processor, as far as the system has one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _usable() -> int | None:
    """The CPUs that this process may use, which a container or a batch system may have narrowed."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _gpus() -> list[str]:
    """Name, driver and memory of every NVIDIA GPU, as its own tool reports them; [] where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
