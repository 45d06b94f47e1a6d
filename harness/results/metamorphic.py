"""How relations between answers are kept, in words: the same at a terminal, in the HTML report and after a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from logitmus.cases.metamorphic import RELATIONS
from logitmus.core import causes
from logitmus.core.events import Related
from logitmus.core.subject import SubjectId
from logitmus.results import wording

SAYS: Final = {
    **{name: relation.says for name, relation in RELATIONS.items()},
    "gradient_sum": "the gradient of a row sums to 0, or to what its convention says",
}


@dataclass(frozen=True)
class Kept:
    """One relation, over all subjects that were asked about it.

    Attributes:
        says: what the relation says. kept: by how many it is kept, how closely; "" where by none.
        broken, meant: who breaks it, and by how much and why; and who differs as its convention says, and which.
    """

    relation: str
    says: str
    kept: str
    broken: tuple[tuple[str, str], ...]
    meant: tuple[tuple[str, str], ...]

    @property
    def entries(self) -> list[tuple[str, str]]:
        """What is to be told, each under one word."""
        return [
            *([("kept", self.kept)] if self.kept else []),
            *(("BROKEN", f"{why}: {who}") for who, why in self.broken),
            *(("unlike", f"by convention, {why}: {who}") for who, why in self.meant),
        ]

    @property
    def words(self) -> str:
        """In one line."""
        return "; ".join(f"{head} {said}" for head, said in self.entries)


def table(related: Iterable[Related]) -> list[Kept]:
    """A line for every relation that was asked about, in a fixed order."""
    by_relation: dict[str, list[Related]] = {}
    for one in related:
        if one.pairs:
            by_relation.setdefault(one.relation, []).append(one)
    return [_kept(name, by_relation[name]) for name in SAYS if name in by_relation]


def as_dicts(related: Iterable[Related]) -> list[dict[str, Any]]:
    """For machines."""
    told = sorted(related, key=lambda one: (one.subject, one.relation))
    return [asdict(one) | {"share": wording.finite(one.share), "ulps": wording.finite(one.ulps)} for one in told]


def _kept(name: str, related: Sequence[Related]) -> Kept:
    keeping = [one for one in related if not one.broken and one.pairs > one.by_convention]
    broken = _alike((one for one in related if one.broken), _by_how_much)
    meant = _alike((one for one in related if one.by_convention), _why)
    return Kept(name, SAYS[name], _how_closely(keeping), broken, meant)


def _how_closely(keeping: Sequence[Related]) -> str:
    if not keeping:
        return ""
    pairs = sum(one.pairs - one.by_convention for one in keeping)
    same = sum(one.identical for one in keeping)
    by = f"by {wording.plural(len(keeping), 'function')}, " if len(keeping) > 1 else ""
    if same == pairs:
        return f"{by}to the bit"
    share, ulps = max(one.share for one in keeping), max(one.ulps for one in keeping)
    apart = f", {wording.amount(ulps)} ulps of the loss" if ulps else ""
    return f"{by}{same} of {pairs} times to the bit, else within {wording.amount(share)} of both budgets{apart}"


def _by_how_much(one: Related) -> str:
    apart = f"by up to {wording.amount(one.ulps)} ulps of the loss" if one.ulps else "in the gradient alone"
    example = f", e.g. problems {' and '.join(one.example)}" if one.example else ""
    return f"{apart} ({_why(one)}{example})"


def _why(one: Related) -> str:
    return "; ".join(map(_said, one.why)) or "nothing that is known explains it"


def _said(cause: str) -> str:
    """A choice of the convention by its name: its words stand with its finding."""
    head, _, choice = cause.partition(":")
    return choice.replace("=", " = ") if head == "convention" else causes.summary(cause)


def _alike(related: Iterable[Related], words: Callable[[Related], str]) -> tuple[tuple[str, str], ...]:
    """Who, and what is said of them; those of whom the same is said together."""
    said: dict[str, dict[str, list[str]]] = {}
    for one in related:
        said.setdefault(words(one), {}).setdefault(SubjectId.parse(one.subject).backend, []).append(one.subject)
    return tuple(("; ".join(map(wording.names, alike.values())), why) for why, alike in said.items())


def lines(related: Iterable[Related]) -> Iterator[str]:
    """One line for each relation, for who prints text."""
    for one in table(related):
        yield f"{one.says}: {one.words}"


def brief(related: Iterable[Related]) -> Iterator[str]:
    """Those that are kept in one line, and a line for each that is not."""
    told = sorted(related, key=lambda one: (one.subject, one.relation))
    whole = [one for one in table(told) if not one.broken and not one.meant]
    if whole:
        within = max(one.share for one in told if one.relation in {kept.relation for kept in whole})
        closely = f"within {wording.amount(within)} of both budgets" if within else "to the bit"
        yield f"kept between its answers, {closely}: {'; '.join(one.says for one in whole)}"
    for one in table(told):
        if one not in whole:
            yield f"between its answers: {one.says}: {one.words}"


def grid(related: Iterable[Related]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The relations, and for every subject a few words on each; "" where it was not asked."""
    told = {(one.subject, one.relation): one for one in related if one.pairs}
    names = [name for name in SAYS if any(relation == name for _, relation in told)]
    rows = [
        (subject, [_cell(told.get((subject, name))) for name in names])
        for subject in sorted({subject for subject, _ in told})
    ]
    return names, rows


def _cell(one: Related | None) -> str:
    if one is None:
        return ""
    if one.broken:
        return f"broken, {wording.amount(one.ulps)} ulps" if one.ulps else "broken"
    if one.by_convention == one.pairs:
        return "not by convention"
    return wording.amount(one.share) if one.share else "to the bit"
