"""A check as the reports of a run take it: the function by itself, and the findings that count against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from logitmus.checking.result import CheckResult, expectations_in_words, limits_in_words
from logitmus.results import exploration
from logitmus.results.groups import Group, worst_first
from logitmus.results.summary import Backend, Notice, Summary


class CheckedSummary(Summary):
    """The summary of a check, without its reference, and without what does not count (`CheckResult.groups`).

    What the user has accepted is among the groups, as in the summary of a run. A grade that is not reached is a notice.
    """

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result.summary.power)
        whole = result.summary
        vars(self).update(vars(whole))
        self._severities = None  # those of other groups
        self._verdict = result.headline
        self._checked = f"{result.function} against {' and '.join(dict.fromkeys(result.references.values()))}"
        self._shown = worst_first([*result.groups, *_accepted(result)])
        own = {name: subject for name, subject in whole.subjects.items() if subject.held_to not in ("", name)}
        self.subjects = own
        # That of the groups, where a cell has any (`Summary.cell`).
        self.cells = {key: replace(cell, severity=None) for key, cell in whole.cells.items() if key[0] in own}
        self.distribution = whole.distribution.of(own)
        self.verdicts = sum((cell.counts for cell in self.cells.values()), Counter())
        self.backends = {subject.backend: _backend(whole, subject.backend) for subject in own.values()}
        self.related = [related for related in whole.related if related.subject in own]
        self.explored = exploration.of(whole.explored, set(own))
        self.notices = tuple(_notices(result))

    def groups(self) -> list[Group]:
        return list(self._shown)

    def headline(self) -> str:
        return self._verdict

    def extent(self) -> str:
        return f"{self._checked}; {super().extent().partition('; ')[2]}"


def _backend(whole: Summary, name: str) -> Backend:
    """The backend of the function, whose label names the function, too, where it runs in a worker."""
    label = next((label for label in whole.backends if label.startswith(f"{name}:")), name)
    return replace(whole.backends[label], name=name)


def _accepted(result: CheckResult) -> Iterator[Group]:
    """The findings that the user has accepted."""
    for group in result.excused:
        reason = result.accepted.reason(group.finding)
        if reason:
            yield replace(group, accepted=group.count, reasons={reason})


def _notices(result: CheckResult) -> Iterator[Notice]:
    for dtype in result.short:
        missed = f"grade {result.require.value if result.require else ''} is not reached in {dtype}"
        yield Notice(missed, counts=True, brief="unreached grade")
    yield from (Notice(words, counts=False) for words in (*limits_in_words(result), *expectations_in_words(result)))
