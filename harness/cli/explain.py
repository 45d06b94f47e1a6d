"""`logitmus explain`: find the convention behind a number; needs no framework."""

from __future__ import annotations

import json as json_module
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag

if TYPE_CHECKING:
    from logitmus.conventions.declared import Saying
    from logitmus.conventions.explain import Explanation, Reading


def explain(
    logits: Annotated[str, typer.Option(metavar="ROWS", help="Logits, e.g. 0,0,0,1; separate rows by semicolons.")],
    target: Annotated[
        str,
        typer.Option(
            metavar="LABELS", help="One label per row (3 or 3,0), or probabilities, written with a dot (0.,0.,0.,1.)."
        ),
    ],
    observed: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Loss that you got, with all its digits.")
    ] = None,
    expected: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Loss that you expected.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Class weights.")] = None,
    ignore_index: Annotated[int | None, typer.Option(metavar="LABEL", help="Label to ignore.")] = None,
    label_smoothing: Annotated[float, typer.Option(metavar="EPS", help="Label smoothing.")] = 0.0,
    reduction: Annotated[
        str | None, typer.Option(help="none, sum or mean.  [default: try all]", show_default=False)
    ] = None,
    gradient: Annotated[
        str | None, typer.Option(metavar="ROWS", help="Gradient with respect to the logits that you got, as rows.")
    ] = None,
    upstream: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Upstream gradient.  [default: ones]")] = None,
    json: JsonFlag = False,
) -> None:
    """Find which conventions give the observed loss or gradient for these logits and targets."""
    from logitmus.conventions.explain import explain as find_explanation
    from logitmus.conventions.explain import parse_rows, parse_targets

    rows = parse_rows("logits", logits)
    explanation = find_explanation(
        logits=rows,
        targets=parse_targets(target, rows),
        observed=None if observed is None else observed.split(","),
        expected=None if expected is None else expected.split(","),
        weight=None if weight is None else parse_rows("weight", weight)[0],
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
        gradient=None if gradient is None else [row.split(",") for row in gradient.split(";")],
        upstream=None if upstream is None else upstream.split(","),
    )
    if json:
        typer.echo(json_module.dumps(_as_dict(explanation), indent=1))
    else:
        _print(explanation, observed, expected)
    unexplained = (observed is not None and not explanation.observed) or explanation.gradient == ()
    raise typer.Exit(Exit.FINDINGS if unexplained else Exit.OK)


def _print(explanation: Explanation, observed: str | None, expected: str | None) -> None:
    from logitmus.core import causes

    for remark in explanation.remarks:
        typer.echo(f"{remark}\n")
    for reduction, value in explanation.portable.items():
        typer.echo(f"exact, reduction {reduction}: {value}")
    for name, number, readings, verb in (
        ("observed", observed, explanation.observed, "is"),
        ("expected", expected, explanation.expected or (), "would be correct for"),
    ):
        if number is None:
            continue
        if readings:
            typer.echo(f"\n{name} {number} {verb}")
        else:
            typer.echo(f"\n{name}: no known convention, nor pair of conventions, gives {number}")
        for words, reductions in _grouped(readings).items():
            typer.echo(f"  {words}  (reduction {', '.join(reductions)})")
    if explanation.gradient is not None:
        typer.echo(
            "\nthe observed gradient" + ("" if explanation.gradient else " matches no known convention or error")
        )
    for reading in explanation.gradient or ():
        words = causes.gradient(reading.cause) if reading.cause else "it is the gradient of the loss, as defined"
        typer.echo(f"  {words}  (reduction {reading.reduction})")
    if explanation.declared:
        typer.echo("\nthe frameworks, as documented (float32, eager, on the CPU)")
    for saying in explanation.declared:
        typer.echo(_row(saying, {"observed": observed, "expected": expected}))


def _row(saying: Saying, given: dict[str, str | None]) -> str:
    """What some functions compute, and their names."""
    from logitmus.conventions.explain import fits

    names = [
        f"{backend}: {', '.join(functions)}" if saying.asked else f"{backend} ({len(functions)})"
        for backend, functions in saying.functions.items()
    ]
    matches = [name for name, number in given.items() if number is not None and fits(saying, number.split(","))]
    value = saying.value or (saying.why if saying.asked else f"not applicable ({saying.why})")
    line = f"{value}{f', as {matches[0]}' if matches else ''}  {'; '.join(names)}"
    return textwrap.fill(line, 118, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _grouped(readings: tuple[Reading, ...]) -> dict[str, list[str]]:
    """The reductions of each reading, for one line per reading."""
    grouped: dict[str, list[str]] = {}
    for reading in readings:
        grouped.setdefault(reading.words, []).append(reading.reduction)
    return grouped


def _as_dict(explanation: Explanation) -> dict[str, object]:
    def listed(readings: tuple[Reading, ...]) -> list[dict[str, object]]:
        return [
            {"changes": dict(r.changes), "reduction": r.reduction, "value": r.value, "words": r.words} for r in readings
        ]

    return {
        "schema": 1,
        "remarks": list(explanation.remarks),
        "portable": explanation.portable,
        "observed": listed(explanation.observed),
        "expected": None if explanation.expected is None else listed(explanation.expected),
        "gradient": explanation.gradient
        and [{"cause": r.cause, "reduction": r.reduction} for r in explanation.gradient],
        "declared": [
            {"value": s.value or None, "why": s.why or None, "asked": s.asked, "functions": s.functions}
            for s in explanation.declared
        ],
    }
