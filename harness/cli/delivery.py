"""From a stream of events to the summary on the terminal, the report files and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
from logitmus.results import outcome, repetition, serialize
from logitmus.results.acceptance import Acceptance
from logitmus.results.against import Against
from logitmus.results.detection_power import known
from logitmus.results.expectations import default_file, load
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation, locator
from logitmus.results.summary import Notice, Summary
from logitmus.results.wording import plural

if TYPE_CHECKING:
    from logitmus.results.run_diff import Comparing
    from logitmus.storage.store import Store


_LOCATED: Final = ("sarif", "gitlab")  # the formats that show a finding in a file


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
    written = write_and_print(
        summary,
        outputs,
        locator(summary, accepted.file),
        {
            "html": partial(_write_html, summary=summary, store=store),
            "json": lambda path: write_json(path, serialize.as_dict(summary)),
            "junit": partial(
                _write_junit, summary=summary, fails=partial(_why_ignored, accepted=accepted, fail_on=fail_on)
            ),
        },
        lambda: None if quiet else run.render(summary, stdout(), "RUN" if store is None else str(store.path)),
    )
    _print_notes(accepted, summary, written)
    return Exit.INTERRUPTED if interrupted else _exit_code(summary, fail_on, requested)


def write_page(store: Store, path: Path, accepted: Acceptance) -> Summary:
    """Judge a run, and write its HTML report.

    Raises:
        OutputError: where the page cannot be written.
    """
    from logitmus.engine.run import judge_run
    from logitmus.reports.html import report
    from logitmus.reports.html.file_facts import FileFacts

    summary = _summarize(judge_run(store), accepted)
    try:
        report.write(summary, path, FileFacts.of(store, summary))
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


def write_and_print(
    summary: Summary,
    outputs: Outputs,
    locate: Callable[[Group], SourceLocation],
    own: Mapping[str, Callable[[Path], None]],
    render: Callable[[], None],
) -> list[Path]:
    """Write the requested report files, and print the summary, or the line in its place, and the annotations.

    Args:
        locate: the location of a group of findings.
        own: what writes the formats that take more than the summary, by their options.
        render: prints the summary.

    Returns:
        The files that were written.

    Raises:
        OutputError: where a report cannot be written.
    """
    try:
        for name, path in outputs.files():
            _write(summary, name, path, locate, own.get(name))
    finally:  # a file that cannot be written hides no verdict
        if outputs.line:
            typer.echo(outcome.line(summary))
        elif not outputs.on_stdout:
            render()
        if outputs.github:
            from logitmus.reports import github

            for line in github.lines(summary.groups(), locate):
                command(line)
    return [path for _, path in outputs.files() if path != STDOUT]


def _write(
    summary: Summary,
    name: str,
    path: Path,
    locate: Callable[[Group], SourceLocation],
    own: Callable[[Path], None] | None,
) -> None:
    more = (locate,) if name in _LOCATED else ()
    try:
        if own is not None:
            own(path)
        else:
            target = Path("/dev/stdout") if path == STDOUT else path
            import_module(f"logitmus.reports.{name}").write(summary, target, *more)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})", "Name another file") from error


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to a file, or print them."""
    from logitmus.reports.json_report import dumped

    typer.echo(dumped(values)) if path == STDOUT else path.write_text(f"{dumped(values)}\n", encoding="utf-8")


def _write_html(path: Path, summary: Summary, store: Store | None) -> None:
    from logitmus.reports.html import report
    from logitmus.reports.html.file_facts import NO_FILE, FileFacts

    report.write(summary, path, NO_FILE if store is None else FileFacts.of(store, summary))


def _write_junit(path: Path, summary: Summary, fails: Callable[[Finding, str], str]) -> None:
    from logitmus.reports import junit

    junit.write(summary, path, fails)


def _why_ignored(finding: Finding, family: str, *, accepted: Acceptance, fail_on: FailOn) -> str:
    """Why the findings of this class do not affect the exit code on the problems of a family; "" if they do."""
    reason = accepted.reason(finding, family)
    if reason:
        return f"accepted: {reason}"
    if fail_on.severity is None or finding.severity.rank > fail_on.severity.rank:
        return f"--fail-on {fail_on.value}"
    return ""


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
    lines += [f"wrote {path}" for path in written]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
