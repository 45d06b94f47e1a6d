"""Follow-up questions: coroutines are led side by side, and none waits for the judgements of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from fakes import FakeJudge, FakePool, problem, specs, subject

from logitmus.core.events import Judged
from logitmus.core.finding import Verdict
from logitmus.engine.follow_up import FileResponder, ask
from logitmus.engine.judge_batches import JudgeRequest
from logitmus.engine.judge_pool import LocalJudgeQueue
from logitmus.engine.run import run
from logitmus.storage.store import Store

QUESTIONS = [problem(seed) for seed in range(4)]
SUBJECT = subject().id


class OneByOne(LocalJudgeQueue):
    """Judges what was submitted last first, one problem at a time; remembers what was submitted when."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, FakeJudge())
        self.log: list[str] = []
        self._left: deque[JudgeRequest] = deque()

    def submit(self, requests: Iterable[JudgeRequest]) -> None:
        for request in requests:
            self.log.append(f"asked {_name(request.problem)}")
            self._left.append(request)

    def next_ready(self) -> Iterator[Judged]:
        if self._left:
            request = self._left.pop()
            self.log.append(f"judged {_name(request.problem)}")
            super().submit([request])
            yield from super().ready(wait=True)


def _name(identity: str) -> int:
    return [question.id for question in QUESTIONS].index(identity)


async def about(*numbers: int) -> list[str]:
    """One question after the other; what was answered, by their names."""
    verdicts = []
    for number in numbers:
        (judgement,) = await ask([(QUESTIONS[number], SUBJECT)])
        assert judgement.problem == QUESTIONS[number].id
        verdicts.append(f"{number} {judgement.verdict.value}")
    return verdicts


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "run") as store:
        list(run(QUESTIONS[:3], specs("fake"), store, pool=FakePool({"fake": [subject()]}), judge=FakeJudge()))
        yield store


def test_a_dialogue_goes_on_before_another_is_answered(store: Store) -> None:
    judging = OneByOne(store)
    results = FileResponder(store, judging).run_all([about(0), about(1, 2), about()])
    assert [[text.split()[0] for text in verdicts] for verdicts in results] == [["0"], ["1", "2"], []]
    assert judging.log == ["asked 0", "asked 1", "judged 1", "asked 2", "judged 2", "judged 0"]


def test_a_problem_of_two_dialogues_is_judged_once(store: Store) -> None:
    judging = OneByOne(store)
    assert len(FileResponder(store, judging).run_all([about(0, 1), about(1, 0)])) == 2
    assert sorted(judging.log) == ["asked 0", "asked 1", "judged 0", "judged 1"]


def test_a_missing_answer_is_reported_as_not_run(store: Store) -> None:
    assert FileResponder(store, OneByOne(store)).run_all([about(3, 0)])[0][0] == f"3 {Verdict.NOT_RUN.value}"
