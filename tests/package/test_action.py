"""The GitHub action and the files for other CI systems, run as their runners run them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from action_runner import ActionRun

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
LOGITMUS = str(Path(sys.executable).parent / "logitmus")
SMALL = "--family=seed-question\n--dtype=float32\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a backend of its own."""
    workspace = tmp_path / "project"
    workspace.mkdir()
    shutil.copy(SUPPORT / "mini_backend.py", workspace)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return workspace


@pytest.fixture
def action(project, tmp_path):
    """Runs the action on that repository; every use has a runner of its own, which keeps the cached run."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(**inputs: str) -> ActionRun:
        event = {"github.ref_name": "main", "github.event.repository.default_branch": "main"}
        used = ActionRun(ROOT / "action.yml", project, temporary, event)
        return used.run(**{"logitmus": LOGITMUS, "arguments": SMALL, "backends": "mini_backend:BACKEND", **inputs})

    return run


def test_a_run_without_findings_passes_with_every_report(action):
    done = action()
    assert done.code == 0, done.log
    assert done.outputs["exit-code"] == "0"
    assert done.outputs["summary"].startswith("no findings over 1 subject")
    folder = Path(done.outputs["folder"])
    reports = {"run.logitmus", "report.html", "results.json", "junit.xml", "summary.md", "results.sarif"}
    assert {path.name for path in folder.iterdir()} == reports
    assert done.summary == (folder / "summary.md").read_text() != ""
    uploaded = [given for used, given in done.used if used.startswith("actions/upload-artifact@")]
    assert [(given["name"], given["path"]) for given in uploaded] == [("logitmus", str(folder))]


def test_findings_fail_the_job_after_everything_is_uploaded(action):
    done = action(backends="mini_backend:WRONG")
    assert done.code == 1, done.log
    assert done.outputs["exit-code"] == "1"
    assert "::error " in done.log
    assert any(used.startswith("actions/upload-artifact@") for used, _ in done.used)


def test_accepted_findings_pass_and_a_misspelt_file_is_a_usage_error(action, project):
    accepted = '[[expect]]\nsubject = "*"\ncause = "*"\nreason = "a test"\n'
    (project / "known.toml").write_text(accepted)
    assert action(backends="mini_backend:WRONG", expectations="known.toml").code == 0
    assert action(expectations="unknown.toml").code == 2


def test_the_first_run_becomes_the_baseline_and_what_is_new_fails(action):
    first = action(against="last", fail_on="new")
    assert first.code == 0, first.log
    assert "nothing is compared" in first.log
    assert any(used.startswith("actions/cache/save@") for used, _ in first.used)
    second = action(against="last", fail_on="new", backends="mini_backend=mini_backend:WRONG")
    assert second.code == 1, second.log
    assert not any(used.startswith("actions/cache/save@") for used, _ in second.used)
    assert action(against="last", fail_on="new").code == 0


def test_a_job_is_not_compared_with_a_job_whose_name_only_begins_like_its_own(action):
    """A cache is restored by the beginning of its key."""
    saved = {}
    for artifact in ("logitmus", "logitmus-torch"):
        used = dict(action(against="last", fail_on="new", artifact=artifact).used)
        saved[artifact] = next(given["key"] for name, given in used.items() if name.startswith("actions/cache/save@"))
        restored = next(given for name, given in used.items() if name.startswith("actions/cache/restore@"))
    assert restored["key"] == saved["logitmus-torch"] != saved["logitmus"]
    prefix = restored["restore-keys"].replace("logitmus-torch", "logitmus")
    assert [name for name, key in saved.items() if key.startswith(prefix)] == ["logitmus"]


def test_inputs_are_words_and_never_code(action, project):
    done = action(arguments="--family=$(touch hacked)\n--dtype=`touch hacked`", backends="mini_backend:BACKEND;touch")
    assert done.code == 2
    assert not (project / "hacked").exists()


def test_a_missing_interpreter_is_named(action):
    done = action(python="no-such-python")
    assert done.code == 2
    assert "the interpreter no-such-python does not exist; set the input python" in done.log


def test_other_actions_are_pinned_by_commit():
    for path in (ROOT / "action.yml", *(ROOT / ".github" / "workflows").glob("*.yml")):
        for used in re.findall(r"uses:\s*(\S+)", path.read_text()):
            assert used == "./" or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used), f"{path}: {used}"


def test_every_input_of_the_action_is_used_and_described():
    text = (ROOT / "action.yml").read_text()
    described = yaml.safe_load(text)
    for name, given in described["inputs"].items():
        assert f"inputs.{name}" in text
        assert given["description"]
