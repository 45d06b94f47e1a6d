"""What is new in a run since an earlier run, in words and as plain values; every report shows the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from logitmus.core.finding import Finding
from logitmus.core.subject import SubjectId
from logitmus.judging.outcome_difference import SAME_VALUES
from logitmus.results import wording
from logitmus.results.groups import Group
from logitmus.results.run_changes import Comparison, FindingChange
from logitmus.results.wording import plural

_SHOWN: Final = 12
_VERSIONS: Final = 3


@dataclass(frozen=True)
class Against:
    """The comparison of a run with an earlier run, for its reports."""

    comparison: Comparison

    @property
    def earlier(self) -> str:
        """The name of the earlier run: its file, and which versions it had where these changed."""
        versions = [f"{name} {before}" for name, before, _ in self._versions() if before]
        return self._file + (f" ({', '.join(versions[:_VERSIONS])})" if versions else "")

    @property
    def _file(self) -> str:
        return Path(self.comparison.before).name

    @property
    def is_partial(self) -> bool:
        """Whether calls of the earlier run could not be compared because the later run failed to make them."""
        return bool(self.comparison.backends_gone or self.comparison.not_made)

    def headline(self, groups: Iterable[Group]) -> str:
        """The comparison in a sentence; `groups` are those of the later run."""
        c = self.comparison
        new = [group for group in groups if group.new]
        accepted = Counter(group.label for group in new if group.is_accepted)
        words = [
            f"{plural(count, f'new {label}')}" + (f" ({accepted[label]} accepted)" if accepted[label] else "")
            for label, count in Counter(group.label for group in new).items()
        ]
        if not words:
            words = ["nothing new in the calls that could be compared" if self.is_partial else "nothing new"]
        gone = len(_classes(c.gone))
        words += [f"{gone} gone"] if gone else []
        words.append(self._bits())
        return f"Against {self._file} ({self._versions_in_words()}): {', '.join(words)}"

    def lines(self, groups: Iterable[Group], limit: int = _SHOWN) -> list[str]:
        """What the headline counts, one a line: what is new first, then what is gone or was not compared."""
        lines = [*self._new(groups), *self._changes()]
        left = len(lines) - limit
        if left > 1:
            lines[limit:] = [f"and {left} more: logitmus compare {self.comparison.before} {self.comparison.after}"]
        return [*self._not_compared(), *lines]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        c = self.comparison
        return {
            "run": c.before,
            "versions": [{"name": n, "before": old, "after": new} for n, old, new in self._versions()],
            "compared": c.pairs,
            "not_made": c.not_made,
            "backends_gone": list(c.backends_gone),
            "subjects_new": list(c.subjects_new),
            "subjects_gone": list(c.subjects_gone),
            "new": [_as_dict(change, (*change.appeared, *change.added)) for change in c.appeared],
            "gone": [_as_dict(change, change.vanished) for change in c.gone],
            "declared": [asdict(change) for change in c.declared],
            "grades": [asdict(change) for change in c.grades],
            "bits": [asdict(change) for change in c.bits],
        }

    def _versions(self) -> list[tuple[str, str | None, str | None]]:
        """The packages of the frameworks themselves whose versions differ: name, before, after."""
        own = [(change.name, change.before, change.after) for change in self.comparison.environment if change.own]
        return list(dict.fromkeys(own))

    def _versions_in_words(self) -> str:
        versions = self._versions()
        if not versions:
            return "the same versions of the frameworks"
        shown = [f"{name} {before or '(none)'} -> {after or '(none)'}" for name, before, after in versions[:_VERSIONS]]
        more = [f"{len(versions) - _VERSIONS} more"] if len(versions) > _VERSIONS else []
        return ", ".join([*shown, *more])

    def _bits(self) -> str:
        c = self.comparison
        changed = sum(change.changed for change in c.bits)
        if not changed:
            return f"the bits of all {plural(c.pairs, 'result')} are the same"
        ulps = max(change.max_ulps for change in c.bits)
        by = f", by at most {plural(ulps, 'ulp')}" if ulps else ""
        return f"bits changed in {wording.amount(100 * changed / c.pairs)}% of {plural(c.pairs, 'result')}{by}"

    @staticmethod
    def _new(groups: Iterable[Group]) -> Iterator[str]:
        for group in groups:
            if group.new:
                finding = group.finding
                names = wording.names({subject for subject, _ in group.new_cells})
                yield f"new {group.label}: {finding.summary}  {finding.id} ({plural(group.new, 'result')}: {names})"

    def _changes(self) -> Iterator[str]:
        c = self.comparison
        for change in c.declared:
            yield f"declared: {change.subject}: {change.field} {change.before} -> {change.after}"
        kinds: dict[str, dict[str, int]] = {}
        for bits in c.bits:
            for kind, count in bits.other.items():
                if kind != SAME_VALUES:
                    kinds.setdefault(kind, {})[bits.subject] = count
        for kind, counts in sorted(kinds.items()):
            yield f"{kind}: {plural(sum(counts.values()), 'result')} of {wording.names(counts)}"
        moves: dict[tuple[str, str], dict[str, int]] = {}
        for grade in c.grades:
            if grade.before and grade.after and grade.after.rank > grade.before.rank:
                moves.setdefault((grade.before.value, grade.after.value), {})[grade.subject] = grade.problems
        for (before, after), counts in moves.items():
            yield f"grade {before} -> {after}: {plural(sum(counts.values()), 'result')} of {wording.names(counts)}"
        for finding, subjects in _classes(c.gone).values():
            yield f"gone {finding.severity.value}: {finding.summary} ({wording.names(subjects)})"

    def _not_compared(self) -> Iterator[str]:
        c = self.comparison
        if c.backends_gone:
            yield f"not compared: {', '.join(c.backends_gone)} (in {self._file}; not or not completely in this run)"
        if c.not_made:
            yield f"not compared: {plural(c.not_made, 'call')} that {self._file} has and this run did not make"
        if c.only_before:
            yield f"not compared: {plural(c.only_before, 'problem')} only in {self._file}"
        if c.only_after:
            yield f"{plural(c.only_after, 'problem')} only in this run: there a finding is new if its class is"


def _classes(changes: Sequence[FindingChange]) -> dict[tuple[str, ...], tuple[Finding, list[str]]]:
    """The classes by backend, kind, severity and cause, as reports group them: an example, and the subjects."""
    classes: dict[tuple[str, ...], tuple[Finding, list[str]]] = {}
    for change in changes:
        subject, *rest = change.example.key
        of_class = (SubjectId.parse(subject).backend, *rest)
        classes.setdefault(of_class, (change.example, []))[1].append(subject)
    return classes


def _as_dict(change: FindingChange, problems: Sequence[str]) -> dict[str, Any]:
    finding = change.example
    return {
        "id": finding.id,
        "subject": finding.subject,
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "cause": finding.cause,
        "summary": finding.summary,
        "problems": list(problems),
    }
