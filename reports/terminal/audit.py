"""The report of an audit, or of a comparison of runs, on a terminal."""

from __future__ import annotations

import shlex
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from logitmus.auditing.headline import environment, headline, of_audit
from logitmus.auditing.timeline import Timeline, timeline
from logitmus.auditing.transitions import Audit, Change, Step, Transition
from logitmus.reports.terminal.run import field_table, text
from logitmus.results import wording

_SHOWN: Final = 20
_OTHER: Final = 3
SCRIPT: Final = "script"
_FAMILIES: Final = 4
_STYLES: Final = {Change.FIXED: "green", Change.MORE_ACCURATE: "green", Change.NEW: "green", Change.FASTER: "green"}


def render(audit: Audit, console: Console) -> None:
    """Print the sentence, the transitions of each step, what differs besides, and for several steps the timeline."""
    if len(audit.steps) > 1:
        console.print(text(of_audit(audit), "bold"))
        console.print()
    if audit.is_history:
        _timeline(timeline(audit), console)
    for step in audit.steps:
        console.print(text(headline(step), "bold"))
        for transition in step.transitions[:_SHOWN]:
            console.print()
            _transition(transition, console)
        if len(step.transitions) > _SHOWN:
            left = wording.plural(len(step.transitions) - _SHOWN, "more transition")
            console.print(Text(f"\n{left} (--json lists all of them)", style="dim"))
        console.print()
        for line in extent(step):
            console.print(text(line, "dim"))
        console.print()
    for note in audit.notes:
        console.print(text(note, "yellow"))


def extent(step: Step) -> list[str]:
    """What was compared, what could not be, and what else differs between the environments."""
    c = step.comparison
    lines = [
        f"compared: {wording.plural(c.pairs, 'call')}; the runs have {wording.plural(c.problems, 'problem')} in common"
    ]
    lines += [f"not compared: {words}" for words in step.failing]
    if c.backends_gone:
        lines.append(f"not compared: {', '.join(c.backends_gone)}, not or not completely in {step.after}")
    if c.not_made:
        lines.append(
            f"not compared: {wording.plural(c.not_made, 'call')} that {step.before} has and {step.after} lacks"
        )
    for count, name in ((c.only_before, step.before), (c.only_after, step.after)):
        if count:
            lines.append(f"not compared: {wording.plural(count, 'problem')} only in {name}")
    own, other = environment(step)
    if own:
        lines.append(f"packages: {', '.join(own)}")
    if other:
        more = f" and {len(other) - _OTHER} more (--json lists them)" if len(other) > _OTHER else ""
        lines.append(f"also different: {', '.join(other[:_OTHER])}{more}")
    if any(transition.example and transition.example.finding for transition in step.transitions):
        lines += interpreters(step)
    return lines


def interpreters(step: Step) -> list[str]:
    """The interpreters in which a script can be run, before and after."""
    found = dict.fromkeys(
        (c.before, c.after)
        for c in step.comparison.environment
        if c.name == "python.executable" and c.where != "harness"
    )
    return [f"run a script with {before} (before) and {after} (after)" for before, after in found if before and after]


def labelled(transition: Transition) -> list[tuple[str, str]]:
    """The facts of a transition, each with its label; the same in every report for people."""
    example = transition.example
    act = f"No: accepted, because {transition.accepted}" if transition.accepted else transition.act
    facts = [("do I have to act?", act), ("where", where(transition))]
    if example is not None:
        facts += [
            ("input", example.input),
            ("value", example.place),
            ("expected", example.expected),
            ("before", example.before),
            ("after", example.after),
        ]
        if example.finding:
            facts.append((SCRIPT, f"logitmus repro {shlex.quote(example.run)} {example.finding} -o repro.py"))
        else:
            facts.append(("problem", example.problem))
    return [(label, words) for label, words in facts if words]


def where(transition: Transition) -> str:
    """The functions, and in how many results of which families and dtypes."""
    words = wording.names(transition.subjects)
    if transition.results and transition.families:
        families = wording.listed(transition.families, _FAMILIES)
        dtypes = f" ({', '.join(transition.dtypes)})" if transition.dtypes else ""
        words += f"; {wording.plural(transition.results, 'result')} in {families}{dtypes}"
    return words


def _transition(transition: Transition, console: Console) -> None:
    style = "bold red" if transition.worse else _STYLES.get(transition.change, "yellow")
    if transition.accepted:
        style = "dim"
    line = text(transition.change.value.upper(), style)
    severity = (
        f" ({transition.severity.value})" if transition.severity and transition.change is Change.NEWLY_WRONG else ""
    )
    line.append(wording.printable(f"{severity}  {transition.what}"), style="")
    console.print(line)
    facts = labelled(transition)
    console.print(Padding(field_table(fact for fact in facts if fact[0] != SCRIPT), (0, 0, 0, 2)))
    for _, command in (fact for fact in facts if fact[0] == SCRIPT):
        console.print(text(f"  script: {command}"), soft_wrap=True)  # a line that can be copied


def _timeline(of: Timeline, console: Console) -> None:
    if not of.rows:
        console.print(text("every function keeps its grade and its findings", "dim"))
    for row in of.rows:
        console.print(text(wording.names(row.subjects)))
        console.print(Padding(text(of.periods(row), "red" if row.points[-1].wrong else ""), (0, 0, 0, 2)))
    if of.rows and of.unchanged:
        console.print(text(f"unchanged: {wording.plural(of.unchanged, 'other subject')}", "dim"))
    console.print()
