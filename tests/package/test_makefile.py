"""The two commands of the README work in a fresh clone, which has no folder for what they write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Stands in for the command line: it writes each report as the real command does, into a folder that must exist.
LOGITMUS = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in --out | --html) echo "written" > "$2" || exit 2; shift ;; esac
    shift
done
"""


def test_make_run_writes_its_report_in_a_fresh_clone(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = tmp_path / "bin" / "logitmus"
    command.parent.mkdir()
    command.write_text(LOGITMUS)
    command.chmod(0o755)
    installed = ["-o", ".venv/.stamp"]
    done = subprocess.run(
        ["make", "run", *installed, "BIN=bin"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").read_text() == "written\n"
    assert f"Open {tmp_path}/out/report.html in a browser." in done.stdout
