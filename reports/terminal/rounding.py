"""The answer of `logitmus explain` without logits: can rounding explain that two printed losses differ?"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from logitmus.conventions.rounding import Pair, RoundingAnswer, Sizes, Verdict
from logitmus.results import wording
from logitmus.results.wording import plural

WIDTH: Final = 100
_SHOWN: Final = 12
_ASSUMED: Final = (
    "Assumed: the same logits and labels to the bit, one label a row, no class weights, no label smoothing. These are "
    "upper bounds over all logits (docs/accuracy.md, section 2); typical differences are much smaller."
)


def rounding_text(answer: RoundingAnswer) -> str:
    """Format the answer."""
    return "\n".join(_lines(answer))


def rounding_json(answer: RoundingAnswer) -> str:
    """The answer as JSON; "schema" is the version. Infinity is "infinite"."""
    fields = {"schema": 1, "explains": answer.explains, **asdict(answer)}
    return json.dumps(wording.all_finite(fields), indent=1, allow_nan=False)


def _lines(answer: RoundingAnswer) -> Iterator[str]:
    for pair in answer.pairs[:_SHOWN]:
        yield _filled(_apart(pair, answer.dtype))
        for text, nearest in pair.no_values:
            yield _filled(f"Note: {text} is no value of {answer.dtype}; the nearest is {nearest}.")
    if len(answer.pairs) > _SHOWN:
        yield f"and {plural(len(answer.pairs) - _SHOWN, 'pair')} more"
    if not any(pair.high or pair.why_not for pair in answer.pairs):
        return  # they are the same, and there is nothing to explain
    yield ""
    if len(answer.pairs) > 1 and not answer.explains:
        yield _filled(f"The pair that is hardest to explain: {answer.worst.observed} and {answer.worst.expected}.")
    if answer.worst.why_not:
        yield _filled(f"No rounding explains it: {answer.worst.why_not}.")
        return
    for verdict in _telling(answer.verdicts):
        yield _filled(_sentence(verdict, answer.sizes))
    first = answer.verdicts[0]
    if first.explains is False:
        yield ""
        yield "Otherwise:"
        if answer.worst.negative:
            yield _filled("  - the sign differs: no cross-entropy of labels is negative", 4)
        elif math.isfinite(first.logits):
            yield _filled(f"  - the logits differ, one of them by at least {first.logits:.2g}; or the labels do", 4)
        yield _filled(
            "  - the logsumexp is formed before the largest logit is subtracted, and |max x| + |x_t| is at least "
            f"{first.offset:,.4g}",
            4,
        )
        yield _filled("  - the definition differs: give --logits and --target, and every convention is tried", 4)
    yield ""
    yield _filled(_ASSUMED)


def _apart(pair: Pair, dtype: str) -> str:
    both = f"{pair.observed} (observed) and {pair.expected} (expected)"
    if pair.steps is None:
        return f"{both}: not both are numbers." if pair.why_not else f"{both} are the same."
    least, most = pair.steps
    if not most:
        return f"{both} are the same in {dtype}."
    if least == most:
        return f"{both} are {plural(most, 'ulp')} of {dtype} apart."
    return f"{both} are between {least:,} and {most:,} ulps of {dtype} apart; more digits would tell."


def _telling(verdicts: tuple[Verdict, ...]) -> list[Verdict]:
    """The verdicts up to the first that explains the difference; those that allow no more than another are left out."""
    shown: list[Verdict] = []
    for verdict in verdicts:
        if not shown or (shown[-1].explains is not True and _allowed(shown[-1]) != _allowed(verdict)):
            shown.append(verdict)
    return shown


def _allowed(verdict: Verdict) -> tuple[object, ...]:
    return verdict.bound, verdict.from_classes, verdict.from_rows


def _sentence(verdict: Verdict, sizes: Sizes) -> str:
    condition = f" {verdict.condition}" if verdict.condition else ""
    size = _size(sizes)
    if verdict.explains is True:
        more = "; larger sizes allow more" if _is_open(sizes) else ""
        return f"Rounding alone can explain it{condition}: for {size}, {_reach(verdict)}{more}."
    if verdict.explains is None:
        return f"The digits are too few to tell{condition}: for {size}, {_reach(verdict)}."
    start = f"Rounding alone cannot explain it{condition}: for {size}, {_reach(verdict)}."
    least = [f"{verdict.from_classes:,} classes"] if verdict.from_classes else []
    least += [f"{verdict.from_rows:,} rows ({sizes.reduction or 'mean'})"] if verdict.from_rows else []
    if least:
        return f"{start} It could from {' or from '.join(least)} on."
    return f"{start} No larger size that the analysis covers allows so much." if _is_open(sizes) else start


def _is_open(sizes: Sizes) -> bool:
    """Whether a size is not given that matters."""
    return sizes.classes is None or (sizes.rows is None and sizes.reduction != "none")


def _reach(verdict: Verdict) -> str:
    if math.isinf(verdict.bound):
        return "the analysis gives no bound"
    ulps = f"{verdict.ulps:.1f}" if verdict.ulps < 10 else f"{math.floor(verdict.ulps):,}"
    return f"two sound implementations are at most {ulps} ulps ({verdict.bound:.2g}) apart"


def _size(sizes: Sizes) -> str:
    rows = sizes.rows or 1
    reduction = f" ({sizes.reduction or 'mean'})" if rows > 1 else ""
    classes = sizes.classes or 2
    many = "one row" if rows == 1 else plural(rows, "row")
    return f"{classes:,} class{'' if classes == 1 else 'es'} and {many}{reduction}"


def _filled(text: str, indent: int = 0) -> str:
    start = len(text) - len(text.lstrip())
    return textwrap.fill(
        text.strip(), WIDTH, initial_indent=" " * start, subsequent_indent=" " * indent, break_on_hyphens=False
    )
