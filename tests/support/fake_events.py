"""Events of a run that never was: several frameworks, every kind, severity and verdict, as many as wanted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from implementations import subject

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendFailed, BackendReady, Event, Judged, Progressed, RunFinished, RunStarted
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject

FRAMEWORKS = {"alpha": ("", "jit"), "beta": ("", "xla", "compile"), "gamma": ("",)}
FUNCTIONS = ("cross_entropy", "nn.CrossEntropyLoss", "sparse_cross_entropy")
FAMILIES = ("ordinary", "common-offset", "bad-labels", "masked-classes", "large-vocabulary", "reductions")
CAUSES = (
    (Kind.ACCURACY, Severity.BUG, "separate_logsumexp"),
    (Kind.CONVENTION, Severity.DIFFERENCE, "convention:mean_denominator=rows"),
    (Kind.CONVENTION, Severity.HAZARD, "convention:label_negative=wrap"),
    (Kind.SPECIAL, Severity.BUG, "lost"),
    (Kind.CONTRACT, Severity.DIFFERENCE, "raised:ValueError"),
    (Kind.INTEGRITY, Severity.BUG, "wrote_into:logits"),
    (Kind.CRASH, Severity.BUG, "crashed:SIGSEGV"),
    (Kind.TIMEOUT, Severity.BUG, "timeout"),
    (Kind.CLAIM, Severity.DIFFERENCE, "effective_precision:storage=bfloat16,arithmetic=bfloat16"),
    (Kind.SPECIAL, Severity.NOTE, "negative_zero"),
)


def subjects() -> list[Subject]:
    """Eighteen, of three frameworks in several modes."""
    return [
        replace(subject(PORTABLE), backend=backend, function=function, mode=mode)
        for backend, modes in FRAMEWORKS.items()
        for function in FUNCTIONS
        for mode in modes
    ]


def stream(judgements: int, *, seed: int = 0) -> Iterator[Event]:
    """The events, made one by one; the same for the same seed."""
    chance = random.Random(seed)
    tested = subjects()
    yield RunStarted(
        judgements // len(tested), tuple(FRAMEWORKS), {"python": {"version": "3.13"}}, RunSettings(seed=seed)
    )
    for backend in FRAMEWORKS:
        yield BackendReady(backend, tuple(s for s in tested if s.backend == backend), {"packages": {backend: "1"}}, 9)
    yield BackendFailed("delta", "ModuleNotFoundError: No module named 'delta'", "pip install delta")
    for number in range(judgements):
        if number % len(tested) == 0:
            problem = _problem(chance, number)
        yield _judged(chance, tested[number % len(tested)], problem)
        if number % 500 == 0:
            yield Progressed("alpha", number)
    yield RunFinished(seconds=12.5)


def _problem(chance: random.Random, number: int) -> Problem:
    rows, classes = chance.choice([1, 2, 32]), chance.choice([2, 4, 10, 257])
    logits = np.full((rows, classes), number, np.float32)
    return Problem(logits=logits, targets=np.zeros(rows, np.int64), family=chance.choice(FAMILIES))


def _judged(chance: random.Random, subject: Subject, problem: Problem) -> Judged:
    verdict = chance.choices(list(Verdict), [60, 5, 20, 2, 1, 12])[0]
    about = {"subject": subject.id, "problem": problem.id, "family": problem.family, "dtype": problem.dtype}
    findings = (_finding(chance, about, problem),) if verdict is Verdict.FINDING else ()
    judgement = Judgement(
        **about,
        verdict=verdict,
        grade=chance.choice(list(Grade)) if verdict is not Verdict.NOT_RUN else None,
        rows=problem.rows,
        share=chance.random(),
        ulps=chance.random() * 4,
        undecided=int(verdict is Verdict.UNDECIDED),
        reason=chance.choice(["takes labels", "takes probabilities"]) if verdict is Verdict.NOT_RUN else "",
        findings=findings,
    )
    return Judged(problem, judgement)


def _finding(chance: random.Random, about: dict[str, str], problem: Problem) -> Finding:
    kind, severity, cause = chance.choice(CAUSES)
    return Finding(
        **about,
        kind=kind,
        severity=severity,
        cause=Cause(cause),
        part=chance.choice(["loss", "grad_logits"]),
        summary=f"what {cause} means",
        expected="[0.7436683806286791, 0.7436683806286792]",
        observed=chance.choice(["0.75", "nan", "inf"]),
        row=chance.randrange(problem.rows),
        ulps=chance.choice([None, float("inf"), 12345.6]),
        share=chance.choice([None, float("inf"), 3.25]),
    )
