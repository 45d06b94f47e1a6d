"""The progress of a run, a line per backend; silent if standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from logitmus.core.events import BackendFailed, BackendReady, Event, Explored, Progressed


def shown(events: Iterable[Event]) -> Iterator[Event]:
    """Pass the events on, and show their progress."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        starting = progress.add_task("starting the backends", total=None)
        exploring = progress.add_task("exploring", total=None, visible=False)
        for event in events:
            match event:
                case BackendReady():
                    progress.update(starting, visible=False)
                    tasks[event.backend] = progress.add_task(event.backend, total=event.calls)
                case BackendFailed():
                    progress.console.print(f"{event.backend}: {event.reason}", markup=False, highlight=False)
                case Progressed() if not progress.disable:  # there are thousands of these
                    progress.update(tasks[event.backend], completed=event.answered)
                case Explored():
                    progress.update(exploring, visible=True, completed=event.calls)
                case _:
                    pass
            yield event
