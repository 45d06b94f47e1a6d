"""`logitmus explain`: numbers in, reasons out, without any framework."""

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
    logits: Annotated[str, typer.Option(metavar="ROWS", help="0,0,0,1; rows separated by semicolons.")],
    target: Annotated[
        str,
        typer.Option(
            metavar="LABELS", help="A label a row: 3 or 3,0; or probabilities as rows with a dot: 0.,0.,0.,1."
        ),
    ],
    observed: Annotated[str | None, typer.Option(metavar="NUMBERS", help="What came, with the digits given.")] = None,
    expected: Annotated[str | None, typer.Option(metavar="NUMBERS", help="What was expected.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Class weights.")] = None,
    ignore_index: Annotated[int | None, typer.Option(metavar="LABEL", help="The ignored label.")] = None,
    label_smoothing: Annotated[float, typer.Option(metavar="EPS", help="Label smoothing.")] = 0.0,
    reduction: Annotated[str | None, typer.Option(help="none, sum or mean; all are tried.", show_default=False)] = None,
    gradient: Annotated[
        str | None, typer.Option(metavar="ROWS", help="The gradient by the logits that came, as rows.")
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="The upstream gradient it was asked with; ones if not given.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Tell which conventions turn these logits and targets into the number that came; what a gradient is of."""
    from logitmus.conventions.explain import explain as find
    from logitmus.conventions.explain import parse_rows, parse_targets

    rows = parse_rows("logits", logits)
    found = find(
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
        typer.echo(json_module.dumps(_as_dict(found), indent=1))
    else:
        _print(found, observed, expected)
    unexplained = (observed is not None and not found.observed) or found.gradient == ()
    raise typer.Exit(Exit.FINDINGS if unexplained else Exit.OK)


def _print(found: Explanation, observed: str | None, expected: str | None) -> None:
    from logitmus.core import causes

    for remark in found.remarks:
        typer.echo(f"{remark}\n")
    for reduction, value in found.portable.items():
        typer.echo(f"exact, reduction {reduction}: {value}")
    for name, number, readings, fit in (
        ("observed", observed, found.observed, "is"),
        ("expected", expected, found.expected or (), "would be right for"),
    ):
        if number is None:
            continue
        typer.echo(
            f"\n{name} {number} {fit if readings else 'fits no convention, nor two together, that is known here'}"
        )
        for words, reductions in _grouped(readings).items():
            typer.echo(f"  {words}  (reduction {', '.join(reductions)})")
    if found.gradient is not None:
        known = "" if found.gradient else ": right for nothing that is known here"
        typer.echo(f"\nthe gradient that came{known}")
    for reading in found.gradient or ():
        words = causes.gradient(reading.cause) if reading.cause else "it is that of the loss, as defined"
        typer.echo(f"  {words}  (reduction {reading.reduction})")
    if found.declared:
        typer.echo("\nthe frameworks, as declared (float32, eager, on the CPU)")
    for saying in found.declared:
        typer.echo(_saying(saying, {"observed": observed, "expected": expected}))


def _saying(saying: Saying, given: dict[str, str | None]) -> str:
    from logitmus.conventions.explain import fits

    names = [
        f"{backend}: {', '.join(functions)}" if saying.asked else f"{backend} ({len(functions)})"
        for backend, functions in saying.functions.items()
    ]
    as_given = [name for name, number in given.items() if number is not None and fits(saying, number.split(","))]
    said = saying.value or (saying.why if saying.asked else f"not asked ({saying.why})")
    line = f"{said}{f', as {as_given[0]}' if as_given else ''}  {'; '.join(names)}"
    return textwrap.fill(line, 118, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _grouped(readings: tuple[Reading, ...]) -> dict[str, list[str]]:
    """The same reading under several reductions is one line."""
    grouped: dict[str, list[str]] = {}
    for reading in readings:
        grouped.setdefault(reading.words, []).append(reading.reduction)
    return grouped


def _as_dict(found: Explanation) -> dict[str, object]:
    def listed(readings: tuple[Reading, ...]) -> list[dict[str, object]]:
        return [
            {"changes": dict(r.changes), "reduction": r.reduction, "value": r.value, "words": r.words} for r in readings
        ]

    return {
        "schema": 1,
        "remarks": list(found.remarks),
        "portable": found.portable,
        "observed": listed(found.observed),
        "expected": None if found.expected is None else listed(found.expected),
        "gradient": found.gradient and [{"cause": r.cause, "reduction": r.reduction} for r in found.gradient],
        "declared": [
            {"value": s.value or None, "why": s.why or None, "asked": s.asked, "functions": s.functions}
            for s in found.declared
        ],
    }
