"""Which kind of transition a call shows.

One call may differ in many ways at once: a value that was right is now NaN, in another dtype, with another grade. Only
the first of these rules that applies speaks, because the later ones are its symptoms:

1. Findings that say "wrong" (bugs and hazards): some appeared (*newly wrong*), some vanished (*fixed*), or others took
   their place (*wrong in another way*). A result that stays wrong for the same causes shows no transition.
2. The convention. A finding `convention:F=V` says that the result is right if field F has the value V; without one the
   declared value holds. So F changed from the value before to the value after. What this version of Logitmus declares
   of a function is true of recent releases, so a contradicted declaration (`Kind.CLAIM`) is no fault of an earlier
   release: it names the choice that the release makes. All this holds only where both results are right apart from
   conventions.
3. One returns and the other raises, or they raise different exceptions (*error changed*, *error message changed*).
4. NaN, an infinity or a number in place of another of these (*special value changed*).
5. Dtype, shape, missing gradients, inputs written into (*dtype or shape changed*).
6. The effective precision, then the grade.
7. Conventions that several choices explain equally well.
8. Bits, within the error budgets.

Warnings are compared by their texts, whatever the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.auditing.transitions import Change
from logitmus.core.causes import Cause
from logitmus.core.convention import FIELDS
from logitmus.core.finding import Finding, Grade, Judgement, Severity
from logitmus.core.floats import FLOAT_DTYPES, Array, ulp
from logitmus.core.observation import Answered, Crashed, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.relevance import depended_on
from logitmus.core.subject import Subject
from logitmus.judging.outcome_difference import SAME_VALUES, difference

_WRONG: Final = (Severity.BUG, Severity.HAZARD)
_SPECIAL: Final = re.compile(r"(NaN|-inf|\+inf|number) -> ")
_RETURNS: Final = "returns"
# What differs from process to process, or with any change of the framework's source: frames of a stack (the last may be
# cut off), addresses, lines, files, hashes, and the numbers that a graph gives to its nodes.
_ACCIDENTAL: Final = re.compile(
    r'File "[^"]*(?:"(?:, line \d+(?:, in \S*)?)?|$)'
    r"|0x[0-9a-fA-F]{6,}|\bline \d+\b|/\S+\.py(?::\d+)?|(?<=\w)_\d+\b|\d{6,}"
)
_CUT_OFF: Final = re.compile(r"\.\.\. \([\d,]+ characters\)$")  # by `worker.wire.plain_text`


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one call shows; calls with the same `key` belong together.

    Attributes: as of `Transition`; `finding` is the finding that appeared, else the finding that vanished.
    """

    change: Change
    what: str
    cause: str = ""
    field: str = ""
    before: str = ""
    after: str = ""
    finding: Finding | None = None
    appeared: bool = False
    worse: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """By what calls are grouped, within a backend."""
        return (self.change.value, self.cause, self.field, self.before, self.after)


@dataclass(frozen=True)
class Side:
    """A call in one of the runs."""

    outcome: Outcome
    judgement: Judgement
    subject: Subject


def classify(problem: Problem, before: Side, after: Side) -> Iterator[Shown]:
    """Yield what the calls of two runs with a problem show, a value for each cause."""
    yield from _warnings(before.outcome, after.outcome)
    if serious(before.judgement) or serious(after.judgement):
        yield from _wrong(before.judgement, after.judgement)
        return
    yield from _first(
        _convention(problem, before, after),
        _errors(before.outcome, after.outcome),
        _special(before.outcome, after.outcome),
        _form(before.outcome, after.outcome),
        _precision(before, after),
        _grade(before.judgement, after.judgement),
        _another_convention(before.judgement, after.judgement),
        _bits(before.outcome, after.outcome),
    )


def _first(*rules: Iterable[Shown]) -> Iterable[Shown]:
    for rule in rules:
        shown = tuple(rule)
        if shown:
            return shown
    return ()


def serious(judgement: Judgement) -> dict[Cause, Finding]:
    """The findings that say "wrong", by cause: bugs and hazards, but not those about what is declared."""
    return {
        finding.cause: finding
        for finding in reversed(judgement.findings)
        if finding.severity in _WRONG and not _is_choice(finding)
    }


def _is_choice(finding: Finding) -> bool:
    """Whether it says for certain which choice, of the convention or of a precision, a result follows."""
    return _is_convention(finding) or finding.cause.name == _PRECISION


def _is_convention(finding: Finding) -> bool:
    cause = finding.cause
    return cause.is_convention and not finding.alternatives and cause.choice[0] in FIELDS


_PRECISION: Final = "effective_precision"


def _wrong(before: Judgement, after: Judgement) -> Iterator[Shown]:
    old, new = serious(before), serious(after)
    appeared = [finding for cause, finding in new.items() if cause not in old]
    vanished = [finding for cause, finding in old.items() if cause not in new]
    if appeared and not vanished:
        for finding in appeared:
            yield Shown(
                change=Change.NEWLY_WRONG,
                what=finding.summary,
                cause=finding.cause,
                finding=finding,
                appeared=True,
                worse=True,
            )
    elif appeared:
        former = min(vanished, key=lambda finding: finding.severity.rank)
        for finding in appeared:
            yield Shown(
                change=Change.WRONG_OTHERWISE,
                what=f"{finding.summary}; before: {former.summary}",
                cause=finding.cause,
                before=former.cause,
                after=finding.cause,
                finding=finding,
                appeared=True,
                worse=finding.severity.rank < former.severity.rank,
            )
    else:
        for finding in vanished:
            yield Shown(change=Change.FIXED, what=finding.summary, cause=finding.cause, finding=finding)


def _convention(problem: Problem, before: Side, after: Side) -> Iterator[Shown]:
    old, new = _choices(before.judgement), _choices(after.judgement)
    # A difference of finite logits that overflows looks like an infinite logit; the field is about infinite ones.
    relevant = depended_on(problem, "loss") | depended_on(problem, "grad_logits")
    for field in sorted(old.keys() | new.keys()):
        sides = []
        for choices, side in ((old, before), (new, after)):
            declared: str = getattr(side.subject.convention, field)
            sides.append(choices[field].cause.choice[1] if field in choices else declared)
        if sides[0] != sides[1] and field in relevant:
            words = FIELDS[field]
            finding = new.get(field, old.get(field))
            was_wrong, is_wrong = (field in side and side[field].severity in _WRONG for side in (old, new))
            yield Shown(
                change=Change.CONVENTION,
                what=f"{words.decides}: {words.values[sides[1]]}; before: {words.values[sides[0]]}",
                cause=Cause.convention(field, sides[1]),
                field=field,
                before=sides[0],
                after=sides[1],
                finding=finding,
                appeared=field in new,
                worse=is_wrong and not was_wrong,  # a documented choice is broken
            )


def _choices(judgement: Judgement) -> dict[str, Finding]:
    """The findings that name a single choice of the convention, by its field."""
    return {finding.cause.choice[0]: finding for finding in judgement.findings if _is_convention(finding)}


def _errors(before: Outcome, after: Outcome) -> Iterator[Shown]:
    old, new = outcome_kind(before), outcome_kind(after)
    if old != new:
        what = f"{_present(new)} where it {_past(old)}"
        yield Shown(change=Change.ERRORS, what=what, field="outcome", before=old, after=new)
    elif isinstance(before, Raised) and isinstance(after, Raised) and not same_message(before.message, after.message):
        yield Shown(
            change=Change.MESSAGE,
            what=f"the message of {after.type}",
            field=after.type,
        )


def _present(kind: str) -> str:
    return "returns a value" if kind == _RETURNS else kind


def _past(kind: str) -> str:
    words = {_RETURNS: "returned", "the process dies": "died", "exceeds the memory limit": "exceeded the memory limit"}
    return words.get(kind, kind.replace("raises", "raised", 1))


def outcome_kind(outcome: Outcome) -> str:
    """What a call did, in words."""
    match outcome:
        case Answered():
            return _RETURNS
        case Raised(type=name):
            return f"raises {name}"
        case Crashed():
            return "the process dies"
        case TimedOut():
            return "no result within the time limit"
        case OutOfMemory():
            return "exceeds the memory limit"
        case NotRun(reason=reason):
            return f"not run: {reason}"
        case _:
            return "returns something that is not a result"


def plain(message: str) -> str:
    """A message on one line, without stacks, addresses, lines, files, and the numbers of a graph's nodes."""
    return " ".join(_ACCIDENTAL.sub(" ", message).split())


def same_message(before: str, after: str) -> bool:
    """Whether two messages say the same, as far as the worker sent them."""
    old, new = plain(before), plain(after)
    if _CUT_OFF.search(before) and _CUT_OFF.search(after):
        old, new = (_CUT_OFF.sub("", text) for text in (old, new))
        shorter = min(len(old), len(new))
        return old[:shorter] == new[:shorter]
    return old == new


def _special(before: Outcome, after: Outcome) -> Iterator[Shown]:
    kinds = sorted(kind for kind in difference(before, after)[1] if _SPECIAL.match(kind))
    if kinds:
        old, new = ("; ".join(dict.fromkeys(kind.split(" -> ")[n] for kind in kinds)) for n in (0, 1))
        yield Shown(
            change=Change.SPECIAL,
            what=f"returns {_article(new)} where it returned {_article(old)}",
            field="value",
            before=old,
            after=new,
        )


def _article(kinds: str) -> str:
    return kinds.replace("number", "a number").replace("; ", " or ")


def _form(before: Outcome, after: Outcome) -> Iterator[Shown]:
    kinds = {kind for kind in difference(before, after)[1] if kind != SAME_VALUES and not _SPECIAL.match(kind)}
    if not kinds or not (isinstance(before, Answered) and isinstance(after, Answered)):
        return
    forms = [_forms(outcome, kinds) for outcome in (before, after)]
    yield Shown(
        change=Change.FORM,
        what=f"{forms[1]}; before: {forms[0]}" if forms[0] != forms[1] else ", ".join(sorted(kinds)),
        field=", ".join(sorted(kinds)),
        before=forms[0],
        after=forms[1],
    )


def _forms(outcome: Answered, kinds: Iterable[str]) -> str:
    """The dtypes, or the numbers of axes, or the parts of a result: what of these the changes are about."""
    parts = {"loss": outcome.loss, "gradient": outcome.grad_logits, "gradient by targets": outcome.grad_targets}
    words = []
    if "dtype" in kinds:
        words.append(", ".join(f"{name} is {part.dtype.name}" for name, part in parts.items() if part is not None))
    if "shape" in kinds:
        words.append(", ".join(f"{name} has {part.ndim} axes" for name, part in parts.items() if part is not None))
    if any(kind.endswith(("appeared", "vanished")) for kind in kinds):
        words.append("returns " + " and ".join(name for name, part in parts.items() if part is not None))
    if "inputs written into" in kinds:
        words.append(f"writes into {' and '.join(outcome.written)}" if outcome.written else "leaves its inputs alone")
    return "; ".join(words)


def _precision(before: Side, after: Side) -> Iterator[Shown]:
    old, new = _effective(before), _effective(after)
    if old == new or not (_found(before) or _found(after)):
        return
    bits = [sum(FLOAT_DTYPES[dtype].itemsize for dtype in side) for side in (old, new)]
    coarser = bits[1] < bits[0]
    found = _found(after) or _found(before)
    yield Shown(
        change=Change.PRECISION,
        what=f"half precision is {'coarser' if coarser else 'finer'}: now {_in_words(new)}; before {_in_words(old)}",
        cause=_PRECISION,
        field="coarser" if coarser else "finer",
        finding=found,
        appeared=_found(after) is not None,
        worse=coarser,
    )


def _found(side: Side) -> Finding | None:
    return next((finding for finding in side.judgement.findings if finding.cause.name == _PRECISION), None)


def _effective(side: Side) -> tuple[str, str]:
    """The dtypes of the storage and of the arithmetic that a result has: as found, else as declared."""
    found = _found(side)
    if found is not None:
        return found.cause.precision["storage"], found.cause.precision["arithmetic"]
    declared = side.subject.precision[side.judgement.dtype]
    return declared.storage, declared.arithmetic


def _in_words(precision: tuple[str, str]) -> str:
    storage, arithmetic = precision
    return f"stored in {storage} and computed in {arithmetic}"


def _grade(before: Judgement, after: Judgement) -> Iterator[Shown]:
    old, new = before.grade, after.grade
    if old is new or old is None or new is None or Grade.COARSE in (old, new):
        return
    less = new.rank > old.rank
    worse = less and new.rank > Grade.B_PLUS.rank  # results within B+ pass
    yield Shown(
        change=Change.LESS_ACCURATE if less else Change.MORE_ACCURATE,
        what=f"grade {new.value} instead of {old.value}",
        field="grade",
        before=old.value,
        after=new.value,
        finding=next(iter(after.findings), None) if worse else None,
        appeared=worse,
        worse=worse,
    )


def _another_convention(before: Judgement, after: Judgement) -> Iterator[Shown]:
    """Findings of a convention that no rule above could pin down; such results are not within their budgets."""
    old, new = ({f.cause: f for f in side.findings if f.cause.is_convention} for side in (before, after))
    for cause in sorted(old.keys() ^ new.keys()):
        appeared = cause in new
        finding = new[cause] if appeared else old[cause]
        yield Shown(
            change=Change.CONVENTION,
            what=f"{'now' if appeared else 'no longer'}: {finding.summary}, or what explains the result as well",
            cause=cause,
            field=cause.choice[0],
            before="" if appeared else cause.choice[1],
            after=cause.choice[1] if appeared else "",
            finding=finding,
            appeared=appeared,
            worse=appeared and finding.severity in _WRONG,
        )


def _bits(before: Outcome, after: Outcome) -> Iterator[Shown]:
    ulps, other = difference(before, after)
    if ulps:
        yield Shown(change=Change.BITS, what="values moved within their error budgets")
    elif other:
        yield Shown(change=Change.BITS, what="a zero changed its sign, or a NaN its bits", field="sign")


def _warnings(before: Outcome, after: Outcome) -> Iterator[Shown]:
    if not (isinstance(before, Answered) and isinstance(after, Answered)) or before.warnings == after.warnings:
        return
    old, new = ({plain(text): text for text in outcome.warnings} for outcome in (before, after))
    for text in new.keys() - old.keys():
        yield Shown(change=Change.WARNING, what=new[text], field="warning", after=text)
    for text in old.keys() - new.keys():
        yield Shown(change=Change.NO_WARNING, what=old[text], field="warning", before=text)


def moved_ulps(before: Answered, after: Answered) -> float:
    """The largest change of a loss, in ulps of the larger of both losses, or of 1 if both are smaller.

    The error of a sound loss does not shrink with the loss: log(1 + x) is computed from numbers near 1. In ulps of the
    loss itself, a loss of 3e-5 that moves by a unit roundoff would move by thousands.

    0 where the losses have different shapes or dtypes, or are no floating-point numbers.
    """
    old, new = before.loss, after.loss
    if old.shape != new.shape or old.dtype != new.dtype or old.dtype.name not in FLOAT_DTYPES or not old.size:
        return 0.0
    left, right = old.astype(np.float64), new.astype(np.float64)
    with np.errstate(all="ignore"):
        numbers = np.isfinite(left) & np.isfinite(right)
        scale: Array = np.maximum(np.maximum(np.abs(left), np.abs(right)), 1.0)
        distance = np.where(numbers, np.abs(left - right) / ulp(np.where(numbers, scale, 1.0), old.dtype.name), 0.0)
    return float(distance.max(initial=0.0))
