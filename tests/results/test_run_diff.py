"""Comparing runs: only the common calls, to the ulp, in groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes import FakeJudge, FakePool, answer, problem, specs, subject

from logitmus.core.convention import Convention
from logitmus.core.finding import Grade
from logitmus.core.observation import Answered, NotRun, Raised
from logitmus.engine.run import judge_run, run
from logitmus.results.run_changes import EnvironmentChange
from logitmus.results.run_diff import Comparing, compare
from logitmus.storage.store import Store

PROBLEMS = [problem(seed) for seed in range(4)]


def even(*_):
    return Answered(np.array([2, 4, 6, 8], np.float32))


@pytest.fixture
def compared(tmp_path):
    number = itertools.count()

    def build(old=even, new=even, *, problems=(PROBLEMS, PROBLEMS), subjects=(("f",), ("f",)), version="1"):
        stores = []
        for name, answers, requested, functions in zip("ab", (old, new), problems, subjects, strict=True):
            pool = FakePool({"fake": [subject(f) for f in functions]}, answer=answers)
            pool.environment = {"packages": {"fake": version if name == "b" else "1"}}
            stores.append(Store.create(tmp_path / f"{next(number)}-{name}"))
            list(run(requested, specs("fake"), stores[-1], pool=pool, judge=FakeJudge()))
        result = compare(*stores, judge=FakeJudge())
        for store in stores:
            store.close()
        return result

    return build


def test_a_run_is_the_same_as_itself(compared):
    result = compared(answer, answer)
    assert result.same
    assert (result.problems, result.pairs, result.environment) == (4, 4, ())


def test_versions_that_differ_are_reported_and_are_no_difference_of_results(compared):
    result = compared(version="2")
    assert result.environment == (EnvironmentChange(where="fake", name="fake", before="1", after="2", own=True),)
    assert result.same


def test_bits_that_changed_are_counted_in_ulps_with_the_worst_problem(compared):
    def later(problem, name):
        steps = PROBLEMS.index(problem)  # the first problem stays as it was
        loss = even().loss.copy()
        loss[1] = (loss[1:2].view(np.int32) + steps).view(np.float32)[0]
        return Answered(loss)

    (bits,) = compared(new=later).bits
    assert (bits.compared, bits.changed, bits.max_ulps, bits.worst) == (4, 3, 3, PROBLEMS[3].id)
    assert bits.other == {}


@pytest.mark.parametrize(
    ("later", "change"),
    [
        (Raised("ValueError", "no"), "answered -> raised valueerror"),
        (Answered(np.array([2, 4, 6, np.nan], np.float32)), "number -> NaN"),
        (Answered(np.array([2, 4, -np.inf, 8], np.float32)), "number -> -inf"),
        (Answered(even().loss.astype(np.float64)), "dtype"),
        (Answered(even().loss[:2]), "shape"),
        (Answered(even().loss, even().loss), "grad_logits appeared"),
        (Answered(even().loss, written=("logits",)), "inputs written into"),
    ],
)
def test_changes_that_are_no_distance_are_named(compared, later, change):
    (bits,) = compared(new=lambda *_: later).bits
    assert bits.other == {change: 4}
    assert bits.max_ulps == 0


def test_the_sign_of_zero_is_a_change_of_bits(compared):
    zeros = np.zeros(4, np.float32)
    (bits,) = compared(lambda *_: Answered(zeros), lambda *_: Answered(-zeros)).bits
    assert bits.other == {"zero's sign or NaN's bits": 4}


def test_a_changed_warning_is_not_a_change_of_the_result(compared):
    assert compared(new=lambda *_: Answered(even().loss, warnings=("deprecated",))).same


def odd_on(*seeds):
    return lambda problem, _: Answered(np.ones(4, np.float32)) if PROBLEMS.index(problem) in seeds else even()


def test_new_gone_and_changed_findings(compared):
    (found,) = compared(even, odd_on(1, 2)).new
    assert (found.example.cause, found.appeared) == ("odd", (PROBLEMS[1].id, PROBLEMS[2].id))
    result = compared(odd_on(0), even)
    assert (result.new, result.changed) == ((), ())
    assert result.gone[0].vanished == (PROBLEMS[0].id,)


def test_a_finding_on_other_problems_has_changed(compared):
    result = compared(odd_on(0, 1), odd_on(1, 2))
    (found,) = result.changed
    assert (found.appeared, found.vanished, found.stayed) == ((PROBLEMS[2].id,), (PROBLEMS[0].id,), 1)
    assert (result.new, result.gone) == ((), ())


def test_grades_that_moved_the_worsened_first(compared):
    result = compared(odd_on(0), odd_on(1, 2))
    assert [(g.before, g.after, g.problems, g.example) for g in result.grades] == [
        (Grade.A, Grade.F, 2, PROBLEMS[1].id),
        (Grade.F, Grade.A, 1, PROBLEMS[0].id),
    ]


def test_common_calls_are_compared(compared):
    result = compared(even, even, problems=(PROBLEMS[:3], PROBLEMS[1:]), subjects=(("f", "gone"), ("f", "added")))
    assert (result.problems, result.only_before, result.only_after, result.pairs) == (2, 1, 1, 2)
    assert (result.subjects_gone, result.subjects_new) == (("fake:gone@cpu",), ("fake:added@cpu",))
    assert result.same


def test_on_a_call_of_the_later_run_alone_a_finding_is_new_if_its_class_is(compared):
    larger = (PROBLEMS[:3], PROBLEMS)
    (found,) = compared(even, odd_on(3), problems=larger).new
    assert (found.example.subject, found.appeared, found.added) == ("fake:f@cpu", (), (PROBLEMS[3].id,))
    assert compared(odd_on(0), odd_on(0, 3), problems=larger).same
    # The class may be one that only calls of the earlier run alone show.
    assert compared(odd_on(0), odd_on(3), problems=(PROBLEMS[:2], PROBLEMS[1:])).same


def test_a_new_subject_is_measured_by_what_its_backend_shows_already(compared):
    def odd_of(*names):
        return lambda _, name: Answered(np.ones(4, np.float32)) if name in names else even()

    assert compared(odd_of("fake:f@cpu"), odd_of("fake:f@cpu", "fake:g@cpu"), subjects=(("f",), ("f", "g"))).same
    (found,) = compared(even, odd_of("fake:g@cpu"), subjects=(("f",), ("f", "g"))).new
    assert (found.example.subject, len(found.added)) == ("fake:g@cpu", 4)
    # A subject of both runs is measured by what it shows itself.
    kept = {"problems": (PROBLEMS[:2], PROBLEMS), "subjects": (("f", "g"), ("f", "g"))}
    later = lambda p, name: odd_of("fake:f@cpu")(p, name) if p in PROBLEMS[:2] else odd_of("fake:g@cpu")(p, name)  # noqa: E731
    (found,) = compared(odd_of("fake:f@cpu"), later, **kept).new
    assert found.example.subject == "fake:g@cpu"


@pytest.mark.parametrize(("old", "new", "not_made"), [(odd_on(0), "lost", 4), ("lost", odd_on(0), 0)])
def test_a_call_that_was_not_made_is_not_compared(compared, old, new, not_made):
    sides = [(lambda *_: NotRun("the worker was lost")) if side == "lost" else side for side in (old, new)]
    result = compared(*sides)
    assert (result.pairs, result.not_made, result.gone, result.bits, result.grades) == (0, not_made, (), (), ())


def test_comparing_judges_once_what_is_the_same_and_stays_in_batches(tmp_path):
    stores = []
    for name, answers in (("a", even), ("b", odd_on(1))):
        stores.append(Store.create(tmp_path / name))
        pool = FakePool({"fake": [subject("f")]}, answer=answers)
        list(run(PROBLEMS, specs("fake"), stores[-1], pool=pool, judge=FakeJudge()))
    judge, later = FakeJudge(), FakeJudge()
    comparing = Comparing(*stores, judge=judge)
    new = [finding for event in judge_run(stores[1], judge=later) for finding in comparing.observe(event)]
    new += comparing.finish()
    assert judge.judged == [(PROBLEMS[1].id, "fake:f@cpu")]
    result = comparing.comparison()
    assert result == compare(*stores, judge=FakeJudge())
    assert [(finding.key, finding.problem) for finding in new] == [
        (change.example.key, identity) for change in result.appeared for identity in change.appeared
    ]


def test_a_changed_declaration_is_listed_and_judged_anew(tmp_path):
    stores, judge = [], FakeJudge()
    for name, convention in (("a", Convention()), ("b", Convention(mean_denominator="rows"))):
        stores.append(Store.create(tmp_path / name))
        pool = FakePool({"fake": [subject("f", convention=convention)]}, answer=even)
        list(run(PROBLEMS, specs("fake"), stores[-1], pool=pool, judge=FakeJudge()))
    (change,) = compare(*stores, judge=judge).declared
    assert (change.subject, change.field, change.after) == ("fake:f@cpu", "mean_denominator", "rows")
    assert len(judge.judged) == 8
