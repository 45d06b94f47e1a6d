"""`logitmus conventions`: what every function does, measured beside declared."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag

if TYPE_CHECKING:
    from logitmus.conventions.claims import Claims
    from logitmus.engine.run import Selection
    from logitmus.storage.store import Store


def conventions(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="The file of a run: no framework is needed.  [default: ask now]", show_default=False
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="BACKEND", help="As for run; repeatable.  [default: all that are installed]"),
    ] = None,
    subject: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these subjects; repeatable.")] = None,
    device: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these devices; repeatable.")] = None,
    field: Annotated[str | None, typer.Option(metavar="FIELD", help="One field in full.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what was asked as a run's file.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a self-contained page with the table.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show which conventions every function keeps, measured beside declared. Exits with 0 whatever was found."""
    from logitmus.conventions.claims import known_field
    from logitmus.engine.run import Selection

    if field is not None:
        known_field(field)
    if run is not None:
        _refuse_beside_a_file({"--backend": backend, "--out": out})
    selection = Selection(subjects=tuple(subject or ()), devices=tuple(device or ()))
    with _opened(run) if run is not None else _asked(backend or (), selection, out) as (store, code):
        found = _measured(store, selection)
        if html is not None:
            from logitmus.reports.html import conventions_page

            conventions_page.write(found, html, store.backends())
            typer.echo(f"wrote {html}", err=True)
    _show(found, field, json=json)
    raise typer.Exit(code)


def _refuse_beside_a_file(given: dict[str, Any]) -> None:
    for option, value in given.items():
        if value:
            raise typer.BadParameter("is for asking anew; leave it out, or leave out RUN", param_hint=option)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Store, Exit]]:
    from logitmus.storage.store import Store

    with Store.open(path) as store:
        yield store, Exit.OK


@contextmanager
def _asked(backends: Sequence[str], selection: Selection, out: Path | None) -> Iterator[tuple[Store, Exit]]:
    """A new run of the probes, in `out` or in a file that goes again; and how to exit."""
    from logitmus.cli.choices import chosen_backends, chosen_problems
    from logitmus.cli.progress import shown
    from logitmus.cli.run import new_file
    from logitmus.conventions.claims import FAMILY
    from logitmus.core.events import BackendFailed, RunFinished
    from logitmus.engine.judge_batches import Unjudged
    from logitmus.engine.run import run as ask

    chosen = {"subjects": list(selection.subjects), "devices": list(selection.devices)}
    given = {"backends": list(backends), "families": [FAMILY], **chosen}
    specs = chosen_backends(backends)
    failed: set[str] = set()
    with (
        TemporaryDirectory(prefix="logitmus-") as folder,
        new_file(out or Path(folder) / "conventions.logitmus", given) as store,
    ):
        problems = chosen_problems(store.settings)
        for event in shown(ask(problems, specs, store, selection=selection, judge=Unjudged())):
            if isinstance(event, BackendFailed):
                failed.add(event.backend)
            if isinstance(event, RunFinished) and event.interrupted:
                again = f"go on with: logitmus run --resume --out {out}" if out else "nothing was kept (see --out)"
                typer.echo(f"interrupted; {again}", err=True)
                raise typer.Exit(Exit.INTERRUPTED)
        if len(failed) == len(specs):
            raise typer.Exit(Exit.BACKEND)
        yield store, Exit.BACKEND if failed and backends else Exit.OK


def _measured(store: Store, selection: Selection) -> list[Claims]:
    from rich.console import Console

    from logitmus.conventions.claims import claims, selected

    subjects = {name for name, one in store.subjects().items() if replace(selection, subjects=()).takes(one)}
    chosen = selected(subjects, selection.subjects)
    progress = Console(stderr=True)
    words = f"measuring {len(chosen)} subjects"
    with progress.status(words) if progress.is_terminal else nullcontext():
        return list(claims(store, chosen))


def _show(found: Sequence[Claims], field: str | None, *, json: bool) -> None:
    from logitmus.cli.output import stdout
    from logitmus.reports.terminal import conventions as report

    if json:
        typer.echo(json_module.dumps(report.as_dict(found, [field] if field else None), indent=1))
    elif field is not None:
        report.render_field(found, field, stdout())
    else:
        report.render(found, stdout())
