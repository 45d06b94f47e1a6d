"""Manners: the outcome that is kept of a problem that is asked more than once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import DERIVATIVES, MANNERS, ONCE, Problem
from logitmus.execution.messages import decode_outcome
from logitmus.worker.call_modes import Called, perform
from logitmus.worker.wire import encode_outcome, to_line

PROBLEM = Problem(
    logits=np.array([[0, 0, 0, 1], [4, 3, 2, 1]], np.float32),
    targets=np.array([3, 0]),
    cotangent=np.array([1, 2], np.float32),
)
RIGHT = np.float32(0.75)


def performed(manner: str, function: Callable[[Problem, str], Outcome]) -> tuple[Outcome, list[tuple[Problem, str]]]:
    """The outcome that is kept, and the calls of the function."""
    calls: list[tuple[Problem, str]] = []

    def call(problem: Problem, how: str) -> Called:
        calls.append((problem, how))
        return Called(function(problem, how), 0.5)

    outcome, seconds = perform(PROBLEM.but(manner=manner), "logits", call)
    assert seconds == 0.5 * len(calls)
    return outcome, calls


def right(problem: Problem, _how: str) -> Answered:
    return Answered(np.full(problem.rows, RIGHT), np.zeros(problem.logits.shape, np.float32))


@pytest.mark.parametrize("manner", MANNERS)
def test_a_deterministic_function_has_no_changed_parts(manner: str) -> None:
    outcome, calls = performed(manner, right)
    assert isinstance(outcome, Answered)
    assert outcome.changed == ()
    assert outcome.loss.tolist() == [RIGHT, RIGHT]
    assert all(problem.manner == ONCE for problem, _ in calls)
    assert len(calls) == {ONCE: 1, "again": 3, "after_others": 6}.get(manner, 2)
    assert {how for _, how in calls} == {ONCE, *({manner} & set(DERIVATIVES))}


@pytest.mark.parametrize("at", [1, 2])
def test_the_call_that_differs_is_kept(at: int) -> None:
    count = iter(range(9))

    def drifts(problem: Problem, how: str) -> Answered:
        answer = right(problem, how)
        return Answered(answer.loss * (2 if next(count) == at else 1), answer.grad_logits)

    outcome, calls = performed("again", drifts)
    assert isinstance(outcome, Answered)
    assert outcome.changed == ("loss",)
    assert outcome.loss.tolist() == [2 * RIGHT, 2 * RIGHT]
    assert len(calls) == at + 1


def test_others_are_large_and_not_a_number_and_more() -> None:
    _, calls = performed("after_others", right)
    large, nan, more = (problem for problem, _ in calls[1:4])
    assert np.isfinite(large.logits).all()
    assert np.abs(large.logits).max() > 10000
    assert np.isnan(nan.logits).all()
    assert more.logits.shape == (4, 4)
    assert [problem for problem, _ in calls if problem == PROBLEM] == [PROBLEM] * 3


def test_state_that_is_kept_from_other_calls_shows() -> None:
    seen = [0.0]

    def remembers(problem: Problem, how: str) -> Answered:
        seen[0] = max(seen[0], float(np.nan_to_num(problem.logits).max()))
        return Answered(right(problem, how).loss * np.float32(seen[0]))

    assert isinstance(same := performed("again", remembers)[0], Answered)
    assert same.changed == ()
    assert isinstance(other := performed("after_others", remembers)[0], Answered)
    assert other.changed == ("loss",)


def test_an_answer_that_later_calls_write_into_shows() -> None:
    buffer = np.zeros(2, np.float32)

    def hands_out_its_buffer(problem: Problem, _how: str) -> Answered:
        if problem.rows > 2:
            return Answered(np.zeros(problem.rows, np.float32))
        buffer[...] = problem.logits.max(-1)
        return Answered(buffer)

    outcome, _ = performed("after_others", hands_out_its_buffer)
    assert isinstance(outcome, Answered)
    assert outcome.changed == ("loss",)


def test_every_bit_counts_but_those_of_a_nan() -> None:
    payloads = iter(np.array([0x7FC00000, 0xFFC00001, 0x7FC00002], np.uint32).view(np.float32))

    def nan(_problem: Problem, _how: str) -> Answered:
        return Answered(np.array([next(payloads), 1.0], np.float32))

    assert isinstance(outcome := performed("again", nan)[0], Answered)
    assert outcome.changed == ()
    zeros = iter((0.0, 0.0, -0.0))
    assert isinstance(outcome := performed("again", lambda *_: Answered(np.array(next(zeros))))[0], Answered)
    assert outcome.changed == ("loss",)


def test_a_failure_after_an_answer_is_marked_over_the_wire() -> None:
    count = iter(range(9))

    def fails(problem: Problem, how: str) -> Outcome:
        return right(problem, how) if next(count) == 0 else Raised("RuntimeError", "freed")

    outcome, calls = performed("again", fails)
    assert outcome == Raised("RuntimeError", "freed", answered_before=True)
    assert len(calls) == 2
    for raised in (outcome, Raised("RuntimeError", "freed")):
        assert decode_outcome(to_line(encode_outcome(raised))) == raised


def test_a_function_that_raises_at_once_is_not_asked_again() -> None:
    outcome, calls = performed("again", lambda *_: Raised("ValueError", "no"))
    assert outcome == Raised("ValueError", "no")
    assert len(calls) == 1


def test_an_unsupported_manner_is_not_run() -> None:
    def reverse_only(problem: Problem, how: str) -> Outcome:
        return right(problem, how) if how == ONCE else NotRun("no forward mode")

    assert performed("forward_mode", reverse_only)[0] == NotRun("no forward mode")


def test_forward_mode_is_not_asked_for_the_gradient_by_targets() -> None:
    def gives(problem: Problem, how: str) -> Answered:
        answer = right(problem, how)
        return replace(answer, grad_targets=answer.grad_logits if how == ONCE else None)

    for manner, changed in (("forward_mode", ()), ("backward_twice", ("grad_targets",))):
        outcome, _ = performed(manner, gives)
        assert isinstance(outcome, Answered)
        assert outcome.changed == changed
