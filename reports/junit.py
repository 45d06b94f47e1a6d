"""JUnit XML for CI: a test case for each subject and family, findings as failures, what was not run as skipped.

There is no single standard. The file keeps to what the schema of Jenkins' xUnit plugin (junit-10.xsd) and the usual
viewers share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from logitmus import __version__
from logitmus.core.finding import Finding, Severity
from logitmus.results import detection_power, outcome, versions, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(summary: Summary, path: Path, fails: Callable[[Finding, str], str] = lambda *_: "") -> None:
    """Write the file. A note is no failure; a backend that could not run is an error.

    Args:
        fails: the reason why a finding is no failure on the problems of a family, such as an expectation; "": it is.
    """
    xml = JUnitXml("logitmus")
    failures: dict[tuple[str, str], list[Group]] = {}
    for group in summary.groups():
        if group.finding.severity is not Severity.NOTE:
            for cell in group.cells:
                failures.setdefault(cell, []).append(group)
    for subject in summary.subject_ids():
        suite = TestSuite(_clean(subject))
        for name, value in _properties(summary, subject):
            suite.add_property(_clean(name), _clean(value))
        judged = {family for name, family in summary.cells if name == subject}
        few = summary.subjects[subject].has_switch if subject in summary.subjects else False
        for family in (name for name in summary.family_names() if name in judged or not few):
            suite.add_testcase(_case(summary, subject, family, failures.get((subject, family), []), fails))
        xml.add_testsuite(suite)
    for name, backend in sorted(summary.backends.items()):
        if backend.failed:
            xml.add_testsuite(_error(name, "start", f"{backend.failed} {backend.hint}".strip(), "BackendFailed"))
    if outcome.is_partial(summary):
        xml.add_testsuite(_error("run", "complete", "the run was interrupted: results are missing", "Interrupted"))
    if summary.notices:
        suite = TestSuite("notices")
        for notice in summary.notices:
            case = TestCase(_clean(notice.text), classname="notices")
            case.result = [Failure(_clean(notice.text)) if notice.counts else Skipped(_clean(notice.text))]
            suite.add_testcase(case)
        xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def _properties(summary: Summary, subject: str) -> Iterator[tuple[str, str]]:
    """The versions of what was tested, and how good the test is."""
    described = summary.subjects.get(subject)
    backend = summary.backends.get(described.backend) if described is not None else None
    yield "logitmus", __version__
    if described is not None and backend is not None:
        yield from versions.tested([described], backend.environment).items()
        python = backend.environment.get("python")
        if isinstance(python, Mapping):
            yield "python", str(python.get("version", ""))
        yield "platform", str(backend.environment.get("platform", ""))
    yield "detection power", detection_power.score(summary.power)


def _error(suite_name: str, case_name: str, message: str, kind: str) -> TestSuite:
    """A suite of one test case that is an error."""
    suite = TestSuite(_clean(suite_name))
    case = TestCase(case_name, classname=_clean(suite_name))
    case.result = [Error(_clean(message), kind)]
    suite.add_testcase(case)
    return suite


def _case(
    summary: Summary, subject: str, family: str, groups: list[Group], fails: Callable[[Finding, str], str]
) -> TestCase:
    case = TestCase(_clean(family), classname=_clean(subject))
    cell = summary.cell(subject, family)
    counts = ", ".join(f"{n} {verdict.value}" for verdict, n in sorted(cell.counts.items()) if n)
    if not cell.requested and not cell.given_up:
        needs = "the subject does not offer what these problems need"
        case.result = [Skipped(f"not run: {needs if cell.counts else 'this run holds no result of these problems'}")]
        return case
    known = {id(group): _known_since(group, subject, family) for group in groups}
    spared = [
        (
            group,
            "declared and kept"
            if group.is_declared
            # Examined, a finding may have another cause than the findings that were accepted.
            else (f"accepted: {group.acceptance}" if group.is_accepted else "")
            or fails(replace(group.finding, subject=subject), family)
            or known[id(group)],
        )
        for group in groups
    ]
    failing = [group for group, why in spared if not why]
    if failing:
        case.result = [_failure(failing)]
    elif cell.given_up:
        case.result = [Error(f"{wording.plural(cell.given_up, 'call')} not made: the workers were lost", "GivenUp")]
    elif any(known.values()):
        case.result = [Skipped(_clean(next(filter(None, known.values()))))]
    elif cell.tone == "open":
        case.result = [Skipped(f"nothing could be decided: {counts}")]
    accepted = [f"{group.label}: {group.finding.summary} ({why})" for group, why in spared if why]
    case.system_out = _clean("\n".join([counts, *accepted]))
    return case


def _known_since(group: Group, subject: str, family: str) -> str:
    """The earlier run that shows the group in this cell, too, in words; "" if there is none."""
    earlier = group.known_since((subject, family))
    return f"known since {earlier}" if earlier else ""


def _failure(groups: list[Group]) -> Failure:
    """A single failure for a test case: the worst finding in its message, all of them in its text."""
    worst, *others = groups
    more = f" (and {len(others)} more)" if others else ""
    failure = Failure(_clean(f"{worst.label}: {worst.finding.summary}{more}"), worst.finding.kind.value)
    failure.text = _clean("\n\n".join(map(details, groups)))
    return failure


def details(group: Group) -> str:
    """A group of findings in plain text, a line for each field."""
    finding = group.finding
    lines = [
        f"{group.label}: {finding.summary}",
        f"finding: {finding.id}",
        f"problem: {finding.problem}",
        *(f"{label}: {text}" for label, text in FindingView.of(group).fields()),
        f"reproduce: {wording.repro(finding)}",
    ]
    return "\n".join(lines)


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 does not have."""
    return _NOT_XML.sub("�", text)
