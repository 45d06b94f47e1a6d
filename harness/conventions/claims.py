"""Claims: what subjects declare of their conventions beside what was measured, from a run's file.

The cards come from the answers to the family "convention-probes" alone: no framework is needed, and no declaration is
believed (but for the domain of the inputs, which decides what a subject is given, and the layout of its classes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Literal

from logitmus.cases.families import convention_probes
from logitmus.conventions.card import Card, Measured
from logitmus.conventions.measure import measure
from logitmus.core.convention import FIELDS
from logitmus.core.errors import LogitmusError, suggest
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.bench import Bench
from logitmus.storage.store import Store, StoreError

FAMILY: Final = convention_probes.FAMILY.name
Agreement = Literal["agrees", "contradicts", "undetermined"]
_UNASKED: Final = NotRun("was not tested: the run was interrupted")


class ClaimsError(LogitmusError, ValueError):
    """An unknown field, or a pattern that matches no subject; the message lists the known names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A field of a subject.

    Attributes:
        field: of `convention.FIELDS`. declared: its value by the declaration.
        measured: what the answers say.
        docs: a link to what the declaration rests on; "": the documentation says nothing of this field.
    """

    field: str
    declared: str
    measured: Measured
    docs: str = ""

    @property
    def agreement(self) -> Agreement:
        """Whether the declaration holds; a value that was ruled out contradicts it, whatever else is left."""
        if self.measured.state == "contradicted" or self.declared not in self.measured.values:
            return "contradicts"
        return "agrees" if self.measured.state == "measured" else "undetermined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All fields of a subject, by name, in the order of `convention.FIELDS`; `card` is what was measured of it."""

    subject: Subject
    card: Card
    fields: Mapping[str, Claim]

    def __getitem__(self, field: str) -> Claim:
        return self.fields[field]


def claims(store: Store, subjects: Collection[str] | None = None) -> Iterator[Claims]:
    """Each subject's, sorted by id; measuring a subject takes a few tenths of a second.

    Args:
        store: a run that holds the family "convention-probes".
        subjects: ids; None: all that the file has, but for those with a switch, which get no probes.

    Raises:
        StoreError: where the run does not hold the family.
    """
    described = store.subjects()
    chosen = described if subjects is None else {name: described[name] for name in sorted(subjects)}
    chosen = {name: subject for name, subject in chosen.items() if not subject.has_switch}
    problems = probes(store)
    if not problems:
        hint = "Make a run that does: logitmus conventions --out FILE, or logitmus run with the profile default or full"
        raise StoreError(store.path, f"holds no problems of the family {FAMILY}", hint)
    results = _ProbeResults(store, problems)
    cards: dict[object, Card] = {}
    for identity, subject in chosen.items():
        # The same bits under the same offer are measured once: many subjects are the same kernel under several names.
        key = results.key(subject)
        if key not in cards:
            cards[key] = measure(subject, results.of(subject), benches=results.bench, faults=False)
        card = replace(cards[key], subject=identity)
        yield Claims(subject=subject, card=card, fields={name: _claim(subject, card[name]) for name in FIELDS})


def probes(store: Store) -> list[Problem]:
    """The problems of the family that the run holds, in its order."""
    return [problem for problem in store.problems() if problem.family == FAMILY]


def selected(subjects: Collection[str], globs: Collection[str]) -> list[str]:
    """The ids that match any of the globs, sorted; no globs: all.

    Raises:
        ClaimsError: for a glob that matches none, and where there is no subject at all.
    """
    if not subjects:
        raise ClaimsError("there are no subjects: no backend ran, or no chosen subject exists")
    for glob in globs:
        if not any(fnmatchcase(subject, glob) for subject in subjects):
            raise ClaimsError(f"no subject matches {glob!r}; {_closest(glob, subjects)}")
    return sorted(s for s in subjects if not globs or any(fnmatchcase(s, glob) for glob in globs))


def known_field(name: str) -> str:
    """The field of that name.

    Raises:
        ClaimsError: for an unknown subject.
    """
    if name in FIELDS:
        return name
    raise ClaimsError(f"unknown field {name!r}; {suggest(name, FIELDS)}")


def _closest(glob: str, subjects: Collection[str]) -> str:
    return suggest(glob.strip("*"), sorted(subjects), cutoff=0.4)


def _claim(subject: Subject, measured: Measured) -> Claim:
    name = measured.field
    return Claim(
        field=name,
        declared=getattr(subject.convention, name),
        measured=measured,
        docs=subject.docs.get(name, ""),
    )


class _ProbeResults:
    """The results of all subjects for the probes; equal bits are decoded once, and every problem has a single bench."""

    def __init__(self, store: Store, problems: list[Problem]) -> None:
        self._store = store
        self._problems = problems
        self._raw = {problem.id: store.raw_outcomes(problem.id) for problem in problems}
        self._outcomes: dict[tuple[str, bytes], Outcome] = {}
        self._benches: dict[str, Bench] = {}

    def key(self, subject: Subject) -> object:
        """All that a card depends on."""
        bits = tuple(self._raw[problem.id].get(subject.id) for problem in self._problems)
        declared = (subject.convention.class_axis, subject.convention.inputs)
        return subject.offer, declared, subject.flushes_subnormals, bits

    def of(self, subject: Subject) -> Iterator[tuple[Problem, Outcome]]:
        """Yield each problem with the subject's outcome, or the reason why it was not tested."""
        for problem in self._problems:
            raw = self._raw[problem.id].get(subject.id)
            if raw is None:
                reason = subject.why_not(problem)
                yield problem, _UNASKED if reason is None else NotRun(reason)
                continue
            if raw not in self._outcomes:
                self._outcomes[raw] = self._store.outcome(*raw)
            yield problem, self._outcomes[raw]

    def bench(self, problem: Problem) -> Bench:
        if problem.id not in self._benches:
            self._benches[problem.id] = Bench(problem)
        return self._benches[problem.id]
