"""From a stream of events to the summary on the terminal, the report files and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import EXPECTATIONS, STDOUT, Outputs
from logitmus.cli.output import stdout
from logitmus.core.events import BackendFailed, BackendReady, Event, RunFinished, RunStarted
from logitmus.core.finding import Finding, Severity
from logitmus.reports.terminal import run
from logitmus.results.detection_power import known
from logitmus.results.expectations import Acceptance, load
from logitmus.results.summary import Summary

if TYPE_CHECKING:
    from logitmus.conventions.claims import Claims
    from logitmus.storage.store import Store


def acceptance(path: Path | None) -> Acceptance:
    """The expectations of `path`, or of ./logitmus.toml if it exists."""
    if path is None and not EXPECTATIONS.exists():
        return Acceptance(())
    return Acceptance(load(path or EXPECTATIONS))


def deliver(
    events: Iterable[Event],
    accepted: Acceptance,
    *,
    outputs: Outputs,
    fail_on: FailOn,
    requested: Collection[str] = (),
    quiet: bool = False,
    store: Store | None = None,
) -> Exit:
    """Consume the events, print the summary, write the reports, and return the exit code.

    Args:
        requested: the backends that the user named: if any of them cannot run, that is the exit code.
        quiet: no summary on the terminal.
        store: the run file, for the reports that need more than the events.
    """
    summary = Summary(known(), accepted.count)
    missing: set[str] = set()
    ready: set[str] = set()
    interrupted = selected = False
    for event in events:
        summary.add(event)
        match event:
            case RunStarted(settings=settings):
                selected = bool(settings.families or settings.dtypes)
            case BackendReady():
                ready.add(event.backend)
            case BackendFailed():
                missing.add(event.backend)
            case RunFinished():
                interrupted = event.interrupted
            case _:
                pass
    written = _write(summary, outputs, store, partial(_why_ignored, accepted=accepted, fail_on=fail_on))
    if not (quiet or outputs.on_stdout):
        run.render(summary, stdout(), "RUN" if store is None else str(store.path))
    _print_notes(accepted, summary, written, selected=selected)
    if interrupted:
        return Exit.INTERRUPTED
    if missing.intersection(requested) or not ready:
        return Exit.BACKEND
    if not summary.calls and not interrupted:
        reasons = [reason for reason, _ in summary.why_not()] or ["no subject matches; see `logitmus backends`"]
        why = summary.lacks_module or reasons[0]
        Console(stderr=True).print(f"logitmus: nothing was tested: {why}", markup=False, highlight=False)
        return Exit.BACKEND if missing or summary.lacks_module else Exit.USAGE
    if fail_on is FailOn.NEVER:
        return Exit.OK
    return Exit.FINDINGS if accepted.unaccepted(Severity(fail_on.value)) else Exit.OK


def _write(summary: Summary, outputs: Outputs, store: Store | None, fails: Callable[[Finding], str]) -> list[Path]:
    """Write the requested report files; return their paths."""
    paths = {
        "html.report": outputs.html,
        "json_report": outputs.json,
        "junit": outputs.junit,
        "markdown": outputs.markdown,
    }
    written = [path for path in paths.values() if path is not None]
    for name, path in paths.items():
        if path is not None:
            write: Callable[..., None] = import_module(f"logitmus.reports.{name}").write
            more: dict[str, Any] = {}
            if name == "html.report" and store is not None:
                more = {"measured": _measured(store)}
            elif name == "junit":
                more = {"fails": fails}
            write(summary, Path("/dev/stdout") if path == STDOUT else path, **more)
    return written


def _why_ignored(finding: Finding, *, accepted: Acceptance, fail_on: FailOn) -> str:
    """Why a finding does not affect the exit code; "" if it does."""
    reason = accepted.reason(finding)
    if reason:
        return f"accepted: {reason}"
    if fail_on is FailOn.NEVER or finding.severity.rank > Severity(fail_on.value).rank:
        return f"--fail-on {fail_on.value}"
    return ""


def _measured(store: Store) -> Sequence[Claims]:
    """The conventions of all subjects, if the run holds the probes for them."""
    from logitmus.conventions.claims import claims, probes

    return list(claims(store)) if probes(store) else ()


def _print_notes(accepted: Acceptance, summary: Summary, written: Iterable[Path], *, selected: bool) -> None:
    """Print which expectations were of use, and which files were written.

    Args:
        selected: only some of the problems were selected, so that an expectation may match the findings of others.
    """
    console = Console(stderr=True)
    if accepted.expectations:
        count = accepted.accepted
        console.print(f"{count} result{'' if count == 1 else 's'} accepted by expectations", highlight=False)
    stale = accepted.stale(summary.requested_subjects())
    for expectation in accepted.unmatched:
        if expectation not in stale:
            text = "expectation not tested (no subject of this run matches)"
        elif selected:
            text = "expectation not tested (matches no finding on the selected problems)"
        else:
            text = "stale expectation (matches nothing)"
        console.print(f"{text}: {expectation}", markup=False, highlight=False)
    for expectation in accepted.expired:
        console.print(f"expired expectation (until {expectation.until}): {expectation}", markup=False, highlight=False)
    for path in written:
        if path != STDOUT:
            console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
