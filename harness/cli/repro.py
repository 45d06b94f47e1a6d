"""`logitmus repro`: write a script that reproduces a finding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logitmus.cli.options import STDOUT, RunFile, refuse_overwriting


def repro(
    run: RunFile,
    finding: Annotated[
        str, typer.Argument(metavar="FINDING", help="Id from a report, or its beginning.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Script to write.  [default: standard output]")
    ] = None,
) -> None:
    """Write a script that reproduces a finding and needs only the framework.

    The script exits with 1 while the bug is present, and with 0 once it is fixed.
    """
    from logitmus.reports.script.script import describe, script
    from logitmus.results.reproduction import reproduction
    from logitmus.storage.store import Store

    if out is not None:
        refuse_overwriting({"--out": out}, run_file=run)
    with Store.open(run) as store:
        example = reproduction(store, finding)
    text = script(example)
    if out is None or out == STDOUT:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{describe(example.finding, example.versions)}\nwrote {out}; run it with: python {out}", err=True)
