"""Arguments and options that several verbs share. Light: loaded by `--help`."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from logitmus.cli.exits import FailOn
from logitmus.core.run_settings import Shard

STDOUT = Path("-")
REPORTS: Final = "Reports"  # the section of these options in the help
BADGE_SUFFIXES: Final = (".json", ".svg")

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="Run file.", show_default=False)]
FunctionName = Annotated[
    str, typer.Argument(metavar="FUNCTION", help="FILE.py:NAME or package.module:NAME.", show_default=False)
]
Framework = Annotated[
    str,
    typer.Option(
        "--framework",
        "-f",
        metavar="NAME",
        help="torch, tensorflow, jax or numpy; also torch@/path/to/python or torch@env:NAME.",
    ),
]
ParameterNames = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OURS=THEIRS", help="The function's name for a parameter, e.g. weight=class_weights; repeatable."
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device to run on.")]
Subjects = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these subjects; repeatable.")]
DTypes = Annotated[list[str] | None, typer.Option(metavar="DTYPE", help="Only this dtype; repeatable.")]


class TargetsChoice(StrEnum):
    """The kinds of targets that a function is tested with."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"
    BOTH = "both"


def writable(path: Path | None) -> Path | None:
    """Check before the work that the file can be written after it."""
    if path is not None and path != STDOUT:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder; give a file in it")
        if not path.absolute().parent.is_dir():
            raise typer.BadParameter(
                f"{path}: the folder {path.parent} does not exist; create it, or give another path"
            )
    return path


def _badge(path: Path | None) -> Path | None:
    if path is not None and path.suffix not in BADGE_SUFFIXES:
        raise typer.BadParameter(f"{path}: a badge is a .svg file, or a .json file for shields.io; name one of these")
    return writable(path)


def _file(option: str, content: str, callback: Callable[[Path | None], Path | None] = writable) -> Any:
    return typer.Option(option, metavar="FILE", callback=callback, help=f"Write {content}.", rich_help_panel=REPORTS)


Html = Annotated[Path | None, _file("--html", "a self-contained HTML report")]
Json = Annotated[Path | None, _file("--json", "the results as JSON (- for stdout)")]
Markdown = Annotated[Path | None, _file("--markdown", "a Markdown summary")]
Sarif = Annotated[Path | None, _file("--sarif", "SARIF 2.1.0, for code scanning")]
GitLab = Annotated[Path | None, _file("--gitlab", "a GitLab Code Quality report")]
GitHub = Annotated[
    bool, typer.Option("--github", help="Print GitHub annotations.", rich_help_panel=REPORTS, show_default=False)
]
Expect = Annotated[
    Path | None,
    typer.Option(
        "--expect",
        metavar="FILE",
        help="File of accepted findings.  [default: logitmus.toml, or pyproject.toml with [tool.logitmus]]",
    ),
]
FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="Exit with 1 on unaccepted findings of at least this severity; new: any but notes, needs --against.",
    ),
]


StrictOption = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict",
        help="Exit with 1 on stale and expired expectations, too.  [default: --strict where CI is set]",
        show_default=False,
    ),
]


def is_strict(given: bool | None) -> bool:
    """Whether stale and expired expectations count; without the option, in CI only."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") if given is None else given


def _minutes(value: float | None) -> float | None:
    if value is not None and not (0 < value < math.inf):
        raise typer.BadParameter(f"{value:g} is not a duration; use minutes above 0, e.g. 2 or 0.5")
    return value


Explore = Annotated[
    float | None,
    typer.Option(
        "--explore",
        metavar="MINUTES",
        callback=_minutes,
        help="Then search this long beyond the suite, starting from the problems closest to their error budget.",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a shard; use NUMBER/COUNT from 1/COUNT on, e.g. 2/5") from None


ShardOption = Annotated[
    Shard | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        parser=_shard,
        help="Only this part of the problems, e.g. 2/5; see `logitmus merge`.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The reports to write: files, and what is printed. Each field is an option of the commands that take `outputs`."""

    html: Html = None
    json: Json = None
    junit: Annotated[Path | None, _file("--junit", "JUnit XML")] = None
    markdown: Markdown = None
    sarif: Sarif = None
    gitlab: GitLab = None
    badge: Annotated[Path | None, _file("--badge", "a badge (.svg, or .json for shields.io)", _badge)] = None
    github: GitHub = False
    line: Annotated[
        bool,
        typer.Option("--line", help="Print one line, for a chat.", rich_help_panel=REPORTS, show_default=False),
    ] = False

    def __post_init__(self) -> None:
        printed = [f"--{name}" for name in ("github", "line") if getattr(self, name)]
        if self.on_stdout and printed:
            raise typer.BadParameter(
                f"{' and '.join(printed)} would be printed into the JSON on standard output; write it into a file",
                param_hint="--json",
            )

    def refuse_overwriting(self, **used: Path | None) -> None:
        """Raise a usage error where a file is written twice, or over a file that the command uses (by what it is)."""
        refuse_overwriting({f"--{name}": path for name, path in self.files()}, **used)

    def files(self) -> Iterator[tuple[str, Path]]:
        """The report files to write, by the names of their options."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ((name, path) for name, path in given if isinstance(path, Path))

    @property
    def on_stdout(self) -> bool:
        """Whether JSON replaces the summary on standard output."""
        return self.json == STDOUT


def refuse_overwriting(written: Mapping[str, Path], **used: Path | None) -> None:
    """Raise a usage error where a file is written twice, or over a file that a command uses.

    Args:
        written: by the option that names it. used: by what it is, with underscores for spaces.
    """
    known = {path.resolve(): f"the {what.replace('_', ' ')}" for what, path in used.items() if path is not None}
    for option, path in written.items():
        other = known.setdefault(path.resolve(), option)
        if other != option:
            raise typer.BadParameter(f"{path} is also {other}; name another file", param_hint=option)


def with_outputs(verb: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `outputs` of a command by an option for each field of `Outputs`."""
    signature = inspect.signature(verb, eval_str=True)
    annotations = inspect.get_annotations(Outputs, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=annotations[field.name])
        for field in fields(Outputs)
    ]

    @wraps(verb)
    def command(**arguments: Any) -> None:
        outputs = Outputs(**{option.name: arguments.pop(option.name) for option in options})
        verb(outputs=outputs, **arguments)

    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        own = [parameter.replace(kind=keyword)]
        parameters += options if parameter.name == "outputs" else own
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command
