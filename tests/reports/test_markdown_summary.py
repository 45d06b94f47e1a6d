"""Markdown: short, below the limits of the code hosts, and nothing foreign leaves its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import hostile
import pytest
from fake_events import stream

from logitmus.core.causes import Cause
from logitmus.core.events import Event, Judged
from logitmus.reports import markdown
from logitmus.results.summary import Notice, Summary

COMMENT = 65_536  # the characters that a comment on GitHub holds


def gathered(of: Iterable[Event], accept: str = "") -> Summary:
    summary = Summary(reason=lambda finding: "known" if accept and finding.cause.startswith(accept) else "")
    for event in of:
        summary.add(event)
    return summary


def many_causes(text: str = "") -> Summary:
    """A run with hundreds of groups of findings, each with a long text."""
    events = []
    for number, event in enumerate(stream(6_000)):
        if isinstance(event, Judged) and event.judgement.findings:
            (finding,) = event.judgement.findings
            changed = replace(finding, cause=Cause.of("raised", f"E{number}"), summary=f"raises E{number} {text}")
            event = Judged(event.problem, replace(event.judgement, findings=(changed,)))  # noqa: PLW2901
        events.append(event)
    return gathered(events)


def visible(text: str) -> str:
    """What a reader sees before opening anything."""
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)


def folded(text: str) -> dict[str, str]:
    found = re.findall(r"<details><summary>(.*?)</summary>\n(.*?)</details>", text, re.DOTALL)
    return dict(found)


def test_what_explains_findings_is_folded_away() -> None:
    text = markdown.text(gathered(stream(2_000), accept="timeout"))
    assert set(folded(text)) == {"Minimal inputs", "3 accepted findings", "18 subjects"}
    assert "timeout" not in visible(text)
    assert "known" not in visible(text)
    assert folded(text)["3 accepted findings"].count("accepted: known") == 3
    rows = re.findall(r"^\| (?:🔴|🟣|🟡)", visible(text), re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| `", folded(text)["Minimal inputs"], re.MULTILINE)) > 10


@pytest.mark.parametrize("text", ["", "long " * 2_000, "<b>|" * 2_000, "🔴" * 5_000])
@pytest.mark.parametrize("limit", [markdown.LIMIT, 8_000])
def test_it_stays_below_the_limit_and_counts_what_is_left_out(text: str, limit: int) -> None:
    summary = many_causes(text)
    assert len(summary.groups()) > 500
    shown = markdown.text(summary, limit)
    assert len(shown) <= limit < COMMENT
    rows = len(re.findall(r"^\| 🔴|^\| 🟡|^\| 🟣", visible(shown), re.MULTILINE))
    assert 0 < rows <= 30
    open_groups = [group for group in summary.groups() if group.finding.severity != "note"]
    notes = len(summary.groups()) - len(open_groups)
    assert (
        f"Not listed here: {len(open_groups) - rows:,} more findings and {notes:,} notes; "
        "all are in the HTML report, `logitmus report RUN --html report.html`" in visible(shown)
    )
    assert shown.count("<details>") == shown.count("</details>")


def test_a_folded_table_that_does_not_fit_counts_its_rows() -> None:
    summary = gathered(stream(2_000))
    whole = markdown.text(summary)
    short = markdown.text(summary, len(whole) - 300)
    left = re.search(r"\nand (\d+) more\n", folded(short)["18 subjects"])
    assert left
    rows = re.findall(r"^\| `", folded(short)["18 subjects"], re.MULTILINE)
    assert len(rows) + int(left[1]) == 18


def test_many_warnings_are_counted() -> None:
    summary = gathered(stream(300))
    summary.notices = tuple(Notice(f"stale expectation {number} {'x' * 5_000}", counts=False) for number in range(400))
    text = markdown.text(summary)
    assert len(text) <= markdown.LIMIT
    assert "371 more warnings" in text
    assert "71353ef4" in text
    summary.notices = tuple(Notice("&<" * 5_000, counts=False) for _ in range(400))  # as HTML five times as long
    text = markdown.text(summary)
    assert len(text) <= markdown.LIMIT
    assert re.search(r"\d+ more warnings", text)
    assert "71353ef4" in text


def test_foreign_text_is_text() -> None:
    for summary in (hostile.summary(), hostile.summary(hostile.MESSAGE)):
        summary.notices = (Notice(hostile.MESSAGE, counts=True),)
        text = markdown.text(summary)
        text.encode()
        assert "<script>" not in text
        assert "\x1b" not in text
        assert not re.search(r"(?<!\\)\]\(https", text)
        assert "@everyone" not in text
        assert {line.split(" ")[0] for line in text.splitlines() if "stop-commands" in line} <= {"|", "⚠️"}
