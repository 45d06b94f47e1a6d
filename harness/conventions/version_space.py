"""Worlds: the conventions that are still possible, as a factored set.

A convention has some 20 fields, and their product is beyond counting; but what is known links few fields at a time.
`Worlds` keeps a small table for each group of fields that hang together, and nothing for those that do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from logitmus.core.errors import Exit, LogitmusError

World = dict[str, str]


class TooManyWorldsError(LogitmusError):
    """More combinations than can be tried; the message gives their number."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True)
class _Table:
    """The combinations of values that are left for some fields that hang together."""

    fields: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def values(self, field: str) -> tuple[str, ...]:
        at = self.fields.index(field)
        return tuple(dict.fromkeys(row[at] for row in self.rows))

    def split(self) -> list[_Table]:
        """Tables of fewer fields whose product this is, as far as single fields can be taken out."""
        parts, rest = [], self
        for field in self.fields:
            alone = _Table((field,), tuple((value,) for value in rest.values(field)))
            others = [at for at, name in enumerate(rest.fields) if name != field]
            without = tuple(dict.fromkeys(tuple(row[at] for at in others) for row in rest.rows))
            if others and len(alone.rows) * len(without) == len(rest.rows):
                parts.append(alone)
                rest = _Table(tuple(rest.fields[at] for at in others), without)
        return [*parts, rest]


class Worlds:
    """The set of the possible conventions over the fields of `domains`; starts as their full product."""

    def __init__(self, domains: Mapping[str, Sequence[str]]) -> None:
        self._tables = [_Table((name,), tuple((value,) for value in values)) for name, values in domains.items()]

    def values(self, field: str) -> tuple[str, ...]:
        """What is left of a field."""
        return self._table_of(field).values(field)

    def over(self, fields: Collection[str], *, at_most: int = 5000) -> list[World]:
        """Every combination that is left of these fields and of those that hang together with them.

        Raises:
            TooManyWorldsError: where there are more than `at_most`.
        """
        tables = [table for table in self._tables if not set(fields).isdisjoint(table.fields)]
        count = 1
        for table in tables:
            count *= len(table.rows)
        if count > at_most:
            raise TooManyWorldsError(f"{count} combinations of {', '.join(sorted(fields))}")
        names = [name for table in tables for name in table.fields]
        return [
            dict(zip(names, [value for row in rows for value in row], strict=True))
            for rows in product(*(table.rows for table in tables))
        ]

    def keep(self, worlds: Sequence[World]) -> set[str]:
        """Only these, of what `over` gave, are left; the fields that lost a value.

        Raises:
            ValueError: where none is left: nothing is known then, and the caller decides what that means.
        """
        if not worlds:
            raise ValueError("no world is left; keep what there was, and say that nothing explains the observation")
        fields = tuple(worlds[0])
        before = {field: set(self.values(field)) for field in fields}
        joined = _Table(fields, tuple(dict.fromkeys(tuple(world[field] for field in fields) for world in worlds)))
        self._tables = [table for table in self._tables if set(fields).isdisjoint(table.fields)] + joined.split()
        return {field for field in fields if set(joined.values(field)) != before[field]}

    def closest(self, preferred: Mapping[str, str]) -> World:
        """One possible world, as much like `preferred` as the tables allow."""
        chosen: World = {}
        for table in self._tables:
            best = max(table.rows, key=lambda row: _likeness(table.fields, row, preferred))
            chosen.update(zip(table.fields, best, strict=True))
        return chosen

    def _table_of(self, field: str) -> _Table:
        return next(table for table in self._tables if field in table.fields)


def _likeness(fields: Iterable[str], row: Iterable[str], preferred: Mapping[str, str]) -> int:
    return sum(preferred[field] == value for field, value in zip(fields, row, strict=True))
