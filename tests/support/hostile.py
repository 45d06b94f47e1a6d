"""Runs of which every foreign text is hostile: names, messages and versions that try to leave their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fake_events import stream
from implementations import subject

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendFailed, BackendReady, Event, Judged
from logitmus.results.summary import Summary

TEXT = (
    "x\n::error::y\r\n ::stop-commands::z ##[error]q ]]> </text><script>alert(1)</script> \x1b[31m\x00 "
    "[link](https://evil.example) {0} %0A | `code` @everyone,file=/etc/passwd"
)
MESSAGE = f"{TEXT} \ud800"  # an id holds no lone surrogate


def events() -> Iterator[Event]:
    """A run with findings of every severity; the summaries, results, causes and one subject are hostile."""
    evil = replace(subject(PORTABLE), backend="evil", function=TEXT.replace("@", ""))
    yield BackendReady("evil", (evil,), {"packages": {"evil": MESSAGE, TEXT: "1"}}, 1)
    yield BackendFailed(TEXT, MESSAGE, MESSAGE)
    for event in stream(300):
        if isinstance(event, Judged) and event.judgement.findings:
            (finding,) = event.judgement.findings
            changed = replace(finding, summary=MESSAGE, observed=MESSAGE, expected=MESSAGE, detail=MESSAGE)
            if finding.cause == "raised:ValueError":
                changed = replace(changed, subject=evil.id, cause=Cause.of("raised", TEXT))
            judgement = replace(event.judgement, subject=changed.subject, findings=(changed,))
            yield Judged(event.problem, judgement)
        else:
            yield event


def summary(reason: str = "") -> Summary:
    """The summary of `events`; with a reason, everything but the bugs is accepted for it."""
    gathered = Summary(reason=lambda finding: reason if reason and finding.severity != "bug" else "")
    for event in events():
        gathered.add(event)
    return gathered
