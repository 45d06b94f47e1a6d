"""The progress of a run, a line per backend; silent if standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event as Flag

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from logitmus.core.events import BackendFailed, BackendReady, Event, Explored, Progressed


def shown(events: Iterable[Event]) -> Iterator[Event]:
    """Pass the events on, and show their progress."""
    with progress_of_runs() as watch:
        yield from watch("", events)


@contextmanager
def progress_of_runs() -> Iterator[Callable[[str, Iterable[Event]], Iterator[Event]]]:
    """Give a function that passes on the events of a run, by its name, and shows the progress of all runs.

    The runs may be those of several threads; when this context is left by an error or Ctrl-C, they end.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = Flag()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        try:
            yield partial(_watched, progress, left)
        finally:
            left.set()


def _watched(progress: Progress, left: Flag, name: str, events: Iterable[Event]) -> Iterator[Event]:
    prefix = f"{name}: " if name else ""
    tasks: dict[str, TaskID] = {}
    starting = progress.add_task(f"{prefix}starting the backends", total=None)
    exploring = progress.add_task(f"{prefix}exploring", total=None, visible=False)
    for event in events:
        if left.is_set():
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
