"""The report of a bisection on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding

from logitmus.auditing.bisection import Bisection
from logitmus.auditing.transitions import Transition
from logitmus.reports.terminal.audit import labelled
from logitmus.reports.terminal.run import field_table, text

_SHOWN = 5
_STYLES = {"changed": "yellow", "skipped": "dim", "unchanged": ""}


def render(bisection: Bisection, console: Console) -> None:
    """Print the sentence, the transitions, every release with its state, and what was compared."""
    console.print(text(bisection.headline, "bold"))
    for transition in bisection.transitions[:_SHOWN]:
        console.print()
        _transition(transition, console)
    if len(bisection.transitions) > _SHOWN:
        console.print(text(f"\n{len(bisection.transitions) - _SHOWN} more (--json lists all of them)", "dim"))
    console.print()
    width = max(len(one.dated) for one in bisection.trials)
    for one in bisection.trials:
        state = f"{one.state}: {one.reason}" if one.reason else one.state
        console.print(text(f"{one.dated:{width}}  {state}", _STYLES[one.state]))
    console.print()
    for line in bisection.extent:
        console.print(text(line, "dim"))
    if bisection.found:
        compare = f"everything that changed: logitmus compare {bisection.unchanged.file} {bisection.changed.file}"
        console.print(text(compare, "dim"))


def _transition(transition: Transition, console: Console) -> None:
    console.print(text(f"{transition.change.value.upper()}  {transition.what}", "bold"))
    console.print(Padding(field_table(labelled(transition)), (0, 0, 0, 2)))
