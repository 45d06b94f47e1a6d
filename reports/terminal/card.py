"""Convention cards on a terminal: the measured choices, contradictions, and fields that are not determined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from logitmus.conventions.card import Card, Measured
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.reports.terminal.run import text

_LEGEND = "~ differs from the portable convention; !! no known choice explains the results"
_PORTABLE = PORTABLE.as_dict()


def render(cards: Sequence[Card], console: Console, *, why: bool = False) -> None:
    """Print cards.

    Args:
        cards: the measured conventions.
        console: the terminal.
        why: show what distinguishes each choice from the others, in place of its meaning.
    """
    for card in cards:
        _card(card, console, why=why)
    if any(map(_taken, cards)):
        console.print(text(_LEGEND))


def _taken(card: Card) -> bool:
    """Whether the function takes such targets."""
    return any(field.state == "measured" for field in card.fields.values())


def _card(card: Card, console: Console, *, why: bool) -> None:
    console.print(text(f"{card.subject} with {card.targets} ({card.calls} calls)", "bold"))
    if card.explanation is not None and (card.explanation.model is not None or _taken(card)):
        console.print(Padding(text(f"computes: {card.explanation.phrase}"), (1, 0, 0, 1)))
        for line in card.explanation.details():
            console.print(Padding(text(line, "dim"), (0, 0, 0, 4)))
    if _taken(card):
        rows = [_row(field, why=why) for field in card.fields.values() if field.state != "undetermined"]
        console.print(Padding(_table(rows), (1, 0, 0, 1)))
        _print_open(card, console)
    _listed("Remarks", card.remarks, console)
    shown = (
        f"{fault.summary}, e.g. {fault.idea}: {fault.part} {fault.observed}, exact {fault.expected}"
        for fault in card.mechanisms
    )
    _listed("Arithmetic faults", shown, console)
    console.print()


def understood(cards: Sequence[Card]) -> bool:
    """Whether the function takes some targets, and its results for them are explained, without arithmetic faults."""
    taken = [card for card in cards if _taken(card)]
    explained = all(field.state != "contradicted" for card in taken for field in card.fields.values())
    return bool(taken) and explained and not any(card.mechanisms for card in taken)


def _row(field: Measured, *, why: bool) -> tuple[str, str, str, str]:
    if field.state == "contradicted":
        return "!!", field.field, " or ".join(field.values), field.why
    (value,) = field.values
    mark = "" if value == _PORTABLE[field.field] else "~"
    return mark, field.field, value, field.why if why else FIELDS[field.field].values[value]


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for ratio in (False, False, False, True):
        table.add_column(no_wrap=not ratio)
    for row in rows:
        table.add_row(*map(text, row))
    return table


def _print_open(card: Card, console: Console) -> None:
    """Print the fields that are not determined; fields with the same reason share a line."""
    names_by_reason: dict[str, list[str]] = {}
    for field in card.fields.values():
        if field.state == "undetermined":
            some = len(field.values) < len(FIELDS[field.field].values)
            left = f"{field.field} ({' or '.join(field.values)})" if some else field.field
            names_by_reason.setdefault(field.why, []).append(left)
    _listed("Not determined", (f"{', '.join(names)}: {why}" for why, names in names_by_reason.items()), console)


def _listed(title: str, lines: Iterable[str], console: Console) -> None:
    lines = list(lines)
    if lines:
        console.print(Padding(text(title), (1, 0, 0, 1)))
    for line in lines:
        console.print(Padding(text(line), (0, 0, 0, 4)))
