"""Metamorphic relations in words: where they hold and where they are violated, for every report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from logitmus.cases.metamorphic import RELATIONS
from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Related
from logitmus.core.subject import SubjectId
from logitmus.results import wording

SAYS: Final = {
    **{name: relation.says for name, relation in RELATIONS.items()},
    "gradient_sum": "the gradient of a row sums to 0, or to what its convention says",
}


@dataclass(frozen=True)
class RelationView:
    """A relation in words, over all subjects on which it was tested.

    Attributes:
        says: the relation. holds: for how many subjects and how closely; "" if for none.
        violated: (subjects, by how much and why). by_convention: (subjects, the convention that implies a difference).
    """

    relation: str
    says: str
    holds: str
    violated: tuple[tuple[str, str], ...]
    by_convention: tuple[tuple[str, str], ...]

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Labels and texts."""
        return [
            *([("holds", self.holds)] if self.holds else []),
            *(("VIOLATED", f"{why}: {subjects}") for subjects, why in self.violated),
            *(("differs by convention", f"{why}: {subjects}") for subjects, why in self.by_convention),
        ]

    @property
    def words(self) -> str:
        """The labels and texts in a line."""
        return "; ".join(f"{label} {text}" for label, text in self.entries)


def table(related: Iterable[Related]) -> list[RelationView]:
    """A view of every relation that was tested, in a fixed order."""
    by_relation: dict[str, list[Related]] = {}
    for relation in related:
        if relation.pairs:
            by_relation.setdefault(relation.relation, []).append(relation)
    return [_view(name, by_relation[name]) for name in SAYS if name in by_relation]


def as_dicts(related: Iterable[Related]) -> list[dict[str, Any]]:
    """The relations as plain values, for JSON."""
    ordered = sorted(related, key=lambda relation: (relation.subject, relation.relation))
    return [
        asdict(relation) | {"share": wording.finite(relation.share), "ulps": wording.finite(relation.ulps)}
        for relation in ordered
    ]


def _view(name: str, related: Sequence[Related]) -> RelationView:
    holding = [relation for relation in related if not relation.broken and relation.pairs > relation.by_convention]
    violated = _alike((relation for relation in related if relation.broken), _by_how_much)
    by_convention = _alike((relation for relation in related if relation.by_convention), _why)
    return RelationView(name, SAYS[name], _how_closely(holding), violated, by_convention)


def _how_closely(holding: Sequence[Related]) -> str:
    if not holding:
        return ""
    pairs = sum(relation.pairs - relation.by_convention for relation in holding)
    same = sum(relation.identical for relation in holding)
    functions = f"for {wording.plural(len(holding), 'function')}, " if len(holding) > 1 else ""
    if same == pairs:
        return f"{functions}bitwise{_range(holding)}"
    share, ulps = max(relation.share for relation in holding), max(relation.ulps for relation in holding)
    apart = f", {wording.ulps(ulps)} of the loss" if ulps else ""
    return f"{functions}bitwise in {same} of {pairs} pairs, else within {_budgets(share)}{apart}{_range(holding)}"


def _range(related: Sequence[Related]) -> str:
    """Up to how many classes the relation was tested."""
    classes = min(relation.classes for relation in related)
    return f", tested up to K = {classes}" if classes else ""


def _by_how_much(relation: Related) -> str:
    apart = f"by up to {wording.ulps(relation.ulps)} of the loss" if relation.ulps else "in the gradient alone"
    example = f", e.g. problems {' and '.join(relation.example)}" if relation.example else ""
    return f"{apart} ({_why(relation)}{example})"


def _why(relation: Related) -> str:
    return "; ".join(map(_cause, relation.why)) or "unexplained"


def _budgets(share: float) -> str:
    return f"{wording.amount(share)}x both error budgets"


def _cause(cause: Cause) -> str:
    """A cause briefly: its finding explains it."""
    return f"{cause.field} = {cause.value}" if cause.name == "convention" else catalogue.summary(cause)


def _alike(related: Iterable[Related], words: Callable[[Related], str]) -> tuple[tuple[str, str], ...]:
    """(subjects, text), with the subjects of the same text together."""
    subjects_by_text: dict[str, dict[str, list[str]]] = {}
    for relation in related:
        subjects_by_text.setdefault(words(relation), {}).setdefault(
            SubjectId.parse(relation.subject).backend, []
        ).append(relation.subject)
    return tuple(("; ".join(map(wording.names, alike.values())), why) for why, alike in subjects_by_text.items())


def lines(related: Iterable[Related]) -> Iterator[str]:
    """A line for each relation."""
    for relation in table(related):
        yield f"{relation.says}: {relation.words}"


def brief(related: Iterable[Related]) -> Iterator[str]:
    """A single line for all relations that hold, and a line for each other relation."""
    ordered = sorted(related, key=lambda relation: (relation.subject, relation.relation))
    whole = [relation for relation in table(ordered) if not relation.violated and not relation.by_convention]
    if whole:
        within = max(
            relation.share for relation in ordered if relation.relation in {holding.relation for holding in whole}
        )
        closely = f"within {_budgets(within)}" if within else "bitwise"
        tested = _range([relation for relation in ordered if relation.relation in {view.relation for view in whole}])
        yield f"relations that hold between its results, {closely}{tested}: {'; '.join(view.says for view in whole)}"
    for relation in table(ordered):
        if relation not in whole:
            yield f"relation between its results: {relation.says}: {relation.words}"


def grid(related: Iterable[Related]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The relations, and for every subject a brief text on each; "" if it was not tested."""
    by_cell = {(relation.subject, relation.relation): relation for relation in related if relation.pairs}
    names = [name for name in SAYS if any(relation == name for _, relation in by_cell)]
    rows = [
        (subject, [_cell(by_cell.get((subject, name))) for name in names])
        for subject in sorted({subject for subject, _ in by_cell})
    ]
    return names, rows


def _cell(related: Related | None) -> str:
    if related is None:
        return ""
    if related.broken:
        return f"violated, {wording.ulps(related.ulps)}" if related.ulps else "violated"
    if related.by_convention == related.pairs:
        return "differs by convention"
    return f"{wording.amount(related.share)}x" if related.share else "bitwise"
