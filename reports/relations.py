"""How relations between answers are kept, in words: the same at a terminal, in the HTML report and after a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from logitmus import phrases
from logitmus.cases.metamorphic import RELATIONS
from logitmus.events import Related
from logitmus.reports import wording

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
    def words(self) -> str:
        """In one line."""
        told = [self.kept] if self.kept else []
        told += [f"BROKEN by {who}: {why}" for who, why in self.broken]
        told += [f"not so by convention: {who} ({why})" for who, why in self.meant]
        return "; ".join(told)


def table(related: Iterable[Related]) -> list[Kept]:
    """A line for every relation that was asked about, in a fixed order."""
    by_relation: dict[str, list[Related]] = {}
    for one in related:
        if one.pairs:
            by_relation.setdefault(one.relation, []).append(one)
    return [_kept(name, by_relation[name]) for name in SAYS if name in by_relation]


def as_dicts(related: Iterable[Related]) -> list[dict[str, Any]]:
    """For machines; JSON has no infinity."""
    return [
        asdict(one)
        | {
            name: value if value < float("inf") else "infinite"
            for name, value in (("share", one.share), ("ulps", one.ulps))
        }
        for one in sorted(related, key=lambda one: (one.subject, one.relation))
    ]


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
        return f"kept {by}to the bit"
    share, ulps = max(one.share for one in keeping), max(one.ulps for one in keeping)
    apart = f", {wording.amount(ulps)} ulps of the loss" if ulps else ""
    return f"kept {by}{same} of {pairs} times to the bit, else within {wording.amount(share)} of both budgets{apart}"


def _by_how_much(one: Related) -> str:
    apart = f"by up to {wording.amount(one.ulps)} ulps of the loss" if one.ulps else "in the gradient alone"
    example = f", e.g. {' and '.join(one.example)}" if one.example else ""
    return f"{apart} ({_why(one)}{example})"


def _why(one: Related) -> str:
    return "; ".join(phrases.summary(cause) for cause in one.why) or "nothing that is known explains it"


def _alike(related: Iterable[Related], words: Callable[[Related], str]) -> tuple[tuple[str, str], ...]:
    """Who, and what is said of them; those of one framework of whom the same is said together."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in related:
        said.setdefault((words(one), one.subject.partition(":")[0]), []).append(one.subject)
    return tuple((wording.names(subjects), why) for (why, _), subjects in said.items())


def lines(related: Iterable[Related]) -> Iterator[str]:
    """One line for each relation, for who prints text."""
    for one in table(related):
        yield f"{one.says}: {one.words}"
