"""The engine: calls, results and judgements; resumed, undisturbed and re-judged runs agree."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeJudge, FakePool, answer, problem, specs, subject

from logitmus.core.events import BackendFailed, BackendReady, Judged, Progressed, RunFinished, RunStarted
from logitmus.core.finding import Verdict
from logitmus.core.observation import Answered, NotRun
from logitmus.core.subject import Offer
from logitmus.engine.planning import Selection
from logitmus.engine.run import judge_run, run
from logitmus.storage.store import Store, StoreError

PROBLEMS = [problem(seed, reduction=("none", "sum")[seed % 2]) for seed in range(8)]
SUBJECTS = {
    "one": [subject("f", "one"), subject("g", "one", offer=Offer(targets="labels", reductions=("none", "sum")))],
    "two": [subject("f", "two", offer=Offer(targets="probabilities"))],
}
COSTLY = {
    "one": [subject("f", "one"), subject("g", "one", least_profile="default")],
}
ASKED = 8 + 4  # g takes both reductions, f only "none", two:f takes no labels


def events(store, pool, *, names=("one", "two"), requested=PROBLEMS, judge=None, **more):
    return list(run(requested, specs(*names), store, pool=pool, judge=judge or FakeJudge(), **more))


def judged(found):
    """What a reader of the judgements can tell, as a set."""
    return {(e.problem.id, e.judgement) for e in found if isinstance(e, Judged)}


def kept(store):
    """What the file holds, to the bit."""
    return {identity: store.raw_outcomes(identity) for identity in store.problem_ids()}


@pytest.fixture
def undisturbed(tmp_path):
    with Store.create(tmp_path / "undisturbed") as store:
        yield events(store, FakePool(SUBJECTS)), store


def test_every_pair_is_judged_once_and_unsupported_pairs_are_not_run(undisturbed):
    found, _ = undisturbed
    pairs = [(e.problem.id, e.judgement.subject) for e in found if isinstance(e, Judged)]
    assert len(pairs) == len(set(pairs)) == 8 * 3
    not_run = [e for e in found if isinstance(e, Judged) and e.judgement.verdict is Verdict.NOT_RUN]
    assert len(not_run) == 8 * 3 - ASKED
    assert {e.judgement.reason for e in not_run} == {"takes probabilities", "does not offer reduction='sum'"}


def test_the_stream_opens_with_the_plan_and_ends_once(undisturbed):
    found, _ = undisturbed
    assert isinstance(found[0], RunStarted)
    assert found[0].problems == 8
    ready = {e.backend: e.calls for e in found if isinstance(e, BackendReady)}
    assert ready == {"one": ASKED, "two": 0}
    assert [e.answered for e in found if isinstance(e, Progressed) and e.backend == "one"] == list(range(ASKED + 1))
    assert [type(e) for e in found].count(RunFinished) == 1
    assert found[-1].interrupted is False


def test_problems_are_asked_by_signature(tmp_path):
    pool = FakePool(SUBJECTS)
    with Store.create(tmp_path / "run") as store:
        events(store, pool, names=["one"])
    reductions = [next(p.reduction for p in PROBLEMS if p.id == identity) for identity, _ in pool.asked]
    assert reductions == ["none"] * 8 + ["sum"] * 4


@pytest.mark.parametrize("after", [0, 1, 7, ASKED - 1])
def test_an_interrupted_run_resumes_to_the_undisturbed_one(tmp_path, undisturbed, after):
    path = tmp_path / "interrupted"
    with Store.create(path) as store:
        first = FakePool(SUBJECTS, interrupt=after)
        stopped = events(store, first)
    assert stopped[-1].interrupted
    second = FakePool(SUBJECTS)
    with Store.open(path, write=True) as store:
        resumed = events(store, second)
        assert kept(store) == kept(undisturbed[1])
    assert not {*first.asked} & {*second.asked}
    assert len(second.asked) == ASKED - after
    assert judged(resumed) == judged(undisturbed[0])
    assert resumed[-1].resumed == after
    assert [e for e in resumed if isinstance(e, BackendReady)] == [
        e for e in undisturbed[0] if isinstance(e, BackendReady)
    ]


def test_judging_the_file_again_gives_the_same(undisturbed):
    found, store = undisturbed
    again = list(judge_run(store, judge=FakeJudge()))
    assert judged(again) == judged(found)
    assert [e.backend for e in again if isinstance(e, BackendReady)] == ["one", "two"]


def test_judging_a_file_is_in_the_order_of_asking(undisturbed):
    _, store = undisturbed
    order = [(e.problem.id, e.judgement.subject) for e in judge_run(store, judge=FakeJudge()) if isinstance(e, Judged)]
    signatures = list(dict.fromkeys(p.signature for p in PROBLEMS))
    requested = sorted(PROBLEMS, key=lambda p: signatures.index(p.signature))
    assert requested != PROBLEMS
    assert order == [(p.id, s) for p in requested for s in ("one:f@cpu", "one:g@cpu", "two:f@cpu")]


def test_equal_bits_under_equal_declarations_are_judged_once(tmp_path):
    twins = {"one": [subject("f", "one"), subject("h", "one"), subject("k", "one", flushes_subnormals=True)]}
    judge = FakeJudge()
    pool = FakePool(twins, answer=lambda *_: Answered(np.ones(4, np.float32)))
    with Store.create(tmp_path / "run") as store:
        found = events(store, pool, names=["one"], requested=[problem()], judge=judge)
    assert [name for _, name in judge.judged] == ["one:f@cpu", "one:k@cpu"]
    findings = [f for e in found if isinstance(e, Judged) for f in e.judgement.findings]
    assert [f.subject for f in findings] == ["one:f@cpu", "one:h@cpu", "one:k@cpu"]


def test_problems_without_an_answer_are_asked_when_the_run_resumes(tmp_path):
    def sulking(*_):
        return NotRun("gave up")

    with Store.create(tmp_path / "run") as store:
        found = events(store, FakePool(SUBJECTS, answer=sulking), names=["one"])
        assert len(store) == 0
    judgements = [e.judgement for e in found if isinstance(e, Judged)]
    assert {judgement.verdict for judgement in judgements} == {Verdict.NOT_RUN}
    assert [judgement.reason for judgement in judgements].count("gave up") == ASKED
    with Store.open(tmp_path / "run", write=True) as store:
        pool = FakePool(SUBJECTS)
        resumed = events(store, pool, names=["one"])
        assert len(store) == ASKED
    assert len(pool.asked) == ASKED
    assert "gave up" not in [e.judgement.reason for e in resumed if isinstance(e, Judged)]


def test_a_backend_that_cannot_start_does_not_stop_the_others(tmp_path):
    failed = BackendFailed("two", "not installed", "pip install two")
    with Store.create(tmp_path / "run") as store:
        found = events(store, FakePool({**SUBJECTS, "two": failed}))
        assert failed in found
        assert failed in store.backends()
    assert len([e for e in found if isinstance(e, Judged)]) == 8 * 2


@pytest.mark.parametrize(
    ("selection", "subjects"),
    [
        (Selection(subjects=("*:g@*",)), {"one:g@cpu"}),
        (Selection(devices=("cuda*",)), set()),
        (Selection(subjects=("one:f@*", "two:*"), devices=("cpu",)), {"one:f@cpu", "two:f@cpu"}),
    ],
)
def test_a_selection_narrows_the_subjects(tmp_path, selection, subjects):
    with Store.create(tmp_path / "run") as store:
        found = events(store, FakePool(SUBJECTS), selection=selection)
    assert {e.judgement.subject for e in found if isinstance(e, Judged)} == subjects


@pytest.mark.parametrize(
    ("selection", "subjects"),
    [
        (Selection(), {"one:f@cpu", "one:g@cpu"}),
        (Selection(profile="quick"), {"one:f@cpu"}),
        (Selection(profile="full"), {"one:f@cpu", "one:g@cpu"}),
        (Selection(subjects=("one:*",), profile="quick"), {"one:f@cpu", "one:g@cpu"}),
    ],
)
def test_a_profile_leaves_out_what_needs_a_larger_one_unless_it_is_named(tmp_path, selection, subjects):
    with Store.create(tmp_path / "run") as store:
        found = events(store, FakePool(COSTLY), names=("one",), selection=selection)
    assert {e.judgement.subject for e in found if isinstance(e, Judged)} == subjects


def test_a_file_of_other_problems_is_not_resumed(tmp_path):
    with Store.create(tmp_path / "run") as store:
        events(store, FakePool(SUBJECTS))
        with pytest.raises(StoreError, match="holds 8 problems that differ from the 3 requested"):
            events(store, FakePool(SUBJECTS), requested=PROBLEMS[:3])


def test_a_file_of_another_version_is_not_resumed(tmp_path):
    upgraded = FakePool(SUBJECTS)
    upgraded.environment = {"python": {"version": "3"}, "packages": {"fake": "2"}}
    with Store.create(tmp_path / "run") as store:
        events(store, FakePool(SUBJECTS))
        with pytest.raises(StoreError, match=r"was made with fake 1; now it is 2.*logitmus compare"):
            events(store, upgraded)


def test_time_in_calls_and_the_flushing_of_workers_are_kept(undisturbed):
    _, store = undisturbed
    assert sum(first for first, _ in store.call_seconds().values()) == pytest.approx(0.001 * ASKED)
    assert store.flushing() == [("one@cpu", False, False, 1), ("two@cpu", False, False, 1)]


def test_answers_differ_between_subjects():
    """The fake must be able to tell a mix-up of subjects from a right answer."""
    assert answer(PROBLEMS[0], "a").loss[0] != answer(PROBLEMS[0], "bb").loss[0]
