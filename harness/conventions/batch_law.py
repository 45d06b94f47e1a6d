"""What a function makes of several rows: the reduction, labels that are no class, class weights.

The losses of single rows are known exactly by now, so laws are compared, not fitted: each candidate predicts the result
of every batch, within a bound, and is dropped at the first that it misses. What several candidates predict equally, or
none, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.conventions.simple_numbers import decimal_text
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import REDUCTIONS, BatchLaw, FunctionModel
from logitmus.oracle.model_prediction import predicts_loss, rows_of, within
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.sentence import STANDARD_WEIGHTS, UNUSED_WEIGHTS

Seen = Sequence[tuple[Problem, Outcome]]
_FATES: Final = ("left_out", "zero", "wrap", "clamp", "nan")


def reduction_of(model: FunctionModel, seen: Seen, ignored: Mapping[int, str] = MappingProxyType({})) -> BatchLaw:
    """The reduction that predicts every batch of ordinary rows; its name is "" where none does, or several do.

    Args:
        ignored: the classes whose rows do not count, and what such a row alone yields, of `UNUSUAL`; with them the
            reduction says whether they are in the divisor.
    """
    batches = [p for p, o in seen if isinstance(o, Answered) and p.rows > 1]
    plus = _added_to_one_row(model.row.factor)
    for fate in ("zero", "left_out", "nan") if ignored else ("",):
        laws = [*_laws(dict.fromkeys(ignored, fate))]
        if plus is not None:
            laws += [replace(law, divisor_plus=plus) for law in laws if law.reduction == "mean"]
        fitting = [law for law in laws if _predicts(replace(model, batch=law), seen)]
        if fitting:
            return fitting[0] if len(fitting) == 1 and batches else BatchLaw()
    return BatchLaw(unexplained=bool(batches), unusual=ignored)


def with_requested_reductions(model: FunctionModel, seen: Seen) -> BatchLaw:
    """The law, with `elements` if that alone predicts the results of the reductions that were requested."""
    requested = [(p, o) for p, o in seen if isinstance(o, Answered) and p.reduction != "default"]

    def predicts(law: BatchLaw) -> bool:
        return all(predicts_loss(replace(model, batch=law), problem, outcome.loss) for problem, outcome in requested)

    over_elements = replace(model.batch, elements=True)
    if not model.batch.reduction or model.row.outer or predicts(model.batch) or not predicts(over_elements):
        return model.batch
    return over_elements


def _laws(unusual: Mapping[int, str]) -> Iterator[BatchLaw]:
    for shifted in (False, True):
        for name in REDUCTIONS:
            yield BatchLaw(name, shifted, unusual=unusual)


def _added_to_one_row(factor: Parameter) -> Parameter | None:
    """The e for which the factor is 1/(1 + e), as if one row were divided by 1 + e; None: it is no such factor."""
    if factor.law or not factor.simple or not 0.98 < factor.value < 1:
        return None
    added = 1 / factor.value - 1
    text = decimal_text(float(f"{float(added):.2g}"))
    return Parameter(EXACT(text), text=text)


def _predicts(model: FunctionModel, seen: Seen) -> bool:
    """Whether the model predicts every result of ordinary batches (and there are any)."""
    usable = [(p, o) for p, o in seen if isinstance(o, Answered) and p.reduction == "default"]
    return bool(usable) and all(predicts_loss(model, problem, outcome.loss) for problem, outcome in usable)


def unusual_labels(model: FunctionModel, seen: Seen) -> Mapping[int, str]:
    """What becomes of labels that are no class, by label; without an entry where no candidate, or several, fit.

    Classes that are ignored, which the model has already, are kept.
    """
    if not model.batch.reduction or model.batch.shifted:
        return model.batch.unusual
    groups: dict[int, list[tuple[Problem, Outcome]]] = {}
    for problem, outcome in seen:
        _, labels = rows_of(problem)
        if isinstance(outcome, NotRun) or problem.ignore_index is not None:
            continue
        groups.setdefault(_unusual_label(labels, problem.classes), []).append((problem, outcome))
    out = dict(model.batch.unusual)
    for label, group in groups.items():
        if all(isinstance(outcome, Raised) for _, outcome in group):
            out[label] = "refused"
            continue
        answered = [(p, o) for p, o in group if isinstance(o, Answered)]
        fates = [f for f in _FATES if len(answered) >= 2 and all(_meets(model, p, o, f) for p, o in answered)]
        if len(fates) == 1 or set(fates) == {"left_out", "zero"}:
            out[label] = fates[-1]
    return out


def _unusual_label(labels: Array, classes: int) -> int:
    return int(next((label for label in labels if not 0 <= label < classes), 0))


def _meets(model: FunctionModel, problem: Problem, outcome: Answered, fate: str) -> bool:
    _, labels = rows_of(problem)
    unusual = {**model.batch.unusual, _unusual_label(labels, problem.classes): fate}
    return predicts_loss(replace(model, batch=replace(model.batch, unusual=unusual)), problem, outcome.loss)


@dataclass(frozen=True)
class _Weighting:
    """How class weights enter: the label's term, the smoothed term ("": there is none), further terms, and the divisors
    of a mean.
    """

    target: str
    smoothed: str
    further: str
    divisor: str
    smoothed_divisor: str

    def words(self) -> str:
        """For the sentence; what PyTorch does needs no words."""
        divisors = {
            "rows": "the number of rows",
            "weights": "the sum of the labels' weights",
        }
        if self.target == "none" and self.smoothed in ("none", "") and self.divisor == "rows":
            return UNUSED_WEIGHTS
        parts = []
        if self.target == "none":
            parts.append("the label's term takes no class weight")
        if self.smoothed == "none":
            parts.append("the smoothed term takes no class weights")
        elif self.smoothed == "target":
            parts.append("the smoothed term takes the label's class weight")
        if self.divisor == "rows":
            parts.append(f"the weighted mean is divided by {divisors['rows']}")
        if self.smoothed_divisor != self.divisor:
            parts.append(f"the smoothed term is divided by {divisors[self.smoothed_divisor]}")
        return ", ".join(parts) or STANDARD_WEIGHTS


def weights_of(model: FunctionModel, seen: Seen) -> str:
    """How class weights enter, in words; "" where no candidate, or several different ones, fit."""
    answered = [(p, o) for p, o in seen if isinstance(o, Answered)]
    if not answered or not model.batch.reduction or model.batch.shifted or not model.row.core or model.row.outer:
        return ""
    fitting = [w for w in _weightings(model) if all(_weighs(model, p, o, w) for p, o in answered)]
    words = list(dict.fromkeys(weighting.words() for weighting in fitting))
    return words[0] if len(words) == 1 else ""


def _weightings(model: FunctionModel) -> Iterator[_Weighting]:
    smoothed = ("classes", "target", "none") if model.row.smoothing is not None else ("",)
    further = ("none", "target") if model.row.terms else ("none",)
    divisors = ("weights", "rows") if model.batch.reduction == "mean" else ("rows",)
    for target, of_smoothed, of_further, divisor in product(("target", "none"), smoothed, further, divisors):
        for of_smoothed_divisor in divisors if model.row.smoothing is not None else (divisor,):
            yield _Weighting(target, of_smoothed, of_further, divisor, of_smoothed_divisor)
    if model.batch.reduction != "mean":  # a requested mean
        yield _Weighting("target", smoothed[0], further[0], "weights", "weights")


def _weighs(model: FunctionModel, problem: Problem, outcome: Answered, weighting: _Weighting) -> bool:
    x, labels = rows_of(problem)
    weight = np.asarray(problem.weight).astype(np.float64).astype(EXACT)
    K, N = problem.classes, len(labels)
    row = model.row
    alone = replace(model, row=replace(row, smoothing=None, terms={}))
    per_class = [alone.row_losses(x, np.full(N, k)) for k in range(K)]
    g = np.stack([value for value, _ in per_class], axis=1)
    b = np.stack([bound for _, bound in per_class], axis=1)
    epsilon = row.smoothing.at(K) if row.smoothing is not None else EXACT(0)
    at = np.arange(N), labels
    w_t = weight[labels]
    first = (1 - epsilon) * g[at] * (w_t if weighting.target == "target" else 1)
    of_class = {"classes": weight[None, :], "target": w_t[:, None], "none": np.ones((1, 1))}[
        weighting.smoothed or "none"
    ]
    second = epsilon * (of_class * g).mean(axis=1)
    whole, whole_bound = model.row_losses(x, labels)
    rest = whole - ((1 - epsilon) * g[at] + epsilon * g.mean(axis=1))
    third = rest * (w_t if weighting.further == "target" else 1) if row.terms else 0 * rest
    bound = 3 * (whole_bound + b.max(axis=1)) * (1 + np.abs(weight).max())
    reduction = model.batch.reduction if problem.reduction == "default" else problem.reduction
    if reduction == "none":
        value, allowed = first + second + third, bound
    else:
        divide = {"rows": EXACT(N), "weights": w_t.sum()} if reduction == "mean" else {"rows": 1, "weights": 1}
        if reduction not in ("sum", "mean"):
            return False
        value = (first + third).sum() / divide[weighting.divisor] + second.sum() / divide[weighting.smoothed_divisor]
        allowed = bound.sum() / min(divide.values()) * 2
    return within(outcome.loss, value, allowed, model)


def smoothing_argument(model: FunctionModel, seen: Seen) -> str:
    """What `label_smoothing` does, of the field `smoothing`; "" where no candidate, or several, fit."""
    answered = [(p, o) for p, o in seen if isinstance(o, Answered)]
    if len(answered) < 3:
        return ""
    fitting = []
    for name, law in (("uniform", ""), ("others", "K/(K-1)"), ("dropped", None)):
        if all(_smooths(model, p, o, law) for p, o in answered):
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else ""


def _smooths(model: FunctionModel, problem: Problem, outcome: Answered, law: str | None) -> bool:
    row = model.row
    if law is not None:
        row = replace(row, smoothing=Parameter(EXACT(problem.label_smoothing), law, str(problem.label_smoothing)))
    x, labels = rows_of(problem)
    y, b = replace(model, row=row).row_losses(x[:1], labels[:1])
    return outcome.loss.size == 1 and within(outcome.loss, y, 2 * b, model)
