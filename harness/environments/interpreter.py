"""What an interpreter is: its version, its platform and the packages that it imports. It is run to find out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from logitmus.environments.errors import EnvironmentsError
from logitmus.worker import environment

# The module of the worker is run by its path: the interpreter has no Logitmus. The current folder, which workers do not
# import from, must not hide a module or add a distribution.
_PROGRAM: Final = """
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import json, platform, runpy, sysconfig
print(json.dumps({
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "platform": sysconfig.get_platform(),
    "packages": runpy.run_path(sys.argv[1])["packages"](),
}))
"""
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that can be run.

    Attributes:
        python: its program.
        version: "3.12.4".
        implementation: "CPython".
        platform: as wheels name it, e.g. "linux-x86_64".
        packages: the version of every installed distribution by its normalized name.
    """

    python: Path
    version: str
    implementation: str
    platform: str
    packages: Mapping[str, str]


def examine(python: Path) -> Interpreter:
    """Run an interpreter once, and see what it is.

    Raises:
        EnvironmentsError: where it does not run, or is not a Python.
    """
    command = [str(python), "-c", _PROGRAM, environment.__file__]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentsError(f"{python} does not run: {error}", "Is it a Python interpreter?") from None
    lines = ran.stdout.splitlines()  # what a sitecustomize prints comes before
    try:
        facts: dict[str, Any] = json.loads(lines[-1])
        return Interpreter(python, facts["version"], facts["implementation"], facts["platform"], facts["packages"])
    except (IndexError, KeyError, TypeError, ValueError):
        said = (ran.stderr.strip() or ran.stdout.strip() or "nothing").splitlines()[-1]
        raise EnvironmentsError(
            f"{python} does not describe itself (exit code {ran.returncode}): {said}",
            "Is it a Python interpreter of version 3.9 or later?",
        ) from None
