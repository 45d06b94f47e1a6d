"""View of a finding: a group of findings in the words, and under the labels, of every report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from logitmus.core import catalogue
from logitmus.results import wording
from logitmus.results.groups import Group

_MOST_FAMILIES = 6
_IN_MESSAGE = ("without_it", "effect", "depends_on", "alternatives", "impact", "cause", "accepted")


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingView:
    """A group of findings in words; a label is the name of an attribute, with spaces.

    Attributes:
        affects: the functions that have it. found_in: how many results, in which families and dtypes.
        minimal_input: the smallest problem that shows it, in a line.
        expected: the exact answer. place: which value of which part that is, or "".
        got: the result. error: its distance in ulps and in units of the error budget, or "".
        without_it: of a result that a switch changes, the result without it. effect: what the switch does to it.
        depends_on: what the result depends on, where that was found out.
        alternatives: the other conventions that explain the finding as well.
        impact: why it matters. cause: in its text form, as expectations match it.
        accepted: how much of it is accepted, and for which reasons.
        known_since: the earlier run that shows all of it. new_since: the earlier run that lacks some of it.
    """

    group: Group
    affects: str
    found_in: str
    minimal_input: str
    expected: str
    place: str
    got: str
    error: str
    without_it: str
    effect: str
    depends_on: str
    alternatives: str
    impact: str
    cause: str
    accepted: str
    known_since: str
    new_since: str

    @classmethod
    def of(cls, group: Group) -> FindingView:
        """The view of a group."""
        finding = group.finding
        families = wording.listed(group.families, _MOST_FAMILIES)
        return cls(
            group=group,
            affects=wording.names(group.subjects),
            found_in=f"{wording.plural(group.count, 'result')} in {families} ({', '.join(sorted(group.dtypes))})",
            minimal_input=wording.question(group.problem, finding.row),
            expected=finding.expected,
            place=wording.where(finding),
            got=finding.observed,
            error=wording.measure(finding),
            without_it=finding.without,
            effect=catalogue.summary(finding.effect) if finding.effect else "",
            depends_on=wording.depends(group.dependences),
            alternatives=wording.doubt(finding),
            impact=catalogue.impact(finding.cause),
            cause=finding.cause,
            accepted=group.acceptance,
            known_since=group.known_since(),
            new_since=_new_since(group),
        )

    def fields(self, *names: str) -> list[tuple[str, str]]:
        """Labels and texts of these attributes (default: all) in a fixed order, without empty ones."""
        texts = {
            "affects": self.affects,
            "found in": self.found_in,
            "minimal input": self.minimal_input,
            "expected": _with(self.expected, self.place),
            "got": _with(self.got, self.error),
            "without it": self.without_it,
            "effect": self.effect,
            "depends on": self.depends_on,
            "alternatives": self.alternatives,
            "impact": self.impact,
            "cause": self.cause,
            "accepted": self.accepted,
            "known since": self.known_since,
            "new since": self.new_since,
        }
        return [(label, text) for label, text in texts.items() if text and (not names or _attribute(label) in names)]

    @property
    def message(self) -> str:
        """The finding in a few sentences on one line, for a reader who sees nothing else of the report."""
        finding = self.group.finding
        numbers = [f"expected {_with(self.expected, self.place)}"] if self.expected else []
        numbers += [f"got {_with(self.got, self.error)}"] if self.got else []
        sentences = [
            f"{self.affects}: {finding.summary}",
            f"On {self.minimal_input}: {', '.join(numbers)}" if numbers else f"Shown by {self.minimal_input}",
            *(f"{label.capitalize()}: {text}" for label, text in self.fields(*_IN_MESSAGE)),
            f"Finding {finding.id}, found in {self.found_in}; reproduce it with `{wording.repro(finding)}`",
        ]
        return ". ".join(" ".join(wording.printable(sentence).split()) for sentence in sentences) + "."

    def also(self, others: Iterable[FindingView]) -> list[tuple[str, str]]:
        """The same finding in other frameworks, briefly: a labelled text for each."""
        return [("also affects", other._briefly()) for other in others]

    def _briefly(self) -> str:
        count = wording.plural(self.group.count, "result")
        accepted = f"; accepted: {self.accepted}" if self.accepted else ""
        return f"{self.affects} ({count}), e.g. {self.group.finding.id}: {_with(self.got, self.error)}{accepted}"


def _new_since(group: Group) -> str:
    """The earlier run that lacks some of it, and how much that is; "" without one."""
    if not (group.earlier and group.new):
        return ""
    part = "" if group.new == group.count else f": {group.new:,} of {wording.plural(group.count, 'result')}"
    return group.earlier + part


def _attribute(label: str) -> str:
    return label.replace(" ", "_")


def _with(text: str, remark: str) -> str:
    return f"{text}  ({remark})" if text and remark else text or remark
