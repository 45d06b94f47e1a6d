"""What a person requests of an environment: packages in certain versions, or an interpreter that exists.

    optax==0.2.3                    a requirement (PEP 508), or several: "jax==0.6.0 optax==0.2.4"
    -r requirements.txt             the requirements in a file
    /path/to/venv                   a virtual environment, or the path of its interpreter
    current                         the interpreter that runs Logitmus
    env:NAME                        an environment that `logitmus env create NAME` made

Nothing is installed and no index is queried here.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from logitmus.environments.errors import EnvironmentsError
from logitmus.worker.environment import normalized

CURRENT: Final = "current"
NAMED: Final = "env:"
FORMS: Final = "requirements (optax==0.2.3), -r FILE, a path to a Python, current or env:NAME"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_HASHES: Final = re.compile(r"\s+--?[a-z].*|\\$")


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """One requested environment: requirements and files of requirements, or an interpreter, or a name.

    Attributes:
        text: the request as a person would write it.
        requirements: what the request itself lists, in its order.
        files: files in the format of requirements.txt.
        interpreter: the program of an existing environment, absolute; None: the environment is to be made.
        name: the NAME of env:NAME; "" where none is given.
    """

    text: str
    requirements: tuple[Requirement, ...] = ()
    files: tuple[Path, ...] = ()
    interpreter: Path | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return self.text

    @property
    def installs(self) -> bool:
        """Whether packages have to be resolved and installed for it."""
        return bool(self.requirements or self.files)

    @property
    def named_packages(self) -> tuple[str, ...]:
        """The normalized names of the packages that the request and its files list, sorted.

        Raises:
            EnvironmentsError: for a file that cannot be read.
        """
        listed = [requirement.name for requirement in self.requirements]
        for file in self.files:
            listed += _names_in(file)
        return tuple(sorted(set(map(normalized, listed))))


def parse(*texts: str) -> EnvironmentSpec:
    """The environment that the texts request together (the forms are at the top of this module).

    Raises:
        EnvironmentsError: for a text in none of the forms, or a file or interpreter that does not exist.
    """
    words = [word for text in texts for word in _words(text)]
    if not words:
        raise EnvironmentsError("an environment needs at least one package", f"Use {FORMS}")
    if len(words) == 1:
        existing = _existing(words[0])
        if existing is not None:
            return existing
    requirements: list[Requirement] = []
    files: list[Path] = []
    shown: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("-r", "--requirement") or word.startswith(("-r", "--requirement=")):
            name = next(rest, "") if word in ("-r", "--requirement") else re.sub(r"^(-r|--requirement=)", "", word)
            files.append(_file(name))
            shown.append(f"-r {shlex.quote(name)}")
        else:
            requirements.append(_requirement(word))
            shown.append(word)
    return EnvironmentSpec(" ".join(shown), tuple(requirements), tuple(files))


def valid_name(name: str) -> str:
    """The name of an environment, unchanged.

    Raises:
        EnvironmentsError: for a name with other characters than letters, digits, '.', '_' and '-'.
    """
    if not _NAME.fullmatch(name):
        raise EnvironmentsError(
            f"{name!r} cannot name an environment: use letters, digits, '.', '_' and '-', and begin with a letter or "
            "a digit, e.g. optax-0.2.3"
        )
    return name


def _words(text: str) -> list[str]:
    """The requirements, options and paths in a text; a requirement may itself contain spaces and quotes."""
    text = text.strip()
    if _as_requirement(text) is not None or (text and Path(text).exists()):
        return [text]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise EnvironmentsError(f"{text!r} cannot be read: {error}", f"Use {FORMS}") from None


def _existing(word: str) -> EnvironmentSpec | None:
    """The spec of an environment that exists; None for requirements."""
    if word == CURRENT:
        return EnvironmentSpec(word, interpreter=Path(sys.executable))
    if word.startswith(NAMED):
        return EnvironmentSpec(word, name=valid_name(word.removeprefix(NAMED)))
    if _is_path(word):
        return EnvironmentSpec(word, interpreter=_interpreter(word))
    return None


def _is_path(word: str) -> bool:
    if word.startswith("-") or ("@" in word and _as_requirement(word) is not None and not Path(word).exists()):
        return False  # "NAME @ URL"
    # A folder in the current one may have the name of a package: without a slash, only an environment is meant.
    return ("/" in word and "://" not in word) or (Path(word) / "bin" / "python").exists()


def _interpreter(word: str) -> Path:
    path = Path(word).expanduser().absolute()  # unresolved: the interpreter of a virtual environment is a link
    program = path / "bin" / "python" if path.is_dir() else path
    if program.suffix in (".whl", ".gz", ".zip"):
        raise EnvironmentsError(
            f"{word} is a distribution, not an interpreter", f'Request it by name: "NAME @ {program.as_uri()}"'
        )
    if not program.exists():
        what = "is a folder without bin/python" if path.is_dir() else "does not exist"
        raise EnvironmentsError(
            f"{word} {what}", "Give the path of a Python interpreter or of the folder of a virtual environment"
        )
    if not os.access(program, os.X_OK):
        raise EnvironmentsError(f"{word} is not a program that can be run", "Give the path of a Python interpreter")
    return program


def _file(name: str) -> Path:
    if not name:
        raise EnvironmentsError("-r names no file", "Use -r requirements.txt")
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise EnvironmentsError(f"-r {name}: there is no such file")
    return path


def _requirement(word: str) -> Requirement:
    if word == CURRENT or word.startswith(NAMED) or _is_path(word):
        raise EnvironmentsError(f"{word} is an environment of its own; nothing can be installed into it", "Remove it")
    if word.startswith("-"):
        raise EnvironmentsError(
            f"{word} is no option of an environment",
            "Only -r FILE is; set others as variables, e.g. UV_DEFAULT_INDEX or PIP_INDEX_URL",
        )
    if "://" in word and "@" not in word.partition("://")[0]:
        raise EnvironmentsError(f"{word}: the name of the package is missing", f'Use "NAME @ {word}"')
    try:
        return Requirement(word)
    except InvalidRequirement as error:
        problem = str(error).splitlines()[0].rstrip(".")
        single = re.fullmatch(r"([\w.-]+)=([\w.*+!]+)", word)
        hint = f"Did you mean {single[1]}=={single[2]}?" if single else f"Use {FORMS}"
        raise EnvironmentsError(f"{word!r} is not a requirement: {problem}", hint) from None


def _as_requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _names_in(file: Path) -> list[str]:
    """The packages that a file of requirements lists; its options and the files that it includes are left out."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentsError(f"-r {file}: cannot be read: {error}") from None
    found = [_as_requirement(_HASHES.sub("", _COMMENT.sub("", line)).strip()) for line in lines]
    return [requirement.name for requirement in found if requirement is not None]
