"""Where a finding is shown in a repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_events import stream

from logitmus.core.events import BackendReady, RunStarted
from logitmus.core.run_settings import CheckedFunction, RunSettings
from logitmus.results.source_location import SourceLocation, locator
from logitmus.results.summary import Summary

SOURCE = '''"""A module."""

import math


def _helper():
    def fused_ce():
        pass


@math.trunc
def fused_ce(logits, targets):
    pass


class Loss:
    size: int = 3

    def forward(self):
        pass


loss = Loss().forward
'''


def summary(target: str, checked: str = "alpha") -> Summary:
    """Of a check of `target`, whose subjects are those of a backend."""
    gathered = Summary()
    for event in stream(300):
        match event:
            case RunStarted():
                function = CheckedFunction(framework="alpha", target=target)
                gathered.add(replace(event, settings=RunSettings(function=function)))
            case BackendReady(backend, subjects) if backend == checked:
                gathered.add(replace(event, subjects=tuple(replace(s, held_to="beta:f@cpu") for s in subjects)))
            case _:
                gathered.add(event)
    return gathered


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package in `src`; the current folder is below its root."""
    package = tmp_path / "work" / "src" / "losses"
    package.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (package / "fused.py").write_text(SOURCE)
    (package / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def located(summary: Summary, backend: str, expectations: Path | None = None) -> SourceLocation:
    locate = locator(summary, expectations)
    group = next(g for g in summary.groups() if g.finding.subject.startswith(f"{backend}:"))
    return locate(group)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("src/losses/fused.py:fused_ce", 12),
        ("losses.fused:fused_ce", 12),
        ("src/losses/fused.py:Loss.forward", 19),
        ("src/losses/fused.py:loss", 23),
        ("src/losses/fused.py:absent", None),
        ("src/losses/fused.py:fused_ce.absent", None),
    ],
)
def test_a_checked_function_is_found_at_its_definition_from_the_root(repository, target, line):
    assert located(summary(target), "alpha") == SourceLocation("work/src/losses/fused.py", line)


def test_an_absolute_path_is_shown_from_the_root(repository):
    target = f"{repository / 'work' / 'src' / 'losses' / 'fused.py'}:fused_ce"
    assert located(summary(target), "alpha") == SourceLocation("work/src/losses/fused.py", 12)


def test_findings_of_the_reference_stand_at_the_file_of_expectations(repository):
    found = summary("src/losses/fused.py:fused_ce")
    assert located(found, "beta") == SourceLocation("work/logitmus.toml")
    assert located(found, "beta", Path("ci/known.toml")) == SourceLocation("work/ci/known.toml")


@pytest.mark.parametrize("target", ["", "some.installed.package:loss", ":loss"])
def test_a_function_in_no_file_of_the_repository_stands_there_too(repository, target):
    assert located(summary(target), "alpha") == SourceLocation("work/logitmus.toml")


def test_a_file_that_is_gone_or_is_no_python_has_no_line(repository):
    (repository / "work" / "broken.py").write_bytes(b"def (\x00")
    for name in ("broken.py", "gone.py"):
        assert located(summary(f"{name}:f"), "alpha") == SourceLocation(f"work/{name}", None)


def test_without_a_repository_paths_start_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path.parent / "elsewhere.py"
    assert located(summary("mine.py:f"), "alpha") == SourceLocation("mine.py")
    assert located(summary(f"{other}:f"), "alpha") == SourceLocation(other.as_posix())
