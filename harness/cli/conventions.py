"""`logitmus conventions`: the measured conventions of all functions beside the documented ones."""

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
from logitmus.cli.options import JsonFlag, Subjects

if TYPE_CHECKING:
    from logitmus.conventions.claims import Claims
    from logitmus.engine.planning import Selection
    from logitmus.storage.store import Store


def conventions(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="Run file; needs no framework.  [default: measure now]", show_default=False
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="BACKEND", help="As for `run`; repeatable.  [default: all installed]"),
    ] = None,
    subject: Subjects = None,
    device: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these devices; repeatable.")] = None,
    field: Annotated[str | None, typer.Option(metavar="FIELD", help="Show this field in full.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the measurements as a run file.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the table as a self-contained HTML page.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show the convention of every function as documented and as measured. Exits with 0 whatever the result."""
    from logitmus.conventions.claims import known_field
    from logitmus.engine.planning import Selection

    if field is not None:
        known_field(field)
    if run is not None:
        _reject_with_run_file({"--backend": backend, "--out": out})
    selection = Selection(subjects=tuple(subject or ()), devices=tuple(device or ()), profile="default")
    with _opened(run) if run is not None else _measured_now(backend or (), selection, out) as (store, code):
        table = _claims(store, selection)
        if html is not None:
            from logitmus.reports.html import conventions_page

            conventions_page.write(table, html, store.backends())
            typer.echo(f"wrote {html}", err=True)
    _show(table, field, json=json)
    raise typer.Exit(code)


def _reject_with_run_file(options: dict[str, Any]) -> None:
    for option, value in options.items():
        if value:
            raise typer.BadParameter("cannot be used with RUN; remove either", param_hint=option)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Store, Exit]]:
    from logitmus.storage.store import Store

    with Store.open(path) as store:
        yield store, Exit.OK


@contextmanager
def _measured_now(backends: Sequence[str], selection: Selection, out: Path | None) -> Iterator[tuple[Store, Exit]]:
    """Run the probes, into `out` or a temporary file; yield the file and the exit code."""
    from logitmus.cli.choices import chosen_backends, chosen_problems
    from logitmus.cli.progress import shown
    from logitmus.cli.run import EXAMINATION, new_file
    from logitmus.conventions.claims import FAMILY
    from logitmus.core.events import BackendFailed, RunFinished
    from logitmus.core.run_settings import RunSettings
    from logitmus.engine.judge_batches import NoJudge
    from logitmus.engine.run import run as run_problems

    settings = RunSettings(
        backends=tuple(backends),
        families=(FAMILY,),
        subjects=selection.subjects,
        devices=selection.devices,
        examine=EXAMINATION,
    )
    specs = chosen_backends(backends)
    failed: set[str] = set()
    with (
        TemporaryDirectory(prefix="logitmus-") as folder,
        new_file(out or Path(folder) / "conventions.logitmus", settings) as store,
    ):
        problems = chosen_problems(store.settings)
        for event in shown(run_problems(problems, specs, store, selection=selection, judge=NoJudge())):
            if isinstance(event, BackendFailed):
                failed.add(event.backend)
            if isinstance(event, RunFinished) and event.interrupted:
                again = f"resume with: logitmus run --resume --out {out}" if out else "nothing was kept (see --out)"
                typer.echo(f"interrupted; {again}", err=True)
                raise typer.Exit(Exit.INTERRUPTED)
        if len(failed) == len(specs):
            raise typer.Exit(Exit.BACKEND)
        yield store, Exit.BACKEND if failed and backends else Exit.OK


def _claims(store: Store, selection: Selection) -> list[Claims]:
    from rich.console import Console

    from logitmus.conventions.claims import claims, selected

    of_device = replace(selection, subjects=())
    subjects = {
        identity
        for identity, subject in store.subjects().items()
        if of_device.includes(subject) and not subject.has_switch
    }
    chosen = selected(subjects, selection.subjects)
    progress = Console(stderr=True)
    message = f"measuring {len(chosen)} subjects"
    with progress.status(message) if progress.is_terminal else nullcontext():
        return list(claims(store, chosen))


def _show(table: Sequence[Claims], field: str | None, *, json: bool) -> None:
    from logitmus.cli.output import stdout
    from logitmus.reports.terminal import conventions as report

    if json:
        typer.echo(json_module.dumps(report.as_dict(table, [field] if field else None), indent=1))
    elif field is not None:
        report.render_field(table, field, stdout())
    else:
        report.render(table, stdout())
