"""Problems beyond the fixed suite: drawn by Hypothesis from a stream of bytes, and bred from others.

All are of few forms, for every new signature costs a compilation in most frameworks; a problem is recast where its
offspring are to be of another form. The same key gives the same problems: Hypothesis reads bytes here
(`fuzz_one_input`) and draws nothing by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logitmus.cases.build import UPSTREAM
from logitmus.cases.generation import strategies
from logitmus.cases.generation.draws import Draws
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import REDUCTIONS, Problem, Purpose, Reduction, TargetKind

FAMILY: Final = Purpose.EXPLORATION.value
_IGNORED: Final = -100
# Neither huge nor negative: what overflows in a term and not in another shows nothing that the suite does not.
_WEIGHTS: Final = (1.0, 0.5, 2.0, 3.0, 0.0, 0.125, 1 / 3)
_MOST_DRAWN: Final = 10  # classes, whose numbers are repeated where there are more: Hypothesis takes its time
_BYTES: Final = 1 << 13  # what Hypothesis may read for a problem


@dataclass(frozen=True, slots=True)
class Form:
    """What all problems with the same signature have in common.

    Attributes:
        options: those that are given, of `strategies.OPTIONS`.
        inputs: what the numbers are to be, as in `Convention`.
        upstream: whether an upstream gradient may be given.
    """

    targets: TargetKind
    rows: int
    classes: int
    options: tuple[str, ...] = ()
    reduction: Reduction = "none"
    inputs: str = "logits"
    upstream: bool = True

    @property
    def smoothing(self) -> float:
        return 0.1 if "label_smoothing" in self.options else 0.0


_PLAIN: Final = Form(TargetKind.LABELS, 8, 10)
# The plain ones first: most of the time is spent on those.
_LABELS: Final = (
    _PLAIN,
    replace(_PLAIN, classes=33),
    replace(_PLAIN, options=("label_smoothing",)),
    replace(_PLAIN, options=("weight",)),
    replace(_PLAIN, options=("ignore_index",), reduction="mean"),
    replace(_PLAIN, classes=2),
    replace(_PLAIN, options=("weight", "label_smoothing"), reduction="mean"),
    replace(_PLAIN, reduction="sum"),
)
_PROBABILITIES: Final = tuple(
    replace(form, targets=TargetKind.PROBABILITIES) for form in _LABELS if "ignore_index" not in form.options
)


def forms(
    targets: TargetKind,
    options: Collection[str] = strategies.OPTIONS,
    *,
    reductions: Sequence[str] = REDUCTIONS,
    inputs: str = "logits",
    upstream: bool = True,
) -> list[Form]:
    """The forms for subjects that take these; one row at a time where they only give a sum or a mean."""
    found = []
    for form in _LABELS if targets == TargetKind.LABELS else _PROBABILITIES:
        changes: dict[str, Any] = {"inputs": inputs, "upstream": upstream}
        if form.reduction not in reductions:
            changes |= {"reduction": "none"} if "none" in reductions else {"reduction": reductions[0], "rows": 1}
        if {*form.options} <= {*options}:
            found.append(replace(form, **changes))
    return list(dict.fromkeys(found))


def drawn(form: Form, dtype: str, count: int, *key: object) -> list[Problem]:
    """`count` problems that Hypothesis draws."""
    kept: list[Problem] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_problems(form, dtype))
    def keep(problem: Problem) -> None:
        kept.append(problem)

    read = keep.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    for number in range(4 * count):  # bytes that make no problem are passed over
        if len(kept) < count:
            read(Draws("explored", dtype, form, number, *key).bytes(_BYTES))
    return kept


def bred(parents: Sequence[Problem], form: Form, dtype: str, *key: object) -> Problem:
    """A descendant of the first of `parents` (of the same dtype and kind of targets), perhaps with rows of the others.

    Its rows are changed by ulps, in scale, by an offset, in single numbers; what the form gives is given.
    """
    draws = Draws("bred", dtype, form, *key)
    x, t = _recast(parents[0], form, draws)
    weight = _weight(parents[0], form, draws)
    for other in parents[1:]:
        theirs, targets = _recast(other, form, draws)
        taken = draws.integers(0, 4, form.rows) == 0
        x[taken], t[taken] = theirs[taken], targets[taken]
    if _one_in(draws, 2):  # a row, and what is near it: which row of a parent made it a parent is not known
        row = draws.index(form.rows)
        x[:], t[:] = x[row], t[row]
    steps = np.array([draws.index(3) for _ in range(form.rows)])
    for row in range(form.rows):
        for _ in range(int(steps[row])):
            change = _CHANGES[draws.index(len(_CHANGES))]
            with np.errstate(all="ignore"):
                x[row] = float_array(change(x[row], dtype, draws), dtype)
        if _one_in(draws, 8):
            t[row] = np.roll(t[row], 1) if t.ndim == 2 else draws.index(form.classes)
    return _problem(form, dtype, x, t, weight, _upstream(parents[0], form, draws))


# --- drawing -----------------------------------------------------------------------------------------------------


@st.composite
def _problems(draw: strategies.Draw, form: Form, dtype: str) -> Problem:
    classes = min(form.classes, _MOST_DRAWN)
    shape = (form.rows, classes)
    # Row by row, so that a NaN does not hide what the other rows show.
    row = st.one_of(*[strategies.logits((classes,), dtype, finite=True)] * 7, strategies.logits((classes,), dtype))
    x = np.stack([draw(row) for _ in range(form.rows)])
    also = (_IGNORED,) if "ignore_index" in form.options else ()
    t = draw(
        strategies.labels(shape[:1], form.classes, also=also)
        if form.targets == TargetKind.LABELS
        else strategies.probability_targets(shape, dtype).map(abs)
    )
    weight = None
    if "weight" in form.options:
        weights = st.lists(st.sampled_from(_WEIGHTS), min_size=form.classes, max_size=form.classes)
        weight = draw(weights.map(lambda flat: float_array(flat, dtype)))
    upstream = None
    if form.upstream and draw(st.booleans()):
        size = form.rows if form.reduction == "none" else 1
        upstream = float_array(draw(st.lists(st.sampled_from(UPSTREAM), min_size=size, max_size=size)), dtype)
    every = np.arange(form.classes) % classes
    return _problem(form, dtype, x[:, every], t if t.ndim == 1 else t[:, every], weight, upstream)


def _problem(form: Form, dtype: str, x: Array, t: Array, weight: Array | None, upstream: Array | None) -> Problem:
    return Problem(
        logits=float_array(_inputs(x.astype(np.float64), form.inputs), dtype),
        targets=t,
        weight=weight,
        ignore_index=_IGNORED if "ignore_index" in form.options else None,
        label_smoothing=form.smoothing,
        reduction=form.reduction,
        cotangent=upstream if upstream is None or form.reduction == "none" else upstream.reshape(()),
        family=FAMILY,
    )


def _inputs(x: Array, kind: str) -> Array:
    """Numbers of the requested domain; as many as possible stay as they are."""
    if kind == "log_probabilities":
        return -np.abs(np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf))
    if kind == TargetKind.PROBABILITIES:
        size = np.abs(np.nan_to_num(x, nan=1.0, posinf=np.inf, neginf=-np.inf))
        return np.where(size <= 1, size, 1 / np.maximum(size, 1))
    return x


# --- breeding ----------------------------------------------------------------------------------------------------


def _recast(problem: Problem, form: Form, draws: Draws) -> tuple[Array, Array]:
    """Some of its logits and targets in another form: rows and classes are left out or repeated."""
    rows = (draws.index(problem.rows) + np.arange(form.rows)) % problem.rows
    classes = np.arange(form.classes) % problem.classes
    x = problem.logits.reshape(problem.rows, problem.classes)[rows][:, classes]
    if problem.target_kind == TargetKind.PROBABILITIES:
        return x, problem.targets.reshape(problem.rows, problem.classes)[rows][:, classes]
    t = problem.targets.reshape(-1)[rows].astype(np.int64)
    ignored = "ignore_index" in form.options and t == problem.ignore_index
    return x, np.where(ignored, _IGNORED, t % form.classes)


def _weight(problem: Problem, form: Form, draws: Draws) -> Array | None:
    if "weight" not in form.options:
        return None
    if problem.weight is not None and not _one_in(draws, 4):
        return problem.weight[np.arange(form.classes) % problem.classes]
    return float_array(draws.choice(_WEIGHTS, form.classes), problem.dtype)


def _upstream(problem: Problem, form: Form, draws: Draws) -> Array | None:
    if not form.upstream or _one_in(draws, 2):
        return None
    size = form.rows if form.reduction == "none" else 1
    return float_array(draws.choice(UPSTREAM, size), problem.dtype)


def _one_in(draws: Draws, count: int) -> bool:
    return draws.index(count) == 0


def _nudged(x: Array, dtype: str, draws: Draws) -> Array:
    """Some numbers by up to three ulps."""
    typed = float_array(x, dtype)
    infinity = float_array(np.array([np.inf]), dtype)
    width = f"u{typed.dtype.itemsize}"
    sizes, most = (np.abs(number).view(width).astype(np.int64) for number in (typed, infinity))
    steps = np.where(draws.integers(0, 2, x.shape) == 0, draws.integers(-3, 4, x.shape), 0)
    moved = np.where(sizes < most, np.clip(sizes + steps, 0, most), sizes)  # NaN and infinity stay
    return np.copysign(moved.astype(width).view(typed.dtype).astype(np.float64), typed.astype(np.float64))


def _scaled(x: Array, _: str, draws: Draws) -> Array:
    return x.astype(np.float64) * float(draws.choice((0.5, 2.0, 0.25, 4.0, 0.75, 1.25, 0.9375, 1.0625, -1.0), 1)[0])


def _offset(x: Array, _: str, draws: Draws) -> Array:
    sign = float(draws.choice((1.0, -1.0), 1)[0])
    return x.astype(np.float64) + sign * 2.0 ** (draws.index(36) - 12)


def _moved(x: Array, _: str, draws: Draws) -> Array:
    """One number, by a power of 2 or by a part of itself."""
    made = x.astype(np.float64)
    at = draws.index(len(made))
    sign = float(draws.choice((1.0, -1.0), 1)[0])
    made[at] += sign * (2.0 ** (draws.index(20) - 12) if _one_in(draws, 2) else made[at] / 2.0 ** (draws.index(10) + 1))
    return made


def _tied(x: Array, _: str, draws: Draws) -> Array:
    """One number is another."""
    made = x.astype(np.float64)
    made[draws.index(len(made))] = made[draws.index(len(made))]
    return made


def _permuted(x: Array, _: str, draws: Draws) -> Array:
    return x.astype(np.float64)[draws.permutations(1, len(x))[0]]


def _spread(x: Array, _: str, draws: Draws) -> Array:
    """The gaps to the largest, wider or narrower."""
    made = x.astype(np.float64)
    top = made.max()
    return top + (made - top) * float(draws.choice((0.5, 2.0, 0.9375, 1.0625), 1)[0])


_Change = Callable[[Array, str, Draws], Array]
_CHANGES: Final[tuple[_Change, ...]] = (_nudged, _scaled, _offset, _moved, _moved, _tied, _permuted, _spread)
