"""The self-test: what is planted, how its score is told and kept, and that the harness sees what it should."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fake_events import stream
from rich.console import Console

from logitmus.cases.planted import CORRECT, KINDS, Planted
from logitmus.checking import selftest
from logitmus.cli import main
from logitmus.reports import junit, markdown
from logitmus.reports.html import report as html
from logitmus.reports.terminal import run
from logitmus.reports.terminal import selftest as report
from logitmus.results import detection_power, serialize
from logitmus.results.detection_power import Power, Result, Score
from logitmus.results.summary import Summary

FAULT = Planted(name="wrong", framework="numpy", function=print, kind="forward", right=("mechanism:*",))
CORRECT_ONE = Planted(name="right", framework="torch", function=print, kind=CORRECT)


def score(*results: Result) -> Score:
    return Score(results=results, seconds=1.0, problems=2, calls=3)


FOUND = Result(planted=FAULT, causes=("mechanism:no_max_shift",), explained=True, profile="quick", family="ordinary")
MISNAMED = Result(planted=FAULT, causes=("unexplained",), profile="quick", family="ordinary")
MISSED = Result(planted=FAULT)
QUIET = Result(planted=CORRECT_ONE)
ALARM = Result(planted=CORRECT_ONE, causes=("lost",), profile="default", family="ordinary")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """The user's cache, empty."""
    monkeypatch.setattr(detection_power.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return tmp_path / "cache" / "logitmus"


# --- what is planted -----------------------------------------------------------------------------------------------


def test_there_is_enough_to_find_and_enough_to_leave_alone() -> None:
    kinds = Counter(one.kind for one in selftest.PLANTED)
    assert set(kinds) == set(KINDS)
    assert sum(kinds.values()) - kinds[CORRECT] >= 60
    assert kinds[CORRECT] >= 12
    assert {one.framework for one in selftest.PLANTED} == {"numpy", "torch"}


@pytest.mark.parametrize("one", selftest.PLANTED, ids=lambda one: f"{one.framework}:{one.name}")
def test_a_fault_names_what_it_is_modelled_on_and_what_explains_it(one: Planted) -> None:
    faulty = one.kind != CORRECT
    assert bool(one.incident) == bool(one.right) == faulty
    assert not faulty or "*" not in one.right  # anything at all would do


def test_names_are_distinct() -> None:
    names = [(one.framework, one.name) for one in selftest.PLANTED]
    assert len(set(names)) == len(names)


def test_to_know_what_is_planted_takes_no_framework() -> None:
    frameworks = "{'torch', 'jax', 'tensorflow'}"
    program = f"import sys, logitmus.cases.planted.catalogue; print(*sorted({frameworks} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


# --- the score -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "perfect", "numbers", "short"),
    [
        ((FOUND, QUIET), True, "1 of 1 planted faults found, 1 of them rightly explained; no false alarm", ""),
        ((MISNAMED, QUIET), False, "1 of 1 planted faults found, 0 of them", "not rightly explained: numpy:wrong"),
        ((MISSED, QUIET), False, "0 of 1 planted faults found", "not found: numpy:wrong"),
        ((FOUND, ALARM), False, "1 false alarm on 1 correct implementation", "though correct: torch:right"),
    ],
)
def test_what_falls_short_is_told_by_name(results, perfect: bool, numbers: str, short: str) -> None:
    one = score(*results)
    assert one.perfect is perfect
    assert numbers in detection_power.headline(one.power)
    assert short in "\n".join(detection_power.shortfalls(one.power))
    out = io.StringIO()
    report.render(one, Console(file=out, width=120), every=False)
    loud = [line for line in out.getvalue().splitlines() if line.startswith(("NOT ", "FALSE "))]
    assert bool(loud) is not perfect
    assert json.loads(json.dumps(report.as_dict(one)))["perfect"] is perfect


def test_it_is_kept_for_this_harness_alone(cache: Path, monkeypatch) -> None:
    assert detection_power.known() is None
    power = score(FOUND, QUIET).power
    assert detection_power.keep(power) == cache / "selftest.json"
    assert detection_power.known() == power
    monkeypatch.setattr(detection_power, "fingerprint", lambda: "of another harness")
    assert detection_power.known() is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": 1, "fingerprint": "x", "version": 7}', "\x00"])
def test_a_file_that_says_anything_else_is_passed_over(cache: Path, text: str) -> None:
    detection_power.keep(score(FOUND).power)
    (cache / "selftest.json").write_text(text)
    assert detection_power.known() is None


def written(power: Power | None, tmp_path: Path) -> dict[str, str]:
    """What each report says, by its module."""
    summary = Summary(power)
    for event in stream(40):
        summary.add(event)
    out = io.StringIO()
    run.render(summary, Console(file=out, width=400), "RUN")
    said = {"terminal": out.getvalue(), "machine": json.dumps(serialize.as_dict(summary))}
    for module in (html, junit, markdown):
        path = tmp_path / module.__name__
        module.write(summary, path)
        said[module.__name__] = path.read_text()
    return said


def test_every_report_tells_it_or_that_nobody_measured_it(tmp_path: Path) -> None:
    power = score(FOUND, MISSED, ALARM).power
    for name, text in written(power, tmp_path).items():
        assert ('"alarms": ["torch:right"]' if name == "machine" else "1 of 2 planted faults found") in text, name
    for name, text in written(None, tmp_path).items():
        assert ('"detection": null' if name == "machine" else "ot measured for this version") in text, name


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(capfd, monkeypatch, tmp_path):
    """Runs `logitmus selftest ARGS` in an empty folder; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["logitmus", "selftest", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return call


def test_the_list_names_what_is_planted(cli) -> None:
    code, out, _ = cli("--list", "numpy:eats*")
    assert (code, out.split()[:2]) == (0, ["numpy:eats_the_memory", "crash"])


def test_an_unknown_name_is_a_usage_error(cli) -> None:
    code, out, err = cli("eats_the_memroy")
    assert (code, out) == (2, "")
    assert "did you mean 'eats_the_memory'?" in err


def test_a_few_by_name(cli, cache: Path) -> None:
    names = ["numpy:aborts_on_a_bad_label", "numpy:mean_not_divided", "numpy:online_softmax"]
    code, out, _ = cli(*names, "--json", "-")
    said = json.loads(out)
    assert code == 0
    assert {one["name"]: (one["explained"], one["causes"] == []) for one in said["functions"]} == {
        "numpy:aborts_on_a_bad_label": (True, False),
        "numpy:mean_not_divided": (True, False),
        "numpy:online_softmax": (False, True),
    }
    assert not cache.exists()  # the score of a few is none of the whole


@pytest.mark.long
@pytest.mark.frameworks
def test_every_planted_fault_is_found_and_rightly_explained_and_nothing_else_is() -> None:
    whole = selftest.selftest()
    assert whole.perfect, detection_power.shortfalls(whole.power)
    assert not whole.remarks
