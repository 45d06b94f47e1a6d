"""Port: what to change when code moves from a function to another, with examples.

For each difference between the conventions, the port shows a small problem, and a change of the call that is proven
with the exact answer and then run. A change is reported to agree only if its result is within the error budget of the
first function's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from logitmus.conventions.card import Card
from logitmus.core.backend import Usage
from logitmus.core.problem import Option, TargetKind
from logitmus.core.subject import Subject, SubjectId
from logitmus.execution import registry
from logitmus.execution.registry import BackendSpec
from logitmus.porting import subject_lookup
from logitmus.porting.differences import Difference, Example, Search, plays
from logitmus.porting.evaluation import Evaluation, as_declared, started, usage_of
from logitmus.porting.translation import Turn, written

_DEVICES: Final = ("cpu", "cuda")  # those that declarations speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Everything that has to change.

    Attributes:
        source, target: with their conventions, measured if `measured`. named: the function that was requested, if an
            argument turns it into `target`.
        declared: the fields that were not measured, by subject.
        before, after: the plain call and its replacement; "" if a backend does not describe its calls.
        plain: that call, evaluated; its name is "plain".
        dtypes: of logits and labels that only the first accepts. more: options that only the second accepts.
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
        source, target: ids of subjects, or shortened ids (`logitmus.porting.subject_lookup`).
        declared: use the declarations only; nothing is run, and no framework is needed.
        backends: the backends to look up the names in (default: all that are registered).

    Raises:
        RegistryError: an unknown or ambiguous name.
        InquiryError: a backend cannot run.
    """
    specs = tuple(backends) or registry.available()
    known = as_declared(specs, _DEVICES)
    if declared:
        return _ported(
            known, subject_lookup.chosen(source, known.subjects), subject_lookup.chosen(target, known.subjects), specs
        )
    wanted = [_spec_of(text, specs, known.subjects) for text in (source, target)]
    with started(tuple({spec.label: spec for spec in wanted}.values())) as evaluation:
        offered = [[s for s in evaluation.subjects if s.backend == spec.name] for spec in wanted]
        return _ported(
            evaluation, subject_lookup.chosen(source, offered[0]), subject_lookup.chosen(target, offered[1]), specs
        )


def _spec_of(text: str, specs: Sequence[BackendSpec], known: Sequence[Subject]) -> BackendSpec:
    """The backend of a name: its prefix, or the backend that declares the function."""
    named = SubjectId.parse(text)
    for spec in specs:
        if (
            spec.name == (named.backend or text) and registry.backend_of(spec) is None
        ):  # only its worker knows its functions
            return spec
    backend = subject_lookup.chosen(named.qualified_name, known).backend
    return next(spec for spec in specs if spec.name == backend)


def _ported(evaluation: Evaluation, source: Subject, named: Subject, specs: Sequence[BackendSpec]) -> Port:
    turns = [
        turn
        for sibling in subject_lookup.siblings(named, evaluation.subjects)
        if (turn := _turn(named, sibling, specs))
    ]
    own = (turn for turn in turns if turn.subject.variant == named.variant)
    first = min(own, key=lambda turn: _distance(turn.subject, source, named))
    target, kind = first.subject, first.subject.offer.targets
    others = (t for t in turns if t.subject.id not in (named.id, target.id) and t.subject.offer.targets == kind)
    cards = evaluation.cards(list({s.id: s for s in (source, target, named)}.values())) if evaluation.measured else []
    by_id = {card.subject: card for card in cards}
    source, target, named = (_as_measured(subject, by_id.get(subject.id)) for subject in (source, target, named))
    search = Search(evaluation, source, target, named, (replace(first, subject=target), *others))
    plain, *changes = search.all()
    return Port(
        source=source,
        target=target,
        named=named,
        measured=evaluation.measured,
        declared={
            subject.id: _as_declared(subject, by_id[subject.id]) for subject in (source, target) if subject.id in by_id
        },
        differences=tuple(changes),
        plain=plain,
        before=f"loss = {call}" if (call := written(usage_of(source, specs))) else "",
        after=_code(plain.example, usage_of(target, specs)),
        dtypes=tuple(name for name in _dtypes(source, target) if name not in _dtypes(target, target)),
        more=tuple(option for option in Option if option in target.offer.options - source.offer.options),
    )


def _distance(subject: Subject, source: Subject, named: Subject) -> tuple[bool, bool, bool]:
    """How far it is from the source: other targets, other inputs, another function than the named."""
    inputs = subject.convention.inputs != source.convention.inputs
    return subject.offer.targets != source.offer.targets, inputs, subject.id != named.id


def _as_measured(subject: Subject, card: Card | None) -> Subject:
    """The subject with its measured convention; fields that were not determined stay as declared."""
    fields = card.fields.values() if card is not None else ()
    measured = {field.field: field.values[0] for field in fields if field.state == "measured"}
    return replace(subject, convention=subject.convention.but(**measured))


def _as_declared(subject: Subject, card: Card) -> tuple[str, ...]:
    fields = card.fields.items()
    return tuple(name for name, field in fields if field.state != "measured" and plays(name, subject))


def _turn(named: Subject, subject: Subject, specs: Sequence[BackendSpec]) -> Turn | None:
    """The changes that turn the named function into `subject`; None if its backend does not describe them."""
    usage = usage_of(subject, specs)
    if subject.id == named.id:
        return Turn(subject, usage)
    choices = [f"{name}={value}" for name, (_, value) in named.convention.differences(subject.convention).items()]
    statements = tuple(dict.fromkeys(usage.statements[c] for c in choices if subject.variant and c in usage.statements))
    arguments = usage_of(named, specs).arguments
    words = [arguments[choice] for choice in choices if choice in arguments]
    if subject.offer.targets != named.offer.targets:
        words.append(f"pass {subject.offer.targets}: the function takes these, too")
    return Turn(subject, usage, (*statements, *words), statements) if words or statements else None


def _code(example: Example | None, usage: Usage) -> tuple[str, ...]:
    way = example.way if example is not None else None
    if way is None or not usage.call:
        return ()
    call = f"{'loss' if way.factors is None else 'rows'} = {way.code(usage)}"
    return (*way.statements, call, *(f"# {words}" for words in way.afterwards))


def _dtypes(subject: Subject, target: Subject) -> tuple[str, ...]:
    """The accepted dtypes; of labels only if both take labels."""
    both = subject.offer.targets == target.offer.targets == TargetKind.LABELS
    labels = subject.offer.label_dtypes if both else ()
    return (*subject.offer.dtypes, *(f"{name} labels" for name in labels))
