"""Audits and bisections with packages from the index: NumPy, which is small, and of which every environment has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from logitmus.cli import app
from logitmus.environments.environments import ROOT_VARIABLE
from logitmus.environments.releases import releases

pytestmark = pytest.mark.registry


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "environments"))
    monkeypatch.chdir(tmp_path)


def logitmus(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_an_audit_of_two_releases_of_numpy(tmp_path: Path) -> None:
    versions = ("numpy==2.0.2", "numpy==2.2.6")
    ran = logitmus("audit", *versions, "--family", "seed-question", "--no-times", "--json", "a.json", "--out", "runs")
    assert ran.exit_code == 0, f"{ran.output} {ran.exception}"
    found = json.loads((tmp_path / "a.json").read_text())
    (step,) = found["steps"]
    assert step["title"] == "numpy 2.0.2 to 2.2.6"
    assert step["compared"]["calls"] > 0
    dates = [path.read_text() for path in (tmp_path / "environments").glob("*/logitmus.json")]
    assert any("2024-08-26" in text for text in dates)  # the day of NumPy 2.0.2


def test_the_releases_that_an_index_lists() -> None:
    versions = [release.version for release in releases("numpy")]
    assert versions.index("2.0.1") < versions.index("2.0.2") < versions.index("2.2.6")


def test_a_yanked_release_is_tested_where_it_is_named() -> None:
    assert "0.4.32" not in [release.version for release in releases("jax")]
    versions = [release.version for release in releases("jax", yanked=["0.4.32"])]
    assert versions.index("0.4.31") + 1 == versions.index("0.4.32") == versions.index("0.4.33") - 1
