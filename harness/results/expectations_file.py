"""Editing a file of expectations: entries are added, widened, renewed and removed; comments and order stay."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import tomlkit
from tomlkit.items import AoT, Table

from logitmus.core.finding import Kind
from logitmus.results.expectations import Conditions, Expectation, ExpectationsError, Globs, load, place

# The start of an entry; and of any table, except for those within an entry.
_ENTRY: Final = re.compile(r"\s*\[\[\s*(tool\s*\.\s*logitmus\s*\.\s*)?expect\s*\]\]")
_HEADER: Final = re.compile(r"\s*\[(?!\s*(tool\s*\.\s*logitmus\s*\.\s*)?expect\s*\.)")
_FIELDS: Final = ("subject", "cause", "reason", "kind", "family", "problem", "link", "until", "profile")


class ExpectationsFile:
    """A file of expectations while it is edited; it need not exist.

    Raises:
        ExpectationsError: as of `load`, or the expectations are not written as [[expect]] tables.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise ExpectationsError(f"{path}: not a file; name another with --file")
        self.expectations = list(load(path)) if path.exists() else []
        self.before = path.read_text(encoding="utf-8") if path.exists() else ""
        self._document = tomlkit.parse(self.before)
        self.added = self.changed = self.removed = 0

    @property
    def after(self) -> str:
        """The text of the file with all changes."""
        text = tomlkit.dumps(self._document)
        return text if text.endswith("\n") or not text else f"{text}\n"

    def accept(self, expectation: Expectation, today: datetime.date) -> None:
        """Add an expectation; an entry of the same class is widened or renewed instead."""
        for number, known in enumerate(self.expectations):
            if not _same_class(known, expectation):
                continue
            over = known.until is not None and known.until < today
            if known.reason == expectation.reason or over:
                self._update(number, known, expectation)
                return
        self.expectations.append(expectation)
        tables = self._tables()
        if self.before and len(tables) and not tables[-1].as_string().endswith("\n\n"):
            tables[-1].add(tomlkit.nl())
        tables.append(_table(expectation))
        self.added += 1

    def remove(self, unwanted: Collection[Expectation]) -> None:
        """Remove these entries, with the comments in them and directly above them."""
        for number in reversed(range(len(self.expectations))):
            if self.expectations[number] in unwanted:
                self._remove(number)
                del self.expectations[number]
                self.removed += 1

    def _remove(self, number: int) -> None:
        """Remove an entry from the text: tomlkit counts the comment above an entry to the entry before it."""
        lines = tomlkit.dumps(self._document).splitlines(keepends=True)
        headers = [at for at, line in enumerate(lines) if _HEADER.match(line)]
        entries = [at for at in headers if _ENTRY.match(lines[at])]
        del self._tables()[number]
        if len(entries) != len(self.expectations):  # a text of several lines holds what looks like a header
            return
        start = entries[number]
        following = [at for at in headers if at > start]
        end = _with_comments(lines, following[0]) if following else len(lines)
        document = tomlkit.parse("".join(lines[: _with_comments(lines, start)] + lines[end:]))
        if document.unwrap() == self._document.unwrap() or len(self.expectations) == 1:
            self._document = document

    def _update(self, number: int, known: Expectation, expectation: Expectation) -> None:
        subjects = dict.fromkeys((*_listed(known.subject), *_listed(expectation.subject)))
        widened = msgspec.structs.replace(
            known,
            subject=_plain_or_list(subjects),
            reason=expectation.reason,
            until=expectation.until,
            link=expectation.link or known.link,
        )
        table = self._tables()[number]
        for name in ("subject", "reason", "until", "link"):
            value = getattr(widened, name)
            if value != getattr(known, name):
                if value is None:
                    del table[name]
                else:
                    table[name] = _written(value)
        self.changed += widened != known
        self.expectations[number] = widened

    def _tables(self) -> AoT:
        """The [[expect]] tables, which are made where there are none."""
        table: Any = self._document
        for name in place(self.path):
            if name not in table:
                table[name] = tomlkit.table(is_super_table=True)
            table = table[name]
        if "expect" in table and not len(table["expect"]):  # expect = []
            del table["expect"]
        if "expect" not in table:
            table.append("expect", tomlkit.aot())
        tables = table["expect"]
        if not isinstance(tables, AoT):
            raise ExpectationsError(f"{self.path}: write each expectation as a table with the header [[expect]]")
        return tables


def _with_comments(lines: Sequence[str], at: int) -> int:
    """The number of the first of the comments directly above a line; its own where there are none."""
    while at and lines[at - 1].lstrip().startswith("#"):
        at -= 1
    return at


def _same_class(known: Expectation, expectation: Expectation) -> bool:
    fields = ("cause", "kind", "family", "problem", "when", "profile")
    return all(getattr(known, name) == getattr(expectation, name) for name in fields)


def _listed(globs: Globs) -> tuple[str, ...]:
    return (globs,) if isinstance(globs, str) else globs


def _plain_or_list(names: Iterable[str]) -> Globs:
    names = tuple(names)
    return names[0] if len(names) == 1 else names


def _table(expectation: Expectation) -> Table:
    table = tomlkit.table()
    for name in _FIELDS:
        value = getattr(expectation, name)
        if name in ("subject", "cause", "reason") or value != _DEFAULTS.get(name):
            table.add(name, _written(value))
    for name, value in msgspec.structs.asdict(expectation.when).items():
        if value != getattr(Conditions(), name):
            members: Mapping[str, Any] = value if isinstance(value, Mapping) else {"": value}
            for member, text in members.items():
                table.add(tomlkit.key(["when", name, *([member] if member else [])]), _written(text))
    return table


_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(Expectation) if field.name in _FIELDS}


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        array = tomlkit.array()
        array.extend(value)
        return array.multiline(len(value) > 2)
    return value.value if isinstance(value, Kind) else value
