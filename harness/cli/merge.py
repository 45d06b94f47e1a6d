"""`logitmus merge`: combine run files: the shards of a run, or whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run files to merge.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Run file to write.")],
    by_environment: Annotated[
        bool,
        typer.Option("--by-environment", help="Write FILE-1, FILE-2, ... where the versions of the packages differ."),
    ] = False,
) -> None:
    """Write all shards of a run as that run, or the exact union of several runs.

    Refuses files that contradict each other.
    """
    from logitmus.storage.merge import by_environment as grouped

    groups = grouped(runs) if by_environment else [runs]
    outs = [out] if len(groups) == 1 else [out.with_stem(f"{out.stem}-{i}") for i in range(1, len(groups) + 1)]
    for path in outs:
        if path.exists():
            raise typer.BadParameter(f"{path} already exists; give another file", param_hint="--out")
    for group, path in zip(groups, outs, strict=True):
        _merge(group, path)


def _merge(runs: Sequence[Path], out: Path) -> None:
    from logitmus.engine.planning import missing_calls
    from logitmus.engine.repetition import interrupted_repeats
    from logitmus.results import wording
    from logitmus.storage.merge import merge as merge_runs
    from logitmus.storage.store import Store

    count = merge_runs(runs, out)
    typer.echo(f"wrote {out}: {wording.plural(count, 'result')} of {wording.plural(len(runs), 'run')}", err=True)
    with Store.open(out, check=False) as store:
        shards, missing = not store.settings.merged, missing_calls(store)
    if shards:
        calls = f"make the {wording.plural(missing, 'missing call')} and " if missing else ""
        typer.echo(f"To {calls}reduce the findings: logitmus run --resume --out {out}", err=True)
        return
    for path in runs:
        with Store.open(path, check=False) as store:
            missing = missing_calls(store) + interrupted_repeats(store)
        if missing:
            message = f"{path} was interrupted: {wording.plural(missing, 'call')} missing"
            typer.echo(f"{message}; finish it (logitmus run --resume --out {path}) and merge again", err=True)
