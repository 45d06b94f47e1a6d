"""A port for a person at a terminal, and as JSON: the call before and after, what differs, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from logitmus.core import causes
from logitmus.core.convention import FIELDS
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import DEFAULT_REDUCTION, Problem
from logitmus.porting.differences import Difference, Example
from logitmus.porting.port import Port
from logitmus.reports.terminal.run import text
from logitmus.results.wording import plural

SCHEMA: Final = 1
_VERDICTS: Final = {
    "agrees": "agrees",
    "differs": "DIFFERS: do not rely on it",
    "not tried": "not tried",
}


def render(port: Port, console: Console) -> None:
    """Print a port."""
    console.print(text(f"{port.source.id}  ->  {port.named.id}", "bold"))
    plain = port.plain.example
    rows = [("before", port.before), ("after", "\n".join(port.after))]
    rows += [("tried", question(plain.problem)), ("", _tried(plain))] if plain is not None else []
    console.print(Padding(_table(rows), (1, 0, 0, 1)))
    if port.differences:
        console.print(Padding(text(f"{plural(len(port.differences), 'difference')}"), (1, 0, 0, 1)))
    for difference in port.differences:
        console.print(Padding(text(_head(difference)), (1, 0, 0, 1)))
        console.print(Padding(_table(_rows(difference)), (0, 0, 0, 5)))
    console.print(Padding(_table([("note", line) for line in _notes(port)]), (1, 0, 0, 1)))


def as_dict(port: Port) -> dict[str, Any]:
    """As JSON has it; "schema" is its version. Numbers are text, in as many digits as name them."""
    return {
        "schema": SCHEMA,
        "from": port.source.id,
        "to": port.named.id,
        "target": port.target.id,
        "measured": port.measured,
        "as_declared": {subject: list(fields) for subject, fields in port.declared.items()},
        "before": port.before or None,
        "after": list(port.after),
        "plain": _example(port.plain.example),
        "differences": [
            {
                "name": one.name,
                "from": one.source,
                "to": one.target,
                "remedy": list(one.remedy),
                "verdict": one.verdict,
                "example": _example(one.example),
            }
            for one in port.differences
        ],
        "not_taken": list(port.dtypes),
        "offered_besides": list(port.more),
    }


def _example(example: Example | None) -> dict[str, Any] | None:
    if example is None:
        return None
    return {
        "question": question(example.problem),
        "problem": example.problem.id,
        "part": example.part,
        "from": said(example.source, example.part),
        "to": said(example.as_it_stands, example.part),
        "asked": None if example.way is None else example.way.subject.id,
        "then": None if example.translated is None else said(example.translated, example.part),
        "verdict": example.verdict,
    }


# --- one difference --------------------------------------------------------------------------------------------------


def _head(one: Difference) -> str:
    return f"{one.name}: {one.source} -> {one.target}"


def _rows(one: Difference) -> Iterator[tuple[str, str]]:
    field = FIELDS.get(one.name)
    if field is not None:
        yield "from", field.values[one.source]
        yield "to", field.values[one.target]
    yield "write", "\n".join(one.remedy)
    if one.example is not None:
        yield "e.g.", question(one.example.problem)
        yield "", _tried(one.example)


def _tried(example: Example) -> str:
    name = "" if example.part == "loss" else f"{causes.part_name(example.part)}: "
    numbers = f"{name}{said(example.source, example.part)} -> {said(example.as_it_stands, example.part)}"
    if example.translated is None:
        return numbers
    return f"{numbers}; so: {said(example.translated, example.part)} ({_VERDICTS[example.verdict]})"


def _notes(port: Port) -> Iterator[str]:
    yield (
        "both were asked; numbers are what came, and agree where they lie within the budget of what FROM means"
        if port.measured
        else "both are taken at their word: nothing was run, the numbers are exact answers; leave --declared out to try"
    )
    for subject, fields in port.declared.items():
        if fields:
            yield f"not measured, so as declared, of {subject}: {', '.join(fields)}"
    if port.dtypes:
        yield f"cast before the call, it does not take: {', '.join(port.dtypes)}"
    if port.more:
        yield f"it offers besides: {', '.join(port.more)}"
    if not port.before or not port.after:
        yield "how to write the calls is not told by both backends, or nothing that is known here makes them agree"


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, words in rows:
        if words:
            table.add_row(text(name), text(words))
    return table


# --- questions and answers in a line ---------------------------------------------------------------------------------


def question(problem: Problem) -> str:
    """All of a small problem, so that a person can type it in."""
    shown = [f"logits {_numbers(problem.logits)}", f"targets {_numbers(problem.targets)}"]
    if not problem.rows:
        shown = [f"no rows of {problem.classes} classes"]
    if problem.weight is not None:
        shown.append(f"weight {_numbers(problem.weight)}")
    if problem.ignore_index is not None:
        shown.append(f"ignore_index {problem.ignore_index}")
    if problem.label_smoothing:
        shown.append(f"label_smoothing {problem.label_smoothing:g}")
    if problem.logits.ndim > 2:
        shown.append("classes last")
    if problem.reduction != DEFAULT_REDUCTION:
        shown.append(f"reduction {problem.reduction}")
    return ", ".join([*shown, *([] if problem.dtype == "float32" else [problem.dtype])])


def said(outcome: Outcome, part: str = "loss") -> str:
    """What came, in few words."""
    match outcome:
        case Answered():
            array = getattr(outcome, part)
            return "nothing" if array is None else _numbers(array)
        case Raised():
            return f"raises {outcome.type or f'({outcome.message})'}"
        case NotRun():
            return f"not asked ({outcome.reason})"
        case _:
            return type(outcome).__name__


def _numbers(array: Array) -> str:
    """`[[0, 0, 1], [0.5, nan, 2]]`."""
    if array.ndim == 0:
        value = array[()]
        number = str(value) if array.dtype.kind in "iu" else causes.number(float(value), array.dtype.name)
        return number.removesuffix(".0")
    return f"[{', '.join(_numbers(np.asarray(one)) for one in array)}]"
