"""The questions of `logitmus accept` on a terminal."""

from __future__ import annotations

import os
import select
import shutil
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
SUPPORT = Path(__file__).parent.parent / "support"


def on_a_terminal(folder: Path, *command: str, typed: list[str], at: str) -> tuple[int, str]:
    """Run a command on a terminal of its own, and type each text when the terminal shows `at` once more."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execv(command[0], command)  # noqa: S606
    shown, left = "", list(typed)
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, shown
        try:
            read = os.read(terminal, 4096)
        except OSError:  # Linux: the other side is closed
            break
        if not read:
            break
        shown += read.decode()
        if left and shown.count(at) > len(typed) - len(left):
            os.write(terminal, left.pop(0).encode())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def test_the_end_of_the_input_keeps_the_reasons_that_were_given(tmp_path):
    shutil.copy(SUPPORT / "mini_backend.py", tmp_path)
    logitmus = (sys.executable, "-m", "logitmus")
    selection = ("--backend", "mini_backend:WRONG", "--profile", "quick", "--dtype", "float32")
    run = ("run", *selection, "--family", "seed-question", "--family", "non-finite", "--out", "x")
    on_a_terminal(tmp_path, *logitmus, *run, typed=[], at="reason")
    code, shown = on_a_terminal(tmp_path, *logitmus, "accept", "x", typed=["for now\n", "\x04"], at="do not accept): ")
    assert code == 130, shown
    assert "the findings from here on are not accepted" in shown
    assert (tmp_path / "logitmus.toml").read_text().count('reason = "for now"') == 1
    assert (tmp_path / "logitmus.toml").read_text().count("[[expect]]") == 1
