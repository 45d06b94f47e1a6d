"""Mistakes in a file of expectations, in words: the line, what is wrong, and what is allowed.

msgspec finds a value of the wrong type or name; its message names the place, and the types of Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from logitmus.core.errors import closest, suggest
from logitmus.core.finding import Kind
from logitmus.core.subject import PROFILES

_PATTERNS: Final = "a pattern in quotes, or a list of patterns"
# What each field takes.
FIELDS: Final[Mapping[str, str]] = {
    "subject": _PATTERNS,
    "cause": "a pattern in quotes",
    "reason": "text in quotes",
    "kind": f"one of {', '.join(Kind)}, in quotes",
    "family": _PATTERNS,
    "problem": "the id of a problem in quotes, or how it begins",
    "link": "an address in quotes",
    "until": "a date such as 2027-01-31, without quotes",
    "profile": f"one of {', '.join(PROFILES)}, in quotes",
    "when": 'conditions, such as when.device = "cpu"',
}
CONDITIONS: Final[Mapping[str, str]] = {
    "packages": 'a range for each package, such as when.packages.torch = ">=2.1,<3"',
    "device": "a pattern in quotes",
    "dtype": "a dtype in quotes, or a list of dtypes",
    "mode": "a pattern in quotes",
    "platform": "a pattern in quotes",
}
_REQUIRED: Final = ("subject", "cause", "reason")
_AT: Final = re.compile(r" - at `\$(?:\.(?P<place>.*))?`$")


@dataclass(frozen=True)
class Located:
    """The text of a file, and the header of the tables that hold its expectations."""

    path: Path
    text: str
    header: str

    def line(self, number: int, name: str) -> int:
        """The line, from 1, of a field of an expectation; that of its header where the field is not found."""
        lines = self.text.splitlines()
        starts = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(self.header)}\s*\]\]", line)]
        if number >= len(starts):  # written in another way: expect = [{...}]
            return 1
        for n in range(starts[number] + 1, len(lines)):
            if lines[n].lstrip().startswith("[["):
                break
            if name and re.match(rf"\s*\[?(?:\w+\.)*\"?{re.escape(name.rpartition('.')[2])}\b", lines[n]):
                return n + 1
        return starts[number] + 1

    def message(self, number: int, name: str, words: str) -> str:
        """What is wrong with a field of an expectation, with its line."""
        return f"{self.path}, line {self.line(number, name)}: {words}"

    def explained(self, message: str, table: Any) -> str:
        """The message of msgspec about this table of the file, in our words."""
        at = _AT.search(message)
        place = (at["place"] or "") if at else ""
        of_entry = re.match(r"expect\[(\d+)\](?:\.([\w.]+))?", place)
        if of_entry:
            number, name = int(of_entry[1]), of_entry[2] or ""
            words, at_name = _of_entry(message, name, _value(table["expect"][number], name), self.header)
            return self.message(number, at_name, words)
        words, at_name = _of_file(message, place, table, self.header)
        found = re.search(rf"^\s*(?:\[+\s*)?(?:[\w.]+\.)?{re.escape(at_name)}\b", self.text, re.MULTILINE)
        where = "" if found is None else f", line {self.text[: found.end()].count(chr(10)) + 1}"
        return f"{self.path}{where}: {words}"


def _of_entry(message: str, name: str, value: Any, header: str) -> tuple[str, str]:
    """What is wrong with an expectation, and the field concerned."""
    within = name.split(".")
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        of, known = ("`when`", CONDITIONS) if within[0] == "when" else (f"[[{header}]]", FIELDS)
        allowed = f"{of} takes {', '.join(known)}"
        close = f"{suggest(unknown[1], known)} {allowed}" if closest(unknown[1], known) else allowed
        return f"unknown field {unknown[1]!r}; {close}", unknown[1]
    missing = re.search(r"missing required field `(.+?)`", message)
    if missing:
        return f"{missing[1]} is missing; every entry needs {', '.join(_REQUIRED[:-1])} and {_REQUIRED[-1]}", ""
    invalid = re.match(r"Invalid enum value '(.*?)'", message)
    if invalid:
        names: Sequence[str] = [kind.value for kind in Kind] if name == "kind" else PROFILES
        return f"unknown {name} {invalid[1]!r}; {suggest(invalid[1], names)}", name
    if within[:2] == ["when", "packages"] and isinstance(value, dict):
        package = next((key for key, versions in value.items() if not isinstance(versions, str)), "")
        value = value[package] if package else value
        name = f"{name}.{package}" if package else name
    allowed = (
        CONDITIONS[within[1]] if within[1:] else FIELDS[within[0]] if name else f"a table with {', '.join(FIELDS)}"
    )
    return f"{name or f'[[{header}]]'} is {_shown(value)}; write {allowed}", name


def _of_file(message: str, place: str, table: Any, header: str) -> tuple[str, str]:
    """What is wrong outside the expectations, and the name concerned."""
    prefix = header.removesuffix("expect")
    entries, but = f"[[{header}]]", f"{prefix}but"
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        allowed = f"use {entries} for accepted findings, or [{but}] for what `logitmus check` takes as intended"
        return f"unknown table or field {unknown[1]!r}; {allowed}", unknown[1]
    if place == "expect":
        return f"{header} is {_shown(table['expect'])}; write {entries}, in double brackets, for every entry", "expect"
    if place == "but":
        return f"{but} is {_shown(table['but'])}; write a table [{but}] of NAME = VALUE", "but"
    if place.startswith("but"):
        name, value = next(item for item in table["but"].items() if type(item[1]) not in (str, int, float))
        return f"{but}.{name} is {_shown(value)}; write text in quotes, or a number", name
    return f"{prefix.removesuffix('.')} is {_shown(table)}; write tables, such as {entries}", "logitmus"


def _value(entry: Any, name: str) -> Any:
    """The value of a field of an entry; for a field within another, by its dotted name."""
    value = entry
    for part in filter(None, name.split(".")):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _shown(value: Any) -> str:
    """A value as a person would call it."""
    match value:
        case dict():
            return "one table"
        case list():
            return f"a list, {value!r}" if len(value) < 4 else "a list"
        case bool() | str() | int() | float():
            return repr(value)
        case _:
            return f"{value} ({type(value).__name__})"
