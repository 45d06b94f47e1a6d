"""The data of two tools on a page: what differs between two functions, and which function gives what for some numbers.

The tools themselves are scripts (templates/differences.js, calculator.js, cross_entropy.js). They get every function of
the page with its convention, how each value is known, and what the function takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from logitmus.conventions.claims import Claims
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.relevance import matters
from logitmus.core.subject import Subject
from logitmus.results import wording

# What a function applies by itself (`core.parameters`), in words.
_PARAMETERS: Final = {
    "label_smoothing": "the label smoothing where none is given",
    "temperature": "what the logits are divided by",
    "z_loss": "the coefficient of the squared logsumexp, which is added",
    "factor": "what the loss is multiplied by",
    "clip": "probabilities are clipped to [clip, 1 - clip]",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One field of a function.

    Attributes:
        value: the measured value; the documented value where the field was not measured or not determined.
        source: "measured"; "documented", or "declared" where no link supports it; "undetermined": the documented value
            is ruled out, and this is the most portable of those left.
        note: why the field is not determined, or what is documented instead.
        docs: a link to the documentation. applies: the field can change a result of the function.
    """

    value: str
    source: str
    note: str
    docs: str
    applies: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """Functions of a backend with the same convention that take the same problems."""

    subjects: tuple[Subject, ...]
    choices: Mapping[str, Choice]

    @property
    def backend(self) -> str:
        """The framework."""
        return self.subjects[0].backend


def data(subjects: Iterable[Subject], measured: Iterable[Claims] = ()) -> dict[str, Any] | None:
    """The data as plain values for JSON; None where there is no function.

    Args:
        subjects: those that took part. With a switch they are left out: a switch is no convention.
        measured: what the run measured of them; others have what they declare.
    """
    claims = {found.subject.id: found for found in measured}
    entries = _entries([s for s in subjects if not s.has_switch], claims)
    if not entries:
        return None
    return {
        "fields": [
            {
                "name": field.name,
                "decides": field.decides,
                "values": list(field.values.items()),
                "portable": getattr(PORTABLE, field.name),
            }
            for field in FIELDS.values()
        ],
        "parameters": list(_PARAMETERS.items()),
        "entries": [_as_dict(entry, names) for entry, names in zip(entries, _names(entries), strict=True)],
    }


def _entries(subjects: Iterable[Subject], claims: Mapping[str, Claims]) -> list[Entry]:
    """Merge modes and functions with the same values that take the same problems."""
    alike: dict[tuple[object, ...], list[tuple[Subject, Mapping[str, Choice]]]] = {}
    for subject in sorted(subjects, key=_order):
        chosen = _choices(subject, claims.get(subject.id))
        values = tuple((choice.value, choice.applies) for choice in chosen.values())
        offer, parameters = subject.offer, subject.convention.parameters
        key = (subject.backend, values, parameters, offer.targets, offer.options, offer.reductions, offer.dtypes)
        alike.setdefault(key, []).append((subject, chosen))
    return [
        Entry(
            tuple(subject for subject, _ in group),
            {name: _merged([(subject, chosen[name]) for subject, chosen in group]) for name in FIELDS},
        )
        for group in alike.values()
    ]


def _order(subject: Subject) -> tuple[object, ...]:
    return subject.backend, subject.function, len(subject.modes), subject.id


def _merged(choices: Sequence[tuple[Subject, Choice]]) -> Choice:
    """The best known of equal values; its note names the others."""
    _, best = max(choices, key=lambda item: item[1].source == "measured")
    others = [subject.id for subject, choice in choices if choice.source != best.source]
    if not others:
        return best
    unknown = f"not determined for {wording.functions(others)}"
    return replace(best, note="; ".join(filter(None, (best.note, wording.printable(unknown)))))


def _choices(subject: Subject, found: Claims | None) -> dict[str, Choice]:
    chosen = {}
    for name in FIELDS:
        value, source, note = _declared(subject, name) if found is None else _known(subject, found, name)
        docs = wording.link(subject.docs.get(name, ""))
        chosen[name] = Choice(value, source, wording.printable(note), docs, matters(name, subject))
    return chosen


def _declared(subject: Subject, name: str, why: str = "not measured in this run") -> tuple[str, str, str]:
    source = "documented" if wording.link(subject.docs.get(name, "")) else "declared"
    return getattr(subject.convention, name), source, why


def _known(subject: Subject, found: Claims, name: str) -> tuple[str, str, str]:
    declared, known = found[name].declared, found[name].measured
    if known.state == "measured":
        (value,) = known.values
        return value, "measured", "" if value == declared else f"contradicts the documentation: {declared}"
    if known.state == "contradicted":
        return _declared(subject, name, f"no value fits all results: {known.why}")
    if declared not in known.values:
        left = " or ".join(known.values)
        return getattr(found.card.convention, name), "undetermined", f"{left}, but not the documented {declared}"
    return _declared(subject, name, f"not determined: {known.why}")


def _names(entries: Sequence[Entry]) -> list[str]:
    """The functions of each entry; with their modes and devices where another entry has the same function."""
    of_function: dict[str, int] = {}
    for entry in entries:
        for function in {subject.qualified_name for subject in entry.subjects}:
            of_function[function] = of_function.get(function, 0) + 1
    names = []
    for entry in entries:
        modes: dict[str, list[str]] = {}
        for subject in entry.subjects:
            mode = "+".join(subject.modes) or "eager"
            modes.setdefault(subject.function, []).append(
                mode if subject.device == "cpu" else f"{mode}@{subject.device}"
            )
        shared = {function for function in modes if of_function[f"{entry.backend}:{function}"] > 1}
        names.append(", ".join(f"{name} ({', '.join(of)})" if name in shared else name for name, of in modes.items()))
    return names


def _as_dict(entry: Entry, names: str) -> dict[str, Any]:
    first = entry.subjects[0]
    return {
        "backend": wording.printable(entry.backend),
        "name": wording.printable(names),
        "subjects": [wording.printable(subject.id) for subject in entry.subjects],
        "convention": {name: choice.value for name, choice in entry.choices.items()},
        "sources": {
            name: {"source": choice.source, "note": choice.note, "docs": choice.docs, "applies": choice.applies}
            for name, choice in entry.choices.items()
        },
        "parameters": first.convention.parameters.chosen,
        "offer": {
            "targets": str(first.offer.targets),
            "options": sorted(first.offer.options),
            "reductions": list(first.offer.reductions),
            "dtypes": list(first.offer.dtypes),
        },
    }
