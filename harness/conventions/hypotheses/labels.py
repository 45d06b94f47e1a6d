"""Changes of the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from logitmus.conventions.hypotheses.change import Change
from logitmus.core.problem import Problem, TargetKind


def label_changes(problem: Problem) -> Iterator[Change]:
    if problem.target_kind != TargetKind.LABELS:
        return
    for step, words, mend in (
        (1, "the labels were one too small (counted from 1 by the code, from 0 here)", "target + 1"),
        (-1, "the labels were one too large (counted from 0 by the code, from 1 here)", "target - 1"),
    ):
        yield Change("label_shift", f"{step:+d}", "problem", words, mend, 4, _shifted(step))
    yield Change(
        "shifted_rows",
        "1",
        "problem",
        "each row was compared with the next row's label (shifted twice, or not at all)",
        "logits[:-1], target[1:] exactly once",
        6,
        _next_row,
    )
    if problem.ignore_index is not None:
        yield Change(
            "ignored_label",
            "last_class",
            "problem",
            f"the ignored label {problem.ignore_index} was taken as the last class",
            "mask the rows before the call: keep = target != ignore_index",
            3,
            _ignored_as_last,
        )
        yield Change(
            "ignored_label",
            "first_class",
            "problem",
            f"the ignored label {problem.ignore_index} was taken as class 0",
            "mask the rows before the call: keep = target != ignore_index",
            4,
            _ignored_as_first,
        )
    yield Change(
        "label_of_ranking",
        "largest",
        "problem",
        "the class with the largest logit was taken as the label (a pseudo-label)",
        "pass the labels, not logits.argmax(-1)",
        7,
        _largest,
    )


def _shifted(step: int) -> Callable[[Problem], Problem | None]:
    def act(problem: Problem) -> Problem | None:
        labels = problem.targets.astype(np.int64)
        kept = np.ones(labels.shape, bool) if problem.ignore_index is None else labels != problem.ignore_index
        moved = np.where(kept, labels + step, labels)
        inside = ((moved >= 0) & (moved < problem.classes)) | ~kept
        return problem.but(targets=moved) if bool(inside.all()) else None

    return act


def _next_row(problem: Problem) -> Problem | None:
    if problem.rows < 3 or len(problem.batch) != 1:
        return None
    cotangent = None
    return problem.but(logits=problem.logits[:-1], targets=problem.targets[1:], cotangent=cotangent)


def _ignored_as_last(problem: Problem) -> Problem | None:
    return _ignored_as(problem, problem.classes - 1)


def _ignored_as_first(problem: Problem) -> Problem | None:
    return _ignored_as(problem, 0)


def _ignored_as(problem: Problem, label: int) -> Problem | None:
    ignored = problem.targets == problem.ignore_index
    if not bool(ignored.any()):
        return None
    return problem.but(targets=np.where(ignored, label, problem.targets.astype(np.int64)), ignore_index=None)


def _largest(problem: Problem) -> Problem | None:
    return problem.but(targets=problem.logits.argmax(axis=-1).astype(np.int64)) if problem.classes else None
