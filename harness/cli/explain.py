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
        str | None,
        typer.Option(
            metavar="ROWS|FILE.npy",
            help="Logits: 0,0,0,1 or [[0, 1], [2, 3]] or tensor([...]); rows may end in ';'. Without them: "
            "can rounding explain the difference of --observed and --expected?",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="LABELS", help="One label per row (3 or 3,0), or probabilities, written with a dot (0.,0.,0.,1.)."
        ),
    ] = None,
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
    classes: Annotated[int | None, typer.Option(metavar="K", help="Without logits: number of classes.")] = None,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Without logits: number of rows (without ignored rows).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Find what gives the observed loss or gradient for these logits and targets.

    Without logits, say whether rounding alone can explain that two printed losses differ.
    """
    if logits is None or target is None:
        others: dict[str, object] = {
            "--weight": weight,
            "--ignore-index": ignore_index,
            "--gradient": gradient,
            "--upstream": upstream,
        }
        others |= {"--label-smoothing": label_smoothing or None, "--logits": logits, "--target": target}
        needing_both = [name for name, value in others.items() if value is not None]
        if needing_both:
            raise typer.BadParameter(f"{', '.join(needing_both)}: needs both --logits and --target")
        if observed is None or expected is None:
            raise typer.BadParameter("give --logits and --target, or both --observed and --expected")
        raise typer.Exit(_rounding(observed, expected, dtype, classes, rows, reduction, json=json))
    if classes is not None or rows is not None:
        raise typer.BadParameter("the logits have the number of classes and rows; remove --classes and --rows")
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


def _rounding(
    observed: str,
    expected: str,
    dtype: str,
    classes: int | None,
    rows: int | None,
    reduction: str | None,
    *,
    json: bool,
) -> Exit:
    """Answer whether rounding explains the difference of two losses, without their logits."""
    from logitmus.conventions.printed_numbers import split_numbers
    from logitmus.conventions.rounding import Sizes, explain_by_rounding
    from logitmus.reports.terminal.rounding import rounding_json, rounding_text

    sizes = Sizes(classes=classes, rows=rows, reduction=reduction)
    answer = explain_by_rounding(split_numbers(observed), split_numbers(expected), dtype, sizes)
    typer.echo(rounding_json(answer) if json else rounding_text(answer))
    return Exit.OK if answer.explains else Exit.FINDINGS


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
