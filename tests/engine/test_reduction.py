"""Reduction: to which problem a finding is reduced, what it depends on, and that the file alone gives the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from logitmus.checking.check import check
from logitmus.core.events import Event, Examined
from logitmus.core.problem import Purpose
from logitmus.engine.run import judge_run
from logitmus.storage.store import Store

LOSSES = """
import numpy as np

CALLS = []


def rows_of(x, y):
    if y.size and not 0 <= y.min() <= y.max() < x.shape[-1]:
        raise IndexError("no such class")
    d = x - x.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, y[..., None].astype(int), axis=-1)[..., 0]


def right(logits, targets):
    return rows_of(logits, targets)


def no_shift(logits, targets):
    rows_of(logits, targets)
    z = np.log(np.exp(logits).sum(axis=-1))
    return z - np.take_along_axis(logits, targets[..., None].astype(int), axis=-1)[..., 0]


def one_row(logits, targets):
    rows = rows_of(logits, targets)
    return rows + (rows > 3)


def shared_maximum(logits, targets):
    rows = rows_of(logits, targets)
    with np.errstate(all="ignore"):
        d = logits - logits.max(initial=-np.inf)
        z = np.log(np.exp(d).sum(axis=-1))
        shared = z - np.take_along_axis(d, targets[..., None].astype(int), axis=-1)[..., 0]
        return np.where(np.isfinite(rows), shared, rows)


def contiguous_only(logits, targets):
    flat = np.lib.stride_tricks.as_strided(logits, logits.shape, np.empty(logits.shape, logits.dtype).strides)
    return rows_of(flat if logits.size else logits, targets)


def by_chance(logits, targets):
    return rows_of(logits, targets) * (1 + 0.001 * np.random.rand())


def late(logits, targets):
    CALLS.append(logits.shape)
    return rows_of(logits, targets) + (CALLS.count(logits.shape) > 1)
"""


@pytest.fixture
def examined(tmp_path: Path):
    """The reductions of the findings on one of `LOSSES`, from a live run; the file is "a.logitmus"."""
    (tmp_path / "losses.py").write_text(LOSSES)

    def call(name: str) -> list[Examined]:
        results: list[Examined] = []

        def watch(events: Iterable[Event]) -> Iterator[Event]:
            for event in events:
                results.extend([event] if isinstance(event, Examined) else [])
                yield event

        run = tmp_path / "a.logitmus"
        run.unlink(missing_ok=True)
        settings = {"like": "numpy:textbook", "dtypes": ["float32"], "profile": "quick", "compare": False}
        check(f"{tmp_path / 'losses.py'}:{name}", "numpy", out=run, watch=watch, **settings)  # type: ignore[arg-type]
        return results

    return call


def test_a_right_function_is_not_examined(examined) -> None:
    assert [result for result in examined("right") if result.finding.severity.value == "bug"] == []


def test_the_simplest_problem_is_found(examined) -> None:
    (overflow,) = [result for result in examined("no_shift") if result.finding.cause == "spurious_overflow"]
    problem = overflow.problem
    assert problem.logits.tolist() in ([[100.0, 0.0]], [[0.0, 100.0]], [[100.0]], [[90.0, 0.0]], [[0.0, 90.0]])
    assert (problem.rows, problem.reduction, problem.layout, overflow.dependences) == (1, "none", "contiguous", ())
    assert overflow.finding.row == 0
    assert overflow.finding.problem == problem.id


def test_one_row_of_many_stands_alone(examined) -> None:
    results = examined("one_row")
    assert results
    for result in results:
        assert result.problem.rows == 1
        assert result.problem.classes <= 4


@pytest.mark.parametrize(
    ("name", "fault", "rows"),
    [
        ("shared_maximum", "other_rows", 2),
        ("contiguous_only", "memory_layout", None),
        ("by_chance", "chance", None),
    ],
)
def test_dependences_are_named(examined, name: str, fault: str, rows: int | None) -> None:
    results = examined(name)
    hits = [result for result in results if fault in result.dependences]
    assert hits, [(result.finding.cause, result.dependences, result.problem) for result in results]
    for hit in hits:
        assert (hit.finding.kind.value, hit.finding.cause) == ("integrity", f"depends_on:{fault}")
        assert rows is None or hit.problem.rows == rows
    others = {"other_rows", "memory_layout", "chance", "earlier_calls"} - {fault}
    assert not [result for result in results if others & set(result.dependences)]


@pytest.mark.parametrize("name", ["shared_maximum"])
def test_the_file_alone_gives_the_same_and_so_does_another_run(examined, tmp_path: Path, name: str) -> None:
    results = examined(name)
    assert results
    with Store.open(tmp_path / "a.logitmus") as store:
        assert [event for event in judge_run(store) if isinstance(event, Examined)] == results
        calls = store.settings.examine.calls
        tried = [
            problem_id for problem_id in store.problem_ids() if store.problem(problem_id).purpose is Purpose.REDUCTION
        ]
        assert len(tried) <= (calls + 12) * len(results)  # the contrasts come last
    assert examined(name) == results
