"""Judging batches gives the same as judging single calls, and so does the judge in its own process."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakePool, specs, subject
from implementations import RIGHT, WRONG, Rows, observe
from implementations import subject as implemented

from logitmus.cases.suite import suite
from logitmus.core.events import Judged
from logitmus.core.finding import Judgement, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Answered
from logitmus.core.problem import DEFAULT_REDUCTION, Problem
from logitmus.engine import judge_pool
from logitmus.engine.judge_batches import NoJudge
from logitmus.engine.run import run
from logitmus.judging.batching import Call, batches
from logitmus.judging.judge import Judge
from logitmus.storage.store import Store


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return [p for n, p in enumerate(suite("quick")) if p.logits.size < 20_000 and n % 2]


@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
def test_batches_are_judged_like_single_calls(name: str, problems: list[Problem]) -> None:
    function, tested = {**RIGHT, **WRONG}[name], implemented(options=frozenset(), reductions=("none",))
    accepted = [p for p in problems if tested.why_not(p) is None and len(p.batch) == 1 and p.rows and p.classes]
    valid = [p for p in accepted if ((p.targets >= 0) & (p.targets < p.classes)).all()]
    calls = [Call(problem, tested, observe(function, problem)) for problem in valid]
    batched = batches(calls)
    assert len(batched) > len(calls) / 2
    together = Judge().judge_all(calls)
    assert together == [Judge().judge(*call) for call in calls]
    assert (Verdict.FINDING in {judgement.verdict for judgement in together}) or name in RIGHT


@pytest.mark.parametrize("reduction", ["sum", "mean", DEFAULT_REDUCTION])
@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
def test_single_rows_that_are_reduced_are_judged_like_single_calls(
    name: str, reduction: str, problems: list[Problem]
) -> None:
    function, tested = {**RIGHT, **WRONG}[name], implemented(options=frozenset(), reductions=(reduction,))
    tested = replace(tested, convention=tested.convention.but(default_reduction="mean"))
    some = [p for p in problems if p.rows and p.classes and len(p.batch) == 1 and p.weight is None]
    rows = [p.but(logits=p.logits[:1], targets=p.targets[:1], cotangent=None, reduction=reduction) for p in some]
    if reduction != DEFAULT_REDUCTION:
        rows[::2] = [row.but(cotangent=row.logits.dtype.type(0.75)) for row in rows[::2]]
    accepted = [row for row in rows if tested.why_not(row) is None]
    calls = [Call(row, tested, _reduced(function, row)) for row in accepted]
    batched = batches(calls)
    assert len(batched) > len(calls) / 2
    assert any(batch.assess(tested, place) is not None for batch, place in batched.values())
    together = Judge().judge_all(calls)
    assert together == [Judge().judge(*call) for call in calls]
    assert (Verdict.FINDING in {judgement.verdict for judgement in together}) or name in RIGHT


def _reduced(function: Rows, row: Problem) -> Answered:
    """What a function of rows does with a single row, whose loss is reduced."""
    upstream = None if row.cotangent is None else row.cotangent.reshape(1)
    observed = observe(function, row.but(reduction="none", cotangent=upstream))
    return replace(observed, loss=observed.loss.reshape(()))


@pytest.mark.parametrize("denominator", ["elements", "rows", "kept"])
def test_a_mean_of_single_rows_is_judged_by_its_divisor(denominator: str) -> None:
    tested = implemented(options=frozenset({"ignore_index"}), reductions=("mean",))
    tested = replace(tested, convention=tested.convention.but(mean_denominator=denominator))
    right = next(iter(RIGHT.values()))
    problems = [
        Problem(logits=np.array([[0, n, 1]], np.float32), targets=np.array([0]), reduction="mean", ignore_index=-1)
        for n in range(4)
    ]
    calls = [Call(problem, tested, _reduced(right, problem)) for problem in problems]
    judgements = Judge().judge_all(calls)
    assert judgements == [Judge().judge(*call) for call in calls]
    assert {judgement.verdict is Verdict.FINDING for judgement in judgements} == {denominator == "elements"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_digit_depends_on_the_problems_beside_it(dtype: str) -> None:
    """Alone such a problem has more classes than rows, and together they have more rows than classes."""
    function = next(iter(RIGHT.values()))
    tested = implemented(options=frozenset(), reductions=("none",))
    rng = np.random.default_rng(3)
    problems = [
        Problem(
            logits=(rng.normal(size=(8, classes)) * 6).astype(FLOAT_DTYPES[dtype]),
            targets=rng.integers(0, classes, 8),
        )
        for classes in (9, 33, 257)
        for _ in range(40)
    ]
    calls = [Call(problem, tested, observe(function, problem)) for problem in problems]
    assert Judge().judge_all(calls) == [Judge().judge(*call) for call in calls]


def test_one_problem_that_differs_in_an_option_is_not_batched() -> None:
    def call(**more: object) -> Call:
        problem = Problem(logits=np.zeros((4, 3), np.float32), targets=np.arange(4) % 3, **more)  # type: ignore[arg-type]
        return Call(problem, implemented(), Answered(np.zeros(4, np.float32), np.zeros((4, 3), np.float32)))

    same, other = call(), call(idea="other rows")
    assert set(batches([same, other])) == {0, 1}
    for different in (
        call(label_smoothing=0.25),
        call(ignore_index=1),
        call(weight=np.ones(3, np.float32)),
        call(reduction="sum"),  # of several rows
        same._replace(problem=Problem(logits=np.zeros((4, 3), np.float32), targets=np.array([0, 1, 2, 3]))),
        same._replace(outcome=Answered(np.zeros(4, np.float64))),
        same._replace(outcome=Answered(np.zeros((4, 3), np.float32))),
    ):
        assert batches([same, different]) == {}


SUBJECTS = {"one": [subject("f", "one"), subject("g", "one")]}


def _problems(count: int) -> list[Problem]:
    rng = np.random.default_rng(5)
    return [
        Problem(logits=rng.integers(-4, 4, (4, 3)).astype(np.float32), targets=rng.integers(0, 3, 4), family="drawn")
        for _ in range(count)
    ]


def _judged(store: Store, **more: object) -> set[tuple[str, object]]:
    def answer(problem: Problem, name: str) -> Answered:
        return Answered(problem.logits[:, 0].copy() if name.startswith("one:g") else problem.logits.max(axis=1))

    pool = FakePool(SUBJECTS, answer=answer)
    events = run(_problems(230), specs("one"), store, pool=pool, **more)  # type: ignore[arg-type]
    return {(e.problem.id, e.judgement) for e in events if isinstance(e, Judged)}


def test_the_judge_in_its_own_process_gives_the_same_judgements(tmp_path) -> None:
    with Store.create(tmp_path / "here") as store:
        here = _judged(store, judge=Judge())
    with Store.create(tmp_path / "beside") as store:
        beside = _judged(store)
    assert len(here) == 2 * 230
    assert beside == here


def test_a_judge_process_sends_findings(tmp_path, caplog) -> None:
    """None is lost: a judgement that cannot be encoded or decoded would end the process."""
    with Store.create(tmp_path / "beside") as store:
        judged = _judged(store)
    assert any(judgement.findings for _, judgement in judged)
    assert not caplog.records


def test_many_results_of_a_large_problem_are_judged_in_pieces(tmp_path) -> None:
    """All at once, a few hundred subjects take gigabytes."""
    pieces: list[int] = []

    class Recording(NoJudge):
        def judge_all(self, calls: list[Call], /) -> list[Judgement]:
            pieces.append(sum(call.problem.logits.size for call in calls))
            return super().judge_all(calls)

    names = [f"f{n}" for n in range(40)]
    large = Problem(logits=np.zeros((4, 1 << 16), np.float32), targets=np.arange(4))
    pool = FakePool({"one": [subject(name, "one") for name in names]}, answer=_by_name)
    with Store.create(tmp_path / "run") as store:
        events = list(run([large], specs("one"), store, pool=pool, judge=Recording()))
    assert len({event.judgement.subject for event in events if isinstance(event, Judged)}) == len(names)
    assert sum(pieces) == len(names) * large.logits.size
    assert max(pieces) <= 1 << 22


def _by_name(_: Problem, name: str) -> Answered:
    return Answered(np.full(4, int(name.partition(":f")[2].partition("@")[0]), np.float32))


@pytest.mark.parametrize("program", ["import sys; sys.exit(3)", "import sys; sys.stdin.read(1); print('what?' * 9)"])
def test_a_lost_judge_process_is_reported_and_loses_nothing(tmp_path, monkeypatch, caplog, program: str) -> None:
    with Store.create(tmp_path / "here") as store:
        here = _judged(store, judge=Judge())
    start = judge_pool.subprocess.Popen
    monkeypatch.setattr(
        judge_pool.subprocess,
        "Popen",
        lambda command, **more: start([command[0], "-c", program], **more),
    )
    with Store.create(tmp_path / "alone") as store:
        assert _judged(store) == here
    assert "a judge process was lost" in caplog.text


def test_the_processes_end_with_their_owner(tmp_path, monkeypatch) -> None:
    processes = []
    start = judge_pool.subprocess.Popen

    def started(*command, **more):
        processes.append(start(*command, **more))
        return processes[-1]

    monkeypatch.setattr(judge_pool.subprocess, "Popen", started)
    with Store.create(tmp_path / "run") as store, contextlib.closing(judge_pool.JudgePool(store)) as judging:
        judging.submit([])
        assert processes
        assert [process.poll() for process in processes] == [None] * len(processes)
    assert None not in [process.poll() for process in processes]
