"""Exploration: its findings beyond the fixed suite, its steering, and its events in a file."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakePool, specs
from implementations import observe, shifted, subject, with_log1p
from typer.testing import CliRunner

from logitmus.cases.generation.mutation import FAMILY, Form, bred, drawn, forms
from logitmus.cases.suite import suite
from logitmus.checking.check import check
from logitmus.cli import app
from logitmus.core.convention import PORTABLE
from logitmus.core.events import Event, Examined, Explored, Judged, RunFinished, RunStarted
from logitmus.core.finding import Finding, Judgement
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.core.problem import Problem, Purpose
from logitmus.core.run_settings import Examination, Exploration, RunSettings
from logitmus.engine.exploration import Explorer
from logitmus.engine.run import judge_run, run
from logitmus.execution.registry import RegistryError
from logitmus.judging.judge import Judge
from logitmus.results import exploration as words
from logitmus.storage.store import Store

Rows = Callable[[Array, Array], tuple[Array, Array]]

MOST_ROUNDS = 40  # ten are enough for most seeds
SUBJECT = subject(PORTABLE, dtypes=("float32",), options=frozenset(), reductions=("none",))


def right(x: Array, labels: Array) -> tuple[Array, Array]:
    """With a single +inf, the limit: probability 1 there."""
    met = np.isposinf(x)
    limit = (met.sum(axis=-1, keepdims=True) == 1) & ~np.isnan(x)
    return with_log1p(np.where(limit, np.where(met, 0, -np.inf), x).astype(x.dtype), labels)


def at_one_magnitude(x: Array, labels: Array) -> tuple[Array, Array]:
    """As a table of exp might: wrong by 2^-14 where the largest logit lies in [66, 79)."""
    loss, gradient = right(x, labels)
    struck = (x.max(axis=-1) >= 66) & (x.max(axis=-1) < 79)
    return np.where(struck, loss * np.float32(1 + 2.0**-14), loss), gradient


def near_one_gap(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong where the two largest logits lie 27.1 apart, and a little the more so the nearer they come to that."""
    loss, gradient = right(x, labels)
    if x.shape[-1] < 2:
        return loss, gradient
    second, first = np.moveaxis(np.sort(x.astype(np.float64), axis=-1)[..., -2:], -1, 0)
    off = np.abs(first - second - 27.1)
    size = np.where(np.isfinite(off), np.maximum(2 - 0.16 * np.log2(1 + off * 2**10), 0), 0)
    return (loss * (1 + size * 2.0**-20)).astype(x.dtype), gradient


class Answering:
    """The seam of `logitmus.engine.follow_up`, for a function in this process."""

    def __init__(self, rows: Rows) -> None:
        self.subjects = {SUBJECT.id: SUBJECT}
        self._rows, self._judge = rows, Judge()
        self.asked: list[Problem] = []

    def judge(self, pairs: list[tuple[Problem, str]]) -> list[Judgement]:
        self.asked += [problem for problem, _ in pairs]
        return [self._judge.judge(problem, SUBJECT, observe(self._rows, problem)) for problem, _ in pairs]


@cache
def plain_suite() -> list[Problem]:
    """All problems of the default profile in float32 that a plain function of logits and labels accepts."""
    return [
        problem
        for problem in suite("default", dtypes=["float32"])
        if SUBJECT.why_not(problem) is None
        and len(problem.batch) == 1
        and problem.rows
        and problem.targets.min() >= 0
        and problem.targets.max() < problem.classes
        and problem.reduction == "none"
    ]


@cache
def judged(rows: Rows) -> list[Judged]:
    """The fixed suite."""
    problems = plain_suite()
    return [
        Judged(problem, judgement)
        for problem, judgement in zip(problems, Answering(rows).judge([(p, "") for p in problems]), strict=True)
    ]


class Unsteered(Explorer):
    """Draws every problem and breeds none, to show what steering is worth."""

    def _parents(self, targets: str, dtype: str) -> list[tuple[Problem, ...]]:
        del targets, dtype
        return []


def explored(
    rows: Rows,
    rounds: int = MOST_ROUNDS,
    *,
    seed: int = 0,
    steer: bool = True,
    until_new: bool = False,
    before: Iterable[Judged] | None = None,
) -> tuple[list[Explored], list[Problem]]:
    """The progress of each round, and the problems tried, after the fixed suite."""
    kind = Explorer if steer else Unsteered
    explorer = kind(RunSettings(explore=Exploration(minutes=10, rounds=rounds), seed=seed, dtypes=("float32",)))
    for event in judged(rows) if before is None else before:
        explorer.observe(event)
    asking, progress = Answering(rows), []
    for event in explorer.explore(asking):
        progress += [event] if isinstance(event, Explored) else []
        if until_new and progress and progress[-1].new:
            break
    return progress, asking.asked


def ids(problems: Iterable[Problem]) -> list[str]:
    return [problem.id for problem in problems]


KEYS_BY_HAND = """
from logitmus.cases.generation.mutation import bred, drawn, forms
form = forms("labels")[0]
parents = drawn(form, "float32", 3, 0, 0)
print(*(problem.id for problem in (*parents, bred(parents, form, "float32", 0, 0))))
"""


def parents_of(targets: str, dtype: str) -> list[Problem]:
    """Of other forms than any offspring: more classes, one row, an ignored label, a batch of two axes."""
    x = np.arange(2 * 40, dtype=np.float64).reshape(2, 40) % 7
    if targets == "probabilities":
        q = np.eye(40)[[39, 3]] / 2 + np.eye(40)[[0, 20]] / 2
        wide = Problem(logits=float_array(x, dtype), targets=float_array(q, dtype))
        return [wide, wide.but(logits=wide.logits[:1], targets=wide.targets[:1], reduction="mean")]
    wide = Problem(logits=float_array(x, dtype), targets=np.array([39, 25]))
    ignoring = wide.but(targets=np.array([-1, 33]), ignore_index=-1, weight=float_array(np.ones(40), dtype))
    spatial = wide.but(logits=wide.logits.reshape(2, 2, 20), targets=np.array([[1, 19], [0, 2]], np.uint8))
    return [wide, ignoring, spatial, wide.but(logits=wide.logits[0], targets=np.array(17))]


def misfit(problem: Problem, form: Form, dtype: str) -> str:
    """What of a problem is not as its form has it."""
    allowed = {-100} if "ignore_index" in form.options else set()
    seen = set(problem.targets.ravel().tolist()) if problem.target_kind == "labels" else set()
    x = problem.logits.astype(np.float64)
    domain = {
        "logits": True,
        "log_probabilities": bool((x <= 0).all()),
        "probabilities": bool(((x >= 0) & (x <= 1)).all()),
    }
    shape = () if form.reduction != "none" else (form.rows,)
    fits = {
        "family": problem.family == FAMILY and problem.purpose is Purpose.EXPLORATION,
        "dtype": problem.dtype == dtype,
        "shape": problem.logits.shape == (form.rows, form.classes),
        "targets": problem.target_kind == form.targets,
        "options": problem.options == frozenset(form.options),
        "reduction": problem.reduction == form.reduction,
        "labels": seen <= {*range(form.classes), *allowed},
        "inputs": domain[form.inputs],
        "upstream": problem.cotangent is None or (form.upstream and problem.cotangent.shape == shape),
    }
    return ", ".join(name for name, fit in fits.items() if not fit)


@pytest.mark.parametrize("targets", ["labels", "probabilities"])
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_problems_are_of_the_form_that_is_asked_for(targets: Any, dtype: str) -> None:
    forms_tried = [
        *forms(targets),
        forms(targets, (), reductions=("mean",), upstream=False)[0],
        *(forms(targets, (), inputs=inputs)[0] for inputs in ("log_probabilities", "probabilities")),
    ]
    for form in forms_tried:
        (own,) = drawn(form, dtype, 1, 0)
        made = [own, *(bred(parents_of(targets, dtype)[n % 2 :], form, dtype, n) for n in range(12))]
        assert [misfit(problem, form, dtype) for problem in made] == [""] * len(made), form


def test_the_key_determines_the_problem() -> None:
    form = forms("labels")[0]
    some = drawn(form, "float32", 6, 0, 1)
    assert len({*ids(some)}) == 6
    assert ids(drawn(form, "float32", 6, 0, 1)) == ids(some)
    for other in ((1, 1), (0, 2)):
        assert not {*ids(drawn(form, "float32", 6, *other))} & {*ids(some)}
    children = [bred(some, form, "float32", seed, child) for seed, child in product(range(2), range(6))]
    again = [bred(some, form, "float32", seed, child) for seed, child in product(range(2), range(6))]
    assert ids(again) == ids(children)
    assert len({*ids(children)} - {*ids(some)}) == 12


def test_another_process_draws_the_same() -> None:
    progress = [
        subprocess.run(
            [sys.executable, "-c", KEYS_BY_HAND],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    form = forms("labels")[0]
    parents = drawn(form, "float32", 3, 0, 0)
    here = ids([*parents, bred(parents, form, "float32", 0, 0)])
    assert progress == [here, here]


@pytest.mark.parametrize(
    ("offered", "reductions"),
    [
        ((), ("none",)),
        (("weight",), ("none", "sum", "mean")),
        (("label_smoothing", "ignore_index"), ("mean",)),
        (("weight", "ignore_index", "label_smoothing"), ("sum",)),
    ],
)
@pytest.mark.parametrize("targets", ["labels", "probabilities"])
def test_forms_have_offered_options_only(targets: Any, offered: tuple[str, ...], reductions: tuple[str, ...]) -> None:
    found = forms(targets, offered, reductions=reductions)
    assert len({*found}) == len(found) > 0
    named = {option for form in found for option in form.options}
    assert named == {*offered} - ({"ignore_index"} if targets == "probabilities" else set())
    assert {form.reduction for form in found} <= {*reductions}
    # Rows hide one another in a sum: without the reduction "none" the first form has a single row.
    assert found[0].rows == (8 if "none" in reductions else 1)


def test_nothing_is_found_in_a_right_function() -> None:
    assert [finding.cause for event in judged(right) for finding in event.judgement.findings] == []
    progress, tried = explored(right, 8)
    assert len(progress) == 8
    assert progress[-1].new == ()
    assert progress[-1].problems == progress[-1].calls == len(tried) == len({*ids(tried)}) > 200
    (reached,) = progress[-1].reached
    assert (reached.subject, reached.dtype, reached.calls) == (SUBJECT.id, "float32", len(tried))
    assert reached.suite == max(event.judgement.share for event in judged(right))
    assert 0 < reached.share <= 1
    assert not {*ids(tried)} & {*ids(plain_suite())}


@pytest.mark.parametrize("rows", [at_one_magnitude, near_one_gap])
def test_faults_that_the_suite_misses_are_found(rows: Rows) -> None:
    assert [finding.cause for event in judged(rows) for finding in event.judgement.findings] == []
    progress, tried = explored(rows, until_new=True)
    assert progress[-1].new, progress[-1]
    by_id = {problem.id: problem for problem in tried}
    for finding in progress[-1].new:
        problem = by_id[finding.problem]
        again = Judge().judge(problem, SUBJECT, observe(rows, problem))
        assert finding.id in {finding.id for finding in again.findings}
        assert problem.purpose is Purpose.EXPLORATION
        assert finding.part == "loss"


@pytest.mark.release
def test_steering_comes_where_drawing_alone_does_not() -> None:
    def share_reached(seed: int, *, steer: bool) -> float:
        last = explored(near_one_gap, 5, seed=seed, steer=steer, until_new=True)[0][-1]
        return math.inf if last.new else last.reached[0].share

    alone = share_reached(1, steer=False)
    steered = sorted(share_reached(seed, steer=True) for seed in range(4))
    assert steered[1] > 2 * alone, (steered, alone)  # one of four may have little luck


def test_known_findings_are_not_new_and_new_findings_are_reported_once() -> None:
    new, _ = explored(shifted, before=judged(right), until_new=True)
    known, _ = explored(shifted, len(new))
    assert known[-1].new == ()
    causes = [finding.cause for finding in new[-1].new]
    assert "convention:infinite_logits=nan" in causes
    assert len({finding.key for finding in new[-1].new}) == len(causes)


def test_a_seed_gives_a_sequence_in_any_order_of_earlier_judgements() -> None:
    _, tried = explored(right, 3)
    _, again = explored(right, 3, before=reversed(judged(right)))
    assert ids(again) == ids(tried)
    _, other = explored(right, 3, seed=1)
    assert len({*ids(other)} & {*ids(tried)}) < len(tried) / 10


def test_exploration_ends_when_enough_is_found_or_its_time_is_up() -> None:
    short = RunSettings(explore=Exploration(minutes=1e-9))
    assert [*Explorer(short).explore(Answering(right))] == []
    endless = Explorer(RunSettings(explore=Exploration(minutes=10), dtypes=("float32",)))
    answers = iter((False, False, True))
    assert len([*endless.explore(Answering(right), enough=lambda: next(answers))]) == 2


SETTINGS = RunSettings(
    explore=Exploration(minutes=10, rounds=5), seed=1, dtypes=("float32",), examine=Examination(calls=24)
)


def some() -> list[Problem]:
    return plain_suite()[::4]


def run_live(store: Store, pool: FakePool) -> list[Event]:
    return list(run(some(), specs("test"), store, pool=pool, judge=Judge()))


def answering(rows: Rows, **more: Any) -> FakePool:
    return FakePool({"test": [SUBJECT]}, answer=lambda problem, _: observe(rows, problem), **more)


@pytest.fixture(scope="module")
def explored_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Event], Store, FakePool]]:
    """A run that explored and found."""
    pool = answering(at_one_magnitude)
    with Store.create(tmp_path_factory.mktemp("explored") / "run", settings=SETTINGS) as store:
        yield run_live(store, pool), store, pool


def of_exploring(events: Iterable[Event]) -> tuple[Explored, list[Judged], list[Examined]]:
    """The last progress, the results with new findings, and the reductions of these findings."""
    every = list(events)
    return (
        [event for event in every if isinstance(event, Explored)][-1],
        [event for event in every if isinstance(event, Judged) and event.problem.purpose is Purpose.EXPLORATION],
        [event for event in every if isinstance(event, Examined)],
    )


def test_the_file_gives_the_same_without_asking(explored_run) -> None:
    events, store, pool = explored_run
    calls = len(pool.asked)
    again = list(judge_run(store, judge=Judge()))
    assert len(pool.asked) == calls
    assert of_exploring(again) == of_exploring(events)
    assert [e.problems for e in (*events, *again) if isinstance(e, RunStarted)] == [len(some())] * 2


def test_a_finding_is_reduced_and_its_problems_are_in_the_file(explored_run) -> None:
    events, store, _ = explored_run
    last, shown, examined = of_exploring(events)
    assert last.new
    assert {f.id for f in last.new} <= {f.id for event in shown for f in event.judgement.findings}
    held = {*store.problem_ids()}
    by_of = {event.of.key: event for event in examined}
    for finding in last.new:
        assert finding.problem in held
        assert store.problem(finding.problem).purpose is Purpose.EXPLORATION
        smallest = by_of[finding.key]
        assert smallest.problem.rows == 1
        assert smallest.problem.classes < store.problem(finding.problem).classes
        shown_by: list[tuple[Finding, str]] = [(finding, finding.problem), (smallest.finding, smallest.problem.id)]
        for reported, where in shown_by:
            assert reported.problem == where in held
            problem = store.problem(where)
            replayed = Judge().judge(problem, SUBJECT, observe(at_one_magnitude, problem))
            assert reported.id in {other.id for other in replayed.findings}


def test_rounds_give_the_length_and_a_seed_the_same_run(explored_run, tmp_path: Path) -> None:
    events, store, pool = explored_run
    assert len([e for e in events if isinstance(e, Explored)]) == SETTINGS.explore.rounds
    with Store.create(tmp_path / "again", settings=SETTINGS) as other:
        second = answering(at_one_magnitude)
        assert of_exploring(run_live(other, second)) == of_exploring(events)
        assert second.asked == pool.asked
        assert other.problem_ids() == store.problem_ids()


def test_an_interrupted_exploration_goes_on(explored_run, tmp_path: Path) -> None:
    events, _, pool = explored_run
    with Store.create(tmp_path / "run", settings=SETTINGS) as store:
        first = answering(at_one_magnitude, interrupt=len(some()) + 40)
        stopped = run_live(store, first)
        assert [e.interrupted for e in stopped if isinstance(e, RunFinished)] == [True]
        second = answering(at_one_magnitude)
        assert of_exploring(run_live(store, second)) == of_exploring(events)
    assert [*first.asked, *second.asked] == pool.asked


def test_without_the_setting_nothing_is_explored(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", settings=RunSettings(seed=1, dtypes=("float32",))) as store:
        events = list(run(some()[:8], specs("test"), store, pool=answering(right), judge=Judge()))
        assert len(store) == 8
    assert [e for e in events if isinstance(e, Explored)] == []


LOSSES = """
import numpy as np


def right(logits, targets):
    if targets.size and not 0 <= targets.min() <= targets.max() < logits.shape[-1]:
        raise IndexError("no such class")
    x = logits.astype(np.float64)
    d = x - x.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, targets[..., None].astype(int), axis=-1)[..., 0].astype(logits.dtype)


def at_one_magnitude(logits, targets):
    rows = right(logits, targets)
    top = logits.max(axis=-1, initial=-np.inf)
    return np.where((top >= 66) & (top < 79), rows * 1.001, rows).astype(rows.dtype)
"""
COMMAND = [
    "--framework", "numpy", "--like", "numpy:textbook", "--dtype", "float32", "--profile", "quick",
]  # fmt: skip


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    path = tmp_path / "losses.py"
    path.write_text(LOSSES)
    return path


def test_check_reports_the_exploration(losses: Path) -> None:
    result = CliRunner().invoke(app, ["check", f"{losses}:right", *COMMAND, "--explore", "0.01"])
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "beyond the suite" in line]
    assert line.endswith("no new finding"), line
    assert "float32: up to " in result.stdout


def test_check_fails_on_a_fault_that_only_exploration_finds(losses: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"like": "numpy:textbook", "dtypes": ["float32"], "profile": "quick"}
    function = f"{losses}:at_one_magnitude"
    assert check(function, "numpy", **settings).conforms
    out = tmp_path / "a.logitmus"
    # Two minutes are ample; the first finding ends it.
    result = check(function, "numpy", **settings, explore=2, fail_fast=True, out=out)
    assert not result.conforms
    assert result.stopped
    assert result.seconds < 60
    exploration = result.summary.explored
    assert exploration is not None
    assert "new finding" in words.headline(exploration)
    assert any(line.startswith("new: bug: ") for line in words.lines(exploration)), words.lines(exploration)
    data = result.as_dict()["run"]["explored"]
    assert json.loads(json.dumps(data, allow_nan=False)) == words.as_dict(exploration)
    assert {finding["id"] for finding in data["new"]} == {finding.id for finding in exploration.new}
    with Store.open(out) as store:
        assert {finding.problem for finding in exploration.new} <= {*store.problem_ids()}
    again = CliRunner().invoke(app, ["judge", str(out)])
    assert f"Exploration: {words.headline(exploration)}" in " ".join(again.stdout.split()), again.output


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_wrong_duration_is_a_usage_error(verb: str, minutes: str, losses: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["check", f"{losses}:right", *COMMAND, "--explore", minutes]
        if verb == "check"
        else ["run", "--explore", minutes],
    )
    assert result.exit_code == 2
    assert "is not a duration" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("minutes", [-1.0, float("nan"), float("inf")])
def test_nor_does_check_take_it(minutes: float, losses: Path) -> None:
    with pytest.raises(RegistryError, match="is not a duration"):
        check(f"{losses}:right", "numpy", like="numpy:textbook", explore=minutes)
