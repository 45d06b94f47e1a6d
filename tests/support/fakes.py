"""Fakes shared by the tests of the engine, the store and their readers: subjects, problems, a pool, a judge."""

from __future__ import annotations

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.convention import Convention
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Answered, NotRun, Observation
from logitmus.core.problem import Problem
from logitmus.core.subject import Offer, Subject, same_precision
from logitmus.execution.pool import AbstractPool, BatchEnded, Observed, Ready
from logitmus.execution.registry import BackendSpec


def subject(function: str = "f", backend: str = "fake", **more) -> Subject:
    fields = {"mode": "", "device": "cpu", "offer": Offer(targets="labels"), "docs": {"": "https://example.org"}}
    fields |= {"convention": Convention(), "precision": same_precision(), **more}
    return Subject(backend=backend, function=function, **fields)


def problem(seed: int = 0, dtype: str = "float32", **more) -> Problem:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 3)).astype(FLOAT_DTYPES[dtype])
    fields = {"targets": rng.integers(0, 3, 4), "family": "tests", "idea": "any"}
    return Problem(logits=logits, **{**fields, **more})


def answer(problem: Problem, subject_id: str) -> Answered:
    """Depends on both, deterministically."""
    return Answered(np.full(4, len(subject_id) + int(problem.id[:4], 16), np.float32))


class FakePool(AbstractPool):
    """Answers like `execution.pool.Pool`, backend after backend; `interrupt` raises Ctrl-C after so many answers."""

    environment = {"python": {"version": "3"}, "packages": {"fake": "1"}}  # noqa: RUF012

    def __init__(self, subjects: dict[str, list[Subject]], interrupt: int | None = None, answer=answer) -> None:
        self.subjects, self.interrupt, self.answer = subjects, interrupt, answer
        self.asked: list[tuple[str, str]] = []

    def __call__(self, specs, limits, jobs):
        self.specs = specs
        return self

    def close(self) -> None:
        return None

    def describe(self):
        for spec in self.specs:
            given = self.subjects[spec.name]
            yield Ready(spec, tuple(given), self.environment, 0.1) if isinstance(given, list) else given

    def run(self, plan):
        for spec in self.specs:
            given = self.subjects[spec.name]
            for ask in plan(tuple(given)) if isinstance(given, list) else ():
                for name in ask.subjects:
                    if self.interrupt is not None and len(self.asked) == self.interrupt:
                        raise KeyboardInterrupt
                    self.asked.append((ask.problem.id, name))
                    outcome = self.answer(ask.problem, name)
                    yield Observed(ask.problem, Observation(name, ask.problem.id, outcome), 0.001, first=True)
            yield BatchEnded(spec.name, "", "cpu", flushes_before=False, flushes_after=False)


def specs(*names: str) -> list[BackendSpec]:
    return [BackendSpec(name=name) for name in names]


class FakeJudge:
    """An even first value passes; an odd first value is a finding of the severity given."""

    def __init__(self, severity: Severity = Severity.BUG) -> None:
        self.severity = severity
        self.judged: list[tuple[str, str]] = []

    def judge_all(self, calls) -> list[Judgement]:
        return [self.judge(*call) for call in calls]

    def judge(self, problem: Problem, subject: Subject, outcome) -> Judgement:
        self.judged.append((problem.id, subject.id))
        about = {"subject": subject.id, "problem": problem.id, "family": problem.family, "dtype": problem.dtype}
        if isinstance(outcome, NotRun):
            return Judgement(**about, verdict=Verdict.NOT_RUN, reason=outcome.reason)
        if isinstance(outcome, Answered) and outcome.loss.flat[0] % 2 == 0:
            return Judgement(**about, verdict=Verdict.PASS, grade=Grade.A, rows=4)
        found = Finding(
            **about, kind=Kind.ACCURACY, severity=self.severity, part="loss", cause=Cause("odd"), summary="it is odd"
        )
        return Judgement(**about, verdict=Verdict.FINDING, grade=Grade.F, rows=4, findings=(found,))
