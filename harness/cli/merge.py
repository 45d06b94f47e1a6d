"""`logitmus merge`: combine run files, e.g. the shards of a run on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run files to merge.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Run file to write.")],
) -> None:
    """Write the exact union of several run files; refuses files that contradict each other."""
    from logitmus.engine.planning import missing_calls
    from logitmus.results import wording
    from logitmus.storage.merge import merge as merge_runs
    from logitmus.storage.store import Store

    if out.exists():
        raise typer.BadParameter(f"{out} already exists; give another file", param_hint="--out")
    count = merge_runs(runs, out)
    typer.echo(f"wrote {out}: {wording.plural(count, 'result')} of {wording.plural(len(runs), 'run')}", err=True)
    for path in runs:
        with Store.open(path, check=False) as store:
            missing = missing_calls(store)
        if missing:
            message = f"{path} was interrupted: {wording.plural(missing, 'call')} missing"
            typer.echo(f"{message}; finish it (logitmus run --resume --out {path}) and merge again", err=True)
