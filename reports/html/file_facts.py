"""What the page of a run takes from the run's file, beyond the events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from logitmus.conventions.claims import Claims, claims, probes
from logitmus.core.events import BackendReady, Examined
from logitmus.reports.script.script import script
from logitmus.results.accuracy import Curve, WorstCase, curves, worst_cases
from logitmus.results.reproduction import ReproError, reproduction_of
from logitmus.results.summary import Summary
from logitmus.storage.store import Store

_LONGEST_SCRIPT: Final = 30_000  # characters; one with a large vocabulary may be longer


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What only the file of a run says.

    Attributes:
        made: when the run was made; "": unknown. run: the name of the file.
        measured: the conventions that the run measured, if it holds the probes.
        curves, worst: errors while a property of the problems varies, and the worst case of each subject.
        flushing: whether subnormals were flushed, as `Store.flushing` has it.
        scripts: the scripts that reproduce the findings (id of the finding), where one can and is not too long.
    """

    made: str = ""
    run: str = "RUN"
    measured: Sequence[Claims] = ()
    curves: Sequence[Curve] = ()
    worst: Sequence[WorstCase] = ()
    flushing: Sequence[tuple[str, bool, bool, int]] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, summary: Summary) -> FileFacts:
        """From the stored results. Cost: the problems of some families are assessed again."""
        return cls(
            made=store.created,
            run=str(store.path),
            measured=list(claims(store)) if probes(store) else (),
            curves=curves(store),
            worst=worst_cases(store, summary.worst_problems()),
            flushing=store.flushing(),
            scripts=dict(_scripts(store, summary)),
        )


def _scripts(store: Store, summary: Summary) -> Iterator[tuple[str, str]]:
    backends = {
        subject.id: event for event in store.backends() if isinstance(event, BackendReady) for subject in event.subjects
    }
    for group in summary.groups():
        shown = Examined(group.finding, group.finding, group.problem, group.dependences)
        with suppress(ReproError):  # `logitmus repro`, which the page names, says why
            text = script(reproduction_of(store, shown, backends[group.finding.subject]))
            if len(text) <= _LONGEST_SCRIPT:
                yield group.finding.id, text


NO_FILE: Final = FileFacts()
