"""`logitmus repro`: a script that shows one fault by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logitmus.cli.options import STDOUT, RunFile


def repro(
    run: RunFile,
    finding: Annotated[
        str, typer.Argument(metavar="FINDING", help="Its id in a report, or how it begins.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it there.  [default: standard output]")
    ] = None,
) -> None:
    """Write a script that needs only the framework: it exits with 1 while the fault is there, and 0 once it is gone."""
    from logitmus.reports.script.script import describe, script
    from logitmus.results.reproduction import reproduction
    from logitmus.storage.store import Store

    with Store.open(run) as store:
        found = reproduction(store, finding)
    text = script(found)
    if out is None or out == STDOUT:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{describe(found.finding, found.versions)}\nwrote {out}; run it with: python {out}", err=True)
