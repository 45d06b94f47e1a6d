"""Repetition: it finds the results that depend on the process, on earlier calls or on chance, and no others."""

from __future__ import annotations

import numpy as np
from fakes import FakeJudge, FakePool, answer, problem, specs, subject

from logitmus.core.events import BackendFailed, Repeated
from logitmus.core.observation import Answered, NotRun, Raised
from logitmus.core.run_settings import RunSettings
from logitmus.engine.run import judge_run, run
from logitmus.storage.store import Store

PROBLEMS = [problem(seed) for seed in range(6)]
FLAKY = PROBLEMS[2].id


class Processes:
    """Makes pools, each of which stands for new processes; `answer` gets the number of the process, from 0."""

    def __init__(self, answer, interrupt=None):
        self.pools, self._answer, self._interrupt = [], answer, interrupt

    def __call__(self, requested, limits, jobs):
        number = len(self.pools)
        interrupt = self._interrupt if number == 1 else None
        pool = FakePool({"one": [subject("f", "one")]}, interrupt, lambda p, s: self._answer(number, p, s))
        self.pools.append(pool)
        return pool(requested, limits, jobs)


def repeated(path, processes, *, times=1):
    opened = Store.open(path, write=True) if path.exists() else Store.create(path, settings=RunSettings(repeat=times))
    with opened as store:
        found = list(run(PROBLEMS, specs("one"), store, pool=processes, judge=FakeJudge()))
        again = list(judge_run(store, judge=FakeJudge()))
    results = [event for event in found if isinstance(event, Repeated)]
    assert results == [event for event in again if isinstance(event, Repeated)]  # the file says the same
    return {event.new_process: event for event in results}


def judged_as_interrupted(path):
    with Store.open(path) as store:
        *_, end = judge_run(store, judge=FakeJudge())
    return end.interrupted


def test_a_function_that_always_gives_the_same_bits_is_reproducible(tmp_path):
    processes = Processes(lambda _, problem, name: answer(problem, name))
    found = repeated(tmp_path / "run", processes, times=2)
    assert [(event.calls, event.changed) for event in found.values()] == [(12, 0), (12, 0)]
    assert len(processes.pools) == 3  # a new one for each repetition
    first, again = (pool.asked for pool in processes.pools[:2])
    assert sorted(first[:6]) == sorted(again)
    assert first[:6] != again  # in another order


def test_bits_that_depend_on_the_process_differ_in_a_new_process_only(tmp_path):
    def by_process(number, problem, name):
        loss = answer(problem, name).loss
        return Answered(np.nextafter(loss, np.float32(np.inf)) if number and problem.id == FLAKY else loss)

    found = repeated(tmp_path / "run", Processes(by_process))
    assert found[False].changed == 0
    assert (found[True].changed, found[True].ulps, found[True].example) == (1, 1, FLAKY)


def test_an_exception_that_comes_and_goes_is_named(tmp_path):
    calls: set[str] = set()

    def at_first_only(_, problem, name):
        if problem.id == FLAKY and problem.id in calls:
            return Raised("RuntimeError", "busy")
        calls.add(problem.id)
        return answer(problem, name)

    found = repeated(tmp_path / "run", Processes(at_first_only))
    assert found[False].other == {"answered -> raised runtimeerror": 1}
    assert (found[False].ulps, found[False].example) == (0, FLAKY)


def test_an_interrupted_repetition_is_resumed(tmp_path):
    def steady(_, problem, name):
        return answer(problem, name)

    found = repeated(tmp_path / "run", Processes(steady, interrupt=2))
    assert [(event.calls, event.missing) for event in found.values()] == [(6, 0), (2, 4)]
    assert judged_as_interrupted(tmp_path / "run")
    resumed = Processes(steady)
    found = repeated(tmp_path / "run", resumed)
    assert [(event.calls, event.missing) for event in found.values()] == [(6, 0), (6, 0)]
    assert [len(pool.asked) for pool in resumed.pools] == [0, 4]
    assert not judged_as_interrupted(tmp_path / "run")


def test_a_run_that_ends_before_its_first_repetition_lacks_all_of_them(tmp_path):
    with Store.create(tmp_path / "run", settings=RunSettings(repeat=2)) as store:
        pool = FakePool({"one": [subject("f", "one")]}, interrupt=len(PROBLEMS))
        found = list(run(PROBLEMS, specs("one"), store, pool=pool, judge=FakeJudge()))
        assert [(event.calls, event.missing) for event in found if isinstance(event, Repeated)] == [(0, 12), (0, 12)]
    assert judged_as_interrupted(tmp_path / "run")


def test_a_repeated_call_that_was_not_made_is_no_other_result_and_is_made_when_resumed(tmp_path):
    def lost(number, problem, name):
        gave_up = number and problem.id == FLAKY
        return NotRun("no worker is left", given_up=True) if gave_up else answer(problem, name)

    found = repeated(tmp_path / "run", Processes(lost))
    assert [(event.calls, event.changed, event.missing) for event in found.values()] == [(6, 0, 0), (5, 0, 1)]
    assert not judged_as_interrupted(tmp_path / "run")
    found = repeated(tmp_path / "run", Processes(lambda _, problem, name: answer(problem, name)))
    assert [(event.calls, event.changed) for event in found.values()] == [(6, 0), (6, 0)]


def test_a_backend_that_cannot_start_again_has_failed_in_the_file_too(tmp_path):
    failure = BackendFailed("one", "no memory", "")

    class FailsAgain(FakePool):
        def run(self, plan):
            yield failure

    pools = iter([FakePool({"one": [subject("f", "one")]}), FailsAgain({"one": [subject("f", "one")]})])

    def pool(*given):
        return next(pools)(*given)

    with Store.create(tmp_path / "run", settings=RunSettings(repeat=1)) as store:
        made = run(PROBLEMS, specs("one"), store, pool=pool, judge=FakeJudge())
        assert failure in list(made)
        again = list(judge_run(store, judge=FakeJudge()))
    assert failure in again
    assert not again[-1].interrupted
    assert [event.missing for event in again if isinstance(event, Repeated)] == [0, 6]
