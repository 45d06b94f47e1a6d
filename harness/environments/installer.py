"""Resolve requirements to exact versions and install these, with uv or with pip.

Both read their own settings (UV_* and PIP_* variables, configuration files): indexes, credentials and certificates are
as in the user's shell. The installation gets the same requirements as the resolution, with the resolved versions as
constraints, so that options in files of requirements (--extra-index-url) apply to it, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from packaging.requirements import Requirement

from logitmus.core.errors import suggest
from logitmus.environments.choices import InstallerChoice
from logitmus.environments.errors import EnvironmentsError, InstallerError
from logitmus.worker.environment import normalized

_LINES: Final = 30  # of what an installer wrote: its explanation stands at the end
_UV_MISSING: Final = 'Install it (pip install "logitmus[audit]"), or use --installer pip'


@dataclass(frozen=True, slots=True)
class Lock:
    """Requirements resolved to exact versions.

    Attributes:
        lines: a pinned requirement per package, sorted: "optax==0.2.3", or "name @ URL".
        packages: the version of every package by its normalized name.
        dates: the day on which that version was released ("2024-07-04"), where the index gives it.
        requirements: what was resolved. files: the files of requirements that were resolved with them.
    """

    lines: tuple[str, ...]
    packages: Mapping[str, str]
    dates: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    files: tuple[Path, ...] = ()


class Installer(Protocol):
    """Resolves and installs; every method raises `EnvironmentsError` with the installer's own explanation."""

    def interpreter(self, python: str) -> Path:
        """The interpreter to make environments from, for a version ("3.12") or a path; "": the one that runs this."""
        ...

    def resolve(self, requirements: Sequence[Requirement], files: Sequence[Path], python: Path) -> Lock:
        """The exact versions for an interpreter."""
        ...

    def install(self, lock: Lock, folder: Path, python: Path) -> None:
        """Make a virtual environment of an interpreter in a folder that does not exist, and install into it."""
        ...


def installer(name: str) -> Installer:
    """The installer of this name: "uv" or "pip".

    Raises:
        EnvironmentsError: for another name, or where the program is not installed.
    """
    if name not in list(InstallerChoice):
        raise EnvironmentsError(f"unknown installer {name!r}; {suggest(name, InstallerChoice)}")
    return _Uv(_uv()) if name == InstallerChoice.UV else _Pip()


class _Uv:
    """uv: fast, caches what it downloads, fetches interpreters, and gives the dates of releases."""

    def __init__(self, program: str) -> None:
        self._program = program

    def interpreter(self, python: str) -> Path:
        if not python:
            return Path(sys.executable)
        if _is_path(python):
            return _existing(python)
        # A new environment is how uv finds, or fetches, the interpreter of a version; by its own rules.
        with tempfile.TemporaryDirectory() as folder:
            self._venv(Path(folder) / "venv", python)
            return (Path(folder) / "venv" / "bin" / "python").resolve()

    def resolve(self, requirements: Sequence[Requirement], files: Sequence[Path], python: Path) -> Lock:
        options = ["--python", str(python), "--format", "pylock.toml", "--no-header"]
        out = self._run(
            ["pip", "compile", "-", *map(str, files), *options], "resolve", requirements, files, _text(requirements)
        )
        try:
            locked = tomllib.loads(out)["packages"] if "[[packages]]" in out else []
            packages = {normalized(package["name"]): _version(package) for package in locked}
            lines = sorted(_pinned_by_uv(package) for package in locked)
            dates = {normalized(package["name"]): date for package in locked if (date := _released(package))}
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise EnvironmentsError(
                f"the result of uv cannot be read: {error!r}", "Update uv, or use --installer pip"
            ) from None
        return Lock(tuple(lines), packages, dates, tuple(requirements), tuple(files))

    def install(self, lock: Lock, folder: Path, python: Path) -> None:
        self._venv(folder, str(python))
        options = ["--python", str(folder / "bin" / "python"), *(["--compile-bytecode"] if _compiles() else [])]
        with _written(lock) as (sources, constraints):
            self._run(["pip", "install", *options, *constraints, *sources], "install", lock.requirements, lock.files)

    def _venv(self, folder: Path, python: str) -> None:
        # Relocatable: the folder gets its final name when everything is in it.
        self._run(["venv", "--no-project", "--relocatable", "--python", python, str(folder)], "create")

    def _run(
        self,
        arguments: Sequence[str],
        doing: str,
        requirements: Sequence[Requirement] = (),
        files: Sequence[Path] = (),
        given: str = "",
    ) -> str:
        command = [self._program, *arguments, "--color", "never", "--no-progress"]
        return _run(command, doing, requirements, files, given)


class _Pip:
    """pip: everywhere; without dates, and slower."""

    def interpreter(self, python: str) -> Path:
        if not python:
            return Path(sys.executable)
        if _is_path(python):
            return _existing(python)
        program = shutil.which(f"python{python}") or shutil.which(python)
        if program is None:
            raise EnvironmentsError(
                f"--python {python}: there is no python{python} on PATH",
                "Install it, give its path, or use --installer uv, which fetches interpreters",
            )
        return Path(program)

    def resolve(self, requirements: Sequence[Requirement], files: Sequence[Path], python: Path) -> Lock:
        options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
        sources = [option for file in files for option in ("-r", str(file))]
        out = self._run(
            python,
            ["install", *options, *sources, *map(str, requirements)],
            "resolve",
            requirements,
            files,
        )
        try:
            found = json.loads(out[out.index("{") :])["install"]
            packages = {normalized(each["metadata"]["name"]): each["metadata"]["version"] for each in found}
            lines = sorted(_pinned_by_pip(each) for each in found)
        except (ValueError, KeyError, TypeError) as error:
            raise EnvironmentsError(
                f"the report of pip cannot be read: {error!r}", "Update pip, or use --installer uv"
            ) from None
        return Lock(tuple(lines), packages, {}, tuple(requirements), tuple(files))

    def install(self, lock: Lock, folder: Path, python: Path) -> None:
        _run([str(python), "-m", "venv", "--without-pip", str(folder)], "create")
        with _written(lock) as (sources, constraints):
            self._run(
                folder / "bin" / "python",
                ["install", "--quiet", *([] if _compiles() else ["--no-compile"]), *constraints, *sources],
                "install",
                lock.requirements,
                lock.files,
            )

    def _run(
        self,
        python: Path,
        arguments: Sequence[str],
        doing: str,
        requirements: Sequence[Requirement],
        files: Sequence[Path],
    ) -> str:
        command = [sys.executable, "-m", "pip", "--python", str(python), "--no-input", *arguments]
        return _run(command, doing, requirements, files)


@contextmanager
def _written(lock: Lock) -> Iterator[tuple[list[str], list[str]]]:
    """The options that name a lock: the requirements and their files, and the resolved versions as constraints."""
    with tempfile.TemporaryDirectory() as folder:
        requirements, pins = Path(folder) / "requirements.txt", Path(folder) / "lock.txt"
        requirements.write_text(_text(lock.requirements), encoding="utf-8")
        pins.write_text("".join(f"{line}\n" for line in lock.lines), encoding="utf-8")
        yield [option for file in (*lock.files, requirements) for option in ("-r", str(file))], ["-c", str(pins)]


def _compiles() -> bool:
    """Whether modules are compiled now: only if workers, which start often, may not keep what they compile.

    To compile all of JAX takes 14 s of processor time, what a worker imports of it less than 3 s, once.
    """
    return bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))


def _text(requirements: Sequence[Requirement]) -> str:
    return "".join(f"{requirement}\n" for requirement in requirements)


def _uv() -> str:
    program = shutil.which("uv")
    if program is not None:
        return program
    try:
        from uv import find_uv_bin  # noqa: PLC0415  (an optional package)

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise EnvironmentsError("the installer uv was not found", _UV_MISSING) from None


def _is_path(python: str) -> bool:
    return "/" in python


def _existing(python: str) -> Path:
    path = Path(python).expanduser().absolute()
    if path.is_dir():
        path = path / "bin" / "python"
    if not path.exists():
        raise EnvironmentsError(
            f"--python {python} does not exist", "Give a version, e.g. 3.12, or the path of an interpreter"
        )
    return path


def _version(package: Mapping[str, Any]) -> str:
    version = package.get("version")
    return version if isinstance(version, str) else "unknown"  # sources that compute theirs when they are built


def _pinned_by_uv(package: Mapping[str, Any]) -> str:
    name = normalized(package["name"])
    if "directory" in package:
        raise _folder(name)
    if "vcs" in package:
        vcs = package["vcs"]
        return f"{name} @ {vcs['type']}+{vcs.get('url') or Path(vcs['path']).as_uri()}@{vcs['commit-id']}"
    if "archive" in package:
        archive = package["archive"]
        return f"{name} @ {archive.get('url') or Path(archive['path']).absolute().as_uri()}"
    return f"{name}=={package['version']}"


def _pinned_by_pip(installed: Mapping[str, Any]) -> str:
    name, source = normalized(installed["metadata"]["name"]), installed["download_info"]
    if not installed["is_direct"]:
        return f"{name}=={installed['metadata']['version']}"
    if "dir_info" in source:
        raise _folder(name)
    if "vcs_info" in source:
        return f"{name} @ {source['vcs_info']['vcs']}+{source['url']}@{source['vcs_info']['commit_id']}"
    return f"{name} @ {source['url']}"


def _folder(name: str) -> EnvironmentsError:
    return EnvironmentsError(
        f"{name} is requested from a folder, whose content can change while its version stays the same",
        "Build a wheel of it and request that",
    )


def _released(package: Mapping[str, Any]) -> str:
    """The day of the first file of a release; "" if the index does not say."""
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    times = [file["upload-time"] for file in files if isinstance(file.get("upload-time"), datetime)]
    return min(times).date().isoformat() if times else ""


def _run(
    command: Sequence[str],
    doing: str,
    requirements: Sequence[Requirement] = (),
    files: Sequence[Path] = (),
    given: str = "",
) -> str:
    """The standard output of a program that must succeed."""
    try:
        ran = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EnvironmentsError(f"{command[0]} does not run: {error}") from None
    if ran.returncode == 0:
        return ran.stdout
    what = " ".join([*map(str, requirements), *(f"-r {file}" for file in files)]) or "the environment"
    program = "pip" if "pip" in command[1:3] and "-m" in command[1:2] else Path(command[0]).name
    output = re.sub(r"\n{2,}", "\n", (ran.stderr.strip() or ran.stdout.strip())).splitlines()[-_LINES:]
    message = "\n".join([f"{program} could not {doing} {what}:", *(f"  {line}" for line in output)])
    raise InstallerError(message, _hint(program, doing, "\n".join(output)))


def _hint(program: str, doing: str, output: str) -> str:
    if "unexpected argument '--format'" in output:
        return 'This uv is too old: pip install --upgrade "uv>=0.7", or use --installer pip'
    if "No module named pip" in output:
        return "Install pip (python -m ensurepip), or use --installer uv"
    if doing == "create":
        return "Try another --python: a version, e.g. 3.12, or the path of an interpreter"
    other = "pip" if program != "pip" else "uv"
    return (
        "Try another version, another interpreter (--python 3.12), other settings of the index "
        f"({'PIP_INDEX_URL' if program == 'pip' else 'UV_DEFAULT_INDEX'}), or --installer {other}"
    )
