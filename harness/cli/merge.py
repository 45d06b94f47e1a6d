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
    from logitmus.engine.run import unasked
    from logitmus.results import wording
    from logitmus.storage.merge import merge as merge_runs
    from logitmus.storage.store import Store

    if out.exists():
        raise typer.BadParameter(f"{out} exists already; name another file", param_hint="--out")
    of = "one run" if len(runs) == 1 else f"{len(runs)} runs"
    typer.echo(f"{merge_runs(runs, out)} observations of {of} are in {out}", err=True)
    for path in runs:
        with Store.open(path, check=False) as store:
            count = unasked(store)
        if count:
            said = f"{path} was interrupted: {wording.plural(count, 'call')} of it were not made"
            typer.echo(f"{said}; finish it (logitmus run --resume --out {path}) and merge again", err=True)
