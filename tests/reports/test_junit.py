"""JUnit XML: complete, valid where schemas agree, and nothing foreign leaves its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import hostile
import pytest
from fake_events import FAMILIES, stream, subjects

from logitmus import __version__
from logitmus.core.causes import Cause
from logitmus.core.events import BackendReady, Event, Examined, Judged, RunFinished
from logitmus.core.finding import Finding
from logitmus.reports import junit
from logitmus.results.summary import Notice, Summary

# What the schema of Jenkins' xUnit plugin (junit-10.xsd) allows: attributes, of which those with a star are required,
# and children.
ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name*", "tests*", "failures*", "errors*", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name*", "value*"}, set()),
    "testcase": ({"name*", "time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def gathered(of: Iterable[Event]) -> Summary:
    summary = Summary()
    for event in of:
        summary.add(event)
    return summary


def written(summary: Summary, folder: Path) -> ElementTree.Element:
    """The file, read back; what it holds is allowed, and its counts are right."""
    junit.write(summary, folder / "j.xml")
    root = ElementTree.fromstring((folder / "j.xml").read_text(encoding="utf-8"))  # noqa: S314
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) <= {name.rstrip("*") for name in attributes}
        assert {name.rstrip("*") for name in attributes if name.endswith("*")} <= set(element.attrib)
        assert {child.tag for child in element} <= children
    for suite in root:
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(1 for _ in suite.iter(tag))
    return root


def suite(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [suite for suite in root if suite.get("name") == name]
    return found


def case(root: ElementTree.Element, name: str, family: str) -> ElementTree.Element:
    (found,) = [case for case in suite(root, name).iter("testcase") if case.get("name") == family]
    return found


def test_each_subject_is_a_suite_with_a_case_for_each_family(tmp_path: Path) -> None:
    root = written(gathered(stream(2_000)), tmp_path)
    for subject in subjects():
        found = suite(root, subject.id)
        assert [case.get("name") for case in found.iter("testcase")] == sorted(FAMILIES)
        assert {case.get("classname") for case in found.iter("testcase")} == {subject.id}


def test_a_suite_has_the_versions_of_what_was_tested(tmp_path: Path) -> None:
    events = [
        replace(e, environment={"packages": {"alpha": "1.2"}, "python": {"version": "3.13.1"}, "platform": "Linux"})
        if isinstance(e, BackendReady)
        else e
        for e in stream(200)
    ]
    found = suite(written(gathered(events), tmp_path), "alpha:cross_entropy@cpu")
    properties = {entry.get("name"): entry.get("value") for entry in found.iter("property")}
    assert properties.pop("detection power")
    assert properties == {"logitmus": __version__, "alpha": "1.2", "python": "3.13.1", "platform": "Linux"}


def test_what_did_not_run_is_an_error_or_skipped_for_its_own_reason(tmp_path: Path) -> None:
    subject = subjects()[0].id
    whole = list(stream(2_000))
    without = [e for e in whole if not (isinstance(e, Judged) and e.judgement.subject == subject)]
    root = written(gathered([*without[:-1], RunFinished(seconds=1.0, interrupted=True)]), tmp_path)
    assert [error.get("message") for error in root.iter("error")] == [
        "ModuleNotFoundError: No module named 'delta' pip install delta",
        "the run was interrupted: results are missing",
    ]
    skipped = case(root, subject, "ordinary").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not run: this run holds no result of these problems"
    assert [*written(gathered(whole), tmp_path).iter("error")] != []
    assert len([*written(gathered(whole), tmp_path).iter("error")]) == 1


def test_an_accepted_finding_is_no_failure_when_its_examination_gives_it_another_cause(tmp_path: Path) -> None:
    events = list(stream(2_000))
    found = next(e for e in events if isinstance(e, Judged) and e.judgement.findings)
    (finding, *_) = found.judgement.findings
    examined = replace(finding, cause=Cause("bfloat16_accumulation"), summary="another cause")
    events.insert(-1, Examined(of=finding, finding=examined, problem=found.problem))

    def reason(of: Finding, _family: str = "") -> str:
        return "we know" if of.cause == finding.cause else ""

    summary = Summary(reason=reason)
    for event in events:
        summary.add(event)
    (group,) = [group for group in summary.groups() if group.finding.summary == "another cause"]
    assert not group.counts
    junit.write(summary, tmp_path / "j.xml", fails=reason)
    root = ElementTree.fromstring((tmp_path / "j.xml").read_text(encoding="utf-8"))  # noqa: S314
    assert not [failure for failure in root.iter("failure") if "another cause" in (failure.text or "")]
    assert any("another cause (accepted: we know)" in text for text in root.itertext())


@pytest.mark.parametrize("summary", [Summary(), hostile.summary(), hostile.summary("known ]]> \x00")])
def test_foreign_text_is_text(summary: Summary, tmp_path: Path) -> None:
    summary.notices = (Notice(hostile.MESSAGE, counts=True), Notice(hostile.MESSAGE, counts=False))
    root = written(summary, tmp_path)
    assert "<script>" not in (tmp_path / "j.xml").read_text(encoding="utf-8")
    messages = [failure.get("message") or "" for failure in root.iter("failure")]
    assert any("]]> </text><script>alert(1)</script>" in message for message in messages)
    assert not any("\x1b" in text for text in root.itertext())
