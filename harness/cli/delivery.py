"""From a stream of events to the summary on the terminal, the report files and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import STDOUT, Outputs
from logitmus.cli.output import stdout
from logitmus.cli.workflow_commands import command
from logitmus.core.errors import LogitmusError
from logitmus.core.events import Event
from logitmus.core.finding import Finding
from logitmus.engine.planning import missing_calls
from logitmus.engine.repetition import interrupted_repeats
from logitmus.reports.terminal import run
from logitmus.results import outcome, repetition
from logitmus.results.acceptance import Acceptance
from logitmus.results.against import Against
from logitmus.results.detection_power import known
from logitmus.results.expectations import default_file, load
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation, locator
from logitmus.results.summary import Notice, Summary
from logitmus.results.wording import plural

if TYPE_CHECKING:
    from logitmus.conventions.claims import Claims
    from logitmus.results.run_diff import Comparing
    from logitmus.storage.store import Store


class OutputError(LogitmusError):
    """A report that cannot be written, e.g. because the disk is full."""


def acceptance(path: Path | None) -> Acceptance:
    """The expectations of `path`, or of the current folder."""
    file = path or default_file()
    return Acceptance(() if file is None else load(file), file=file)


def deliver(
    events: Iterable[Event],
    accepted: Acceptance,
    *,
    outputs: Outputs,
    fail_on: FailOn,
    strict: bool = False,
    requested: Collection[str] = (),
    quiet: bool = False,
    store: Store | None = None,
    comparing: Comparing | None = None,
) -> Exit:
    """Consume the events, print the summary, write the reports, and return the exit code.

    Args:
        strict: stale and expired expectations count as findings.
        requested: the backends that the user named: if any of them cannot run, that is the exit code.
        quiet: no summary on the terminal.
        store: the run file, for the reports that need more than the events.
        comparing: the comparison with an earlier run: only new findings count.
    """
    summary = _summarize(events, accepted, strict=strict, comparing=comparing)
    interrupted = summary.finished is not None and summary.finished.interrupted
    locate = locator(summary, accepted.file)
    try:
        written = _write(summary, outputs, store, partial(_why_ignored, accepted=accepted, fail_on=fail_on), locate)
    finally:  # a file that cannot be written hides no verdict
        _print(summary, outputs, store, locate, quiet=quiet)
    _print_notes(accepted, summary, written)
    return Exit.INTERRUPTED if interrupted else _exit_code(summary, fail_on, requested)


def write_page(store: Store, path: Path, accepted: Acceptance) -> Summary:
    """Judge a run, and write its HTML report.

    Raises:
        OutputError: where the page cannot be written.
    """
    from logitmus.engine.run import judge_run
    from logitmus.reports.html import report

    summary = _summarize(judge_run(store), accepted)
    try:
        report.write(summary, path, **_of_file(store))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})", "Name another folder") from error
    return summary


def _summarize(
    events: Iterable[Event], accepted: Acceptance, *, strict: bool = False, comparing: Comparing | None = None
) -> Summary:
    summary = Summary(known(), accepted.count)
    for event in events:
        accepted.observe(event)
        summary.add(event)
        if comparing is not None:
            _add_new(comparing.observe(event), accepted, summary)
    if comparing is not None:
        _add_new(comparing.finish(), accepted, summary)
        summary.against = Against(comparing.comparison())
    summary.notices = (
        *_notices(accepted, strict=strict),
        *(Notice(line, counts=False) for line in repetition.lines(summary.repeated)),
        *(Notice(line, counts=False) for line in _incomplete(comparing)),
    )
    return summary


def _exit_code(summary: Summary, fail_on: FailOn, requested: Collection[str]) -> Exit:
    """The exit code of a run that was not interrupted."""
    missing = {name for name, backend in summary.backends.items() if backend.failed}
    none_ran = not any(backend.ready for backend in summary.backends.values())
    if _lacks_earlier(summary.against, missing, requested) or none_ran or missing.intersection(requested):
        return Exit.BACKEND
    shard = summary.started.settings.shard if summary.started else None
    if not summary.calls and shard is None:  # a small selection has no problem in some shards
        none = "no subject is selected by --subject, --device and --profile; `logitmus backends --subjects` lists them"
        reasons = [reason for reason, _ in summary.why_not()] or [none]
        why = summary.lacks_module or reasons[0]
        _print_error(f"nothing was tested: {why}")
        return Exit.BACKEND if missing or summary.lacks_module else Exit.USAGE
    if summary.calls and summary.against is not None and not summary.against.comparison.pairs:
        _print_error(f"no call in common with {summary.against.comparison.before}, so nothing was compared")
        return Exit.USAGE
    worst, least = outcome.worst(summary), fail_on.severity
    if worst is not None and least is not None and worst.rank <= least.rank:
        return Exit.FINDINGS
    if any(notice.counts for notice in summary.notices):
        return Exit.FINDINGS
    return Exit.BACKEND if summary.given_up and (requested or summary.against is not None) else Exit.OK


def _incomplete(comparing: Comparing | None) -> Iterator[str]:
    """What the earlier run lacks of a run, so that more seems new than is."""
    if comparing is not None:
        earlier = comparing.before
        missing, repeats = missing_calls(earlier), interrupted_repeats(earlier)
        if earlier.settings.shard:
            yield f"{earlier.path} is only shard {earlier.settings.shard} of a run"
        elif missing or repeats:
            calls = plural(missing, "call") if missing else plural(repeats, "repeated call")
            yield f"{earlier.path} was interrupted: {calls} missing"


def _add_new(findings: Iterable[Finding], accepted: Acceptance, summary: Summary) -> None:
    for finding in findings:
        if accepted.accepting(finding) is None:
            summary.add_new(finding)


def _lacks_earlier(against: Against | None, missing: Collection[str], requested: Collection[str]) -> bool:
    """Whether a backend of the earlier run should have run and could not: nothing is new in what was not compared."""
    if against is None:
        return False
    gone = against.comparison.backends_gone
    lacking = [backend for backend in gone if backend in missing or not requested]
    if lacking:
        _print_error(f"{against.comparison.before} has results of {', '.join(lacking)}, which could not run to the end")
    return bool(lacking)


def _print_error(message: str) -> None:
    Console(stderr=True).print(f"logitmus: {message}", markup=False, highlight=False, soft_wrap=True)


def _write(
    summary: Summary,
    outputs: Outputs,
    store: Store | None,
    fails: Callable[[Finding, str], str],
    locate: Callable[[Group], SourceLocation],
) -> list[Path]:
    """Write the requested report files; return their paths."""
    located = {"locate": locate}
    reports: dict[str, tuple[Path | None, dict[str, Any]]] = {
        "html.report": (outputs.html, _of_file(store) if outputs.html and store is not None else {}),
        "json_report": (outputs.json, {}),
        "junit": (outputs.junit, {"fails": fails}),
        "markdown": (outputs.markdown, {}),
        "sarif": (outputs.sarif, located),
        "gitlab": (outputs.gitlab, located),
        "badge": (outputs.badge, {}),
    }
    written = []
    for name, (path, more) in reports.items():
        if path is not None:
            write: Callable[..., None] = import_module(f"logitmus.reports.{name}").write
            try:
                write(summary, Path("/dev/stdout") if path == STDOUT else path, **more)
            except OSError as error:
                raise OutputError(f"{path}: cannot be written ({error.strerror})", "Name another file") from error
            written.append(path)
    return written


def _print(
    summary: Summary, outputs: Outputs, store: Store | None, locate: Callable[[Group], SourceLocation], *, quiet: bool
) -> None:
    """Print the summary, or the line in its place, and the annotations."""
    if outputs.line:
        typer.echo(outcome.line(summary))
    elif not (quiet or outputs.on_stdout):
        run.render(summary, stdout(), "RUN" if store is None else str(store.path))
    if outputs.github:
        from logitmus.reports import github

        for line in github.lines(summary.groups(), locate):
            command(line)


def _why_ignored(finding: Finding, family: str, *, accepted: Acceptance, fail_on: FailOn) -> str:
    """Why the findings of this class do not affect the exit code on the problems of a family; "" if they do."""
    reason = accepted.reason(finding, family)
    if reason:
        return f"accepted: {reason}"
    if fail_on.severity is None or finding.severity.rank > fail_on.severity.rank:
        return f"--fail-on {fail_on.value}"
    return ""


def _of_file(store: Store) -> dict[str, Any]:
    """What the page of a run needs of its file."""
    return {"measured": _measured(store), "made": store.created, "run": str(store.path)}


def _measured(store: Store) -> Sequence[Claims]:
    """The conventions of all subjects, if the run holds the probes for them."""
    from logitmus.conventions.claims import claims, probes

    return list(claims(store)) if probes(store) else ()


def _notices(accepted: Acceptance, *, strict: bool) -> Iterator[Notice]:
    """What is wrong with the expectations themselves."""
    for expectation in accepted.stale:
        yield Notice(f"stale expectation (matches nothing): {expectation}", counts=strict)
    for expectation in accepted.expired:
        yield Notice(f"expired expectation (until {expectation.until}): {expectation}", counts=strict)


def _print_notes(accepted: Acceptance, summary: Summary, written: Iterable[Path]) -> None:
    """Print which expectations were of use, and which files were written."""
    console = Console(stderr=True)
    lines: list[str] = []
    if accepted.expectations:
        lines.append(f"{plural(accepted.accepted, 'result')} accepted by expectations")
    lines += [
        f"expectation not tested ({unused.why}): {unused.expectation}"
        for unused in accepted.unused()
        if not unused.stale
    ]
    lines += [notice.text for notice in summary.notices]
    if any(notice.counts for notice in summary.notices):
        lines.append("these count (--strict); `logitmus accept RUN --prune` removes such entries")
    lines += [f"wrote {path}" for path in written if path != STDOUT]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
