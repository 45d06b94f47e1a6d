"""The first sentence about a step, and its parts that other reports need."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from logitmus.auditing.timeline import short_names
from logitmus.auditing.transitions import Audit, Change, Step, Transition
from logitmus.core.subject import SubjectId
from logitmus.results import wording

_LENGTH: Final = 130
_SEPARATE: Final = {Change.BITS}
_GRADE: Final = re.compile(r" \(grade \S+\)")


def headline(step: Step) -> str:
    """What changed, in a sentence: how many transitions of each kind, and how far values moved."""
    if not (step.moved.compared or step.transitions):
        why = "every call fails in both" if step.failing else "the runs have no call in common"
        return f"{step.title}: nothing was compared, because {why}"
    counts: Counter[Change] = Counter(t.change for t in step.counted if t.change not in _SEPARATE)  # in their order
    accepted = sum(bool(transition.accepted) for transition in step.transitions)
    clauses = [
        f"{_counted(count, change)}{_detail(step, change) if place == 0 else ''}"
        for place, (change, count) in enumerate(counts.items())
    ]
    clauses += [f"{accepted:,} accepted"] if accepted else []
    return f"{step.title}: {', '.join([*clauses, moved(step)])}"


def _counted(count: int, change: Change) -> str:
    """Such as "1 newly wrong", "2 special values changed"."""
    words = change.value
    if count > 1 and change in _NOUNS:
        noun = _NOUNS[change]
        words = words.replace(noun, f"{noun}s", 1)
    return f"{count:,} {words}"


_NOUNS: Final = {
    Change.CONVENTION: "convention",
    Change.ERRORS: "error",
    Change.SPECIAL: "special value",
    Change.PRECISION: "precision",
    Change.WARNING: "warning",
    Change.NO_WARNING: "warning",
    Change.MESSAGE: "message",
}


def _detail(step: Step, change: Change) -> str:
    """The first transition of a kind, in brackets; "" where that takes many words."""
    first = next(transition for transition in step.counted if transition.change is change)
    what = _GRADE.sub("", first.what)
    words = what if change in (Change.GONE, Change.NEW) else f"{functions(first)}: {what}"
    return f" ({words})" if len(words) <= _LENGTH else ""


def functions(transition: Transition) -> str:
    """The functions of a transition, without their modes; "" for none."""
    named = dict.fromkeys(SubjectId.parse(subject).function for subject in transition.subjects)
    return wording.listed(list(named), 2)


def moved(step: Step) -> str:
    """How far the values moved that are within their error budgets in both runs."""
    if not step.moved.compared:
        return "no value was compared"
    if not step.moved.changed:
        every = not any(transition.results for transition in step.transitions)
        which = f"the bits of all {wording.plural(step.moved.compared, 'result')}" if every else "all other values"
        return f"{which} are the same"
    share = 100 * step.moved.changed / step.moved.compared
    by = f" by at most {wording.ulps(step.moved.ulps)}" if step.moved.ulps else ""
    results = wording.plural(step.moved.compared, "result")
    return f"values moved{by} in {wording.amount(share)}% of {results}, within their error budgets"


def of_audit(audit: Audit) -> str:
    """What an audit of several versions found, in a sentence."""
    if len(audit.steps) == 1:
        return headline(audit.steps[0])
    worse = [step for step in audit.steps if any(transition.worse for transition in step.counted)]
    changed = [step for step in audit.steps if any(not t.change.is_measured_in_seconds for t in step.counted)]
    names = short_names(audit.columns)
    packages = {name for step in audit.steps for name, _, _ in step.packages}
    package = f"{next(iter(packages))} " if len(packages) == 1 else ""
    span = f"{package}{names[0]} to {names[-1]}, {wording.plural(len(audit.steps), 'step')}"
    if not audit.is_history:
        span = f"{names[0]} compared with each of {', '.join(names[1:])}"
    if not changed:
        return f"{span}: nothing changed"
    words = f"{len(changed)} of {len(audit.steps)} with changes"
    if worse:
        words += f", {len(worse)} for the worse ({'; '.join(step.title for step in worse)})"
    return f"{span}: {words}"


def environment(step: Step) -> tuple[list[str], list[str]]:
    """The packages that the step is about, and everything else that differs between the environments."""
    own = [f"{name} {before or '(none)'} -> {after or '(none)'}" for name, before, after in step.packages]
    other = [
        f"{c.name} {c.before or '(none)'} -> {c.after or '(none)'}"
        for c in step.comparison.environment
        if c.name != "python.executable"
    ]
    return own, [line for line in dict.fromkeys(other) if line not in own]
