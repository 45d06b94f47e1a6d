"""JUnit XML for CI: a test case for each subject and family, findings as failures, what was not run as skipped."""

from __future__ import annotations

import re
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from logitmus.finding import Finding, Severity
from logitmus.reports import detection, wording
from logitmus.reports.summary import Group, Summary

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(summary: Summary, path: Path) -> None:
    """Write the file. Notes fail nothing; a backend that could not run is an error."""
    xml = JUnitXml("logitmus")
    failures: dict[tuple[str, str], list[Group]] = {}
    for group in summary.groups():
        if group.finding.severity is not Severity.NOTE:
            for cell in group.cells:
                failures.setdefault(cell, []).append(group)
    for subject in summary.subject_ids():
        suite = TestSuite(_clean(subject))
        suite.add_property("logitmus", _clean(detection.headline(summary.power)))
        for family in summary.family_names():
            suite.add_testcase(_case(summary, subject, family, failures.get((subject, family), [])))
        xml.add_testsuite(suite)
    for name, backend in sorted(summary.backends.items()):
        if backend.failed:
            suite = TestSuite(_clean(name))
            case = TestCase("start", classname=_clean(name))
            case.result = [Error(_clean(backend.failed), "BackendFailed")]
            suite.add_testcase(case)
            xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def _case(summary: Summary, subject: str, family: str, groups: list[Group]) -> TestCase:
    case = TestCase(_clean(family), classname=_clean(subject))
    cell = summary.cell(subject, family)
    said = ", ".join(f"{n} {verdict.value}" for verdict, n in sorted(cell.counts.items()) if n)
    if not cell.asked:
        case.result = [Skipped("not run: the subject does not offer what these problems need")]
    elif groups:
        case.result = [_failure(group) for group in groups]
    elif cell.tone == "open":
        case.result = [Skipped(f"nothing could be decided: {said}")]
    case.system_out = said
    return case


def _failure(group: Group) -> Failure:
    finding = group.finding
    failure = Failure(_clean(f"{finding.severity.value}: {finding.summary}"), finding.kind.value)
    failure.text = _clean(details(finding, group))
    return failure


def details(finding: Finding, group: Group) -> str:
    """Problem, expected, came: in plain text."""
    return (
        f"finding {finding.id}, problem {finding.problem}: {wording.question(group.problem, finding.row)}\n"
        f"expected {finding.expected} {wording.where(finding)}\n"
        f"came {finding.observed} {wording.measure(finding)}\n"
        f"{_sentence('depends', wording.depends(group.dependences))}"
        f"{_sentence('or', wording.doubt(finding))}"
        f"{_sentence('matters', wording.why(finding))}"
        f"script {wording.repro(finding)}"
    )


def _sentence(name: str, words: str) -> str:
    return f"{name} {words}\n" if words else ""


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 does not have."""
    return _NOT_XML.sub("�", text)
