"""A port on a terminal and as JSON: the call before and after, and each difference with the change that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from logitmus.core.convention import FIELDS
from logitmus.core.finding import part_name
from logitmus.core.floats import Array, decimal
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import DEFAULT_REDUCTION, Problem
from logitmus.porting.differences import Difference, Example
from logitmus.porting.port import Port
from logitmus.reports.terminal.run import text
from logitmus.results.wording import plural

SCHEMA: Final = 1
_VERDICTS: Final = {
    "agrees": "OK",
    "differs": "DIFFERS: do not rely on it",
    "not tried": "not tested",
}


def render(port: Port, console: Console) -> None:
    """Print the calls, the differences and the notes."""
    console.print(text(f"{port.source.id}  ->  {port.named.id}", "bold"))
    plain = port.plain.example
    rows = [("before", port.before), ("after", "\n".join(port.after))]
    rows += shown(plain) if plain is not None else []
    console.print(Padding(_table(rows), (1, 0, 0, 1)))
    if port.differences:
        console.print(Padding(text(f"{plural(len(port.differences), 'difference')}"), (1, 0, 0, 1)))
    for difference in port.differences:
        console.print(Padding(text(_head(difference)), (1, 0, 0, 1)))
        console.print(Padding(_table(_rows(difference)), (0, 0, 0, 5)))
    console.print(Padding(_table([("note", line) for line in _notes(port)]), (1, 0, 0, 1)))


def as_dict(port: Port) -> dict[str, Any]:
    """The port as plain values for JSON; "schema" is the version. Numbers are texts with the shortest digits."""
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
                "name": difference.name,
                "from": difference.source,
                "to": difference.target,
                "remedy": list(difference.remedy),
                "verdict": difference.verdict,
                "example": _example(difference.example),
            }
            for difference in port.differences
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
        "from": brief(example.source, example.part),
        "to": brief(example.as_it_stands, example.part),
        "asked": None if example.way is None else example.way.subject.id,
        "then": None if example.translated is None else brief(example.translated, example.part),
        "verdict": example.verdict,
    }


def _head(difference: Difference) -> str:
    return f"{difference.name}: {difference.source} -> {difference.target}"


def _rows(difference: Difference) -> Iterator[tuple[str, str]]:
    field = FIELDS.get(difference.name)
    if field is not None:
        yield "from", field.values[difference.source]
        yield "to", field.values[difference.target]
    yield "change", "\n".join(difference.remedy)
    if difference.example is not None:
        yield from shown(difference.example)


def shown(example: Example) -> list[tuple[str, str]]:
    """An example with the results of both functions."""
    part = "" if example.part == "loss" else f"{part_name(example.part)}: "
    rows = [
        ("example", question(example.problem)),
        ("source", part + brief(example.source, example.part)),
        ("unchanged", part + brief(example.as_it_stands, example.part)),
    ]
    if example.translated is not None:
        words = f"{part}{brief(example.translated, example.part)}  {_verdict(example)}"
        rows.append(("with the change", words))
    return rows


def _verdict(example: Example) -> str:
    """The verdict, and how far the two results are from each other: within the budget is not equal."""
    verdict = _VERDICTS[example.verdict]
    source, translated = (_result(outcome, example.part) for outcome in (example.source, example.translated))
    if example.verdict != "agrees" or source is None or translated is None:
        return verdict
    if source.shape != translated.shape:
        return f"{verdict} for what the source declares; the source itself returned the shape {source.shape}"
    with np.errstate(invalid="ignore"):
        apart = np.abs(source - translated)[~((source == translated) | (np.isnan(source) & np.isnan(translated)))]
    return f"{verdict}, {apart.max():.1e} apart" if apart.size else verdict


def _result(outcome: Outcome | None, part: str) -> Array | None:
    array = getattr(outcome, part) if isinstance(outcome, Answered) else None
    return None if array is None else np.asarray(array, np.float64)


def _notes(port: Port) -> Iterator[str]:
    yield (
        "both functions were run; OK means: within the error budget of what FROM computes"
        if port.measured
        else "from declarations only, nothing was run: the numbers are exact answers; omit --declared to run both"
    )
    for subject, fields in port.declared.items():
        if fields:
            yield f"{subject}: declared, not measured: {', '.join(fields)}"
    if port.dtypes:
        yield f"cast before the call, TO does not accept: {', '.join(port.dtypes)}"
    if port.more:
        yield f"options of TO that FROM does not have: {', '.join(port.more)}"
    if not port.before or not port.after:
        yield "no code is shown: a backend does not describe its calls, or no known change makes them agree"


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, words in rows:
        if words:
            table.add_row(text(name), text(words))
    return table


def question(problem: Problem) -> str:
    """A small problem in full, so that a user can type it in."""
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


def brief(outcome: Outcome, part: str = "loss") -> str:
    """The result in a few words."""
    match outcome:
        case Answered():
            array = getattr(outcome, part)
            return "nothing" if array is None else _numbers(array)
        case Raised():
            return f"raises {outcome.type or f'({outcome.message})'}"
        case NotRun():
            return f"not run ({outcome.reason})"
        case _:
            return type(outcome).__name__


def _numbers(array: Array) -> str:
    """`[[0, 0, 1], [0.5, nan, 2]]`."""
    if array.ndim == 0:
        value = array[()]
        number = str(value) if array.dtype.kind in "iu" else decimal(float(value), array.dtype.name)
        return number.removesuffix(".0")
    return f"[{', '.join(_numbers(np.asarray(element)) for element in array)}]"
