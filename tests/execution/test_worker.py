"""The worker: what it observes of one call, and that nothing a framework prints or breaks reaches the wire."""

from __future__ import annotations

import platform
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
import pytest
from test_pool import WORKERS, _gone

from logitmus.core.events import BackendFailed
from logitmus.core.observation import Answered, Crashed, Garbled, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.execution import launch, registry
from logitmus.execution.limits import Limits
from logitmus.execution.pool import Ask, BatchEnded, Observed, Pool, Ready

PROBLEM = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))


def fake(attribute: str = "FAKE", python: str = "") -> registry.BackendSpec:
    return registry.BackendSpec(name="fake", target=f"fakes:{attribute}", python=python, path=str(WORKERS))


def ask(*functions: str, place: str = "@cpu", limits: Limits | None = None) -> list[Outcome]:
    subjects = tuple(f"fake:{function}{place}" for function in functions)
    with Pool([fake()], limits) as pool:
        events = list(pool.run(lambda mine: [Ask(PROBLEM, subjects)] if subjects[0] in {s.id for s in mine} else []))
    observed = [event.observation for event in events if isinstance(event, Observed)]
    assert tuple(observation.subject for observation in observed) == subjects
    return [observation.outcome for observation in observed]


def test_one_problem_for_several_subjects() -> None:
    for outcome in ask("plain", "prints", "reads_stdin", "plain"):
        assert isinstance(outcome, Answered)
        assert outcome.loss == pytest.approx(0.743668)
        assert outcome.written == outcome.warnings == ()
        assert outcome.grad_logits is not None
        assert outcome.grad_logits.shape == (1, 4)


def test_warnings_are_kept_each_text_once_and_for_their_own_call() -> None:
    warned, plain, again = ask("warns", "plain", "warns")
    assert isinstance(warned, Answered)
    assert isinstance(plain, Answered)
    assert warned.warnings == ("deprecated since 0.7437", "imprecise")
    assert plain.warnings == ()
    assert isinstance(again, Answered)
    assert again.warnings == warned.warnings


def test_writing_into_an_input_is_seen_and_harms_no_later_call() -> None:
    written, later = ask("writes", "plain")
    assert isinstance(written, Answered)
    assert isinstance(later, Answered)
    assert written.written == ("logits",)
    assert later.loss.tobytes() == written.loss.tobytes()


def test_an_exception_is_the_observation() -> None:
    raised, memory, nonsense = ask("raises", "runs_out_of_memory", "returns_nonsense")
    assert isinstance(raised, Raised)
    assert raised.type == "IndexError"
    assert raised.message.startswith("label 3 xxx")
    assert len(raised.message) < 2100
    assert memory == Raised("MemoryError", "1 TiB")
    assert isinstance(nonsense, Garbled)


def test_a_crash_shows_the_stack_and_costs_only_itself() -> None:
    before, crash, after = ask("plain", "segfaults", "plain")
    assert isinstance(crash, Crashed)
    assert crash.status == "SIGSEGV"
    assert "in segfaults" in crash.stderr
    assert isinstance(before, Answered)
    assert isinstance(after, Answered)


def test_a_hang_is_cut_short() -> None:
    hang, after = ask("sleeps", "plain", limits=Limits(compile_seconds=0.5))
    assert hang == TimedOut(0.5)
    assert isinstance(after, Answered)


def test_variants_and_devices_have_processes_of_their_own() -> None:
    def loss(place: str) -> float:
        (outcome,) = ask("tells_variant", place=place)
        assert isinstance(outcome, Answered)
        return float(outcome.loss[0])

    assert [loss(place) for place in ("@cpu", "+long@cpu", "+long@abacus", "@abacus")] == [0, 4, 4, 0]


@pytest.mark.parametrize("function", ["plain", "flushes"])
def test_flush_to_zero_is_measured_before_and_after_each_batch(function: str) -> None:
    with Pool([fake()]) as pool:
        problems = [PROBLEM.but(ignore_index=i) for i in range(100)]
        subjects = (f"fake:{function}@cpu",)
        events = list(
            pool.run(lambda mine: [Ask(p, subjects) for p in problems if subjects[0] in {s.id for s in mine}])
        )
    flushed = [(e.flushes_before, e.flushes_after) for e in events if isinstance(e, BatchEnded)]
    works_here = function == "flushes" and (sys.platform, platform.machine()) == ("linux", "x86_64")
    assert flushed == ([(False, True), (True, True)] if works_here else [(False, False)] * 2)


def test_hello_contains_the_environment() -> None:
    with Pool([fake()]) as pool:
        (ready,) = pool.describe()
    assert isinstance(ready, Ready)
    assert {s.id for s in ready.subjects} >= {"fake:plain@cpu", "fake:plain+long@abacus"}
    assert ready.environment["packages"]["numpy"] == np.__version__
    assert len(ready.environment["packages"]) == len({d.metadata["Name"] for d in metadata.distributions()})
    assert ready.environment["python"]["version"] == platform.python_version()
    assert ready.environment["devices"] == ["cpu", "abacus"]
    assert ready.environment["floating_point"] == {"flush_to_zero": False, "denormals_are_zero": False}


@pytest.mark.parametrize(
    ("attribute", "reason", "hint"),
    [
        ("UNINSTALLED", "No module named 'a_framework_that_nobody_has'", "-m pip install a-framework its-helper"),
        ("MISSING", "module 'fakes' has no attribute 'MISSING'", ""),
        ("NO_BACKEND", "fakes:NO_BACKEND is a int; a backend is a logitmus.core.backend.Backend value", ""),
    ],
)
def test_a_backend_that_cannot_run_fails_with_a_reason(attribute: str, reason: str, hint: str) -> None:
    with Pool([fake(attribute)]) as pool:
        (failed,) = pool.describe()
    assert isinstance(failed, BackendFailed)
    assert reason in failed.reason
    assert failed.hint.endswith(hint)


def test_another_interpreter_needs_nothing_of_logitmus(tmp_path: Path) -> None:
    """An environment of its own, in which `import logitmus` fails; numpy and ml_dtypes are lent to it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    python = tmp_path / "other" / "bin" / "python"
    with Pool([fake(python=str(python))]) as pool:
        (failed,) = pool.describe()
    assert isinstance(failed, BackendFailed)
    assert "No module named " in failed.reason
    assert failed.hint == f"a worker needs numpy and ml_dtypes: {python} -m pip install numpy ml_dtypes"

    site = next((tmp_path / "other").glob("lib/python*/site-packages"))
    for package in ("numpy", "numpy.libs", "ml_dtypes"):
        source = Path(np.__file__).parent.parent / package
        if source.exists():
            (site / package).symlink_to(source)
    assert subprocess.run([python, "-E", "-c", "import logitmus"], capture_output=True, check=False).returncode != 0
    with Pool([fake(python=str(python))]) as pool:
        (ready,) = pool.describe()
        events = list(
            pool.run(lambda mine: [Ask(PROBLEM, ("fake:plain@cpu",))] if mine[0].id == "fake:plain@cpu" else [])
        )
    assert isinstance(ready, Ready)
    assert ready.environment["python"]["executable"] == str(python)
    assert ready.environment["packages"] == {}
    assert [type(e.observation.outcome) for e in events if isinstance(e, Observed)] == [Answered]


def test_the_worker_needs_only_numpy_and_ml_dtypes() -> None:
    """Whatever else it imported, every foreign environment would need."""
    code = "import sys, logitmus.worker.main; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    foreign = set(loaded) - set(sys.stdlib_module_names) - {"__main__", "__mp_main__"}
    ours = {name for name in foreign if name.startswith(("logitmus", "__editable__", "_virtualenv", "distutils"))}
    assert {name for name in foreign - ours if not name.startswith("_")} <= {"numpy", "ml_dtypes"}


def test_a_hung_worker_ends_with_its_harness() -> None:
    """Its own watch ends it: in the middle of a call it does not read the end of its input."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import psutil, test_worker as t\n"
        "def plan(mine):\n"
        "    if mine[0].id == 'fake:plain@cpu':\n"
        "        yield t.Ask(t.PROBLEM, ('fake:plain@cpu', 'fake:sleeps@cpu'))\n"
        "with t.Pool([t.fake()]) as pool:\n"
        "    for event in pool.run(plan):\n"
        "        print(psutil.Process().children()[0].pid, flush=True)\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert harness.stdout is not None
    with harness.stdout:
        pid = int(harness.stdout.readline())
    harness.kill()
    harness.wait()
    assert _gone(pid)


def test_every_worker_starts_the_same_way() -> None:
    here, there = launch.command(fake()), launch.command(fake(python="/opt/python"))
    assert here[0] == sys.executable
    assert there == ["/opt/python", *here[1:]]
    assert shutil.which(here[0])
    assert Path(next(part for part in here if part.endswith("bootstrap.py"))).is_absolute()


def test_a_worker_that_was_launched_ahead_is_taken_over_or_replaced_if_dead() -> None:
    spec = fake()
    with launch.launched([spec]) as processes:
        process = processes["fake"]
        with Pool([spec], launched=processes) as pool:
            (ready,) = pool.describe()
            assert isinstance(ready, Ready)
            assert [child.pid for child in psutil.Process().children()] == [process.pid]
        assert process.returncode is not None
        with Pool([spec], launched=processes) as pool:  # a second pool has workers of its own
            (ready,) = pool.describe()
            assert isinstance(ready, Ready)
            assert [child.pid for child in psutil.Process().children()] != [process.pid]
    with launch.launched([spec]) as processes:
        processes["fake"].kill()
        with Pool([spec], launched=processes) as pool:
            (ready,) = pool.describe()
            assert isinstance(ready, Ready)


def test_no_worker_is_left_that_nobody_took() -> None:
    with pytest.raises(KeyboardInterrupt), launch.launched([fake()]) as processes:
        raise KeyboardInterrupt
    assert processes["fake"].returncode == -signal.SIGKILL
    assert _gone(processes["fake"].pid)


def test_a_program_that_cannot_be_run_is_reported_by_the_pool() -> None:
    spec = registry.BackendSpec(name="absent", command=("/no/such/program",))
    with launch.launched([spec]) as processes, Pool([spec], launched=processes) as pool:
        assert processes == {}
        (failed,) = pool.describe()
    assert isinstance(failed, BackendFailed)
    assert "cannot be run" in failed.reason


def test_the_record_of_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    from logitmus.worker.environment import process_environment

    monkeypatch.setenv("TF_VAR_password", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    variables = process_environment()["variables"]
    assert variables["OMP_NUM_THREADS"] == "3"
    assert "secret" not in str(variables)
