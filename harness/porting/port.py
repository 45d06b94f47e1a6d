"""Port: what to change when code moves from one function to another, shown on numbers.

Where the two keep different conventions, a small question is found that shows it; a way to ask the second what the
first was asked is searched for, proven with the exact answer, and tried. Nothing is said to agree that has not been
within its budget of what the first function means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from logitmus.conventions.card import Card
from logitmus.core.backend import Usage
from logitmus.core.subject import Subject, SubjectId
from logitmus.execution import registry
from logitmus.execution.registry import BackendSpec
from logitmus.porting import subject_lookup
from logitmus.porting.differences import OPTIONS, Difference, Example, Search, plays
from logitmus.porting.evaluation import Interview, as_declared, started, usage_of
from logitmus.porting.translation import Turn, written

_DEVICES: Final = ("cpu", "cuda")  # those that declarations speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """All that is to change.

    Attributes:
        source, target: with their conventions, measured where `measured`; `named` is what was asked for, where an
            argument makes `target` of it.
        declared: the fields that are as declared, by subject, where the others are measured.
        before, after: the plain call, and what takes its place; "" where nobody has said how it is written.
        plain: that call, tried; its name is "plain".
        dtypes: of logits, and of labels, that only the first takes. more: options that only the second takes.
    """

    source: Subject
    target: Subject
    named: Subject
    measured: bool
    declared: dict[str, tuple[str, ...]]
    differences: tuple[Difference, ...]
    plain: Difference
    before: str
    after: tuple[str, ...]
    dtypes: tuple[str, ...]
    more: tuple[str, ...]


def port(source: str, target: str, *, declared: bool = False, backends: Sequence[BackendSpec] = ()) -> Port:
    """What to change when code moves from `source` to `target`.

    Args:
        source, target: ids of subjects, or shortenings of them (`logitmus.porting.subject_lookup`).
        declared: take both at their word; nothing is run, and no framework is needed.
        backends: those that the names are looked up in; left out: all that are registered.

    Raises:
        RegistryError: for a name that means nothing, or several things.
        InquiryError: where a backend cannot run.
    """
    specs = tuple(backends) or registry.available()
    known = as_declared(specs, _DEVICES)
    if declared:
        return _ported(
            known, subject_lookup.chosen(source, known.subjects), subject_lookup.chosen(target, known.subjects), specs
        )
    wanted = [_spec_of(text, specs, known.subjects) for text in (source, target)]
    with started(tuple({spec.label: spec for spec in wanted}.values())) as interview:
        offered = [[s for s in interview.subjects if s.backend == spec.name] for spec in wanted]
        return _ported(
            interview, subject_lookup.chosen(source, offered[0]), subject_lookup.chosen(target, offered[1]), specs
        )


def _spec_of(text: str, specs: Sequence[BackendSpec], known: Sequence[Subject]) -> BackendSpec:
    """The backend that a name speaks of: the one it begins with, or the one that is known to have the function."""
    named = SubjectId.parse(text)
    for spec in specs:
        if (
            spec.name == (named.backend or text) and registry.backend_of(spec) is None
        ):  # only its worker knows what it offers
            return spec
    backend = subject_lookup.chosen(named.qualified_name, known).backend
    return next(spec for spec in specs if spec.name == backend)


def _ported(interview: Interview, source: Subject, named: Subject, specs: Sequence[BackendSpec]) -> Port:
    turns = [turn for one in subject_lookup.siblings(named, interview.subjects) if (turn := _turn(named, one, specs))]
    own = (turn for turn in turns if turn.subject.variant == named.variant)
    first = min(own, key=lambda turn: _strangeness(turn.subject, source, named))
    target, kind = first.subject, first.subject.offer.targets
    others = (t for t in turns if t.subject.id not in (named.id, target.id) and t.subject.offer.targets == kind)
    cards = interview.cards(list({s.id: s for s in (source, target, named)}.values())) if interview.measured else []
    by_id = {card.subject: card for card in cards}
    source, target, named = (_as_measured(one, by_id.get(one.id)) for one in (source, target, named))
    search = Search(interview, source, target, named, (replace(first, subject=target), *others))
    plain, *changes = search.all()
    return Port(
        source=source,
        target=target,
        named=named,
        measured=interview.measured,
        declared={one.id: _as_declared(one, by_id[one.id]) for one in (source, target) if one.id in by_id},
        differences=tuple(changes),
        plain=plain,
        before=f"loss = {call}" if (call := written(usage_of(source, specs))) else "",
        after=_code(plain.example, usage_of(target, specs)),
        dtypes=tuple(name for name in _dtypes(source, target) if name not in _dtypes(target, target)),
        more=tuple(o for o in OPTIONS if o in target.offer.options - source.offer.options),
    )


def _strangeness(one: Subject, source: Subject, named: Subject) -> tuple[bool, bool, bool]:
    """How unlike the source: the targets that it takes, the numbers that it takes, and whether it is what was named."""
    inputs = one.convention.inputs != source.convention.inputs
    return one.offer.targets != source.offer.targets, inputs, one.id != named.id


def _as_measured(subject: Subject, card: Card | None) -> Subject:
    """With what was measured of its convention; the rest as declared."""
    fields = card.fields.values() if card is not None else ()
    measured = {one.field: one.values[0] for one in fields if one.state == "measured"}
    return replace(subject, convention=subject.convention.but(**measured))


def _as_declared(subject: Subject, card: Card) -> tuple[str, ...]:
    fields = card.fields.items()
    return tuple(name for name, field in fields if field.state != "measured" and plays(name, subject))


def _turn(named: Subject, one: Subject, specs: Sequence[BackendSpec]) -> Turn | None:
    """What makes `one` out of what was named; None where nobody has said."""
    usage = usage_of(one, specs)
    if one.id == named.id:
        return Turn(one, usage)
    choices = [f"{name}={value}" for name, (_, value) in named.convention.differences(one.convention).items()]
    statements = tuple(dict.fromkeys(usage.statements[c] for c in choices if one.variant and c in usage.statements))
    arguments = usage_of(named, specs).arguments
    words = [arguments[choice] for choice in choices if choice in arguments]
    if one.offer.targets != named.offer.targets:
        words.append(f"give it {one.offer.targets}: it takes these, too")
    return Turn(one, usage, (*statements, *words), statements) if words or statements else None


def _code(example: Example | None, usage: Usage) -> tuple[str, ...]:
    way = example.way if example is not None else None
    if way is None or not usage.call:
        return ()
    call = f"{'loss' if way.factors is None else 'rows'} = {way.code(usage)}"
    return (*way.statements, call, *(f"# {words}" for words in way.afterwards))


def _dtypes(subject: Subject, target: Subject) -> tuple[str, ...]:
    """What it takes; of labels only where both take these."""
    both = subject.offer.targets == target.offer.targets == "labels"
    labels = subject.offer.label_dtypes if both else ()
    return (*subject.offer.dtypes, *(f"{name} labels" for name in labels))
