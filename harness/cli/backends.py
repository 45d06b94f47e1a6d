"""`logitmus backends`: which there are, and what each offers here."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logitmus.cli.choices import chosen_backends
from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag

if TYPE_CHECKING:
    from logitmus.core.events import BackendFailed
    from logitmus.execution.pool import Ready


def backends(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[BACKEND]...", help="As for run --backend.  [default: all]")
    ] = None,
    subjects: Annotated[bool, typer.Option("--subjects", help="List the subjects of each.")] = False,
    json: JsonFlag = False,
) -> None:
    """Start every backend, and tell what it offers here."""
    from logitmus.core.events import BackendFailed
    from logitmus.execution.pool import Pool

    with Pool(chosen_backends(names or ())) as pool:
        said = list(pool.describe())
    if json:
        typer.echo(json_module.dumps({"schema": 1, "backends": [_facts(one) for one in said]}, indent=2))
    else:
        _print(said, subjects=subjects)
    failed = names and any(isinstance(one, BackendFailed) for one in said)
    raise typer.Exit(Exit.BACKEND if failed else Exit.OK)


def _facts(said: Ready | BackendFailed) -> dict[str, Any]:
    from logitmus.core.events import BackendFailed

    if isinstance(said, BackendFailed):
        return {"name": said.backend, "runs": False, "reason": said.reason, "hint": said.hint}
    return {
        "name": said.spec.label,
        "runs": True,
        "python": said.environment.get("python", {}),
        "devices": sorted({subject.device for subject in said.subjects}),
        "subjects": [subject.id for subject in said.subjects],
        "seconds": round(said.seconds, 3),
    }


def _print(said: list[Ready | BackendFailed], *, subjects: bool) -> None:
    from rich.table import Table

    from logitmus.cli.output import stdout

    console = stdout()
    table = Table("backend", "devices", "subjects", "start", box=None)
    for facts in map(_facts, said):
        if facts["runs"]:
            count, start = str(len(facts["subjects"])), f"{facts['seconds']:.1f} s"
            table.add_row(facts["name"], ", ".join(facts["devices"]), count, start)
        else:
            table.add_row(facts["name"], "cannot run", "", "")
    console.print(table)
    for facts in map(_facts, said):
        if not facts["runs"]:
            console.print(f"{facts['name']}: {facts['reason']}. {facts['hint']}", markup=False, highlight=False)
        elif subjects:
            console.print(*facts["subjects"], sep="\n", markup=False, highlight=False)
