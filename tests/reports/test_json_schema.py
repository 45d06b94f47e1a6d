"""The JSON of a run: as its published schema has it, and the same bytes whenever the results are the same."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile
import pytest
from fake_events import stream
from jsonschema import Draft202012Validator
from test_golden import comparison, summarised

from logitmus.core.causes import Cause
from logitmus.core.events import Event, Judged, Repeated, RunFinished, RunStarted
from logitmus.core.run_settings import CheckedFunction, RunSettings, Shard
from logitmus.reports import json_report
from logitmus.results import serialize
from logitmus.results.against import Against
from logitmus.results.detection_power import KindPower, Power
from logitmus.results.summary import Summary

SUPPORT = Path(__file__).parent.parent / "support"
SCHEMA = json.loads(json_report.schema())
VALIDATOR = Draft202012Validator(SCHEMA)
RUN = (
    *("run", "--backend", "few_planted:BACKEND", "--profile", "quick", "--dtype", "float32", "--fail-on", "never"),
    *("--family", "common-offset", "--family", "relations"),
)


def gathered(of: Iterable[Event], power: Power | None = None, reason: str = "") -> Summary:
    summary = Summary(power, reason=lambda _: reason)
    for event in of:
        summary.add(event)
    return summary


def errors(document: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def written(summary: Summary, folder: Path) -> dict[str, Any]:
    json_report.write(summary, folder / "r.json")
    read: dict[str, Any] = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    return read


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)


def test_the_schema_is_one_and_allows_nothing_else() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == serialize.SCHEMA == 2
    for schema in objects(SCHEMA):
        closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) <= set(
            schema.get("properties", ())
        )
        keyed = isinstance(schema.get("additionalProperties"), dict)
        assert closed or keyed or schema is SCHEMA["$defs"]["environment"]


FUNCTION = CheckedFunction(framework="numpy", target="mine.py:f", options={"weight": "w"})
POWER = Power(
    schema=2,
    fingerprint="0" * 20,
    version="0",
    kinds={"forward": KindPower(planted=3, found=2, named=1, unexplained=1, misnamed=0)},
    correct=2,
    missed=("numpy:f",),
)


@pytest.mark.parametrize(
    "summary",
    [
        Summary(),
        gathered(stream(2_000), POWER),
        gathered(stream(2_000), reason="known"),
        summarised(),  # with an examined finding, relations and an exploration
        hostile.summary(),
    ],
)
def test_every_part_is_in_the_schema(summary: Summary, tmp_path: Path) -> None:
    assert errors(written(summary, tmp_path)) == []


def test_a_finding_of_a_switch_is_in_the_schema(tmp_path: Path) -> None:
    events = [
        Judged(
            event.problem,
            replace(
                event.judgement,
                findings=tuple(replace(f, without="0.5", effect=effect) for f in event.judgement.findings),
            ),
        )
        if isinstance(event, Judged)
        else event
        for event, effect in zip(stream(500), [Cause("lost"), None] * 500, strict=False)
    ]
    read = written(gathered(events), tmp_path)
    assert {finding["example"]["effect"] for finding in read["findings"]} == {"lost", None}
    assert errors(read) == []


def test_repeated_calls_and_a_shard_are_in_the_schema(tmp_path: Path) -> None:
    started, *rest = stream(200)
    assert isinstance(started, RunStarted)
    settings = RunSettings(repeat=2, shard=Shard(number=1, count=3), merged=2, check="mine.py:f", function=FUNCTION)
    repeated = [
        Repeated(subject="alpha:f@cpu", new_process=new, calls=9, changed=1, ulps=3, other={"number -> NaN": 1})
        for new in (True, False)
    ]
    read = written(gathered([replace(started, settings=settings), *rest, *repeated]), tmp_path)
    assert errors(read) == []
    assert read["settings"]["shard"] == {"number": 1, "count": 3}
    assert [entry["new_process"] for entry in read["repeated"]] == [False, True]


@pytest.mark.parametrize(
    "where", [(), ("findings", 0), ("findings", 0, "example"), ("matrix", 0), ("subjects", 0), ("backends", 0)]
)
def test_a_field_that_is_missing_or_unknown_is_refused(where: tuple[str | int, ...], tmp_path: Path) -> None:
    read = written(gathered(stream(500)), tmp_path)
    place: Any = read
    for step in where:
        place = place[step]
    name = min(place)
    kept = place.pop(name)
    assert errors(read)
    place[name] = kept
    assert not errors(read)
    place["more"] = 1
    assert errors(read)


def test_the_time_and_the_order_of_judging_change_no_byte(tmp_path: Path) -> None:
    ordered = list(stream(3_000))
    shuffled = random.Random(7).sample(ordered, len(ordered))
    later = [replace(e, seconds=99.0, stored=True, resumed=3) if isinstance(e, RunFinished) else e for e in shuffled]
    for name, events in (("a", ordered), ("b", later)):
        json_report.write(gathered(events), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def logitmus(folder: Path, *args: str) -> None:
    command = [sys.executable, "-m", "logitmus", *args]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two equal runs in different folders, with different numbers of workers, and a third that explored."""
    root = tmp_path_factory.mktemp("runs")
    for name, more in (("first", ("--jobs", "1")), ("second", ("--jobs", "2")), ("third", ("--explore", "0.01"))):
        (root / name).mkdir()
        shutil.copy(SUPPORT / "few_planted.py", root / name)
        logitmus(root / name, *RUN, *more, "--out", "x.logitmus", "--json", "run.json")
    for name in ("first", "third"):
        logitmus(root / name, "judge", "x.logitmus", "--fail-on", "never", "--json", "judged.json")
    return root


@pytest.mark.parametrize("name", ["first", "third"])
def test_a_real_run_is_as_the_schema_has_it(real: Path, name: str) -> None:
    read = json.loads((real / name / "run.json").read_text(encoding="utf-8"))
    assert errors(read) == []
    assert read["findings"]
    assert read["relations"]
    assert bool(read["explored"]) == (name == "third")


@pytest.mark.parametrize("name", ["first", "third"])
def test_judging_a_run_again_gives_the_same_bytes(real: Path, name: str) -> None:
    assert (real / name / "run.json").read_bytes() == (real / name / "judged.json").read_bytes()


def test_equal_runs_give_the_same_bytes(real: Path) -> None:
    assert (real / "first" / "run.json").read_bytes() == (real / "second" / "run.json").read_bytes()


def test_a_comparison_with_an_earlier_run_is_as_the_schema_has_it(tmp_path: Path) -> None:
    summary = summarised()
    summary.against = Against(comparison())
    read = written(summary, tmp_path)
    assert not errors(read)
    assert read["against"]["new"]
    assert {finding["new"] for finding in read["findings"]} == {0}
