"""The pool against workers that go wrong: only the guilty item is lost, and no process is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from logitmus.core.events import BackendFailed
from logitmus.core.observation import Answered, Crashed, Garbled, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.limits import Limits
from logitmus.execution.pool import Ask, BatchEnded, Observed, Pool, Ready, Waiting

WORKERS = Path(__file__).parent.parent / "support" / "workers"
SUBJECT = "minimal:cross_entropy@cpu"
QUICK = Limits(start_seconds=20, compile_seconds=20, call_seconds=20, line_bytes=1 << 22, memory_bytes=1 << 30)


def worker(mode: str, *arguments: str) -> registry.BackendSpec:
    return registry.BackendSpec(name="", command=(sys.executable, str(WORKERS / "bad.py"), mode, *arguments))


def problem(first: float = 0.0, *, rows: int = 2) -> Problem:
    logits = np.zeros((rows, 3), np.float32)
    logits[0, 0] = first
    return Problem(logits=logits, targets=np.zeros(rows, np.int64))


def questions(count: int = 9, guilty: tuple[int, ...] = (4,)) -> list[Problem]:
    """`count` problems; the guilty ones make a bad worker go wrong. All of one signature."""
    return [problem(666.0 if i in guilty else i) for i in range(count)]


def run(spec: registry.BackendSpec, problems: list[Problem], limits: Limits = QUICK) -> list[Outcome]:
    """The outcomes in the order of the problems; every problem has exactly one outcome."""
    with Pool([spec], limits, jobs=1) as pool:
        events = list(pool.run(lambda _: (Ask(p, (SUBJECT,)) for p in problems)))
    observed = [event for event in events if isinstance(event, Observed)]
    assert [o.problem for o in observed] == problems
    return [o.observation.outcome for o in observed]


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []


def test_a_good_worker_answers_everything_exactly() -> None:
    outcomes = run(worker("good"), questions())
    for i, outcome in enumerate(outcomes):
        assert isinstance(outcome, Answered)
        first = 666.0 if i == 4 else float(i)
        assert outcome.loss.dtype == np.float32
        assert outcome.loss.shape == (2,)
        assert outcome.loss[0] == np.float32(np.log(np.exp(-first) * 2 + 1))
        assert outcome.grad_logits is not None
        assert outcome.grad_logits.shape == (2, 3)


def test_the_caller_can_do_other_work_during_a_long_call() -> None:
    with Pool([worker("hangs")], replace(QUICK, compile_seconds=1.0, call_seconds=1.0), jobs=1) as pool:
        events = list(pool.run(lambda _: (Ask(p, (SUBJECT,)) for p in questions(2, guilty=(1,)))))
    (lost,) = [n for n, event in enumerate(events) if isinstance(event, Observed) and event.problem == problem(666.0)]
    assert any(isinstance(event, Waiting) for event in events[:lost])
    assert isinstance(events[lost].observation.outcome, TimedOut)


@pytest.mark.parametrize(
    ("mode", "kind", "says"),
    [
        ("dies", Crashed, "SIGSEGV"),
        ("exits", Crashed, "exit status 3"),
        ("floods_stdout", Garbled, "malformed"),
        ("garbage", Garbled, "Epoch 1/10"),
        ("not_utf8", Garbled, "xff"),
        ("deeply_nested", Garbled, "[[["),
        ("wrong_id", Garbled, "00000000"),
        ("wrong_subject", Garbled, "something_else"),
        ("wrong_shape", Garbled, "loss: shape (7, 7) of float32 has 196 bytes; got 8"),
        ("negative_shape", Garbled, "shape"),
        ("impossible_shape", Garbled, "loss: shape"),
        ("wrong_gradient_shape", Garbled, "grad_logits: shape (3, 2)"),
        ("unknown_dtype", Garbled, "dtype 'object'"),
        ("not_base64", Garbled, "base64"),
        ("claims_to_have_crashed", Garbled, "outcome.kind"),
        ("skips", Garbled, "answered"),
        ("closes_stdout", Garbled, "closed its standard output"),
        ("cuts_off", Garbled, "cut off after 40 bytes"),
        ("huge_line", Garbled, "a line of more than 4194304 bytes"),
    ],
)
def test_only_the_guilty_item_is_lost(mode: str, kind: type, says: str) -> None:
    outcomes = run(worker(mode), questions())
    assert isinstance(outcomes[4], kind), outcomes[4]
    assert says.lower() in str(outcomes[4]).lower()
    assert [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Answered)] == [4]


def test_a_crash_keeps_its_last_words() -> None:
    outcome = run(worker("exits"), questions(1, guilty=(0,)))[0]
    assert isinstance(outcome, Crashed)
    assert outcome.stderr.splitlines()[-1] == "out of ideas"


@pytest.mark.parametrize("mode", ["hangs", "hangs_with_child"])
def test_a_hang_is_killed_after_its_limit_and_costs_only_itself(mode: str) -> None:
    limits = Limits(compile_seconds=20, call_seconds=0.3)
    outcomes = run(worker(mode), questions(), limits)
    assert outcomes[4] == TimedOut(0.3)
    assert [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Answered)] == [4]


def test_the_first_call_of_a_signature_has_the_longer_limit() -> None:
    limits = Limits(compile_seconds=0.7, call_seconds=0.1)
    assert run(worker("hangs"), [problem(1.0), problem(666.0, rows=5)], limits)[1] == TimedOut(0.7)


def test_a_leak_is_out_of_memory() -> None:
    limits = Limits(memory_bytes=300 << 20)
    outcomes = run(worker("leaks"), questions(), limits)
    assert outcomes[4] == OutOfMemory(300 << 20)
    assert sum(isinstance(outcome, Answered) for outcome in outcomes) == 8


def test_a_flood_on_stderr_harms_nothing() -> None:
    assert all(isinstance(outcome, Answered) for outcome in run(worker("floods_stderr"), questions()))


def test_an_answer_too_many_costs_the_next_item() -> None:
    outcomes = run(worker("answers_twice"), questions())
    assert [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Answered)] == [5]


def test_a_poisoned_context_keeps_its_observation_and_loses_its_worker() -> None:
    spec = worker("poisoned")
    problems = questions(6, guilty=(1, 2))
    with Pool([spec], QUICK, jobs=1) as pool:
        seen = [e for e in pool.run(lambda _: [Ask(p, (SUBJECT,)) for p in problems]) if isinstance(e, Observed)]
    assert [isinstance(e.observation.outcome, Raised) for e in seen] == [False, True, True, False, False, False]
    assert [e.first for e in seen] == [True, False, True, True, False, False]  # a new process compiles anew


def test_a_function_that_fails_so_in_every_context_is_not_restarted_for_each_call() -> None:
    problems = questions(12, guilty=range(12))
    with Pool([worker("poisoned")], QUICK, jobs=1) as pool:
        seen = [e for e in pool.run(lambda _: [Ask(p, (SUBJECT,)) for p in problems]) if isinstance(e, Observed)]
    assert all(isinstance(e.observation.outcome, Raised) for e in seen)
    assert [e.first for e in seen] == [True] * 3 + [False] * 9  # three processes


def test_many_losses_across_batches_keep_the_order() -> None:
    guilty = (0, 1, 63, 64, 65, 130, 199)
    outcomes = run(worker("exits"), questions(200, guilty))
    assert tuple(i for i, outcome in enumerate(outcomes) if isinstance(outcome, Crashed)) == guilty
    assert sum(isinstance(outcome, Answered) for outcome in outcomes) == 200 - len(guilty)


def test_it_gives_up_after_too_many_losses_in_a_row() -> None:
    outcomes = run(worker("dies_always"), questions(6), Limits(give_up_after=3))
    assert [type(outcome) for outcome in outcomes] == [Crashed] * 3 + [NotRun] * 3
    assert outcomes[3] == NotRun("gave up after 3 workers in a row were lost without an answer", given_up=True)


@pytest.mark.parametrize(
    ("mode", "reason", "hint"),
    [
        ("dies_at_start", "exit status 1: libfoo.so.1: cannot open", ""),
        ("hangs_at_start", "no output for 0.5 s", ""),
        ("refuses", "no licence", "buy one"),
        ("old_protocol", "it speaks protocol 0, this logitmus speaks 1", ""),
        ("babbles_at_start", "Welcome!", ""),
    ],
)
def test_a_backend_that_cannot_start_is_reported(mode: str, reason: str, hint: str) -> None:
    with Pool([worker(mode)], Limits(start_seconds=0.5 if mode == "hangs_at_start" else 20)) as pool:
        (failed,) = pool.describe()
        assert list(pool.run(lambda _: pytest.fail("there is nothing to plan for"))) == []
    assert isinstance(failed, BackendFailed)
    assert reason in failed.reason
    assert failed.hint == hint


def test_a_death_at_start_is_retried_once(tmp_path: Path) -> None:
    with Pool([worker("dies_at_first_start", str(tmp_path / "tried"))]) as pool:
        (ready,) = pool.describe()
    assert isinstance(ready, Ready)


def test_a_failed_replacement_leaves_the_rest_not_run(tmp_path: Path) -> None:
    program = tmp_path / "once"
    program.write_text(f"#!/bin/sh\nmv {program} {program}.gone; exec {sys.executable} {WORKERS / 'bad.py'} exits\n")
    program.chmod(0o755)
    with Pool([registry.parse(f"cmd:{program}")], QUICK) as pool:
        events = list(pool.run(lambda _: [Ask(p, (SUBJECT,)) for p in questions(4, guilty=(1,))]))
    failed = [event for event in events if isinstance(event, BackendFailed)]
    outcomes = [event.observation.outcome for event in events if isinstance(event, Observed)]
    assert len(failed) == 1
    assert "cannot be run" in failed[0].reason
    assert [type(outcome) for outcome in outcomes] == [Answered, Crashed, NotRun, NotRun]


def test_children_of_a_dead_worker_die_too(tmp_path: Path) -> None:
    outcomes = run(worker("dies_leaving_child", str(tmp_path / "child")), questions(2, guilty=(0,)))
    assert isinstance(outcomes[0], Crashed)
    assert _gone(int((tmp_path / "child").read_text()))


def test_lines_far_larger_than_a_pipe() -> None:
    rng = np.random.default_rng(0)
    problems = [
        Problem(logits=rng.normal(size=(4, 50_000)), targets=np.arange(4)),
        Problem(logits=rng.normal(size=(4, 50_001)), targets=np.arange(4)),
        Problem(logits=rng.normal(size=(4, 50_002)), targets=np.arange(4)),
    ]
    outcomes = run(worker("good"), problems, Limits())
    assert all(isinstance(outcome, Answered) for outcome in outcomes)


def test_two_backends_under_names_of_their_own_side_by_side() -> None:
    minimal = f"cmd:{sys.executable} {WORKERS / 'minimal.py'}"
    with Pool([registry.parse(f"old={minimal}"), registry.parse(f"new={minimal}")]) as pool:
        ready = [answer for answer in pool.describe() if isinstance(answer, Ready)]
        events = list(pool.run(lambda subjects: [Ask(problem(1.0), tuple(s.id for s in subjects))]))
    assert [r.subjects[0].id for r in ready] == ["old:cross_entropy@cpu", "new:cross_entropy@cpu"]
    assert ready[0].environment == {"packages": {"minimal": "1.0"}}
    observed = {e.observation.subject: e.observation.outcome for e in events if isinstance(e, Observed)}
    assert set(observed) == {"old:cross_entropy@cpu", "new:cross_entropy@cpu"}
    assert all(isinstance(outcome, Answered) for outcome in observed.values())
    assert sum(isinstance(event, BatchEnded) for event in events) == 2


def test_a_worker_without_work_is_kept_for_the_next_run() -> None:
    """A check runs its function alone first, and then beside its reference."""
    with Pool([worker("good")], QUICK) as pool:
        list(pool.describe())
        (described,) = psutil.Process().children()
        assert not [event for event in pool.run(lambda _: ()) if isinstance(event, Observed)]
        assert [event for event in pool.ask([(problem(), SUBJECT)]) if isinstance(event, Observed)]
        assert psutil.Process().children() == [described]


def test_two_backends_that_offer_the_same_subject_are_refused() -> None:
    with Pool([worker("good"), worker("good", "again")]) as pool:
        answers = list(pool.describe())
    assert isinstance(answers[0], Ready)
    assert isinstance(answers[1], BackendFailed)
    assert "NAME=" in answers[1].hint


def test_an_error_in_the_plan_reaches_the_caller_and_ends_every_worker() -> None:
    def plan(_: object) -> Iterator[Ask]:
        yield Ask(problem(), (SUBJECT,))
        raise RuntimeError("the plan is broken")

    with Pool([worker("good")]) as pool, pytest.raises(RuntimeError, match="the plan is broken"):
        list(pool.run(plan))


def test_a_reader_that_leaves_early_ends_every_worker() -> None:
    with Pool([worker("hangs")]) as pool:
        for event in pool.run(lambda _: [Ask(p, (SUBJECT,)) for p in questions()]):
            assert isinstance(event, Observed)
            break


def test_a_plan_is_consumed_lazily() -> None:
    drawn = 0

    def plan(_: object) -> Iterator[Ask]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Ask(problem(float(drawn)), (SUBJECT,))

    with Pool([worker("good")]) as pool:
        events = pool.run(plan)
        for _ in range(10):
            next(events)
        time.sleep(0.3)
        assert drawn < 5000
        events.close()


HARNESS = """
import sys, time
sys.path.insert(0, sys.argv[1])
import psutil
import test_pool as t

def plan(subjects):
    for p in t.questions():
        yield t.Ask(p, tuple(s.id for s in subjects))

with t.Pool([getattr(t, sys.argv[2])(sys.argv[3])], t.Limits(call_seconds=60)) as pool:
    list(pool.describe())
    print(psutil.Process().children()[0].pid, flush=True)
    if sys.argv[4] == "run":
        for event in pool.run(plan):
            print(type(event).__name__, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("end", "mode", "doing"),
    [(signal.SIGINT, "hangs", "run"), (signal.SIGINT, "good", "nothing"), (signal.SIGKILL, "good", "nothing")],
)
def test_no_worker_outlives_the_harness(end: signal.Signals, mode: str, doing: str) -> None:
    """Ctrl-C is answered at once, though a worker hangs; after a SIGKILL the workers read the end of their input."""
    assert _gone(_worker_of_an_ended_harness(end, "worker", mode, doing))


def test_ctrl_c_does_not_wait_for_a_start() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_pool as t\n"
        "with t.Pool([t.worker('good'), t.worker('hangs_at_start'), t.worker('good', 'more')], jobs=2) as pool:\n"
        "    for ready in pool.describe(): print(ready.spec.label, flush=True)\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert harness.stdout is not None
    with harness.stdout:
        assert harness.stdout.readline()
        time.sleep(0.3)
        harness.send_signal(signal.SIGINT)
        assert harness.wait(5) == -signal.SIGINT


def _worker_of_an_ended_harness(end: signal.Signals, *arguments: str) -> int:
    """The process id of the worker of a harness that got the signal `end` in the middle of its work."""
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(Path(__file__).parent), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert harness.stdout is not None
    with harness.stdout:
        pid = int(harness.stdout.readline())
        if arguments[-1] == "run":
            assert harness.stdout.readline() == b"Observed\n"
        harness.send_signal(end)
        assert harness.wait(10) != 0
    return pid


def _gone(pid: int) -> bool:
    return _within(5, lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_pipes_are_closed() -> None:
    run(worker("exits"), questions(4))
    before = psutil.Process().num_fds()
    run(worker("exits"), questions(30, guilty=tuple(range(0, 30, 3))))
    assert psutil.Process().num_fds() <= before


def test_hangs_are_waited_for_only_so_long_in_all() -> None:
    limits = Limits(compile_seconds=0.3, call_seconds=0.3, lost_seconds=0.5)
    outcomes = run(worker("hangs"), [problem(666.0), problem(1.0), problem(666.0), problem(2.0)], limits)
    assert outcomes[0] == TimedOut(0.3)
    assert isinstance(outcomes[-1], NotRun)
    assert "were lost on workers that hung or died" in outcomes[-1].reason


def test_a_first_call_is_waited_for_no_longer_than_others_took() -> None:
    limits = Limits(compile_seconds=20.0, call_seconds=0.4, patience=2.0)
    problems = [problem(1.0, rows=1), problem(1.0, rows=2), problem(666.0, rows=5)]
    assert run(worker("hangs"), problems, limits)[2] == TimedOut(0.4)
