"""Functions of a user's own, as a person names them: FILE.py:FUNCTION or package.module:FUNCTION.

Light (standard library): the harness parses with it, a worker imports with it.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from logitmus.core.errors import LogitmusError, suggest

_MOST = 8  # names that a message lists
_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class TargetError(LogitmusError, ValueError):
    """A user's function that cannot be found, imported or called; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function in a file or in a module.

    Attributes:
        file: the absolute path of a Python file; "" for a module.
        module: the dotted name of a module, or the file's name without its ending.
        attribute: "loss", or "Losses.smooth" for what lies deeper.
    """

    file: str
    module: str
    attribute: str

    @property
    def name(self) -> str:
        """What its subjects are called: `losses.loss`."""
        return re.sub(r"[\s@:]+", "_", f"{self.module.rpartition('.')[2]}.{self.attribute}")

    def __str__(self) -> str:
        return f"{self.file or self.module}:{self.attribute}"


def parse(text: str) -> Target:
    """What TEXT means.

    Raises:
        TargetError: for a form that is none of the two, or a file that is not there.
    """
    where, colon, attribute = text.rpartition(":")
    if not colon or not where or not _ATTRIBUTE.fullmatch(attribute):
        raise TargetError(f"{text!r} names no function; use FILE.py:FUNCTION or package.module:FUNCTION")
    if not (where.endswith(".py") or "/" in where or "\\" in where):
        if not _ATTRIBUTE.fullmatch(where):
            raise TargetError(f"{where!r} is no module's name; use FILE.py:FUNCTION or package.module:FUNCTION")
        return Target("", where, attribute)
    file = Path(where)
    if not file.is_file():
        there = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise TargetError(f"there is no file {where}{_suggestion(file.name, there)}")
    return Target(str(file.resolve()), file.stem, attribute)


def load(target: Target) -> Callable[..., Any]:
    """Imports it as `python FILE.py` would: its folder is on the import path (for a module: the current folder).

    Raises:
        TargetError: where the import fails, nothing has that name, or what has it cannot be called.
    """
    sys.path.insert(0, str(Path(target.file).parent if target.file else Path.cwd()))
    module = _imported(target)
    found: Any = module
    for name in target.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            there = (
                [name for name, value in vars(found).items() if callable(value)] if hasattr(found, "__dict__") else []
            )
            raise TargetError(
                f"{target.file or target.module} has no {target.attribute!r}{_suggestion(name, there)}"
            ) from None
    if isinstance(found, type):
        raise TargetError(f"{target} is a class; name a function, or an object made of it")
    if not callable(found):
        raise TargetError(f"{target} is {_a(found)}, and cannot be called")
    return found


def _imported(target: Target) -> ModuleType:
    arguments, sys.argv = sys.argv, [target.file or target.module]  # it may parse them
    try:
        return _from_file(target) if target.file else import_module(target.module)
    except ModuleNotFoundError as error:
        if not target.file and (error.name or "") in _prefixes(target.module):
            raise TargetError(
                f"there is no module {error.name!r} here, and none is installed; "
                "use FILE.py:FUNCTION for a file that lies elsewhere"
            ) from None
        raise TargetError(_failed(target, error)) from error
    except (Exception, SystemExit) as error:
        raise TargetError(_failed(target, error)) from error
    finally:
        sys.argv = arguments


def _from_file(target: Target) -> ModuleType:
    # A file called numpy.py, say, must not be taken for what is imported under that name.
    name = target.module if target.module not in sys.modules else f"{target.module} ({target.file})"
    spec = spec_from_file_location(name, target.file)
    if spec is None or spec.loader is None:
        raise TargetError(f"{target.file} is no Python file; its name must end with .py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _failed(target: Target, error: BaseException) -> str:
    """What the import raised, and on which line of the user's own."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if Path(frame.filename).stem == target.module.rpartition(".")[2]]
    line = f" (line {mine[-1].lineno})" if mine else ""
    hint = ""
    if "relative import" in str(error):
        hint = "; it is part of a package: name it package.module:FUNCTION, from the folder that holds the package"
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, SystemExit):
        reason, hint = "it ended the program", '; put what it does as a script under if __name__ == "__main__"'
    return f"{target.file or target.module} cannot be imported: {reason}{line}{hint}"


def _prefixes(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: n + 1]) for n in range(len(parts))}


def _suggestion(name: str, there: Iterable[str]) -> str:
    public = sorted(attribute for attribute in there if not attribute.startswith("__"))
    return f"; {suggest(name, public, most=_MOST)}" if public else ""


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
