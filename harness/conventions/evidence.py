"""Notes: what the elimination finds out, and the card that is written from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from logitmus.conventions.card import Measured
from logitmus.conventions.fit import Observed
from logitmus.conventions.version_space import Worlds
from logitmus.core.convention import FIELDS, PORTABLE, Convention, ShownBy
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem
from logitmus.core.relevance import depended_on
from logitmus.core.subject import Subject

# Measured by the form of the results (shapes, dtypes), not by their values.
APART: Final = frozenset(name for name, field in FIELDS.items() if field.shown_by is ShownBy.FORM)
# Forbids nothing, so it is never ruled out: taken only where nothing else explains.
LAST_RESORT: Final = "garbage"
_EVIDENCE: Final = 6  # ids that a card names for a field
Context = tuple[str, ...]


@dataclass(eq=False)
class Notes:
    """What is known so far.

    Attributes:
        given: all that was observed, what was not run too.
        refused: contexts (`Observed.context`) in which even plain problems raise, with a remark each.
        evidence: by field, the problems that ruled a value out.
        contradicted: by field, the values that explain a part, the problems, why.
        settled: by field, what is left, where that is not for the elimination to say.
        silent: by field, why nothing was learned. nothing: why nothing was learned at all.
        remarks: for the card.
    """

    subject: Subject
    given: Sequence[tuple[Problem, Outcome]]
    refused: dict[Context, str] = field(default_factory=dict)
    evidence: dict[str, list[str]] = field(default_factory=dict)
    contradicted: dict[str, tuple[tuple[str, ...], list[str], str]] = field(default_factory=dict)
    settled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    nothing: str = ""
    remarks: list[str] = field(default_factory=list)

    def rule_out(self, fields: Iterable[str], by: Problem) -> None:
        """A value of each of these fields does not predict what was observed."""
        for name in fields:
            _add(self.evidence.setdefault(name, []), by)

    def settle(self, name: str, values: Iterable[str], by: Problem) -> None:
        """These values are what is left; `by` showed it."""
        if name not in self.settled:
            self.evidence[name] = []
        self.settled[name] = tuple(values)
        self.rule_out([name], by)

    def contradict(self, name: str, values: Iterable[str], by: Problem, why: str) -> None:
        """No value explains everything; these explain a part."""
        known, ids, first = self.contradicted.get(name, ((), [], why))
        _add(ids, by)
        self.contradicted[name] = (tuple(dict.fromkeys([*known, *values])), ids, first)

    def fields(self, worlds: Worlds | None) -> dict[str, Measured]:
        """Every field as measured; `worlds` is what the elimination left, None where there was none."""
        return {name: self._measured(name, worlds) for name in FIELDS}

    def convention(self, fields: dict[str, Measured], worlds: Worlds | None) -> Convention:
        """What is measured; elsewhere the most portable of what is left; where that is nothing, the portable value."""
        portable = PORTABLE.as_dict()
        chosen = worlds.closest(portable) if worlds else {}
        for name, known in fields.items():
            if known.state == "measured":
                chosen[name] = known.values[0]
            elif known.state == "contradicted":
                chosen[name] = portable[name]
        if fields["class_axis"].state != "measured":  # how the arrays were laid out
            chosen["class_axis"] = self.subject.convention.class_axis
        return PORTABLE.but(**chosen)

    def _measured(self, name: str, worlds: Worlds | None) -> Measured:
        if name in self.contradicted:
            values, ids, why = self.contradicted[name]
            return Measured(field=name, state="contradicted", values=values, evidence=tuple(ids), why=why)
        ids, every = self.evidence.get(name, []), tuple(FIELDS[name].values)
        apart = name in APART or worlds is None
        left = self.settled.get(name, every) if apart or name in self.settled else worlds.values(name)  # type: ignore[union-attr]
        if len(left) == 1 and ids:
            by = {problem.id: problem.idea for problem, _ in self.given}
            why = f"distinguished by: {by[ids[0]]}"
            return Measured(field=name, state="measured", values=left, evidence=tuple(ids), why=why)
        if {*left, LAST_RESORT} == {*every, LAST_RESORT}:
            left = every
        why = self._why(name, worlds)
        return Measured(field=name, state="undetermined", values=left, evidence=tuple(ids), why=why)

    def _why(self, name: str, worlds: Worlds | None) -> str:
        """Why a field stays open."""
        if self.nothing or name in self.silent:
            return self.nothing or self.silent[name]
        applies, part = FIELDS[name].applies, "loss"
        if worlds is not None and applies:
            if not any(condition.inputs in ("", *worlds.values("inputs")) for condition in applies):
                return f"plays no part: takes {' or '.join(worlds.values('inputs'))}"
            if all(condition.mean for condition in applies) and not self._means(worlds):
                return "plays no part: takes no mean"
        if FIELDS[name].shown_by is ShownBy.GRADIENT:
            part = "grad_logits"
        asking = [(p, o) for p, o in self.given if name in depended_on(p, part)]
        if not asking:
            return "no tested problem depends on it"
        if all(isinstance(outcome, NotRun) for _, outcome in asking):
            return Counter(o.reason for _, o in asking if isinstance(o, NotRun)).most_common(1)[0][0]
        if part != "loss" and self.subject.offer.gradients.isdisjoint(("logits",)):
            return "gives no gradients, or they were not tested"
        for context, remark in self.refused.items():
            if all(set(context) <= set(Observed(p, o).context) for p, o in asking):
                return remark
        return "all answers that depend on it fit each of these values"

    def _means(self, worlds: Worlds) -> bool:
        """Whether it takes a mean: as its possible default, or among the reductions that it offers."""
        return "mean" in worlds.values("default_reduction") or "mean" in self.subject.offer.reductions


def _add(ids: list[str], by: Problem) -> None:
    if by.id not in ids and len(ids) < _EVIDENCE:
        ids.append(by.id)
