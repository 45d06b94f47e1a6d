"""Audits from end to end: a package in several releases, each in an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from fakes import FakePool, problem, specs, subject
from lossy import BACKEND, build_releases
from typer.testing import CliRunner, Result
from wheels import use_index

from logitmus.auditing.audit import Column, make_run, side_by_side
from logitmus.auditing.selection import SelectionError, concerned
from logitmus.cli import app
from logitmus.core.errors import LogitmusError
from logitmus.core.run_settings import RunSettings
from logitmus.environments.environments import ROOT_VARIABLE, Environment
from logitmus.environments.spec import parse
from logitmus.storage.store import StoreError

OF = ("--backend", "lossy_backend:BACKEND", "--family", "ordinary")


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases of a package: 1.1 is wrong, 1.2 is right again."""
    folder = tmp_path_factory.mktemp("releases")
    build_releases(folder / "wheels", {"1.0": 1, "1.1": 1.5, "1.2": 1})
    return folder


@pytest.fixture
def audit(releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "lossy_backend.py").write_text(BACKEND)
    use_index(monkeypatch, releases / "wheels", releases / "cache")
    monkeypatch.setenv(ROOT_VARIABLE, str(releases / "environments"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        ran = CliRunner().invoke(app, ["audit", *arguments])
        if isinstance(ran.exception, LogitmusError):  # as `main` does
            ran.exit_code = ran.exception.exit_code
        return ran

    return run


def test_what_changes_over_three_releases(audit, tmp_path: Path) -> None:
    reports = ("--json", "a.json", "--html", "a.html", "--markdown", "a.md")
    ran = audit("lossy==1.0", "lossy==1.1", "lossy==1.2", *OF, *reports, "--no-times", "--out", "runs")
    assert ran.exit_code == 1, ran.output
    found = json.loads((tmp_path / "a.json").read_text())
    assert [[t["change"] for t in step["transitions"]] for step in found["steps"]] == [["newly wrong"], ["fixed"]]
    assert found["worse"] is True
    for text in (ran.output, (tmp_path / "a.html").read_text(), (tmp_path / "a.md").read_text()):
        words = " ".join(text.split())
        assert "lossy 1.0 to 1.2, 2 steps: 2 of 2 with changes, 1 for the worse (lossy 1.0 to 1.1)" in words
        assert "1 fixed" in words
    # `compare` finds the same in the stored runs.
    stored = ["compare", *sorted(str(path) for path in Path("runs").iterdir()), "--json", "-"]
    again = json.loads(CliRunner().invoke(app, stored).stdout)
    assert [step["transitions"] for step in again["steps"]] == [step["transitions"] for step in found["steps"]]


def test_an_upgrade_that_is_only_better_passes(audit) -> None:
    ran = audit("lossy==1.1", "lossy==1.2", *OF, "--no-times", "--out", "better")
    assert ran.exit_code == 0, ran.output
    assert audit("lossy==1.1", "lossy==1.2", *OF, "--no-times", "--out", "x", "--fail-on", "changed").exit_code == 1


def test_the_same_version_twice_changes_nothing(audit) -> None:
    ran = audit("lossy==1.0", "lossy==1.0", *OF, "--out", "same", "--fail-on", "changed")
    assert ran.exit_code == 0, ran.output
    assert "are the same" in ran.output


def test_a_finding_that_is_accepted_does_not_count(audit, tmp_path: Path) -> None:
    entry = '[[expect]]\nsubject = "*"\ncause = "*"\nreason = "we know"\nwhen.packages.lossy = "==1.1"\n'
    (tmp_path / "logitmus.toml").write_text(entry)
    ran = audit("lossy==1.0", "lossy==1.1", *OF, "--no-times", "--out", "accepted")
    assert ran.exit_code == 0, ran.output
    assert "1 accepted" in " ".join(ran.output.split())


def test_a_function_of_your_own_over_releases(audit, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import lossy\n\ndef mine(logits, labels):\n    return lossy.loss(logits, labels)\n"
    )
    options = ("--check", "mine.py:mine", "-f", "numpy", "--dtype", "float32", "--no-times", "--json", "a.json")
    ran = audit("lossy==1.0", "lossy==1.1", *options, "--out", "mine")
    assert ran.exit_code == 1, ran.output
    (step,) = json.loads((tmp_path / "a.json").read_text())["steps"]
    wrong = next(t for t in step["transitions"] if t["change"] == "newly wrong")
    assert wrong["subjects"] == ["numpy:mine.mine@cpu"]
    # The reports name a run and a finding that `repro` takes.
    example = wrong["example"]
    assert CliRunner().invoke(app, ["repro", example["run"], example["finding"], "-o", "r.py"]).exit_code == 0


def test_a_version_that_cannot_run_is_named_and_the_others_are_compared(audit, tmp_path: Path) -> None:
    (tmp_path / "lossy_backend.py").write_text("import lossy_extra\n" + BACKEND)
    ran = audit("lossy==1.0", "lossy==1.1", *OF, "--out", "none")
    assert ran.exit_code == 3
    assert "lossy==1.0: lossy_backend could not run: " in str(ran.exception)
    fails = "import lossy\nif '* 1.5' in open(lossy.__file__).read():\n    raise OSError('no')\n"
    (tmp_path / "lossy_backend.py").write_text(fails + BACKEND)
    ran = audit("lossy==1.0", "lossy==1.1", "lossy==1.2", *OF, "--no-times", "--out", "two")
    assert ran.exit_code == 3, ran.output
    assert "not compared: lossy==1.1: " in " ".join(ran.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no environment is given"),
        (("lossy==1.0",), "is one environment; an audit compares two or more"),
        (("lossy==1.0", "lossy==7"), "could not resolve lossy==7"),
        (("lossy==1.0", "lossy==1.1"), "there is no function to call"),
        (("current", "current"), "the environments have the same packages"),
        (("lossy==1.0", "lossy==1.1", "--like", "x"), "only describes the function of --check"),
        (("lossy==1.0", "lossy==1.1", "--check", "x.py:f"), "needs --framework"),
        (("lossy==1.0", "lossy==1.1", "--family", "nothing"), "unknown family 'nothing'"),
        (("lossy==1.0", "lossy==1.1", *OF, "--subject", "nobody"), "no function was called"),
        (("lossy==1.0", "lossy==1.1", "--json", "a", "--html", "a"), "a is also"),
    ],
)
def test_what_cannot_be_audited_is_refused(audit, arguments, message) -> None:
    ran = audit(*arguments)
    words = " ".join(f"{ran.output} {ran.exception or ''}".split())
    assert message in words
    assert ran.exit_code != 0


def environment(text: str, packages: dict[str, str]) -> Environment:
    return Environment("", Path("python"), text, packages, {}, parse(text).named_packages, "3.12", parse(text))


@pytest.mark.parametrize(
    ("before", "after", "subjects"),
    [
        ({"optax": "1", "jax": "1"}, {"optax": "2", "jax": "1"}, ["jax:optax.*"]),
        ({"optax": "1", "jax": "1"}, {"optax": "2", "jaxlib": "2", "jax": "1"}, ["jax:*"]),
        ({"keras": "1", "jax": "1"}, {"keras": "2", "jax": "1"}, ["jax:keras.*"]),
        ({"torch": "1", "numpy": "1"}, {"torch": "2", "numpy": "2"}, ["torch:*"]),
        ({"optax": "1", "jax": "1", "torch": "1"}, {"optax": "1", "jax": "1", "torch": "2"}, ["torch:*"]),
    ],
)
def test_the_functions_of_what_differs_are_called(before, after, subjects) -> None:
    made = [environment("some-package", packages) for packages in (before, after)]
    assert [glob for entry in concerned(made) for glob in entry.subjects] == subjects


def test_numpy_counts_only_where_it_is_requested() -> None:
    versions = {"numpy": "1"}, {"numpy": "2"}
    assert concerned([environment("numpy", packages) for packages in versions])[0].subjects == ("numpy:*",)
    with pytest.raises(SelectionError):
        concerned([environment("rich", packages) for packages in versions])


def test_a_search_path_for_this_interpreter_hides_nothing_in_the_environments(
    audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "lossy.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hiding"))
    ran = audit("lossy==1.0", "lossy==1.1", *OF, "--no-times", "--out", "hidden")
    assert ran.exit_code == 1, ran.output
    assert "1 newly wrong" in " ".join(ran.output.split())


def test_an_error_ends_what_runs_beside_it() -> None:
    stopped = Event()

    def make(number: int) -> None:
        if number:
            assert stopped.wait(30)
            return
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(make, [1, 0, 1, 1], 2, stopped.set)
    assert stopped.is_set()


def test_a_run_that_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    column = Column(name="x", backends=(), file=tmp_path / "x.logitmus")

    def watch(events):
        next(iter(events))
        raise KeyboardInterrupt
        yield

    pool = FakePool({"fake": [subject()]})
    with pytest.raises(KeyboardInterrupt):
        make_run(column, RunSettings(), [problem()], specs("fake"), pool, watch)
    assert not column.file.exists()
    column.file.write_text("not mine")
    with pytest.raises(StoreError):
        make_run(column, RunSettings(), [problem()], specs("fake"), pool, watch)
    assert column.file.read_text() == "not mine"
