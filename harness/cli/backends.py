"""`logitmus backends`: the backends, and what each offers on this machine."""

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
        list[str] | None,
        typer.Argument(metavar="[BACKEND]...", help="As for `run --backend`.  [default: all installed]"),
    ] = None,
    subjects: Annotated[bool, typer.Option("--subjects", help="List the subjects of each backend.")] = False,
    json: JsonFlag = False,
) -> None:
    """Start the backends, and list their devices and subjects, or why they cannot run."""
    from logitmus.core.events import BackendFailed
    from logitmus.execution.pool import Pool

    with Pool(chosen_backends(names or ())) as pool:
        described = list(pool.describe())
    if json:
        typer.echo(json_module.dumps({"schema": 1, "backends": [_facts(backend) for backend in described]}, indent=2))
    else:
        _print(described, subjects=subjects)
    failed = names and any(isinstance(backend, BackendFailed) for backend in described)
    raise typer.Exit(Exit.BACKEND if failed else Exit.OK)


def _facts(backend: Ready | BackendFailed) -> dict[str, Any]:
    from logitmus.core.events import BackendFailed

    if isinstance(backend, BackendFailed):
        return {"name": backend.backend, "runs": False, "reason": backend.reason, "hint": backend.hint}
    return {
        "name": backend.spec.label,
        "runs": True,
        "python": backend.environment.get("python", {}),
        "devices": sorted({subject.device for subject in backend.subjects}),
        "subjects": [subject.id for subject in backend.subjects],
        "seconds": round(backend.seconds, 3),
    }


def _print(described: list[Ready | BackendFailed], *, subjects: bool) -> None:
    from rich.table import Table

    from logitmus.cli.output import stdout

    console = stdout()
    table = Table("backend", "devices", "subjects", "start", box=None)
    for facts in map(_facts, described):
        if facts["runs"]:
            count, start = str(len(facts["subjects"])), f"{facts['seconds']:.1f} s"
            table.add_row(facts["name"], ", ".join(facts["devices"]), count, start)
        else:
            table.add_row(facts["name"], "cannot run", "", "")
    console.print(table)
    for facts in map(_facts, described):
        if not facts["runs"]:
            console.print(f"{facts['name']}: {facts['reason']}. {facts['hint']}", markup=False, highlight=False)
        elif subjects:
            console.print(*facts["subjects"], sep="\n", markup=False, highlight=False)
