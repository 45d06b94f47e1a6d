"""Arguments and options that several verbs share. Light: loaded by `--help`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from logitmus.cli.exits import FailOn

STDOUT = Path("-")

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="Run file.", show_default=False)]
FunctionName = Annotated[
    str, typer.Argument(metavar="FUNCTION", help="FILE.py:NAME or package.module:NAME.", show_default=False)
]
Framework = Annotated[
    str,
    typer.Option(
        "--framework", "-f", metavar="NAME", help="torch, tensorflow, jax or numpy; also NAME@/path/to/python."
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


def _file(option: str, content: str) -> Any:
    return typer.Option(option, metavar="FILE", callback=writable, help=f"Write {content}.")


Html = Annotated[Path | None, _file("--html", "a self-contained HTML report")]
Json = Annotated[Path | None, _file("--json", "the results as JSON (- for stdout)")]
JUnit = Annotated[Path | None, _file("--junit", "JUnit XML, for CI")]
Markdown = Annotated[Path | None, _file("--markdown", "a Markdown summary, for CI")]
Expect = Annotated[
    Path | None,
    typer.Option(
        "--expect",
        metavar="FILE",
        help="File of accepted findings.  [default: logitmus.toml, or pyproject.toml with [tool.logitmus]]",
    ),
]
FailOnOption = Annotated[
    FailOn, typer.Option("--fail-on", help="Exit with 1 on unaccepted findings of at least this severity.")
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


def _shard(text: str | None) -> str | None:
    number, slash, count = (text or "1/1").partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter(f"{text!r} is not a shard; use NUMBER/COUNT from 1/COUNT on, e.g. 2/5")
    return text


ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        callback=_shard,
        help="Only this part of the problems, e.g. 2/5; see `logitmus merge`.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The report files to write."""

    html: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None

    @property
    def on_stdout(self) -> bool:
        """Whether JSON replaces the summary on standard output."""
        return self.json == STDOUT
