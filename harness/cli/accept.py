"""`logitmus accept`: write entries for the findings of a run into the file of accepted findings."""

from __future__ import annotations

import datetime
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logitmus.cli.exits import Exit, FailOn
from logitmus.cli.options import RunFile, Subjects, writable

if TYPE_CHECKING:
    from logitmus.core.finding import Finding
    from logitmus.results.acceptance import Acceptance
    from logitmus.results.expectations_file import ExpectationsFile
    from logitmus.results.proposals import Proposal


def _day(text: str) -> datetime.date:
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write year, month and day, e.g. 2027-01-31") from None


def accept(
    run: RunFile,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.  [default: ask for each finding]")] = None,
    finding: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only findings of the class of this one; repeatable.")
    ] = None,
    cause: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these causes; repeatable.")] = None,
    subject: Subjects = None,
    family: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these families; repeatable.")] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Only findings of at least this severity.")
    ] = FailOn.DIFFERENCE,
    link: Annotated[str, typer.Option(metavar="URL", help="A link for the entries.", show_default=False)] = "",
    until: Annotated[
        datetime.date | None,
        typer.Option(metavar="DATE", parser=_day, help="The last day on which the entries hold, e.g. 2027-01-31."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=writable, help="File to change.  [default: as of --expect, or a new logitmus.toml]"
        ),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove stale and expired entries, and add none.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change, and write nothing.")] = False,
) -> None:
    """Accept the findings of a run: write an entry for each class of them, with a reason, and show the change."""
    from logitmus.engine.run import judge_run
    from logitmus.results.acceptance import Acceptance
    from logitmus.results.expectations import DEFAULT_FILE, default_file
    from logitmus.results.expectations_file import ExpectationsFile
    from logitmus.results.proposals import proposals, with_reason
    from logitmus.storage.store import Store

    if fail_on.severity is None or fail_on is FailOn.NEW:
        raise typer.BadParameter("nothing is of this severity; use bug, hazard, difference or note")
    if reason is not None and not reason.strip():
        raise typer.BadParameter("is empty; say why the findings are accepted", param_hint="--reason")
    if until is not None and until < datetime.date.today():
        raise typer.BadParameter(f"{until} is over; give a day to come", param_hint="--until")
    target = ExpectationsFile(file or default_file() or DEFAULT_FILE)
    accepted = Acceptance(tuple(target.expectations))
    globs = {"subject": subject, "cause": cause, "family": family}
    with Store.open(run) as store:
        proposed = proposals(judge_run(store), accepted, fail_on.severity, partial(_is_chosen, globs=globs))
    code = Exit.OK
    chosen = [f"--{name} {glob}" for name, patterns in globs.items() for glob in patterns or ()]
    if chosen and not proposed and not prune:
        raise typer.BadParameter(
            f"no finding of this run that counts and is not accepted yet matches {' '.join(chosen)}"
        )
    if prune:
        _prune(target, accepted)
    else:
        for proposal in _with_findings(proposed, finding or ()):
            try:
                why = reason if reason is not None else _asked(proposal)
            except typer.Abort:  # Ctrl-C or Ctrl-D: the reasons that were given are not lost
                code = Exit.INTERRUPTED
                typer.echo("interrupted: the findings from here on are not accepted", err=True)
                break
            if why.strip():
                target.accept(with_reason(proposal, why.strip(), link=link, until=until), accepted.today)
    typer.echo(_difference(target), nl=False)
    changes = f"{target.added} added, {target.changed} changed, {target.removed} removed"
    if target.after == target.before:
        typer.echo(f"{target.path}: nothing to {'remove' if prune else 'accept'}", err=True)
    elif dry_run:
        typer.echo(f"would write {target.path}: {changes}", err=True)
    else:
        target.path.write_text(target.after, encoding="utf-8")
        typer.echo(f"wrote {target.path}: {changes}", err=True)
    raise typer.Exit(code)


def _is_chosen(finding: Finding, *, globs: Mapping[str, Sequence[str] | None]) -> bool:
    """Whether the finding matches the globs of all its fields that were given."""
    return all(
        not patterns or any(fnmatchcase(getattr(finding, name), pattern) for pattern in patterns)
        for name, patterns in globs.items()
    )


def _with_findings(proposed: Sequence[Proposal], identities: Iterable[str]) -> Sequence[Proposal]:
    """The proposals that accept these findings; all of them if none is named."""
    chosen: list[Proposal] = []
    for identity in identities:
        found = [p for p in proposed if any(of.startswith(identity) for of in p.findings)]
        if not found:
            raise typer.BadParameter(
                f"this run has no finding {identity!r} that counts and is not accepted yet", param_hint="--finding"
            )
        chosen += [proposal for proposal in found if proposal not in chosen]
    return chosen or proposed


def _asked(proposal: Proposal) -> str:
    """The reason that the user gives at the prompt; empty: the findings are not accepted."""
    if not sys.stdin.isatty():
        raise typer.BadParameter('needs a reason: give --reason "..."', param_hint="--reason")
    typer.echo(f"{proposal.severity.value}: {proposal.summary} ({proposal.results:,} results)", err=True)
    typer.echo(f"    {proposal.expectation}", err=True)
    answer: str = typer.prompt("    reason (empty: do not accept)", default="", show_default=False, err=True)
    return answer


def _prune(target: ExpectationsFile, accepted: Acceptance) -> None:
    """Remove what is stale or expired; say what this run could not test."""
    target.remove((*accepted.stale, *accepted.expired))
    for unused in accepted.unused():
        if not unused.stale:
            typer.echo(f"kept, not tested ({unused.why}): {unused.expectation}", err=True)


def _difference(target: ExpectationsFile) -> str:
    before, after = (text.splitlines(keepends=True) for text in (target.before, target.after))
    return "".join(difflib.unified_diff(before, after, str(target.path), str(target.path)))
