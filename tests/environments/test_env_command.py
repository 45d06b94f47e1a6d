"""`logitmus env`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from logitmus.cli import main
from logitmus.environments.environments import Environments


@pytest.fixture
def cli(environments: Environments, capfd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs `logitmus env ARGS`; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["logitmus", "env", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return call


def test_an_environment_from_creation_to_removal(cli, environments: Environments, tmp_path: Path) -> None:
    code, out, _ = cli("list")
    assert code == 0
    assert "Create one: logitmus env create" in out
    (tmp_path / "more packages.txt").write_text("helper==0.1\n")
    code, out, err = cli("create", "old", "lossy==1.0", "-r", "more packages.txt")
    assert code == 0
    assert err.splitlines() == [
        "resolving lossy==1.0 -r 'more packages.txt'",
        "installing 4 packages for lossy==1.0 -r 'more packages.txt'",
    ]
    assert out.splitlines()[0].endswith(", helper 0.1, lossy 1.0, 2 more")
    assert out.splitlines()[1] == "Use it: --backend BACKEND@env:old"
    code, out, _ = cli("list")
    assert out.splitlines()[0].split()[:3] == ["environment", "requested", "Python"]
    assert "helper 0.1, lossy 1.0, 2 more" in out
    assert out.splitlines()[-1].endswith(f" in {environments.root}")
    listed = json.loads(cli("list", "--json")[1])
    (one,) = listed["environments"]
    assert (listed["schema"], one["names"], one["packages"]["lossy"]) == (1, ["old"], "1.0")
    (environments.root / one["key"] / "logitmus.json").write_text("{")
    _, out, _ = cli("list")
    assert "damaged: logitmus.json is damaged" in out
    assert "logitmus env prune" in out
    code, out, _ = cli("rm", "old")
    assert (code, out.startswith("removed old; ")) == (0, True)
    assert cli("prune", "--all")[1].startswith("removed 0 environments")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["create", "a/b", "lossy"], "'a/b' cannot name an environment"),
        (["create", "old"], "needs at least one package"),
        (["create", "old", "-r", "missing.txt"], "there is no such file"),
        (["rm", "old"], "unknown environment 'old'; there are none"),
        (["prune", "--older-than", "-1"], "is not a number of days"),
        (["create", "old", "lossy==9.9"], "uv could not resolve lossy==9.9"),
    ],
)
def test_wrong_use_is_answered_without_a_traceback(cli, args: list[str], message: str) -> None:
    code, _, err = cli(*args)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
