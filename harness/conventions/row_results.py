"""What was observed of a function on the problems of `cases.function_rows`, and what that says without a model.

Whether there is anything to explain, to which dtype the inputs are rounded, which arithmetics are possible, and which
class the label means: all of it before any model is fitted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from logitmus.cases import function_rows
from logitmus.conventions.row_fit import Rows
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.core.observation import Answered, Garbled, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import Precisions
from logitmus.oracle.model_prediction import rows_of
from logitmus.oracle.row_model import LABELS

LEADS: Final = ("float64", "float32", "float16", "bfloat16")

NEVER_FINITE: Final = "It is never finite"
NOT_REPEATABLE: Final = "It returns different results for identical calls."
ROWS: Final = (function_rows.PLAIN, function_rows.HELD, function_rows.SIMPLEX_ROW)

_CHANGED: Final = 0.7  # of the steps that a narrower dtype would hold must change the result

_SILENT: Final = 8  # rows of a class that do not count, to say that it is ignored

_COUNTED: Final = 0.9  # of the other rows must count

_LATTICE: Final = 20  # different results of a narrower format, to say that results are rounded to it


@dataclass(frozen=True)
class Single:
    """The result for a row: logits (K,) float64, label, the loss, and the gradient (K,) or None."""

    role: str
    idea: str
    x: Array
    label: int
    loss: float
    gradient: Array | None


@dataclass(frozen=True)
class Observed:
    """The results in the leading dtype, by what they are for.

    Attributes:
        copies: how often each row was given. factor: of the losses of copies, to make them that of a row.
        ignored: the classes whose rows do not count, with what such a row yields, "zero" or "nan"; `single` leaves
            them out.
    """

    lead: str
    given: Sequence[tuple[Problem, Outcome]]
    copies: int
    factor: float = 1.0
    ignored: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, seen: Sequence[tuple[Problem, Outcome]], lead: str) -> Observed:
        given = [(problem, outcome) for problem, outcome in seen if problem.dtype == lead]
        whole = cls(lead, given, 1)
        if not whole.singles_finite and any(p.rows == 2 for p, _ in given if function_rows.role(p) in ROWS):
            whole = cls(lead, given, 2)
        return replace(whole, ignored=ignored_classes(whole.single(ROWS)))

    def single(self, roles: Sequence[str]) -> list[Single]:
        """Results for single rows (or copies of a row), with a single number."""
        out = []
        for problem, outcome in self.given:
            role = function_rows.role(problem)
            if role not in roles or not isinstance(outcome, Answered) or problem.rows != self.copies:
                continue
            if outcome.loss.size not in (1, self.copies):
                continue
            x, labels = rows_of(problem)
            if labels[0] in self.ignored:
                continue
            number = float(outcome.loss.ravel()[0]) * (1.0 if outcome.loss.size > 1 else self.factor)
            slope = outcome.grad_logits
            usable = slope is not None and slope.shape == problem.logits.shape and self.copies == 1
            gradient = slope.reshape(-1).astype(np.float64) if usable and slope is not None else None
            out.append(Single(role, problem.idea, x[0], int(labels[0]), number, gradient))
        return out

    def batches(self, role: str) -> list[tuple[Problem, Outcome]]:
        """Results of a role; without those in which no row counts, whose mean is a choice of its own."""
        of_role = [(p, o) for p, o in self.given if function_rows.role(p) == role]
        if not self.ignored:
            return of_role
        return [(p, o) for p, o in of_role if not np.isin(rows_of(p)[1], list(self.ignored)).all()]

    @property
    def singles_finite(self) -> bool:
        """Whether there is a finite result for any single row."""
        return any(
            isinstance(outcome, Answered) and outcome.loss.size and np.isfinite(outcome.loss.astype(np.float64)).any()
            for problem, outcome in self.given
            if function_rows.role(problem) in ROWS and problem.rows == 1 and _is_float(outcome)
        )


def _is_float(outcome: Outcome) -> bool:
    return isinstance(outcome, Answered) and outcome.loss.dtype.name in FLOAT_DTYPES


def leading_dtype(seen: Sequence[tuple[Problem, Outcome]]) -> str | None:
    """The first dtype in which anything was answered."""
    answered = {problem.dtype for problem, outcome in seen if isinstance(outcome, Answered)}
    return next((dtype for dtype in LEADS if dtype in answered), None)


def ignored_classes(singles: Sequence[Single]) -> Mapping[int, str]:
    """Classes whose rows never count: each of their results is 0, or each is NaN ("zero" or "nan"), and hardly any
    other result is.
    """
    by_label: dict[int, list[float]] = {}
    for single in singles:
        by_label.setdefault(single.label, []).append(single.loss)
    silent = {
        label: "nan" if np.any(losses) else "zero"
        for label, losses in by_label.items()
        if len(losses) >= _SILENT and (not np.any(losses) or np.isnan(losses).all())
    }
    others = np.array([loss for label, losses in by_label.items() if label not in silent for loss in losses])
    counted = np.isfinite(others) & (others != 0)
    return silent if counted.sum() > _COUNTED * len(others) else {}


def by_classes_of(singles: Iterable[Single]) -> dict[int, Rows]:
    """By number of classes."""
    groups: dict[int, list[Single]] = {}
    for single in singles:
        groups.setdefault(len(single.x), []).append(single)
    return {K: as_rows(group, K) for K, group in groups.items()}


def as_rows(group: Sequence[Single], classes: int) -> Rows:
    return Rows(
        np.array([single.x for single in group], np.float64).reshape(-1, classes),
        np.array([single.label for single in group], np.int64),
        np.array([single.loss for single in group], np.float64).astype(EXACT),
    )


def never_answered(seen: Sequence[tuple[Problem, Outcome]]) -> str:
    errors = Counter(f"{o.type}: {o.message}" for _, o in seen if isinstance(o, Raised))
    if errors:
        return f"It raises on every call: {errors.most_common(1)[0][0]}"
    garbled = Counter(outcome.reason for _, outcome in seen if isinstance(outcome, Garbled))
    if garbled:
        return f"It returns no result on any call: {garbled.most_common(1)[0][0]}."
    kinds = Counter(type(outcome).__name__ for _, outcome in seen if not isinstance(outcome, NotRun))
    return f"It never answers ({kinds.most_common(1)[0][0]})." if kinds else "It was not called."


def nothing_to_explain(observed: Observed) -> str:
    """Why there is nothing to explain; "": there may be."""
    singles = [
        (problem, outcome)
        for problem, outcome in observed.given
        if function_rows.role(problem) in (*ROWS, function_rows.AGAIN) and isinstance(outcome, Answered)
    ]
    if not singles:
        return never_answered(observed.given)
    if not any(_is_float(outcome) for _, outcome in singles):
        return f"It returns {singles[0][1].loss.dtype}, no floating-point number."
    shapes: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for problem, outcome in singles:
        shapes.setdefault(problem.logits.shape, set()).add(outcome.loss.shape)
    if any(len(found) > 1 for found in shapes.values()):
        return "It returns losses of different shapes for logits of the same shape."
    if _varies(singles):
        return NOT_REPEATABLE
    sizes = {(problem.rows, outcome.loss.size) for problem, outcome in singles}
    if any(size not in (1, rows) for rows, size in sizes):
        shape = next(o.loss.shape for p, o in singles if o.loss.size not in (1, p.rows))
        return f"It returns neither a loss for each row nor a single number: shape {shape} for a single row."
    twice = [o for _, o in observed.batches(function_rows.TWICE) if isinstance(o, Answered)]
    numbers = np.concatenate([o.loss.ravel().astype(np.float64) for o in [*(o for _, o in singles), *twice]])
    if not np.isfinite(numbers).any():
        return f"{NEVER_FINITE}: " + ("NaN on every call." if np.isnan(numbers).all() else "NaN or infinite.")
    plain = np.concatenate([o.loss.ravel().astype(np.float64) for _, o in singles])
    plain = plain[np.isfinite(plain)]
    if len(plain) and (plain == plain[0]).all():
        return f"It returns {plain[0]:.6g} for every input."
    return ""


def _varies(singles: Sequence[tuple[Problem, Answered]]) -> bool:
    """Whether the same row has had different results."""
    first: dict[tuple[bytes, bytes], bytes] = {}
    for problem, outcome in singles:
        if "loss" in outcome.changed:
            return True
        key = problem.logits.tobytes(), problem.targets.tobytes()
        if first.setdefault(key, outcome.loss.tobytes()) != outcome.loss.tobytes():
            return True
    return False


def possible_precisions(observed: Observed) -> Iterator[Precisions]:
    """The arithmetics to consider, the finest first."""
    lead = observed.lead
    inputs = _narrowed_to(observed)
    working = inputs or lead
    result = _lattice(observed, working)
    found = [(working, working, result)]
    if working in ("bfloat16", "float16"):
        found = [("float32", "float32", working), ("float32", working, working), (working, working, working)]
    elif result != working:
        # The coarsest first: what is finer is then tested on its model (`_finest`).
        found = [(result, result, result)]
    finest = _lattice(observed, lead)
    if inputs and FLOAT_DTYPES[finest].itemsize > FLOAT_DTYPES[inputs].itemsize:
        # Results finer than the inputs: only the inputs may be narrow.
        found = [(finest, finest, finest), ("float32", "float32", "float32"), *found]
    for of_arithmetic, stored, of_result in found:
        yield Precisions(lead, working, of_arithmetic, stored, of_result)


def _narrowed_to(observed: Observed) -> str:
    """The narrower dtype to which the logits are rounded first; "": none, or not known.

    A result that does not change when the logits are rounded shows it, if steps that the narrower dtype holds do
    change the result: a loss rounded to two digits does not change either.
    """
    triples: dict[str, dict[str, dict[str, float]]] = {}
    for single in observed.single([function_rows.NARROW]):
        dtype, number, kind = (part.strip() for part in single.idea.partition(":")[2].split(","))
        triples.setdefault(dtype, {}).setdefault(number, {})[kind] = single.loss
    for dtype, by_number in triples.items():
        whole = [found for found in by_number.values() if len(found) == 3 and np.isfinite(list(found.values())).all()]
        if len(whole) < 4 or any(found["as drawn"] != found["rounded"] for found in whole):
            continue
        changed = sum(found["a step beyond"] != found["rounded"] for found in whole)
        if changed > _CHANGED * len(whole):
            return dtype
    return ""


def _lattice(observed: Observed, working: str) -> str:
    """The narrowest format that holds all results, if it is narrower than the arithmetic's; else the latter."""
    numbers = np.array([single.loss for single in observed.single(ROWS)])
    numbers = np.unique(numbers[np.isfinite(numbers)])
    if len(numbers) < _LATTICE:
        return working
    for dtype in ("bfloat16", "float16", "float32"):
        narrower = FLOAT_DTYPES[dtype].itemsize < FLOAT_DTYPES[working].itemsize
        if narrower and (float_array(numbers, dtype).astype(np.float64) == numbers).all():
            return dtype
    return working


def label_maps(observed: Observed) -> list[str]:
    """The label maps to consider, from which logit lowers the loss most when it is raised: no model is needed."""
    groups: dict[int, dict[int, Single]] = {}
    for single in observed.single([function_rows.RAISED]):
        raised = int(single.idea.rpartition("class ")[2].removesuffix(" raised"))
        groups.setdefault(single.label, {})[raised] = single
    fitting = dict.fromkeys(LABELS, 0)
    opposite = dict.fromkeys(LABELS, 0)
    rows = 0
    for label, by_class in groups.items():
        if -1 not in by_class or len(by_class) < 3:
            continue
        K = len(by_class[-1].x)
        change = np.array([by_class[k].loss - by_class[-1].loss if k in by_class else 0 for k in range(K)])
        if not np.isfinite(change).all():
            continue
        rows += 1
        for name, mapped in LABELS.items():
            at = int(mapped(np.array([label]), K)[0])
            fitting[name] += int(change.argmin() == at)
            opposite[name] += int(change.argmax() == at)
    found = [name for name in LABELS if rows and max(fitting[name], opposite[name]) == rows]
    return found or ["t"]


def with_gradients(observed: Observed) -> list[tuple[Array, Array, Array]]:
    """By number of classes: logits (R, K), labels (R,), gradients (R, K)."""
    groups: dict[int, list[Single]] = {}
    for single in observed.single([function_rows.PLAIN, function_rows.SIMPLEX_ROW]):
        if single.gradient is not None and np.isfinite(single.gradient).all() and np.isfinite(single.loss):
            groups.setdefault(len(single.x), []).append(single)
    return [
        (
            np.array([single.x for single in group]),
            np.array([single.label for single in group]),
            np.array([single.gradient for single in group]),
        )
        for group in groups.values()
    ]
