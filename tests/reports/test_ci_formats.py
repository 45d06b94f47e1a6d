"""What CI services show: GitHub annotations, GitLab Code Quality, badges and the line for a chat."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hostile
import pytest
from fake_events import stream
from test_golden import comparison

from logitmus import __version__
from logitmus.core.events import BackendFailed, BackendReady, Event, Judged, RunFinished
from logitmus.core.finding import Verdict
from logitmus.reports import badge, github, gitlab
from logitmus.results import outcome
from logitmus.results.against import Against
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation
from logitmus.results.summary import Summary

SVG = "{http://www.w3.org/2000/svg}"
COMMAND = re.compile(
    r"::(?P<level>error|warning|notice) (?P<properties>(?:[a-z]+=[^,:\r\n]*,?)+)::(?P<message>[^\r\n]*)"
)


def at_toml(_: Group) -> SourceLocation:
    return SourceLocation("logitmus.toml")


def at_line(_: Group) -> SourceLocation:
    return SourceLocation("src/a,b:c.py", 12)


def gathered(of: Iterable[Event], accept: str = "") -> Summary:
    summary = Summary(reason=lambda finding: "known" if finding.severity.value in accept.split() else "")
    for event in of:
        summary.add(event)
    return summary


def commands(summary: Summary, locate: Any = at_toml) -> list[re.Match[str]]:
    """The lines, each of which is one command, but for the last if some findings are left out."""
    lines = list(github.lines(summary.groups(), locate))
    assert all("\n" not in line and "\r" not in line for line in lines)
    if lines and not lines[-1].startswith("::"):
        lines.pop()
    matches = [COMMAND.fullmatch(line) for line in lines]
    assert all(matches)
    return [match for match in matches if match]


def test_annotations_are_ten_of_a_level_the_worst_first_and_the_rest_is_counted() -> None:
    summary = gathered(stream(2_000))
    found = [group.finding.severity.value for group in summary.groups()]
    bugs, hazards = found.count("bug"), found.count("hazard")
    lesser = len(found) - bugs - hazards
    assert bugs > 10
    assert hazards < 10 < lesser
    levels = [match["level"] for match in commands(summary)]
    assert levels == ["error"] * 10 + ["warning"] * hazards + ["notice"] * 10
    left = bugs - 10 + lesser - 10
    assert list(github.lines(summary.groups(), at_toml))[-1] == (
        f"{left} findings not annotated: GitHub shows 10 annotations of a level"
    )


def test_an_annotation_names_the_function_the_fault_and_how_to_reproduce_it() -> None:
    summary = gathered(stream(300))
    first, group = commands(summary)[0], summary.groups()[0]
    assert first["properties"] == f"title=Logitmus bug%3A {group.finding.summary}"
    assert first["message"].startswith(f"{group.finding.subject.split(':')[0]}: ")
    for part in (group.finding.summary, group.finding.observed, f"logitmus repro RUN {group.finding.id}"):
        assert part in first["message"]


def test_an_annotation_stands_at_the_line_of_a_function() -> None:
    summary = gathered(stream(300))
    assert "file=" not in commands(summary)[0]["properties"]
    assert commands(summary, at_line)[0]["properties"].endswith(",file=src/a%2Cb%3Ac.py,line=12")


def test_foreign_text_is_no_command_of_its_own() -> None:
    matches = commands(hostile.summary(), at_line)
    assert matches
    for match in matches:
        assert match["properties"].count(",file=") == 1
        assert "::stop-commands" not in match["properties"]
        assert "%250A" in match["message"]  # what was "%0A" stays that


@pytest.mark.parametrize("accept", ["bug", "hazard difference note"])
def test_accepted_findings_are_left_out(accept: str, tmp_path: Path) -> None:
    summary = gathered(stream(2_000), accept)
    left = {group.finding.id for group in summary.groups() if group.finding.severity.value not in accept.split()}
    assert left
    gitlab.write(summary, tmp_path / "gl.json", at_toml)
    issues = json.loads((tmp_path / "gl.json").read_text(encoding="utf-8"))
    assert {re.search(r"Finding (\w+)", issue["description"])[1] for issue in issues} == left  # type: ignore[index]
    shown = {re.search(r"Finding (\w+)", match["message"])[1] for match in commands(summary)}  # type: ignore[index]
    assert shown <= left


@pytest.mark.parametrize("summary", [gathered(stream(2_000)), hostile.summary(), Summary()])
def test_gitlab_has_every_field_that_it_needs(summary: Summary, tmp_path: Path) -> None:
    gitlab.write(summary, tmp_path / "gl.json", at_line)
    issues = json.loads((tmp_path / "gl.json").read_text(encoding="utf-8"))
    assert len(issues) == len(summary.groups())
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    for issue, group in zip(issues, summary.groups(), strict=True):
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["location"] == {"path": "src/a,b:c.py", "lines": {"begin": 12}}
        assert "\x1b" not in issue["description"] + issue["check_name"]
        levels = {"bug": "critical", "hazard": "major", "difference": "minor", "note": "info"}
        assert issue["severity"] == levels[group.finding.severity.value]


def test_gitlab_fingerprints_differ_by_file_and_are_stable(tmp_path: Path) -> None:
    def prints(events: Iterable[Event], locate: Any) -> list[str]:
        gitlab.write(gathered(events), tmp_path / "gl.json", locate)
        return [issue["fingerprint"] for issue in json.loads((tmp_path / "gl.json").read_text(encoding="utf-8"))]

    few = prints(stream(600), at_toml)
    assert set(few) <= set(prints(stream(6_000), at_toml))
    assert not set(few) & set(prints(stream(600), at_line))


def endpoint(summary: Summary, tmp_path: Path) -> dict[str, Any]:
    badge.write(summary, tmp_path / "b.json")
    read: dict[str, Any] = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert (read.pop("schemaVersion"), read.pop("label")) == (1, "logitmus")
    return read


def without_findings() -> list[Event]:
    events = []
    for event in stream(300):
        if isinstance(event, Judged) and event.judgement.findings:
            judgement = replace(event.judgement, verdict=Verdict.PASS, findings=())
            event = Judged(event.problem, judgement)  # noqa: PLW2901
        events.append(event)
    return events


def test_a_badge_counts_what_is_not_accepted(tmp_path: Path) -> None:
    whole = [event for event in stream(300) if not isinstance(event, BackendFailed)]
    good = {"message": "no findings", "color": "brightgreen"}
    assert endpoint(gathered(whole, "bug hazard difference note"), tmp_path) == good
    assert endpoint(gathered(e for e in without_findings() if not isinstance(e, BackendFailed)), tmp_path) == good
    assert endpoint(gathered(stream(300)), tmp_path) == {
        "message": "13 bugs, 3 hazards, 7 differences, 2 notes",
        "color": "red",
    }
    assert endpoint(gathered(stream(300), "bug"), tmp_path)["color"] == "orange"
    assert endpoint(gathered(stream(300), "bug hazard"), tmp_path)["color"] == "yellow"
    whole = [event for event in stream(300) if not isinstance(event, BackendFailed)]
    assert endpoint(gathered(whole, "bug hazard difference"), tmp_path) == {
        "message": "2 notes",
        "color": "brightgreen",
    }


def test_a_badge_never_shows_a_run_that_did_not_end_as_good(tmp_path: Path) -> None:
    assert endpoint(Summary(), tmp_path) == {"message": "nothing was tested", "color": "lightgrey"}
    cut = [*without_findings()[:-1], RunFinished(seconds=1.0, interrupted=True)]
    assert endpoint(gathered(cut), tmp_path) == {"message": "interrupted", "color": "lightgrey"}
    lacking = {"message": "1 backend could not run", "color": "lightgrey"}
    assert endpoint(gathered(stream(300), "bug hazard difference"), tmp_path) == lacking  # with notes
    assert endpoint(gathered(without_findings()), tmp_path) == lacking
    lost = [event for event in without_findings() if not isinstance(event, BackendFailed)]
    last = next(event for event in reversed(lost) if isinstance(event, Judged))
    lost.append(replace(last, judgement=replace(last.judgement, verdict=Verdict.NOT_RUN, given_up=True)))
    assert endpoint(gathered(lost), tmp_path) == {"message": "calls were not made", "color": "lightgrey"}


def test_what_an_earlier_run_shows_is_neither_annotated_nor_counted(tmp_path: Path) -> None:
    summary = gathered(event for event in stream(300) if not isinstance(event, BackendFailed))
    before = [*github.lines(summary.groups(), at_toml)]
    summary.against = Against(comparison())
    assert [*github.lines(summary.groups(), at_toml)] == []
    assert endpoint(summary, tmp_path) == {"message": "no new findings", "color": "brightgreen"}
    assert before


def test_an_svg_badge_is_self_contained_and_has_a_title(tmp_path: Path) -> None:
    badge.write(gathered(stream(300)), tmp_path / "b.svg")
    image = ElementTree.fromstring((tmp_path / "b.svg").read_text(encoding="utf-8"))  # noqa: S314
    words = "logitmus: 13 bugs, 3 hazards, 7 differences, 2 notes"
    assert (image.get("role"), image.get("aria-label"), image.findtext(f"{SVG}title")) == ("img", words, words)
    assert {element.tag.removeprefix(SVG) for element in image.iter()} == {"svg", "title", "rect", "g", "text"}
    assert not any("href" in name or name.startswith("on") for element in image.iter() for name in element.attrib)
    width = int(image.get("width", ""))
    assert sum(int(rect.get("width", "")) for rect in image.iter(f"{SVG}rect")) == width


def test_the_line_has_the_outcome_the_size_and_the_versions() -> None:
    summary = gathered(stream(300))
    assert outcome.line(summary) == (
        f"13 bugs, 3 hazards, 7 differences, 2 notes over {summary.extent()}; delta could not run "
        f"[logitmus {__version__}, alpha 1, beta 1, gamma 1]"
    )
    accepted = gathered(stream(300), "hazard difference note")
    assert outcome.line(accepted).startswith("13 bugs over ")
    assert "; 12 accepted findings; " in outcome.line(accepted)
    cut = [*without_findings()[:-1], RunFinished(seconds=1.0, interrupted=True)]
    assert outcome.line(gathered(cut)).startswith("interrupted: no findings so far over ")
    assert outcome.line(Summary()) == f"nothing was tested [logitmus {__version__}]"


def test_the_line_names_the_packages_that_its_functions_are_named_after() -> None:
    (ready,) = [e for e in stream(100) if isinstance(e, BackendReady) and e.backend == "alpha"]
    packages = {"alpha": "1", "alpha-cpu": "2", "nn": "3", "numpy": "4", "alphabet": "5"}
    summary = gathered([replace(ready, environment={"packages": packages}), *stream(100)])
    summary.add(replace(ready, environment={"packages": packages}))
    assert "alpha 1, alpha-cpu 2, beta 1, gamma 1, nn 3]" in outcome.line(summary)


def test_foreign_text_stays_in_the_line() -> None:
    text = outcome.line(hostile.summary())
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
