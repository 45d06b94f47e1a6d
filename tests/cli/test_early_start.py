"""`run` starts its workers before it converts its options: once, and none is left behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from logitmus import cli
from logitmus.execution import launch

BACKEND = """
import os
from pathlib import Path

with Path(__file__).with_name("pids").open("a") as file:
    print(os.getpid(), file=file)

from logitmus.backends.numpy_backend import BACKEND
"""


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """A backend that notes the process of every worker that imports it."""
    (tmp_path / "noting.py").write_text(BACKEND)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["logitmus"])
    return "noting:BACKEND"


def run(*options: str) -> int:
    """The exit code of `logitmus run`."""
    sys.argv[1:] = ["run", *options]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def pids(folder: Path) -> list[int]:
    noted = folder / "pids"
    return [int(line) for line in noted.read_text().split()] if noted.exists() else []


def test_a_worker_is_started_once(backend, tmp_path):
    selection = ("--family", "seed-question", "--profile", "quick", "--dtype", "float32", "--subject", "*:textbook")
    code = run("--backend", backend, *selection)
    assert code in (0, 1, 2)
    assert len(pids(tmp_path)) == 1


@pytest.mark.parametrize(
    "wrong", [["--repeat", "0"], ["--family", "nothing"], ["--expect", "none.toml"], ["--nothing"]]
)
def test_an_error_leaves_no_worker(backend, tmp_path, wrong):
    before = set(psutil.Process().children())  # of other tests: a browser, say
    assert run("--backend", backend, *wrong) == 2
    time.sleep(0.5)  # long enough for a worker that was not ended to import the backend
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))
    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize("option", ["-h", "--resume"])
def test_no_worker_is_started_where_none_may_be_needed(backend, option, monkeypatch):
    starts = []
    monkeypatch.setattr(launch, "launch", lambda *spec: starts.append(spec))
    run("--backend", backend, option)
    assert starts == []
