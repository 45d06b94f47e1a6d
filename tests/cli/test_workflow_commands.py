"""No foreign text is a workflow command of GitHub Actions, wherever it is printed, and however lines are wrapped."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hostile
import pytest
import typer
from fakes import FakeJudge, FakePool, problem, specs, subject

from logitmus.cli import main
from logitmus.cli.output import stdout
from logitmus.cli.workflow_commands import command, disarmed, without_commands
from logitmus.core.observation import Raised
from logitmus.core.run_settings import RunSettings
from logitmus.engine.run import run
from logitmus.reports import json_report
from logitmus.reports.terminal import run as terminal
from logitmus.results import outcome
from logitmus.storage.store import Store

Cli = Callable[..., tuple[int, str, str]]


def commands(printed: str) -> list[str]:
    """What the runner takes for a command: in a line after white space, or the earlier kind anywhere in a line."""
    lines = re.split(r"\r\n|\r|\n", printed)
    return [line for line in lines if line.strip().startswith("::") or "##[" in line]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A job of GitHub Actions."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    return monkeypatch


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], runner: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Runs `logitmus ARGS` in an empty folder; gives its exit code, standard output and standard error."""
    runner.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        runner.setattr(sys, "argv", ["logitmus", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def raising(tmp_path: Path) -> Path:
    """The file of a run of a function that raises with a hostile message."""
    path = tmp_path / "raising.logitmus"
    with Store.create(path, settings=RunSettings(seed=0)) as store:
        pool = FakePool({"fake": [subject()]}, answer=lambda *_: Raised("ValueError", hostile.TEXT))
        list(run([problem(seed) for seed in range(3)], specs("fake"), store, pool=pool, judge=FakeJudge()))
    return path


@pytest.mark.parametrize("columns", [*range(20, 60, 3), 80, 200])
def test_a_summary_holds_none_however_it_is_wrapped(
    runner: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], columns: int
) -> None:
    runner.setenv("COLUMNS", str(columns))
    summary = hostile.summary()
    with without_commands():
        terminal.render(summary, stdout())
        typer.echo(outcome.line(summary))
        typer.echo(hostile.TEXT, err=True)
    out, err = capfd.readouterr()
    assert "stop-commands" in out + err
    assert commands(out) == commands(err) == []


def test_a_split_line_holds_none(runner: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(0)
    for _ in range(500):
        text = "".join(dice.choices(":# [\n\rab", k=12))
        with without_commands():
            start = 0
            while start < len(text):
                end = start + dice.randint(1, 4)
                sys.stdout.write(text[start:end])
                start = end
        printed = capfd.readouterr().out
        assert printed == disarmed(text)
        assert commands(printed) == []


def test_annotations_are_commands_and_nothing_else_is(cli: Cli, raising: Path) -> None:
    for options in (("--github",), ("--github", "--line"), ("--line",), ()):
        code, out, err = cli("judge", raising, *options)
        assert code == 1
        found = commands(out)
        assert bool(found) is ("--github" in options)
        assert all(re.fullmatch(r"::error title=Logitmus bug%3A [^,:]+::\S.*", line) for line in found)
        assert commands(err) == []


def test_messages_hold_none(cli: Cli, runner: pytest.MonkeyPatch) -> None:
    code, out, err = cli("judge", "x\n::error::y")
    assert code == 2
    assert "x\n: :error::y: cannot be read" in err
    assert commands(out + err) == []

    def broken() -> None:
        raise ZeroDivisionError(hostile.TEXT)

    runner.setattr("logitmus.cli.app", broken)
    code, _, err = cli("judge")
    assert code == 70
    assert "## [error]q" in err
    assert commands(err) == []


def test_json_on_standard_output_holds_none_and_has_the_same_values(cli: Cli, raising: Path, tmp_path: Path) -> None:
    _, out, _ = cli("judge", raising, "--json", "-")
    assert commands(out) == []
    read = json.loads(out)
    assert "##[error]q" in json.dumps(read)
    json_report.write(hostile.summary(), tmp_path / "x.json")
    assert commands((tmp_path / "x.json").read_text(encoding="utf-8")) == []


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    line = "::error title=a bug::b"
    with without_commands():
        sys.stdout.write("::x\n")
        command(line)
    assert capfd.readouterr().out == f"::x\n{line}\n"
