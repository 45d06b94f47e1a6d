"""Starting the process of a worker: what is run for a backend, and in which environment.

Light: what a framework loads takes longer than all that the harness loads, so that workers are launched first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from logitmus.worker.environment import cpu_model

if TYPE_CHECKING:
    from logitmus.execution.registry import BackendSpec

Process = subprocess.Popen[bytes]

# A worker's environment variable: the folder in which its framework may keep compiled code. Set to "", nothing is kept.
CACHE: Final = "LOGITMUS_CACHE"
_OF_THIS_PYTHON: Final = ("PYTHONPATH", "PYTHONHOME")


def launch(spec: BackendSpec, variant: str = "", device: str = "") -> Process:
    """A worker's process, with pipes for its three standard streams.

    Raises:
        OSError: where it cannot be run.
    """
    return subprocess.Popen(
        command(spec, variant, device),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(spec),
        start_new_session=True,  # its own process group: killed with all its children, and spared the Ctrl-C
    )


@contextlib.contextmanager
def launched(
    specs: Iterable[BackendSpec], started: Mapping[str, Process] | None = None
) -> Iterator[dict[str, Process]]:
    """The processes of these backends by label, for a `Pool` to take over; in the end none of them is left.

    One that cannot be run is left out: the pool tries again, and says so.

    Args:
        started: processes that run already, by label; the others are launched.
    """
    processes = dict(started or {})
    try:
        for spec in specs:
            with contextlib.suppress(OSError):
                if spec.label not in processes:
                    processes[spec.label] = launch(spec)
        yield dict(processes)
    finally:
        for process in processes.values():
            end(process)


def end(process: Process) -> None:
    """Kills a process that has not been waited for, with its children; waits for it and frees its pipes."""
    if process.poll() is None:
        kill_group(process)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def kill_group(process: Process) -> None:
    """Kills it and every process of its group, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def environment(spec: BackendSpec) -> dict[str, str]:
    """A worker's environment: a single thread per worker, unless the user's environment sets another number.

    Another interpreter does not get PYTHONPATH, which was set for this one and would hide packages of the other.

    Workers compute side by side. With a thread pool of all cores each, they wait for each other: a small torch call
    took 20 times as long beside a busy JAX. And sums do not depend on the number of cores.
    """
    one_thread = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    }
    inherited = {name: value for name, value in os.environ.items() if not (spec.python and name in _OF_THIS_PYTHON)}
    return {**one_thread, CACHE: str(_cache()), **inherited}


def _cache() -> Path:
    """Where frameworks keep compiled code between runs: a folder for each processor, which the code is made for."""
    processor = hashlib.sha256(f"{platform.machine()} {cpu_model()}".encode()).hexdigest()[:12]
    return Path(platformdirs.user_cache_dir("logitmus")) / "compiled" / processor


def command(spec: BackendSpec, variant: str = "", device: str = "") -> list[str]:
    """What is run for a backend; every `Backend` value is started the same way, in whatever interpreter."""
    chosen = [*(("--variant", variant) if variant else ()), *(("--device", device) if device else ())]
    if spec.command:
        return [*spec.command, *chosen]
    package = Path(__file__).parent.parent
    backends = find_spec("logitmus.backends")
    if backends is None or backends.origin is None:
        raise RuntimeError("logitmus.backends is not installed beside logitmus; reinstall logitmus")
    return [
        spec.python or sys.executable,
        "-X",
        "faulthandler",  # the stack of a crash, in the tail of stderr
        str(package / "worker" / "bootstrap.py"),
        str(package),
        str(Path(backends.origin).parent),
        "--backend",
        spec.target,
        *(("--path", spec.path) if spec.path else ()),
        *(("--function", spec.function, "--class-axis", spec.class_axis) if spec.function else ()),
        *(part for ours, theirs in spec.options for part in ("--option", f"{ours}={theirs}")),
        *(part for setting in spec.settings for part in ("--setting", setting)),
        *chosen,
    ]
