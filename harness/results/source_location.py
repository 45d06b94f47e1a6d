"""Where a finding is shown in a repository: tools that show findings in files need a file for each.

A finding of a function that `logitmus check` tested stands at its definition. A finding of an installed framework has
no file in the user's repository; it stands at the file of expectations, where it can be accepted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from logitmus.core.run_settings import CheckedFunction
from logitmus.results.expectations import DEFAULT_FILE
from logitmus.results.groups import Group
from logitmus.results.summary import Summary


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A place in a file.

    Attributes:
        path: relative to the root of the repository, or else to the current folder, with "/"; absolute outside of it.
        line: from 1; None: the file as a whole.
    """

    path: str
    line: int | None = None


def locator(summary: Summary, expectations: Path | None) -> Callable[[Group], SourceLocation]:
    """The location of each group of findings of a run.

    Args:
        expectations: the file of expectations; None: there is none, and `logitmus.toml` is where it would be.
    """
    accepting = SourceLocation(_shown(expectations or DEFAULT_FILE))
    function = summary.started.settings.function if summary.started else None
    checked = _definition(function) if function is not None else None

    def locate(group: Group) -> SourceLocation:
        own = any(subject in summary.subjects and summary.subjects[subject].held_to for subject in group.subjects)
        return checked if own and checked is not None else accepting

    return locate


def _definition(function: CheckedFunction) -> SourceLocation | None:
    """The definition of the function that was checked; None: it stands in no file that can be found."""
    target, _, name = function.target.rpartition(":")
    path = Path(target) if target.endswith(".py") else _module_file(target)
    return SourceLocation(_shown(path), _line(path, name)) if path is not None else None


def _module_file(module: str) -> Path | None:
    """The file of a module below the current folder; nothing is imported to find others."""
    stem = PurePosixPath(*module.split("."))
    for folder in (Path(), Path("src")):
        for path in (folder / f"{stem}.py", folder / stem / "__init__.py"):
            if module and path.is_file():
                return path
    return None


def _line(path: Path, name: str) -> int | None:
    """The line on which a function (or the method of a class, `Class.method`) is defined; None: it is not found."""
    try:
        body: list[ast.stmt] = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    line = None
    for part in name.split("."):
        found = next((node for node in body if _names(node) == part), None)
        if found is None:
            return None
        line, body = found.lineno, getattr(found, "body", [])
    return line


def _names(node: ast.stmt) -> str:
    """The name that a statement defines; "" if it defines none, or several."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _shown(path: Path) -> str:
    """A path as `SourceLocation` has it."""
    absolute = path.absolute()
    root = _root(absolute.parent) or Path.cwd()
    return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()


@cache
def _root(folder: Path) -> Path | None:
    """The root of the repository that a folder is in; None: it is in none."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
