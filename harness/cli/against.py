"""`--against RUN`, for `run` and `judge`. Light: loaded by `--help`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import FailOn

if TYPE_CHECKING:
    from logitmus.results.run_diff import Comparing
    from logitmus.storage.store import Store


def _run_file(path: Path | None) -> Path | None:
    """Check before the work that it is the file of a run."""
    if path is not None:
        from logitmus.storage.file_format import check_header

        check_header(path)
    return path


Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="RUN",
        callback=_run_file,
        help="Compare with an earlier run: findings that it shows on the same calls do not count.",
    ),
]


def check_fail_on(fail_on: FailOn, against: Path | None) -> None:
    """Raise a usage error if `--fail-on new` lacks the run that the findings would be new to."""
    if fail_on is FailOn.NEW and against is None:
        raise typer.BadParameter("'new' needs --against RUN, an earlier run to compare with", param_hint="--fail-on")


@contextmanager
def compared(against: Path | None, store: Store) -> Iterator[Comparing | None]:
    """The comparison of a run with the earlier run `against`; None without one."""
    if against is None:
        yield None
        return
    from logitmus.results.run_diff import Comparing
    from logitmus.storage.store import Store

    if against.exists() and against.samefile(store.path):
        raise typer.BadParameter(f"{against} is this run itself; name an earlier run", param_hint="--against")
    with Store.open(against) as before:
        yield Comparing(before, store)
