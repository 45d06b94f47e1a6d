"""Metamorphic relations: changed problems ask the very same; answers that contradict each other are seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakePool, specs
from implementations import RIGHT, WRONG, observe, subject

from logitmus.cases.metamorphic import RELATIONS, Image
from logitmus.cases.suite import suite
from logitmus.checking.reference import problems
from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import Related
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Offer, Subject
from logitmus.engine.run import judge_run, run
from logitmus.oracle.answer import reference
from logitmus.reports import markdown
from logitmus.reports.html import report
from logitmus.results import serialize
from logitmus.results.metamorphic import brief, grid, lines
from logitmus.results.summary import Summary
from logitmus.storage.store import Store

ASKED = list(suite("default", families=["relations"]))


def images() -> Iterator[tuple[str, Problem, Image]]:
    there = {problem.id for problem in ASKED}
    for problem in ASKED:
        for name, relation in RELATIONS.items():
            for image in relation.images(problem):
                if image.problem.id in there:
                    yield name, problem, image


def test_every_relation_is_asked_about_in_every_dtype() -> None:
    covered = {(name, problem.dtype) for name, problem, _ in images()}
    single = {"alone", "padding"}
    assert covered == {(n, d) for n in RELATIONS for d in FLOAT_DTYPES if n not in single or d == "float32"}


def test_the_quick_profile_asks_a_dozen() -> None:
    quick = list(suite("quick", families=["relations"]))
    assert len(quick) <= 12
    assert {problem.dtype for problem in quick} == {"float32"}


def test_an_image_has_the_very_same_exact_answer() -> None:
    for name, problem, image in images():
        if problem.dtype == "float64":
            continue  # the same change, and slow to answer exactly
        ours, theirs = reference(problem, bits=53).answer, reference(image.problem, bits=53).answer
        gradient = ours.grad_logits.mid[np.ix_(image.rows, image.kept)]
        changed = theirs.grad_logits.mid[:, image.classes]
        # Two enclosures of the same number overlap.
        radius = ours.grad_logits.radius[np.ix_(image.rows, image.kept)] + theirs.grad_logits.radius[:, image.classes]
        assert (np.abs(gradient - changed) <= radius).all(), (name, problem)
        row = ours.loss.mid[image.rows] if ours.loss.shape else ours.loss.mid
        wide = (ours.loss.radius[image.rows] if ours.loss.shape else ours.loss.radius) + theirs.loss.radius
        assert (np.abs(row - theirs.loss.mid.reshape(row.shape)) <= wide.reshape(row.shape)).all(), (name, problem)


def test_a_shift_that_rounds_is_no_image() -> None:
    tiny = Problem(logits=np.array([[2.0**-30, 1]], np.float32), targets=np.array([0]))
    assert not list(RELATIONS["shift"].images(tiny))


PLAIN = [p for p in ASKED if not p.options and p.reduction == "none" and p.dtype == "float32"]
BY_LABEL = subject(options=frozenset(), reductions=("none",))
BY_PROBABILITY = replace(BY_LABEL, function="g", offer=Offer(targets="probabilities", gradients=frozenset({"logits"})))


def checked(tmp_path: Path, *subjects: tuple[Subject, Callable[[Problem], Outcome]]) -> dict[tuple[str, str], Related]:
    """The relations of these functions, from a run of the plain problems and, the same, from its file."""
    answers = {subject.id: answer for subject, answer in subjects}
    pool = FakePool({"test": [subject for subject, _ in subjects]}, answer=lambda problem, name: answers[name](problem))
    with Store.create(tmp_path / "r.logitmus", environment={}) as store:
        live = [e for e in run(PLAIN, specs("test"), store, pool=pool) if isinstance(e, Related)]
        later = [e for e in judge_run(store) if isinstance(e, Related)]
    assert live == later
    return {(event.subject, event.relation): event for event in live}


def rowwise(name: str) -> Callable[[Problem], Outcome]:
    """An implementation of `tests/implementations.py`, also asked single rows."""

    def answer(problem: Problem) -> Outcome:
        batch = problem.but(
            logits=problem.logits.reshape(-1, problem.classes),
            targets=problem.targets.reshape(-1),
            cotangent=None if problem.cotangent is None else problem.cotangent.reshape(-1),
        )
        got = observe({**RIGHT, **WRONG}[name], batch)
        assert got.grad_logits is not None
        return Answered(got.loss.reshape(problem.batch), got.grad_logits.reshape(problem.logits.shape))

    return answer


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_keep_every_relation(name: str, tmp_path: Path) -> None:
    kept = checked(tmp_path, (BY_LABEL, rowwise(name)))
    assert {relation for _, relation in kept} == {"shift", "classes", "rows", "alone", "padding", "gradient_sum"}
    assert not any(result.broken or result.by_convention for result in kept.values())
    assert all(0 <= result.share <= 1 and result.pairs for result in kept.values())


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("separate_logsumexp", {"shift"}),
        ("drops_the_last_class", {"classes", "gradient_sum"}),
        ("gradient_without_target", {"gradient_sum"}),
        ("ten_bit_logits", {"shift"}),
    ],
)
def test_wrong_functions_break_those_that_they_must(name: str, broken: set[str], tmp_path: Path) -> None:
    kept = checked(tmp_path, (BY_LABEL, rowwise(name)))
    assert {relation for (_, relation), result in kept.items() if result.broken} >= broken
    for result in kept.values():
        assert bool(result.example) == bool(result.broken)
        assert not result.broken or (result.share > 1 and result.why)


def test_declared_differences_do_not_break_a_relation(tmp_path: Path) -> None:
    def dense(problem: Problem) -> Outcome:
        """As TensorFlow has it: softmax - q; these targets need not sum to 1."""
        x, q = problem.logits.astype(np.float64), problem.targets.astype(np.float64)
        d = x - x.max(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            nats = np.log(np.exp(d).sum(axis=-1, keepdims=True)) - d
            loss = (q * nats).sum(axis=-1)  # 0 * inf
        upstream = 1.0 if problem.cotangent is None else problem.cotangent.astype(np.float64)[..., None]
        return Answered(loss.astype(np.float32), (upstream * (np.exp(-nats) - q)).astype(np.float32))

    own = PORTABLE.but(zero_times_infinity="nan", soft_target_gradient="plain")
    kept = checked(tmp_path, (BY_LABEL, rowwise("in_float64")), (replace(BY_PROBABILITY, convention=own), dense))
    assert not any(result.broken for result in kept.values())
    padding = kept[BY_PROBABILITY.id, "padding"]
    assert (padding.by_convention, padding.why) == (padding.pairs, ("convention:zero_times_infinity=nan",))
    assert kept[BY_LABEL.id, "one_hot"].pairs == 1
    assert kept[BY_PROBABILITY.id, "gradient_sum"].pairs


def test_a_function_that_only_gives_a_mean_is_asked_the_same_rows_of_each_form() -> None:
    mean = subject(PORTABLE.but(default_reduction="mean"), options=frozenset(), reductions=("mean",))
    stored = {p.id: p for p in problems([mean], profile="quick", dtypes=["float32"]) if p.family == "relations"}
    found = {
        name
        for problem in stored.values()
        for name, relation in RELATIONS.items()
        for image in relation.images(problem)
        if image.problem.id in stored and image.problem.id != problem.id
    }
    assert {"shift", "classes"} <= found


def related(function: str, **more: object) -> Related:
    fields = {
        "relation": "shift",
        "pairs": 4,
        "identical": 2,
        "broken": 0,
        "by_convention": 0,
        "share": 0.25,
        "ulps": 3,
    }
    return Related(subject=f"torch:{function}@cpu", **{**fields, **more})  # type: ignore[arg-type]


MANY = [
    related("kept"),
    related("broken", broken=1, share=7.0, ulps=9.0, why=(Cause("separate_logsumexp"),), example=("p1", "p2")),
    related("endless", broken=1, share=float("inf"), ulps=float("inf"), why=(Cause("lost"),), example=("p3", "p4")),
    related(
        "unlike", by_convention=4, identical=0, share=0.0, ulps=0.0, why=(Cause("convention:wide_inputs=narrowed"),)
    ),
]


def test_a_relation_lists_functions_that_keep_it_break_it_or_differ_by_convention() -> None:
    (line,) = lines(MANY)
    for words in (
        "a number added to all logits changes nothing",
        "holds bitwise in 2 of 4 pairs, else within 0.25x both error budgets, 3 ulps of the loss",
        "VIOLATED by up to 9 ulps of the loss",
        "problems p1 and p2): torch: broken on cpu",
        "differs by convention wide_inputs = narrowed: torch: unlike on cpu",
    ):
        assert words in line
    kept, broken = brief(
        [MANY[0], related("kept", relation="rows", share=0.5), related("x", relation="classes", broken=1)]
    )
    assert kept.startswith("relations that hold between its results, within 0.5x both error budgets")
    assert "the order of the classes" in broken


def test_every_report_shows_them_and_json_has_no_infinity() -> None:
    summary = Summary()
    for event in MANY:
        summary.add(event)
    assert json.loads(json.dumps(serialize.as_dict(summary), allow_nan=False))["relations"][1]["ulps"] == "infinite"
    assert "a number added to all logits changes nothing" in report.render(summary)
    assert "a number added to all logits changes nothing" in markdown.text(summary)
    assert grid(MANY)[1][0] == ("torch:broken@cpu", ["violated, 9 ulps"])
