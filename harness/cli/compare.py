"""`logitmus compare`: what changed between stored runs."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import FailOnChange
from logitmus.cli.options import Expect, Html, Json, Markdown
from logitmus.cli.upgrade import FailOnChangeOption, check_outputs, deliver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logitmus.storage.store import Store


class AxisChoice(StrEnum):
    """What distinguishes the results that are compared, beside the run."""

    DEVICE = "device"
    MODE = "mode"


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run files, the earliest first.", show_default=False)
    ],
    axis: Annotated[
        AxisChoice | None,
        typer.Option(help="Compare the devices or the modes (eager, compiled) of the runs.", show_default=False),
    ] = None,
    html: Html = None,
    json: Json = None,
    markdown: Markdown = None,
    expect: Expect = None,
    fail_on: FailOnChangeOption = FailOnChange.WORSE,
) -> None:
    """Show what changed from each run to the next: values, conventions, errors, times.

    With --axis, results on the first device (or without a mode) are compared with each of the others. Exits with 1 if a
    result is worse.
    """
    from logitmus.auditing.audit import compared, distinct_names
    from logitmus.cli.delivery import acceptance
    from logitmus.storage.store import Store

    if axis is None and len(runs) < 2:
        raise typer.BadParameter("names one run; give two or more, or use --axis", param_hint="RUN...")
    accepted = acceptance(expect)
    used = {f"run_file_{n}": path for n, path in reversed(list(enumerate(runs, 1)))}
    check_outputs({"--html": html, "--json": json, "--markdown": markdown}, **used)
    with ExitStack() as stack:
        stores: list[Store] = [stack.enter_context(Store.open(path)) for path in runs]
        names = distinct_names([path.name if len({p.name for p in runs}) == len(runs) else str(path) for path in runs])
        pairs: list[tuple[int, int]] = []
        if axis is not None:
            stores, names = _along(axis, stores, names, stack)
            pairs = [(0, place) for place in range(1, len(stores))]
        found = compared(stores, names, acceptance=accepted, pairs=pairs)
    raise typer.Exit(deliver(found, html=html, json=json, markdown=markdown, fail_on=fail_on))


def _along(
    axis: AxisChoice, stores: Sequence[Store], names: Sequence[str], stack: ExitStack
) -> tuple[list[Store], list[str]]:
    """A view of each run for each value of the axis, with its name."""
    from logitmus.storage.view import Axis, views

    found: list[Store] = []
    called: list[str] = []
    for store, name in zip(stores, names, strict=True):
        for view in views(store, Axis(axis.value)):
            found.append(stack.enter_context(view))
            called.append(view.value if len(stores) == 1 else f"{view.value} in {name}")
    if len(found) < 2:
        listed = ", ".join(called) or "none"
        raise typer.BadParameter(f"the runs have only one {axis.value} ({listed})", param_hint="--axis")
    return found, called
