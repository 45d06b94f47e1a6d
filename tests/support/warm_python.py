"""A Python process that has imported a framework, and runs each script in a fork of itself.

Importing a framework takes seconds, a fork milliseconds. A script sees what it would see as `python script.py` in its
folder, and nothing of the scripts before it; only the framework's modules are loaded already. A framework starts its
threads with its first operation, so that a fork before it is safe.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

MODULES = {"torch": ["torch"], "tensorflow": ["tensorflow", "keras"], "jax": ["jax", "optax"], "numpy": ["numpy"]}
KERAS_ON_JAX = "keras on jax"


class WarmPython:
    """A process with a framework, or with `KERAS_ON_JAX`; `run` may be called any number of times."""

    def __init__(self, framework: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *(["jax", "keras"] if framework == KERAS_ON_JAX else MODULES[framework])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "KERAS_BACKEND": "jax"} if framework == KERAS_ON_JAX else None,
        )

    def run(self, script: Path) -> tuple[int, str]:
        """Run a script in its folder: its exit status (negative: a signal), and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        printed = script.with_suffix(".out")
        print(json.dumps([str(script), str(printed)]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the process with the framework is gone"
        return int(answer), printed.read_text(encoding="utf-8")

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def _serve(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        script, printed = json.loads(line)
        child = os.fork()
        if child == 0:
            _run_and_exit(Path(script), printed)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run_and_exit(script: Path, printed: str) -> None:
    """Run the script as `python script.py` would, and end this process."""
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(script.parent)
    sys.argv = [str(script)]
    sys.path[0] = str(script.parent)
    status: object = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    _serve(sys.argv[1:])
