"""The section on accuracy: the data of the plots, which the page draws, and the tables that need no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from markupsafe import Markup

from logitmus.core.finding import part_name
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.subject import SubjectId
from logitmus.results import wording
from logitmus.results.accuracy import SWEEPS, Curve, Sweep, WorstCase
from logitmus.results.distribution import LARGEST, SMALLEST, Distribution

_DIGITS: Final = 4  # of an error in a plot


@dataclass(frozen=True)
class Experiments:
    """What can be chosen for the plot: the sweeps as (name, title), and the dtypes."""

    sweeps: list[tuple[str, str]]
    dtypes: list[str]


def experiments(curves: Sequence[Curve]) -> Experiments:
    """Those that have curves."""
    sweeps, dtypes = {curve.sweep for curve in curves}, {curve.dtype for curve in curves}
    return Experiments(
        [(name, sweep.title) for name, sweep in SWEEPS.items() if name in sweeps],
        [dtype for dtype in FLOAT_DTYPES if dtype in dtypes],
    )


@cache
def vega() -> Markup:
    """The bundle of Vega-Lite, for a script element."""
    text = (files("logitmus.reports.html") / "vendor" / "vega.min.js").read_text(encoding="utf-8")
    if "</script" in text or "<!--" in text:
        raise ValueError("the bundle of Vega-Lite holds characters that end a script element")
    return Markup(text)  # noqa: S704  (part of the package)


def plot_data(curves: Sequence[Curve], distribution: Distribution) -> dict[str, Any]:
    """What the plots show, names and numbers only.

    A point is a list: x, ulps, share of the budget, whether it is finite, and the number of the problem.
    """
    problems: dict[str, int] = {}
    return {
        "sweeps": [
            {"name": name, "axis": sweep.axis, "shows": sweep.shows, "marks": _marks(sweep)}
            for name, sweep in SWEEPS.items()
        ],
        "curves": [
            {
                "sweep": curve.sweep,
                "dtype": curve.dtype,
                "part": curve.part,
                "backend": SubjectId.parse(curve.subjects[0]).backend,
                "names": wording.names(curve.subjects),
                "subjects": curve.subjects,
                "points": [
                    [
                        point.x,
                        _short(point.ulps),
                        _short(point.share),
                        point.finite,
                        problems.setdefault(point.problem, len(problems)),
                    ]
                    for point in curve.points
                ],
            }
            for curve in curves
        ],
        "problems": list(problems),
        "distribution": {
            "smallest": SMALLEST,
            "largest": LARGEST,
            "ulps": list(_counts(distribution.ulps)),
            "share": list(_counts(distribution.share)),
        },
    }


def worst_rows(cases: Iterable[WorstCase]) -> list[dict[str, str]]:
    """The table of worst cases."""
    return [
        {
            "subjects": wording.names(case.subjects),
            "dtype": case.problem.dtype,
            "part": part_name(case.part),
            "family": case.problem.family,
            "problem": case.problem.id,
            "input": wording.question(case.problem, case.row) + _upstream(case),
            "place": ", ".join(_place(case)),
            "expected": case.expected,
            "exact": case.exact,
            "result": case.result,
            "bits": case.bits,
            "ulps": wording.ulps(case.ulps),
            "share": wording.amount(case.share),
            "tone": "bug" if case.share > 1 else "pass",
        }
        for case in cases
    ]


def _place(case: WorstCase) -> Iterable[str]:
    if case.row is not None and case.problem.rows > 1:
        yield f"row {case.row}"
    if case.index is not None:
        yield f"class {case.index}"


def _upstream(case: WorstCase) -> str:
    """The upstream gradient of the row, on which a gradient depends; "" for a loss."""
    cotangent = case.problem.cotangent
    if case.part == "loss" or cotangent is None:
        return ""
    values = cotangent.reshape(-1)
    return f", upstream gradient {float(values[case.row or 0] if values.size > 1 else values[0])!r}"


def _marks(sweep: Sweep) -> dict[str, tuple[float, str]]:
    return {dtype: sweep.mark(dtype) for dtype in FLOAT_DTYPES}


def _counts(by_subject: Mapping[tuple[str, str], Mapping[int, int]]) -> Iterable[list[str | int]]:
    """Rows of backend, device, dtype, exponent and count, in this order, the widest dtype first."""
    order, totals = list(FLOAT_DTYPES), Counter[tuple[str, str, int, int]]()
    for (identity, dtype), counts in by_subject.items():
        subject = SubjectId.parse(identity)
        for exponent, count in counts.items():
            totals[subject.backend, subject.device, order.index(dtype), exponent] += count
    for (backend, device, place, exponent), count in sorted(totals.items()):
        yield [backend, device, order[place], exponent, count]


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
