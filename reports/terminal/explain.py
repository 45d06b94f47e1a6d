"""The answer of `logitmus explain` as text: the exact loss, what each given number is right for, and how to mend it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from logitmus.conventions.declared import Saying
from logitmus.conventions.explain import Explanation, Reading, fits
from logitmus.core import catalogue

WIDTH: Final = 100


def explanation_text(explanation: Explanation, given: dict[str, list[str]], dtype: str = "float32") -> str:
    """Format an explanation.

    Args:
        given: the numbers as they were typed, under "observed" and "expected"; a missing key was not given.
        dtype: of the observed numbers.
    """
    return "\n".join(_lines(explanation, given, dtype))


def _lines(explanation: Explanation, given: dict[str, list[str]], dtype: str) -> Iterator[str]:
    for remark in explanation.remarks:
        yield f"Note: {remark}"
        yield ""
    yield "Exact loss"
    for reduction, value in explanation.portable.items():
        divides = f"  (divides by {explanation.divisor})" if reduction == "mean" and explanation.divisor else ""
        yield f"  {reduction + ':':6}{value}{divides}"
    for name, readings in (("observed", explanation.observed), ("expected", explanation.expected or ())):
        if name in given:
            yield ""
            yield from _verdict(name, explanation, readings, given[name], dtype)
    if explanation.gradient is not None:
        yield ""
        yield from _gradient(explanation)
    if explanation.declared:
        yield ""
        yield "Frameworks, as documented (float32, eager, CPU; nothing was run)"
        for saying in explanation.declared:
            yield _saying(saying, given, dtype)


def _verdict(
    name: str, explanation: Explanation, readings: tuple[Reading, ...], numbers: list[str], dtype: str
) -> Iterator[str]:
    number = f"{', '.join(numbers)} ({name})"
    verb = "is" if name == "observed" else "would be"
    frameworks = [
        label for saying in explanation.declared if fits(saying, numbers, dtype) for label in _functions(saying)
    ]
    grouped = _grouped(readings)
    if readings and not readings[0].changes:
        reductions = grouped[readings[0].words][1]
        yield _filled(f"{number} is right: {readings[0].words}{_under(reductions, explanation)}.")
        return
    if not readings:
        if frameworks:
            yield _filled(f"{number} is what the documented convention of {'; '.join(frameworks)} gives.")
            return
        yield f"Nothing that was tried gives {number}. Nearest:"
        for near in explanation.nearest.get(name, ()):
            yield _filled(
                f"  {near.value} ({_percent(near.distance)} off): {near.words}{_under([near.reduction], explanation)}",
                6,
            )
        yield _filled(f"  {explanation.not_tried}", 2)
        return
    if not readings[0].certain:
        yield _filled(
            f"{number} could come from two changes together, but its digits are too few to tell which. "
            "Give more digits, or the loss of more rows. Candidates:"
        )
    elif len(grouped) > 1:
        yield f"{number} {verb} right if any of these holds (simplest first):"
    lone = len(grouped) == 1 and readings[0].certain
    for words, (mends, reductions) in grouped.items():
        clause = f"{words}{_under(reductions, explanation)}"
        yield _filled(f"{number} {verb} right if {clause}." if lone else f"  - {clause}", 4)
        for mend in mends:
            yield f"      code: {mend}"
    if frameworks:
        yield _filled(f"  The documented convention of {'; '.join(frameworks)} gives it, too.", 2)


def _gradient(explanation: Explanation) -> Iterator[str]:
    if not explanation.gradient:
        yield "The gradient fits nothing that was tried: no convention, and no known fault of a gradient."
        return
    for reading in explanation.gradient:
        words = catalogue.gradient(reading.cause) if reading.cause else "the gradient of the loss, as defined"
        yield _filled(f"The gradient is: {words} (reduction {reading.reduction})", 4)


def _saying(saying: Saying, given: dict[str, list[str]], dtype: str) -> str:
    names = [
        f"{backend}: {', '.join(functions)}" if saying.applies else f"{backend} ({len(functions)})"
        for backend, functions in saying.functions.items()
    ]
    as_given = next((f", as {name}" for name, numbers in given.items() if fits(saying, numbers, dtype)), "")
    if not saying.applies:
        text = f"not applicable ({saying.why})"
    elif saying.value and saying.why:
        text = f"{saying.value}{as_given} ({saying.why})"
    else:
        text = f"{saying.value or saying.why}{as_given}"
    return _filled(f"  {text}  {'; '.join(names)}", 6)


def _functions(saying: Saying) -> list[str]:
    return [f"{backend} {', '.join(functions)}" for backend, functions in saying.functions.items()]


def _grouped(readings: tuple[Reading, ...]) -> dict[str, tuple[tuple[str, ...], list[str]]]:
    """The same words under several reductions are a single line."""
    grouped: dict[str, tuple[tuple[str, ...], list[str]]] = {}
    for reading in readings:
        reductions = grouped.setdefault(reading.words, (reading.mend, []))[1]
        if reading.reduction not in reductions:
            reductions.append(reading.reduction)
    return grouped


def _under(reductions: list[str], explanation: Explanation) -> str:
    """Name the reductions where that tells something: several were tried, and not all give the number."""
    tried = len(explanation.portable)
    alike = explanation.problem.rows == 1 or len(reductions) == tried
    return "" if alike else f" (reduction {', '.join(reductions)})"


def _percent(distance: float) -> str:
    return f"{100 * distance:.2g}%" if distance < 10 else "far"


def _filled(text: str, indent: int = 4) -> str:
    start = len(text) - len(text.lstrip())
    return textwrap.fill(
        text.strip(), WIDTH, initial_indent=" " * start, subsequent_indent=" " * indent, break_on_hyphens=False
    )
