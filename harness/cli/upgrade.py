"""What `audit`, `bisect` and `compare` share: options, and the way from an audit to reports and an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit, FailOnChange
from logitmus.cli.options import STDOUT, refuse_overwriting

if TYPE_CHECKING:
    from logitmus.auditing.transitions import Audit

FailOnChangeOption = Annotated[
    FailOnChange,
    typer.Option(
        "--fail-on",
        help="Exit with 1 if a result is worse, or if any result changed; accepted findings and times do not count.",
    ),
]
ConcernedBackends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="BACKEND",
        help="Only this backend; repeatable.  [default: those whose packages differ]",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="New folder for the run files.  [default: logitmus-COMMAND-TIME]"),
]
Jobs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Parallel workers.  [default: number of CPUs]")]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed.")]


def new_folder(given: Path | None, command: str) -> Path:
    """The folder for the run files of a command; it does not exist, or is empty."""
    folder = given or Path(f"logitmus-{command}-{datetime.now():%Y%m%d-%H%M%S}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"{folder} exists, and is not an empty folder; name another", param_hint="--out")
    return folder


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Create the folder for run files; after an error or Ctrl-C, keep it only if it holds any."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be created ({error.strerror})", param_hint="--out") from error
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            folder.rmdir()
        if not isinstance(error, KeyboardInterrupt):
            raise
        left = f"; {folder} has the runs that were complete" if folder.exists() else ""
        typer.echo(f"logitmus: interrupted{left}", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None


def check_outputs(outputs: Mapping[str, Path | None], **used: Path) -> None:
    """Raise a usage error where a report would overwrite another, or a file that is used."""
    written = {option: path for option, path in outputs.items() if path is not None and path != STDOUT}
    refuse_overwriting(written, **used)


def deliver(
    audit: Audit, *, html: Path | None, json: Path | None, markdown: Path | None, fail_on: FailOnChange
) -> Exit:
    """Print the report, write the files, return the exit code."""
    from logitmus.cli.output import stdout
    from logitmus.reports import audit_data, audit_markdown
    from logitmus.reports.html import audit_page
    from logitmus.reports.terminal import audit as terminal

    texts = {json: audit_data.to_json, markdown: audit_markdown.to_markdown, html: audit_page.render}
    if json == STDOUT:
        typer.echo(audit_data.to_json(audit))
    else:
        terminal.render(audit, stdout())
    for path, make in texts.items():
        if path is not None and path != STDOUT:
            path.write_text(make(audit), encoding="utf-8")
            typer.echo(f"wrote {path}", err=True)
    if audit.notes:
        typer.echo("logitmus: a version could not run, and was not compared", err=True)
        return Exit.BACKEND
    if not audit.is_complete:
        failing = any(step.failing for step in audit.steps)
        why = "every call fails in both" if failing else "they have no call in common"
        typer.echo(f"logitmus: two of the runs could not be compared: {why}", err=True)
        return Exit.BACKEND if failing else Exit.USAGE
    if any(step.comparison.backends_gone for step in audit.steps):
        typer.echo("logitmus: a backend of an earlier run could not run to the end in a later run", err=True)
        return Exit.BACKEND
    failed = {
        FailOnChange.WORSE: audit.worse,
        FailOnChange.CHANGED: audit.changed,
        FailOnChange.NEVER: False,
    }[fail_on]
    if failed:
        return Exit.FINDINGS
    lost = sum(step.lost for step in audit.steps)
    if lost:
        typer.echo(f"logitmus: {lost:,} calls of a later run were not made: workers were lost", err=True)
        return Exit.BACKEND
    return Exit.OK
