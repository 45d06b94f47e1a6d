"""Bisections: the search for a boundary, and a package whose fourth release breaks its loss."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lossy import BACKEND, build_releases
from typer.testing import CliRunner
from wheels import use_index

from logitmus.auditing.bisection import Bisection, Trial, search
from logitmus.auditing.release_runs import EndError
from logitmus.auditing.symptom import CauseShown, SymptomError
from logitmus.auditing.transitions import Change, Transition
from logitmus.cases.suite import suite
from logitmus.cli import app
from logitmus.environments.environments import ROOT_VARIABLE
from logitmus.storage.store import Store


@st.composite
def searches(draw: st.DrawFn) -> tuple[int, int, frozenset[int]]:
    """A number of releases, the first changed one, and those between the ends that cannot be tested."""
    count = draw(st.integers(2, 70))
    boundary = draw(st.integers(1, count - 1))
    skipped = draw(st.frozensets(st.integers(1, max(1, count - 2)), max_size=count)) if count > 2 else frozenset()
    return count, boundary, frozenset(skipped)


@given(searches())
def test_any_boundary_is_found_with_few_tests(drawn: tuple[int, int, frozenset[int]]) -> None:
    count, boundary, skipped = drawn
    looked: list[int] = []

    def look(place: int) -> bool | None:
        looked.append(place)
        return None if place in skipped else place >= boundary

    low, high = search(count, look)
    assert low < boundary <= high
    assert set(range(low + 1, high)) <= skipped
    assert {low, high}.isdisjoint(skipped)
    assert len(looked) == len(set(looked))
    assert 0 < min(looked, default=1) <= max(looked, default=1) < max(count - 1, 2)
    assert len(set(looked) - skipped) <= math.ceil(math.log2(count - 1))


def test_20_releases_need_5_tests_between_the_ends() -> None:
    for boundary in range(1, 20):
        looked: list[int] = []
        assert search(20, lambda place, at=boundary, seen=looked: seen.append(place) or place >= at) == (
            boundary - 1,
            boundary,
        )
        assert len(looked) <= 5


@given(searches())
def test_several_changes_give_one_of_them(drawn: tuple[int, int, frozenset[int]]) -> None:
    count, _, changed = drawn
    states = [0 < place < count and (place in changed or place == count - 1) for place in range(count)]
    low, high = search(count, lambda place: states[place])
    assert high == low + 1
    assert (states[low], states[high]) == (False, True)


def _bisection(*trials: Trial, versions: str = "1 2 3 4 5") -> Bisection:
    return Bisection(package="p", symptom="s", ends=("a", "b"), versions=tuple(versions.split()), trials=trials)


def test_skipped_releases_before_the_changed_one_may_be_the_release() -> None:
    found = _bisection(
        Trial(version="1", changed=False, packages=(("jax", "1"), ("p", "1"))),
        Trial(version="2", reason="no wheel"),
        Trial(version="3", changed=True, date="2024-11-05", packages=(("jax", "2"), ("p", "3"))),
        Trial(version="5", changed=True),
    )
    assert (found.candidates, found.not_tested, found.runs) == (("2", "3"), ("4",), 3)
    assert found.also_different == ("jax 1 -> 2",)
    assert found.headline == "one of p 2, 3 changed the result; 1 does not show the change"
    assert "2 could not be tested: the change may be older than 3" in found.extent


def test_ends_that_agree_are_said_to_agree() -> None:
    same = _bisection(Trial(version="1", changed=False), Trial(version="5", changed=False))
    assert not same.found
    assert same.headline == "p 1 and 5 agree: a"


def test_a_cause_concerns_the_transitions_that_bring_it_or_end_it() -> None:
    transition = Transition(change=Change.NEWLY_WRONG, what="", act="", backend="b", cause="weak_sum")
    convention = Transition(
        change=Change.CONVENTION,
        what="",
        act="",
        backend="b",
        cause="convention:smoothing=dropped",
        field="smoothing",
        before="rescaled",
        after="dropped",
    )
    bits = Transition(change=Change.BITS, what="", act="", backend="b")
    shown = [CauseShown(glob) for glob in ("*", "convention", "convention:smoothing=rescaled")]
    assert [symptom.concerns(convention) for symptom in shown] == [True, True, True]
    assert [symptom.concerns(transition) for symptom in shown] == [True, False, False]
    assert not any(symptom.concerns(bits) for symptom in shown)
    for glob, message in [
        ("separate_logsumexpp", "did you mean 'separate_logsumexp'"),
        ("convention:smothing=x", "did you mean 'smoothing'"),
    ]:
        with pytest.raises(SymptomError, match=message):
            CauseShown(glob)


@pytest.fixture
def lossy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six releases of a package: from 1.3 on its losses are too large, and 1.2 cannot be installed."""
    folder = tmp_path / "wheels"
    factors = {f"1.{minor}": 1.01 if minor >= 3 else 1 for minor in range(6)}
    build_releases(folder, factors, {"1.2": ["missing-package"]})
    (tmp_path / "lossy_backend.py").write_text(BACKEND)
    use_index(monkeypatch, folder, tmp_path / "cache")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "environments"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_release_that_broke_a_loss_is_found(lossy: Path) -> None:
    problem = next(suite("quick", families=["ordinary"], dtypes=["float32"]))
    arguments = ["--problem", problem.id, "--backend", "lossy_backend:BACKEND", "--out", "runs"]
    ran = CliRunner().invoke(app, ["bisect", "lossy==1.0..1.5", *arguments, "--json", "result.json"])
    assert ran.exit_code == 0, ran.output
    result = json.loads((lossy / "result.json").read_text())
    assert result["candidates"] == ["1.2", "1.3"]
    states = {release["version"]: release["state"] for release in result["releases"]}
    assert states == {"1.0": "unchanged", "1.1": "unchanged", "1.2": "skipped", "1.3": "changed", "1.5": "changed"}
    assert "missing-package" in next(one["reason"] for one in result["releases"] if one["state"] == "skipped")
    assert [transition["change"] for transition in result["transitions"]] == ["newly wrong"]
    assert "one of lossy 1.2, 1.3 changed the result: newly wrong" in " ".join(ran.output.split())
    finding = result["transitions"][0]["example"]["finding"]
    named = ["--finding", finding, "--run", "runs/004-lossy-1.3.logitmus", "--backend", "lossy_backend:BACKEND"]
    same = CliRunner().invoke(app, ["bisect", "lossy==1.3..1.5", *named, "--out", "again"])
    assert same.exit_code == 1, same.output
    assert "lossy 1.3 and 1.5 agree: the finding " in " ".join(same.output.split())
    for file, shown in (("001-lossy-1.0", False), ("004-lossy-1.3", True)):
        with Store.open(lossy / "runs" / f"{file}.logitmus") as store:
            assert CauseShown("*").state(store).shown is shown
    broken = CliRunner().invoke(app, ["bisect", "lossy==1.2..1.5", *arguments[:-1], "broken"])
    assert isinstance(broken.exception, EndError)
    assert "lossy 1.2 cannot be tested: uv could not resolve lossy==1.2" in str(broken.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lossy", "--cause", "lost"], "names no range of releases"),
        (["lossy==1.0..1.0", "--cause", "lost"], "are the same release"),
        (["lossy==1.0..2.0rc1", "--cause", "lost"], "2.0rc1 is a pre-release; add --pre"),
        (["lossy==1.0..2.0"], "nothing to find was given"),
        (["lossy==1.0..2.0", "--cause", "lost", "--problem", "1"], "--cause and --problem were given"),
        (["lossy==1.0..2.0", "--finding", "1"], "add --run FILE"),
        (["lossy==1.0..2.0", "--cause", "lost", "--run", "x"], "has no effect with --cause"),
    ],
)
def test_usage_errors_say_what_to_do(arguments: list[str], message: str) -> None:
    refused = CliRunner().invoke(app, ["bisect", *arguments])
    assert refused.exit_code == 2
    assert message in " ".join(refused.output.split())
