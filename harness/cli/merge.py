"""`logitmus merge`: shards of one run made apart, into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="The files to merge.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The new file.")],
) -> None:
    """Make the exact union of several runs; refuses runs that contradict each other."""
    from logitmus.merge import merge as merge_runs

    typer.echo(f"{merge_runs(runs, out)} observations of {len(runs)} runs are in {out}", err=True)
