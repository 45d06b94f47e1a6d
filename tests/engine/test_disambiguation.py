"""Disambiguation: several conventions that explain one finding, and the problems that distinguish them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from implementations import subject

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.events import Judged
from logitmus.core.finding import Kind
from logitmus.core.observation import Answered, Observation
from logitmus.core.problem import Problem, Purpose
from logitmus.engine.disambiguation import candidates, separating
from logitmus.engine.run import judge_run, run
from logitmus.execution.pool import AbstractPool, BatchEnded, Observed, Ready
from logitmus.execution.registry import BackendSpec
from logitmus.judging.judge import Judge
from logitmus.oracle.answer import reference
from logitmus.oracle.resolve import resolve
from logitmus.results.summary import Summary
from logitmus.results.wording import doubt
from logitmus.storage.store import Store, StoreError

DECLARED = PORTABLE.but(default_reduction="mean", ignore_default="-100")


def doubtful() -> Problem:
    """A weighted mean with no row ignored: divided by 4, which is the number of all rows and of the kept rows."""
    return Problem(
        logits=np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.5], [0.25, 0.5]], np.float32),
        targets=np.array([0, 1, 1, 0]),
        weight=np.array([0.5, 3.0], np.float32),
        reduction="mean",
        family="drawn",
    )


def answered(problem: Problem, truth: Convention) -> Answered:
    """What an exact implementation of another convention answers."""
    exact = reference(problem, truth)
    gradient = exact.grad_logits.rounded(problem.dtype).reshape(problem.logits.shape)
    return Answered(exact.loss.rounded(problem.dtype).reshape(_shape(problem)), gradient)


def _shape(problem: Problem) -> tuple[int, ...]:
    return problem.batch if resolve(problem, DECLARED).reduction == "none" else ()


class OneSubject(AbstractPool):
    """A pool of one subject that keeps a convention which it does not declare."""

    def __init__(self, truth: Convention, **offer: object) -> None:
        self.truth = truth
        self.subject = subject(DECLARED, **offer)
        self.asked: list[Problem] = []

    def __call__(self, *_: object) -> OneSubject:
        return self

    def close(self) -> None:
        return None

    def describe(self):
        yield Ready(BackendSpec(name=self.subject.backend), (self.subject,), {}, 0.0)

    def run(self, plan):
        for request in plan([self.subject]):
            self.asked.append(request.problem)
            question = resolve(request.problem, self.truth)
            if question.refused is None:
                observation = Observation(self.subject.id, request.problem.id, answered(request.problem, self.truth))
                yield Observed(request.problem, observation, 0.001, first=True)
        yield BatchEnded("", "", "cpu", flushes_before=False, flushes_after=False)


def events(pool: OneSubject, store: Store, problems: list[Problem]):
    specs = [BackendSpec(name=pool.subject.backend)]
    return list(run(problems, specs, store, pool=pool, judge=Judge()))  # type: ignore[arg-type]


def findings(found):
    return [
        f
        for e in found
        if isinstance(e, Judged)
        for f in e.judgement.findings
        if f.kind in (Kind.CLAIM, Kind.CONVENTION)
    ]


@pytest.mark.parametrize(
    "choices",
    [
        [("smoothing", "dropped"), ("smoothing", "others")],
        [("mean_denominator", "rows"), ("mean_denominator", "kept")],
        [("infinite_logits", "nan"), ("infinite_logits", "nan_where_met")],
        [("log_base", "2"), ("log_base", "10"), ("inputs", "log_probabilities")],
    ],
)
def test_separating_problems_give_different_answers(choices: list[tuple[str, str]]) -> None:
    tested = subject(DECLARED)
    problems = separating(tested, [Cause.convention(*choice) for choice in choices])
    assert problems
    for problem in problems:
        assert problem.purpose is Purpose.DISAMBIGUATION
        assert tested.why_not(problem) is None
    keys = {tuple(resolve(problem, DECLARED.but(**dict([choice]))).key for problem in problems) for choice in choices}
    assert len(keys) == len(choices)


def test_a_subject_that_takes_no_weights_is_not_asked_with_weights() -> None:
    choices = [("mean_denominator", "kept"), ("mean_denominator", "rows"), ("smoothing", "others")]
    candidates = [Cause.convention(*choice) for choice in choices]
    assert any("weight" in problem.options for problem in separating(subject(DECLARED), candidates))
    bare = subject(DECLARED, options=frozenset())
    assert all(not problem.options for problem in separating(bare, candidates))


@pytest.mark.parametrize("truth", ["rows", "kept"])
def test_a_doubt_is_settled_by_problems_that_the_run_adds(tmp_path, truth: str) -> None:
    pool = OneSubject(DECLARED.but(mean_denominator=truth))
    with Store.create(tmp_path / "run") as store:
        found = events(pool, store, [doubtful()])
        again = [e for e in judge_run(store, judge=Judge()) if isinstance(e, Judged)]
    reported = findings(found)
    choices = {Cause.convention("mean_denominator", value) for value in ("rows", "kept")}
    assert candidates(reported[0]) == choices
    assert [p.purpose for p in pool.asked[1:]] == [Purpose.DISAMBIGUATION] * (len(pool.asked) - 1) != []
    assert {(e.problem.id, e.judgement) for e in again} == {
        (e.problem.id, e.judgement) for e in found if isinstance(e, Judged)
    }
    groups = [g for g in summed(found).groups() if g.finding.cause.startswith("convention:mean")]
    assert [g.finding.cause for g in groups] == [f"convention:mean_denominator={truth}"]
    assert groups[0].finding.alternatives == ()
    assert doubtful().id != groups[0].problem.id
    assert groups[0].count == len(reported)
    second = OneSubject(DECLARED.but(mean_denominator=truth))
    with Store.open(tmp_path / "run", write=True) as store:  # resumed: nothing is asked twice
        resumed = events(second, store, [doubtful()])
    assert second.asked == []
    assert {e.problem.id for e in resumed if isinstance(e, Judged)} == {e.problem.id for e in again}


def test_a_doubt_that_no_supported_problem_settles_stays_open_and_is_reported(tmp_path) -> None:
    pool = OneSubject(DECLARED.but(mean_denominator="rows"), options=frozenset({"weight"}))
    pool.subject = replace(pool.subject, convention=PORTABLE)  # it ignores no label, so that every row is kept
    pool.truth = PORTABLE.but(mean_denominator="rows")
    with Store.create(tmp_path / "run") as store:
        found = events(pool, store, [doubtful()])
    assert len(pool.asked) == 1
    (group,) = [g for g in summed(found).groups() if g.finding.cause.startswith("convention:mean")]
    assert "no problem that this function supports distinguishes them" in doubt(group.finding)
    assert "kept" in doubt(group.finding) or "not ignored" in doubt(group.finding)


def test_an_added_problem_does_not_make_a_run_of_other_problems(tmp_path) -> None:
    pool = OneSubject(DECLARED.but(mean_denominator="rows"))
    with Store.create(tmp_path / "run") as store:
        events(pool, store, [doubtful()])
        other = doubtful().but(reduction="sum")
        with pytest.raises(StoreError, match="2 problems that differ from the 1 requested"):
            events(pool, store, [other])


def summed(found) -> Summary:
    summary = Summary()
    for event in found:
        summary.add(event)
    return summary
