"""How much of what a function does its model predicts, what is left, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from logitmus.cases import function_rows
from logitmus.conventions.row_fit import Rows, shares
from logitmus.conventions.row_results import LEADS, ROWS, Observed, by_classes_of
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.judging.coherence import Coherence
from logitmus.oracle import row_model
from logitmus.oracle.model import FunctionModel, Precisions
from logitmus.oracle.model_prediction import predicts_loss
from logitmus.oracle.row_model import PLAIN
from logitmus.oracle.sentence import UNEXPLAINED_TARGETS

UNEXPLAINED: Final = "It is not explained: no model that is known here predicts its results."


HARD_ROWS: Final = "rows with large offsets, gaps or spreads"


@dataclass(frozen=True)
class Tally:
    """How many results the model predicts, and what is left; of these, of hard rows."""

    results: int
    explained: int
    unexplained: Mapping[str, int]
    plain: Sequence[Rows]
    mechanism: Coherence | None
    hard: int
    missed_hard: int

    @classmethod
    def of(cls, observed: Observed, model: FunctionModel, found: tuple[str, Coherence] | None) -> Tally:
        results = explained = 0
        unexplained: Counter[str] = Counter()
        plain = list(by_classes_of(observed.single([*ROWS, function_rows.RAISED])).values())
        level = model.precisions.level(separate=True)
        for rows in plain:
            right = shares(model.row, rows, level) <= 1
            results += len(rows)
            explained += int(right.sum())
            unexplained["plain rows"] += int((~right).sum())
        hard = by_classes_of(observed.single([function_rows.HARD]))
        place = 0
        for rows in hard.values():
            with np.errstate(all="ignore"):
                y, b = replace(model, mechanisms=()).row_losses(rows.x, rows.labels)
                right = (np.abs(rows.r - y) <= b) | (rows.r == y) | (np.isnan(rows.r) & np.isnan(y))
            if found is not None:
                right |= found[1].explained[place : place + len(rows)]
            place += len(rows)
            results += len(rows)
            explained += int(right.sum())
            unexplained[HARD_ROWS] += int((~right).sum())
        if model.batch.reduction:
            for problem, outcome in observed.batches(function_rows.BATCH):
                if isinstance(outcome, Answered):
                    results += 1
                    right_here = predicts_loss(model, problem, outcome.loss)
                    explained += right_here
                    unexplained[f"reduction={problem.reduction}"] += not right_here
        elif any(isinstance(o, Answered) and p.rows > 1 for p, o in observed.batches(function_rows.BATCH)):
            unexplained["batches of several rows"] += len(observed.batches(function_rows.BATCH))
            results += len(observed.batches(function_rows.BATCH))
        for label in function_rows.UNUSUAL_LABELS:
            group = [
                p
                for p, o in observed.batches(function_rows.UNUSUAL)
                if label in p.targets and p.ignore_index is None and not isinstance(o, NotRun)
            ]
            results += len(group)
            if label in model.batch.unusual:
                explained += len(group)
            else:
                unexplained[f"rows with the label {label}"] += len(group)
        weighted = [p for p, o in observed.batches(function_rows.WEIGHTED) if isinstance(o, Answered)]
        results += len(weighted)
        explained += len(weighted) if model.batch.weights else 0
        unexplained["class weights"] += 0 if model.batch.weights else len(weighted)
        soft = [p for p, o in observed.batches(function_rows.SOFT) if isinstance(o, Answered)]
        results += len(soft)
        explained += 0 if model.soft_targets == UNEXPLAINED_TARGETS else len(soft)
        unexplained["targets that are not one-hot"] += len(soft) if model.soft_targets == UNEXPLAINED_TARGETS else 0
        smoothed = [p for p, o in observed.batches(function_rows.SMOOTHED) if isinstance(o, Answered)]
        results += len(smoothed)
        explained += len(smoothed) if model.label_smoothing else 0
        unexplained["label_smoothing=0.25"] += 0 if model.label_smoothing else len(smoothed)
        left = {what: count for what, count in unexplained.items() if count}
        mechanism = found[1] if found else None
        return cls(results, explained, left, plain, mechanism, place, unexplained[HARD_ROWS])


def limits_of(seen: Sequence[tuple[Problem, Outcome]], lead: str) -> Iterator[str]:
    """What is refused as a whole."""
    for dtype in LEADS[: LEADS.index(lead)]:
        here = [outcome for problem, outcome in seen if problem.dtype == dtype]
        if here and all(isinstance(outcome, Raised) for outcome in here):
            yield f"{dtype} logits"
    of_lead = [(p, o) for p, o in seen if p.dtype == lead and not isinstance(o, NotRun)]
    by_role = {
        "batches of more than one row": function_rows.BATCH,
        "class weights": function_rows.WEIGHTED,
        "label_smoothing": function_rows.SMOOTHED,
    }
    groups = {
        words: [o for p, o in of_lead if function_rows.role(p) == role and (p.rows > 1 or role != function_rows.BATCH)]
        for words, role in by_role.items()
    }
    groups |= {f"{K} classes": [o for p, o in of_lead if p.classes == K] for K in (2, 33, 50)}
    for words, outcomes in groups.items():
        if outcomes and all(isinstance(outcome, Raised) for outcome in outcomes):
            yield words


def partly(observed: Observed) -> str:
    """What to say where no model fits: on which rows it is plain cross-entropy, if on most."""
    precisions = Precisions(*[observed.lead] * 5)
    right, quantities = [], []
    for K, rows in by_classes_of(observed.single(ROWS)).items():
        right.append(shares(PLAIN, rows, precisions.level(separate=True)) <= 1)
        spread = rows.x.max(axis=1) - rows.x.min(axis=1)
        plain = row_model.evaluate(PLAIN, rows.x, rows.labels).astype(np.float64)
        quantities.append(np.stack([np.full(len(rows), K), plain, np.abs(rows.x).max(axis=1), spread], axis=1))
    if not right:
        return UNEXPLAINED
    within, quantity = np.concatenate(right), np.concatenate(quantities)
    if within.sum() < len(within) / 2:
        return UNEXPLAINED
    if within.all():
        return f"It is not explained: {len(within)} results are too few; plain cross-entropy predicts them all."
    lead = f"It is not explained: plain cross-entropy on {within.sum()} of {len(within)} rows"
    words = ("the number of classes", "the loss", "the largest |x|", "the spread of x")
    for what, values in zip(words, quantity.T, strict=True):
        inside, outside = values[within], values[~within]
        if inside.max() < outside.min():
            return f"{lead}, where {what} is at most {inside.max():.6g}; something else from {outside.min():.6g} on."
        if inside.min() > outside.max():
            return f"{lead}, where {what} is at least {inside.min():.6g}; something else up to {outside.max():.6g}."
    return f"{lead}, something else on the others."
