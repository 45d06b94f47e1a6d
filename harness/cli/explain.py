"""`logitmus explain`: find what gives an observed loss; needs no framework."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit
from logitmus.cli.options import JsonFlag

if TYPE_CHECKING:
    from logitmus.conventions.explain import Explanation, Reading


def explain(
    logits: Annotated[
        str,
        typer.Option(
            metavar="ROWS|FILE.npy", help="Logits: 0,0,0,1 or [[0, 1], [2, 3]] or tensor([...]); rows may end in ';'."
        ),
    ],
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
    dtype: Annotated[
        str, typer.Option(help="What the loss was computed in: float64, float32, float16 or bfloat16.")
    ] = "float32",
    json: JsonFlag = False,
) -> None:
    """Find what gives the observed loss or gradient for these logits and targets."""
    from logitmus.conventions.explain import explain as find_explanation
    from logitmus.conventions.explain import fits
    from logitmus.conventions.printed_numbers import parse_array, parse_targets, split_numbers
    from logitmus.reports.terminal.explain import explanation_text

    array = parse_array("logits", logits)
    given = {
        name: split_numbers(text) for name, text in (("observed", observed), ("expected", expected)) if text is not None
    }
    explanation = find_explanation(
        logits=array,
        targets=parse_targets(target, array),
        observed=given.get("observed"),
        expected=given.get("expected"),
        weight=None if weight is None else parse_array("weight", weight).tolist(),
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
        gradient=None if gradient is None else [split_numbers(row) for row in _rows(gradient)],
        upstream=None if upstream is None else split_numbers(upstream),
        dtype=dtype,
    )
    if json:
        typer.echo(json_module.dumps(_as_dict(explanation), indent=1))
    else:
        typer.echo(explanation_text(explanation, given, dtype))
    declared = observed is not None and any(fits(saying, given["observed"], dtype) for saying in explanation.declared)
    unexplained = observed is not None and not (any(r.certain for r in explanation.observed) or declared)
    raise typer.Exit(Exit.FINDINGS if unexplained or explanation.gradient == () else Exit.OK)


def _rows(text: str) -> list[str]:
    """The rows of a pasted or typed gradient, digits kept."""
    return [row for row in text.replace("],", ";").split(";") if row.strip(" []()")]


def _as_dict(explanation: Explanation) -> dict[str, object]:
    def listed(readings: tuple[Reading, ...]) -> list[dict[str, object]]:
        return [
            {
                "changes": dict(r.changes),
                "reduction": r.reduction,
                "value": r.value,
                "words": r.words,
                "code": list(r.mend),
                "certain": r.certain,
            }
            for r in readings
        ]

    return {
        "schema": 1,
        "remarks": list(explanation.remarks),
        "portable": explanation.portable,
        "divisor": explanation.divisor,
        "observed": listed(explanation.observed),
        "expected": None if explanation.expected is None else listed(explanation.expected),
        "nearest": {
            name: [
                {"words": n.words, "reduction": n.reduction, "value": n.value, "distance": n.distance} for n in nearest
            ]
            for name, nearest in explanation.nearest.items()
        },
        "not_tried": explanation.not_tried,
        "gradient": explanation.gradient
        and [{"cause": r.cause or "", "reduction": r.reduction} for r in explanation.gradient],
        "declared": [
            {"value": s.value or None, "why": s.why or None, "asked": s.applies, "functions": s.functions}
            for s in explanation.declared
        ],
    }
