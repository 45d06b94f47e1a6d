"""The progress of a run, a line per backend; silent if standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event as Flag

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from logitmus.core.events import BackendFailed, BackendReady, Event, Explored, Progressed


def shown(events: Iterable[Event]) -> Iterator[Event]:
    """Pass the events on, and show their progress."""
    with progress_of_runs() as watch:
        yield from watch("", events)


class RunsProgress:
    """Passes on the events of runs, which may be those of several threads, and shows their progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stopped = Flag()

    def stop(self) -> None:
        """End all runs: at its next event, each is interrupted."""
        self._stopped.set()

    def __call__(self, name: str, events: Iterable[Event]) -> Iterator[Event]:
        """Pass on the events of a run, by its name."""
        return _watched(self._progress, self._stopped, name, events)


@contextmanager
def progress_of_runs() -> Iterator[RunsProgress]:
    """Show the progress of several runs."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield RunsProgress(progress)


def _watched(progress: Progress, stopped: Flag, name: str, events: Iterable[Event]) -> Iterator[Event]:
    prefix = f"{name}: " if name else ""
    tasks: dict[str, TaskID] = {}
    starting = progress.add_task(f"{prefix}starting the backends", total=None)
    exploring = progress.add_task(f"{prefix}exploring", total=None, visible=False)
    for event in events:
        if stopped.is_set():
            raise KeyboardInterrupt
        match event:
            case BackendReady():
                progress.update(starting, visible=False)
                tasks[event.backend] = progress.add_task(prefix + event.backend, total=event.calls)
            case BackendFailed():
                progress.console.print(f"{prefix}{event.backend}: {event.reason}", markup=False, highlight=False)
            case Progressed() if not progress.disable:  # there are thousands of these
                progress.update(tasks[event.backend], completed=event.answered)
            case Explored():
                progress.update(exploring, visible=True, completed=event.calls)
            case _:
                pass
        yield event
    for task in (starting, exploring, *tasks.values()):
        progress.update(task, visible=False)
