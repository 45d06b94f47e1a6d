"""One model for all that a function does.

`explain_function` takes the results of the problems of `cases.function_rows` and looks for the smallest model that
predicts them all: the loss of a row first (`row_fit`), then the mechanisms of its arithmetic (`judging.coherence`), the
rule of its gradient (`gradient_rule`), then the law of a batch (`batch_law`). A false explanation is worse than none:

- A model is named only if it predicts every plain row within its own budget, rows that it was not fitted to included.
- A coarse arithmetic is never an excuse: a dtype coarser than the logits' is considered only if the function is seen
  to round its inputs, or all of its results are numbers of the coarser format.
- Every number must be necessary: an interval that holds its neutral value is none. A fit must be known with many more
  bits than the model has; half precision says 2 to 5 bits a row.
- What always raises, is always NaN, constant, random or of another shape each time is reported as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from logitmus.cases import function_rows
from logitmus.conventions import batch_law
from logitmus.conventions.class_factor import with_class_factor
from logitmus.conventions.components import Component, components
from logitmus.conventions.gradient_rule import gradient_rule
from logitmus.conventions.model_coverage import HARD_ROWS, Tally, limits_of, partly
from logitmus.conventions.row_fit import Rows, worst_share
from logitmus.conventions.row_results import (
    ROWS,
    Observed,
    as_rows,
    by_classes_of,
    label_maps,
    leading_dtype,
    never_answered,
    nothing_to_explain,
    possible_precisions,
    with_gradients,
)
from logitmus.conventions.row_search import Found, partial_sums, search
from logitmus.conventions.soft_targets import targets_law
from logitmus.conventions.tiny_floor import with_tiny_floor
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.judging.coherence import Coherence, coherence
from logitmus.oracle.model import FunctionModel, Precisions
from logitmus.oracle.row_model import MECHANISMS

_APART: Final = (0, 1)  # classes with a weight of their own: the background of detectors, the padding of texts
_MISSED: Final = 0.02  # of the hard rows; a model that misses more is qualified


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another model that predicts all results.

    Attributes:
        separating: logits (K,) and a label, on which the two differ by more than both budgets; None: none was found.
    """

    model: FunctionModel
    separating: tuple[Array, int] | None = None

    @property
    def sentence(self) -> str:
        """What it says of the function."""
        return self.model.sentence()


@dataclass(frozen=True, kw_only=True)
class FunctionExplanation:
    """What a function does, as far as its results say.

    Attributes:
        model: None where none fits. sentence: what it computes; or why there is no explanation.
        qualifier: of which results the model holds, if not of all. but_float64: whether that is of all but float64.
        components: in what it differs from plain cross-entropy, and how many results each part explains.
        results, explained: how many results there are, and how many the model predicts.
        unexplained: what the model does not predict, in words, with the number of results.
        alternatives: other models that predict everything.
        limits: what it does not take. remarks: what else a reader should know.
    """

    model: FunctionModel | None
    sentence: str
    qualifier: str = ""
    components: tuple[Component, ...] = ()
    results: int = 0
    explained: int = 0
    unexplained: tuple[tuple[str, int], ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    limits: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    but_float64: bool = False

    @property
    def phrase(self) -> str:
        """The sentence without "It computes", where there is a model."""
        if self.model is None:
            return self.sentence
        return f"{self.model.phrase()} ({self.qualifier})" if self.qualifier else self.model.phrase()

    def qualified(self, words: str) -> FunctionExplanation:
        """The same, with words that say of which results the model holds."""
        found = replace(self, qualifier=f"{self.qualifier}; {words}" if self.qualifier else words)
        return replace(found, sentence=f"It computes {found.phrase}.")

    def details(self) -> Iterator[str]:
        """What a reader needs to judge the sentence: the parts, what is left, other models, and remarks."""
        for component in self.components:
            counted = ""
            if component.together is not None:
                alone = "" if component.alone is None else f"{component.alone} alone, "
                counted = f" ({alone}{component.together} results need it)"
            value = f" {component.value}" if component.value else ""
            yield f"{component.name}:{value}{counted}" if value else f"{component.name}{counted}"
        if self.model is not None:
            yield f"predicts {self.explained:,} of {self.results:,} results" + "".join(
                f"; not: {what} ({count})" for what, count in self.unexplained
            )
        for alternative in self.alternatives:
            yield f"or: {alternative.model.phrase()}"
        if self.limits:
            yield f"does not take: {', '.join(self.limits)}"
        yield from self.remarks

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "sentence": self.sentence,
            "explained": self.model is not None,
            "components": [component.as_dict() for component in self.components],
            "results": self.results,
            "predicted": self.explained,
            "unexplained": [{"what": what, "results": count} for what, count in self.unexplained],
            "alternatives": [alternative.sentence for alternative in self.alternatives],
            "limits": list(self.limits),
            "remarks": list(self.remarks),
        }


def explain_function(observations: Iterable[tuple[Problem, Outcome]]) -> FunctionExplanation:
    """The smallest model that predicts the results of a function.

    Args:
        observations: of one function, with one kind of targets: results of `function_rows.problems`, all of a dtype
            (`converse` asks them). Results of other problems are not used.

    Returns:
        A model and what it explains; or the reason why there is none.
    """
    seen = [(problem, outcome) for problem, outcome in observations if function_rows.role(problem)]
    lead = leading_dtype(seen)
    if lead is None:
        return FunctionExplanation(model=None, sentence=never_answered(seen))
    observed = Observed.of(seen, lead)
    nothing = nothing_to_explain(observed)
    if nothing:
        return FunctionExplanation(model=None, sentence=nothing)
    limits = tuple(limits_of(seen, lead))
    for precisions in possible_precisions(observed):
        models = (
            _models(observed, precisions)
            or _with_a_class_apart(observed, precisions)
            or _partial_sums(observed, precisions)
        )
        if models:
            return _explained(observed, _finest(observed, _holding(observed, models)), limits)
    return FunctionExplanation(
        model=None,
        sentence=partly(observed),
        results=len(observed.single(ROWS)),
        limits=limits,
    )


def _models(observed: Observed, precisions: Precisions, *, simple: bool = False) -> list[tuple[Found, FunctionModel]]:
    """The models of this arithmetic that predict every plain row, simplest first; `simple`: as of `search`."""
    level = precisions.level(separate=True)
    # Of two equal rows: their mean, or their sum.
    laws = [1.0] if observed.copies == 1 else [1.0, 0.5]
    for factor in laws:
        here = replace(observed, factor=factor)
        by_classes, held_out = _to_fit(here)
        if function_rows.CLASSES not in by_classes:
            continue
        found = search(by_classes, held_out, level, label_maps(here), function_rows.CLASSES, simple=simple)
        models = [(fit, FunctionModel(row=fit.model, precisions=precisions)) for fit in found]
        if models and observed.copies == 2:
            batches = here.batches(function_rows.BATCH)
            models = [(fit, m) for fit, m in models if batch_law.reduction_of(m, batches, here.ignored).reduction]
        if models:
            return models
    return []


def _with_a_class_apart(observed: Observed, precisions: Precisions) -> list[tuple[Found, FunctionModel]]:
    """The models that predict all rows if those of one class count more or less than the others."""
    if observed.ignored:
        return []
    level = precisions.level(separate=True)
    rows = list(by_classes_of(observed.single(ROWS)).values())
    for label in _APART:
        models = []
        for found, model in _models(replace(observed, ignored={label: "zero"}), precisions, simple=True):
            weighted = with_class_factor(model.row, label, rows, level)
            if weighted is not None:
                models.append((replace(found, model=weighted), replace(model, row=weighted)))
        if models:
            return models
    return []


def _partial_sums(observed: Observed, precisions: Precisions) -> list[tuple[Found, FunctionModel]]:
    """The loss with a wrong normalising sum that predicts every row; of several, none is named."""
    rows = list(by_classes_of(observed.single(ROWS)).values())
    found = partial_sums(rows, precisions.level(separate=True))
    return [(fit, FunctionModel(row=fit.model, precisions=precisions)) for fit in found] if len(found) == 1 else []


def _holding(
    observed: Observed, models: Sequence[tuple[Found, FunctionModel]]
) -> Sequence[tuple[Found, FunctionModel]]:
    """Of several models those that hold for hard rows, too; all of them where none does."""
    if len(models) == 1:
        return models
    hard = by_classes_of(observed.single([function_rows.HARD])).values()
    most = _MISSED * sum(map(len, hard))
    holding = [(fit, model) for fit, model in models if sum(_missed(model, rows) for rows in hard) <= most]
    return holding or models


def _missed(model: FunctionModel, rows: Rows) -> int:
    with np.errstate(all="ignore"):
        y, b = model.row_losses(rows.x, rows.labels)
        return int((~((np.abs(rows.r - y) <= b) | (rows.r == y) | (np.isnan(rows.r) & np.isnan(y)))).sum())


def _finest(observed: Observed, models: Sequence[tuple[Found, FunctionModel]]) -> Sequence[tuple[Found, FunctionModel]]:
    """The models in the finest arithmetic that predicts all rows: a loss that returns its inputs proves no rounding."""
    coarse = models[0][1].precisions
    working = coarse.inputs
    if FLOAT_DTYPES[coarse.arithmetic].itemsize >= FLOAT_DTYPES[working].itemsize:
        return models
    rows = list(by_classes_of(observed.single(ROWS)).values())
    for result in (working, coarse.result):
        finer = replace(coarse, arithmetic=working, stored=working, result=result)
        if worst_share(models[0][0].model, rows, finer.level(separate=True)) <= 1:
            return [(found, replace(model, precisions=finer)) for found, model in models]
    return models


def _to_fit(observed: Observed) -> tuple[dict[int, tuple[Rows, Rows]], list[Rows]]:
    plain = by_classes_of(observed.single([function_rows.PLAIN]))
    simplex = by_classes_of(observed.single([function_rows.SIMPLEX_ROW]))
    held_out = list(by_classes_of(observed.single([function_rows.HELD])).values())
    by_classes = {}
    for K in dict.fromkeys([*plain, *simplex]):
        by_classes[K] = (plain.get(K, as_rows([], K)), simplex.get(K, as_rows([], K)))
    return by_classes, held_out


def _explained(
    observed: Observed, models: Sequence[tuple[Found, FunctionModel]], limits: tuple[str, ...]
) -> FunctionExplanation:
    """The simplest model, completed by mechanisms, gradient and batch, and what it explains."""
    _, model = models[0]
    if observed.copies == 2:
        observed = _with_factor(observed, model)
    ordinary = list(by_classes_of(observed.single(ROWS)).values())
    hard = list(by_classes_of(observed.single([function_rows.HARD])).values())
    floored = with_tiny_floor(model.row, ordinary, hard, model.precisions.level(separate=True))
    model = model if floored is None else replace(model, row=floored)
    found = _mechanism(observed, model)
    if found is not None:
        model = replace(model, mechanisms=(found[0],))
    model = replace(model, gradient=gradient_rule(model, with_gradients(observed)))
    batch = batch_law.reduction_of(model, observed.batches(function_rows.BATCH), observed.ignored)
    model = replace(model, batch=batch)
    batch = batch_law.with_requested_reductions(model, observed.batches(function_rows.BATCH))
    model = replace(model, batch=batch)
    unusual = batch_law.unusual_labels(model, observed.batches(function_rows.UNUSUAL))
    weights = batch_law.weights_of(model, observed.batches(function_rows.WEIGHTED))
    model = replace(model, batch=replace(batch, unusual=unusual, weights=weights))
    model = replace(
        model,
        soft_targets=targets_law(model, observed.batches(function_rows.SOFT)),
        label_smoothing=batch_law.smoothing_argument(model, observed.batches(function_rows.SMOOTHED)),
        convention=convention_of(model),
        limits=limits,
    )
    tally = Tally.of(observed, model, found)
    alternatives = tuple(_alternatives(model, [other for _, other in models[1:]]))
    explanation = FunctionExplanation(
        model=model,
        sentence=model.sentence(),
        components=components(model, tally.plain if floored is None else [*tally.plain, *hard], tally.mechanism),
        results=tally.results,
        explained=tally.explained,
        unexplained=tuple(tally.unexplained.items()),
        alternatives=alternatives,
        limits=limits,
        remarks=tuple(_shapes(observed)),
    )
    if tally.missed_hard <= _MISSED * tally.hard:
        return explanation
    return explanation.qualified(f"but not {tally.missed_hard} of the {tally.hard} {HARD_ROWS}")


def _shapes(observed: Observed) -> Iterator[str]:
    """Remarks on losses of an unusual shape."""
    shapes = {o.loss.shape for p, o in observed.batches(function_rows.BATCH) if isinstance(o, Answered) and p.rows == 3}
    if any(len(shape) > 1 for shape in shapes):
        yield f"The losses of 3 rows have the shape {min(shapes, key=len)}."


def _with_factor(observed: Observed, model: FunctionModel) -> Observed:
    """Copies of a row, divided as the model's reduction says."""
    for factor in (1.0, 0.5):
        here = replace(observed, factor=factor)
        singles = here.single([function_rows.PLAIN])[:3]
        y, b = zip(*(model.row_losses(single.x[None], np.array([single.label])) for single in singles), strict=True)
        if all(abs(s.loss - float(v[0])) <= 4 * float(e[0]) for s, v, e in zip(singles, y, b, strict=True)):
            return here
    return observed


def _mechanism(observed: Observed, model: FunctionModel) -> tuple[str, Coherence] | None:
    """The mechanism that explains what hard rows yield, if any is coherent with all of them."""
    hard = by_classes_of(observed.single([function_rows.HARD]))
    if not hard:
        return None
    exact, budgets, results = [], [], []
    for rows in hard.values():
        with np.errstate(all="ignore"):
            y, b = model.row_losses(rows.x, rows.labels)
        exact.append(y)
        budgets.append(b)
        results.append(rows.r)
    y, b, r = (np.concatenate(parts) for parts in (exact, budgets, results))
    with np.errstate(all="ignore"):
        outside = ~(np.abs(r - y) <= b) & ~(r == y)
    if not outside.any():
        return None
    found: list[tuple[str, Coherence]] = []
    for name in MECHANISMS:
        emulated = np.concatenate([model.emulated(rows.x, rows.labels, name) for rows in hard.values()])
        verdict = coherence(y, b, emulated, r)
        if verdict.holds:
            found.append((name, verdict))
    # Of several the mechanism that explains most; equals are not distinguished, and none is named.
    found.sort(key=lambda item: -int(item[1].explained.sum()))
    if len(found) > 1 and found[0][1].explained.sum() == found[1][1].explained.sum():
        return None
    return found[0] if found else None


def convention_of(model: FunctionModel) -> Convention:
    """The fields of a convention that the model says."""
    row, batch = model.row, model.batch
    changes: dict[str, str] = {}
    if row.inputs in ("log_probabilities", "probabilities", "probabilities_scaled"):
        changes["inputs"] = "log_probabilities" if row.inputs == "log_probabilities" else "probabilities"
        if row.inputs == "probabilities_scaled":
            changes["probability_scale"] = "before_clip"
        clip = row.theta.get("e")
        if row.penalty == "clip" and clip is not None and clip.text in ("1e-7", "1e-8", "1e-12", "1e-15"):
            changes["probability_clip"] = clip.text
    if not row.factor.law and row.factor.text in ("1/ln 2", "1/ln 10"):
        changes["log_base"] = row.factor.text.removeprefix("1/ln ")
    if batch.reduction in ("none", "sum", "mean"):
        changes["default_reduction"] = batch.reduction
    for label, fate in batch.unusual.items():
        if label in (-100, -1) and fate == "left_out":
            changes.setdefault("ignore_default", str(label))
        if batch.reduction == "mean" and label == -100 and fate in ("left_out", "zero"):
            changes["mean_denominator"] = "kept" if fate == "left_out" else "rows"
            changes["ignore_default"] = "-100"
    if model.label_smoothing:
        changes["smoothing"] = model.label_smoothing
    if model.precisions.logits == "float64" and model.precisions.inputs != "float64":
        changes["wide_inputs"] = "narrowed"
    return PORTABLE.but(**changes)


def _alternatives(model: FunctionModel, others: Sequence[FunctionModel]) -> Iterator[Alternative]:
    """Those that are other functions, with a row that tells them apart."""
    draw = np.random.default_rng(9)
    rows = [
        (np.round(draw.uniform(-size, size, K) * 8) / 8, int(draw.integers(K)))
        for size in (1, 4, 12, 30, 60)
        for K in (2, 6, 7, 20)
    ]
    for other in others:
        if other.phrase() == model.phrase():
            continue
        separating = None
        for x, label in rows:
            with np.errstate(all="ignore"):
                (y, b), (z, c) = (m.row_losses(x[None], np.array([label])) for m in (model, other))
            if not abs(y[0] - z[0]) <= b[0] + c[0] and not (y[0] == z[0] or (np.isnan(y[0]) and np.isnan(z[0]))):
                separating = (x, label)
                break
        if separating is not None:
            yield Alternative(model=other, separating=separating)
