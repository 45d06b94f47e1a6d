"""Options that several verbs share. Light: loaded by `--help`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from logitmus.cli.exits import FailOn

STDOUT = Path("-")
EXPECTATIONS = Path("logitmus.toml")

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="The file of a run.", show_default=False)]


def _writable(path: Path | None) -> Path | None:
    """Told before anything is asked: what cannot be written would be lost once all is done."""
    if path is not None and path != STDOUT:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder; name a file in it")
        if not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"{path}: there is no folder {path.parent}; make it first, or name another")
    return path


def _file(option: str, what: str) -> Any:
    return typer.Option(option, metavar="FILE", callback=_writable, help=f"Write {what}.")


Html = Annotated[Path | None, _file("--html", "a self-contained HTML report")]
Json = Annotated[Path | None, _file("--json", "the results as JSON; - for stdout")]
JUnit = Annotated[Path | None, _file("--junit", "JUnit XML, for CI")]
Markdown = Annotated[Path | None, _file("--markdown", "a Markdown summary, for CI")]
Expect = Annotated[
    Path | None,
    typer.Option("--expect", metavar="FILE", help="Accepted findings.  [default: logitmus.toml, if there is one]"),
]
FailOnOption = Annotated[
    FailOn, typer.Option("--fail-on", help="Exit with 1 on unaccepted findings of at least this severity.")
]


def _minutes(value: float | None) -> float | None:
    if value is not None and not (0 < value < math.inf):
        raise typer.BadParameter(f"{value:g} is no time to explore; use minutes above 0, e.g. 2 or 0.5")
    return value


Explore = Annotated[
    float | None,
    typer.Option(
        "--explore",
        metavar="MINUTES",
        callback=_minutes,
        help="Go on for so long with problems beyond the suite, bred from those that come closest to their budgets.",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files that a person asked for."""

    html: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None

    @property
    def on_stdout(self) -> bool:
        """JSON takes the place of the summary."""
        return self.json == STDOUT
