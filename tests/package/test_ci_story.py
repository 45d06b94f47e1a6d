"""docs/ci.md tells of an upgrade of optax: its last summary is what a run shows with the file that it has accepted."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from logitmus.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
SUBJECTS = "jax:optax.softmax_cross_entropy_with_integer_labels*"


def summaries() -> list[list[str]]:
    """The quoted summaries, without their empty lines."""
    quotes = re.findall(r"(?:^>.*\n)+", PAGE, re.MULTILINE)
    return [[line[2:] for line in quote.splitlines() if line[2:]] for quote in quotes]


def accepted() -> str:
    """The file of expectations that `logitmus accept` writes."""
    return "".join(f"{line}\n" for line in re.findall(r"^    \+(?!\+)(.*)$", PAGE, re.MULTILINE))


def test_one_finding_is_new_and_one_entry_is_stale() -> None:
    first, last = summaries()
    assert [line.split()[:3] for line in first[3:]] == [["|", "🔴", "bug"], ["|", "🟣", "hazard"]]
    assert [line.split()[0] for line in last] == ["**1", "⚠️", "|", "|", "|"]


@pytest.mark.frameworks
def test_the_upgrade_shows_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version("optax")
    if f"`optax=={version}`" not in PAGE:
        pytest.skip(f"optax {version} is installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "true")
    (tmp_path / "logitmus.toml").write_text(accepted())
    options = ("--out", "run.logitmus", "--markdown", "summary.md")
    run = CliRunner().invoke(app, ["run", "--backend", "jax", "--profile", "quick", "--subject", SUBJECTS, *options])
    assert run.exit_code == 1, run.output
    shown = (tmp_path / "summary.md").read_text(encoding="utf-8").replace("\\", "").partition("\nNot listed here")[0]
    assert [line for line in shown.splitlines() if line][1:] == summaries()[-1]
    for more in (("--prune",), ("--reason", "our logits are small")):
        assert CliRunner().invoke(app, ["accept", "run.logitmus", *more]).exit_code == 0
    assert CliRunner().invoke(app, ["judge", "run.logitmus"]).exit_code == 0
