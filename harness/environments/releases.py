"""Which releases of a package exist, as the index says. pip is used: uv has no command for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from logitmus.core.errors import suggest
from logitmus.environments.errors import EnvironmentsError, InstallerError

_VERSIONS: Final = re.compile(r"^Available versions: (.*)$", re.MULTILINE)
_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a package, and the day of its release ("2024-07-04"; "" where unknown: pip does not say)."""

    version: str
    date: str = ""


def releases(package: str, *, python: str = "", pre: bool = False, yanked: Collection[str] = ()) -> tuple[Release, ...]:
    """The releases of a package that can be installed, in the order of their versions.

    Args:
        python: the path of an interpreter; releases that cannot be installed with it are left out. "": this one.
        pre: also pre-releases.
        yanked: versions of yanked releases to include. Both installers install them, but no command lists them.

    Raises:
        EnvironmentsError: for an unknown package, or an index that cannot be reached.
    """
    command = [sys.executable, "-m", "pip"]
    if python:
        command += ["--python", str(Path(python).expanduser())]
    command += ["--no-input", "index", "versions", package, *(["--pre"] if pre else [])]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EnvironmentsError(f"{sys.executable} does not run: {error}") from None
    found = _VERSIONS.search(ran.stdout)
    if ran.returncode or found is None:
        said = [line for line in ran.stderr.splitlines() if line.strip() and "experimental" not in line][-_LINES:]
        no_pip = any("No module named pip" in line for line in said)
        hint = "Install pip (python -m ensurepip)" if no_pip else "Is the name right, and can the index be reached?"
        message = f"pip could not list the releases of {package}:"
        raise InstallerError("\n".join([message, *(f"  {line}" for line in said)]), hint)
    versions = {*(text.strip() for text in found[1].split(",")), *yanked}
    return tuple(Release(version) for version in sorted(filter(_is_version, versions), key=Version))


def between(known: Sequence[Release], first: str, last: str) -> tuple[Release, ...]:
    """The releases from `first` to `last`, both included, in the order of their versions.

    Raises:
        EnvironmentsError: where one of them is no release, or they are in the wrong order.
    """
    by_version = {Version(release.version): release for release in known}
    bounds = []
    for text in (first, last):
        bound = Version(text) if _is_version(text) else None
        if bound not in by_version:
            closest = suggest(text, [release.version for release in known], most=20)
            raise EnvironmentsError(f"there is no release {text!r}; {closest}")
        bounds.append(bound)
    low, high = bounds
    if low > high:
        raise EnvironmentsError(f"{first} is later than {last}", f"Use {last} and {first}")
    return tuple(by_version[version] for version in sorted(by_version) if low <= version <= high)


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
