"""Shards: parts of a suite that are merged into the file of the whole run, to the bit."""

from __future__ import annotations

import pytest
from fakes import FakeJudge, FakePool, answer, problem, specs, subject

from logitmus.cases.suite import suite
from logitmus.core.events import BackendFailed, BackendReady
from logitmus.core.observation import Observation, Raised
from logitmus.core.run_settings import RunSettings, Shard
from logitmus.core.subject import Offer
from logitmus.engine.run import run
from logitmus.storage.merge import by_environment, merge
from logitmus.storage.repeats import Repetition
from logitmus.storage.store import Store, StoreError

OFFER = Offer(targets="labels", reductions=("none", "sum", "mean"))
SUBJECTS = {"one": [subject("f", "one", offer=OFFER), subject("g", "one", offer=OFFER)]}
PROBLEMS = [
    problem(seed, dtype, reduction=("none", "sum", "mean")[seed % 3])
    for seed in range(12)
    for dtype in ("float32", "float64", "float16")
]


def make(path, shard=None, *, problems=PROBLEMS, pool=None, **settings):
    with Store.create(path, settings=RunSettings(shard=shard, **settings)) as store:
        list(run(problems, specs("one"), store, pool=pool or FakePool(SUBJECTS), judge=FakeJudge()))
    return path


def shards(folder, count=3, **more):
    return [make(folder / f"{n}-of-{count}", Shard(number=n, count=count), **more) for n in range(1, count + 1)]


def held(path):
    """All that a judge reads: problems in their order, outcomes to the bit."""
    with Store.open(path) as store:
        return [(identity, store.raw_outcomes(identity)) for identity in store.problem_ids()]


def test_every_problem_of_the_suite_is_in_exactly_one_shard_and_stays_there():
    problems = list({p.id: p for p in suite("default", seed=0)}.values())
    parts = [Shard(number=n, count=5) for n in range(1, 6)]
    sizes = [sum(part.includes(p) for p in problems) for part in parts]
    assert sum(sizes) == len(problems)
    assert max(sizes) <= 0.3 * len(problems)
    # Other problems do not matter: membership follows from the problem alone, today as in every later version.
    assert [n for n, part in enumerate(parts, 1) if part.includes(PROBLEMS[0])] == [2]


def test_merged_shards_hold_what_the_whole_run_holds_in_its_order(tmp_path):
    whole = make(tmp_path / "whole")
    parts = shards(tmp_path)
    assert all(0 < len(held(part)) < len(PROBLEMS) for part in parts)
    assert merge(parts[::-1], tmp_path / "all") == 2 * len(PROBLEMS)
    assert held(tmp_path / "all") == held(whole)
    with Store.open(tmp_path / "all") as merged, Store.open(whole) as undisturbed:
        assert merged.settings == undisturbed.settings


def test_what_a_shard_could_not_finish_is_done_when_the_merged_run_is_resumed(tmp_path):
    whole = make(tmp_path / "whole")
    parts = [make(tmp_path / str(n), Shard(number=n, count=2), pool=FakePool(SUBJECTS, interrupt=3)) for n in (1, 2)]
    merge(parts, tmp_path / "all")
    pool = FakePool(SUBJECTS)
    with Store.open(tmp_path / "all", write=True) as store:
        assert len(store) < 2 * len(PROBLEMS)
        list(run(PROBLEMS, specs("one"), store, pool=pool, judge=FakeJudge()))
    assert 0 < len(pool.asked) < 2 * len(PROBLEMS)
    assert held(tmp_path / "all") == held(whole)


def test_what_is_not_the_shards_of_one_run_is_refused_with_its_name(tmp_path):
    first, second, third = shards(tmp_path)
    whole, other = make(tmp_path / "whole"), make(tmp_path / "other", Shard(number=2, count=3), seed=5)
    of_two = make(tmp_path / "of_two", Shard(number=2, count=2))
    refused = {
        (first, third): "shard 2/3 is not given",
        (first, second, second): "shard 2/3 again",
        (first, whole, third): "whole: a whole run",
        (first, other, third): "other: shard 2/3 of another run .* seed = 5, not 0",
        (first, of_two, third): "2 shards, not 3",
    }
    for paths, seen in refused.items():
        with pytest.raises(StoreError, match=seen):
            merge(paths, tmp_path / "all")
        assert not (tmp_path / "all").exists()


def test_a_shard_that_has_no_problems_yet_is_refused(tmp_path):
    """The merged run would be taken for complete without them, and could not be resumed."""
    first, second = shards(tmp_path, 2)
    first.unlink()
    Store.create(first, settings=RunSettings(shard=Shard(number=1, count=2))).close()
    with pytest.raises(StoreError, match=r"1-of-2: shard 1/2, interrupted before it had any problem.*merge again"):
        merge([first, second], tmp_path / "all")
    with Store.open(first, write=True) as store:
        list(run(PROBLEMS, specs("one"), store, pool=FakePool(SUBJECTS), judge=FakeJudge()))
    assert merge([first, second], tmp_path / "all") == 2 * len(PROBLEMS)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_failure_of_a_backend_in_any_part_stays(order, tmp_path):
    parts = shards(tmp_path)
    with Store.open(parts[0], write=True) as store:
        store.add_backend(BackendFailed("one", "it crashed", ""))
    merge([parts[n] for n in order], tmp_path / "all")
    with Store.open(tmp_path / "all") as merged:
        assert BackendFailed("one", "it crashed", "") in merged.backends()


def test_a_union_keeps_every_repeated_call_that_differs(tmp_path):
    steady, flaky = (make(tmp_path / name, repeat=1) for name in ("steady", "flaky"))
    with Store.open(flaky, write=True) as store:
        call = Observation("one:f@cpu", PROBLEMS[0].id, Raised("RuntimeError", "busy"))
        store.add_repeat(call, Repetition(number=2, new_process=False))
    with Store.open(steady, write=True) as store:
        call = Observation("one:f@cpu", PROBLEMS[0].id, answer(PROBLEMS[0], "one:f@cpu"))
        store.add_repeat(call, Repetition(number=2, new_process=False))
    for parts in ([steady, flaky], [flaky, steady], [steady, flaky, flaky, steady]):
        out = tmp_path / "-".join(part.name for part in parts)
        merge(parts, out)
        with Store.open(out) as merged:
            assert merged.repeats.changed() == [("one:f@cpu", False, PROBLEMS[0].id)]
            assert merged.repeats.counts()["one:f@cpu", False] == len(PROBLEMS) + 2


def test_shards_of_other_suites_are_refused(tmp_path):
    first = make(tmp_path / "first", Shard(number=1, count=2))
    second = make(tmp_path / "second", Shard(number=2, count=2), problems=PROBLEMS[::-1])
    with pytest.raises(StoreError, match=r"has place \d+ of the suite.*same version"):
        merge([first, second], tmp_path / "all")


def test_versions_are_not_mixed_but_can_be_kept_apart(tmp_path):
    def of_version(name, version):
        path = make(tmp_path / name)
        with Store.open(path, write=True) as store:
            store.add_backend(BackendReady("one", tuple(SUBJECTS["one"]), {"packages": {"Fake.Pkg": version}}, 0))
        return path

    old, new, again = of_version("a", "1"), of_version("b", "2"), of_version("c", "1")
    with pytest.raises(StoreError, match=r"one with fake-pkg 2, the runs before it with 1.*--by-environment"):
        merge([old, new], tmp_path / "all")
    assert by_environment([old, new, again]) == [[old, again], [new]]
    with Store.create(tmp_path / "other backend") as store:
        store.add_backend(BackendReady("two", (), {"packages": {"other": "1"}}, 0))
    other = tmp_path / "other backend"  # goes with any of them, and does not make them alike
    assert by_environment([other, old, new, again]) == [[other, old, again], [new]]
