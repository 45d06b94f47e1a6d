"""The steps of something that takes a while and has no measure: a line each, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Gives a function that shows what begins now.

    On a terminal, the current step with its elapsed time; elsewhere every step as a line.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task: TaskID | None = None

        def report(step: str) -> None:
            nonlocal task
            if progress.disable:
                console.print(step, markup=False, highlight=False, soft_wrap=True)
                return
            if task is not None:
                progress.remove_task(task)
            task = progress.add_task(step, total=None)

        yield report
