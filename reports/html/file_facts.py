"""What the page of a run takes from the run's file, beyond the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from logitmus.conventions.claims import Claims, claims, probes
from logitmus.results.accuracy import Curve, WorstCase, curves, worst_cases
from logitmus.results.summary import Summary
from logitmus.storage.store import Store


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What only the file of a run says.

    Attributes:
        made: when the run was made; "": unknown. run: the name of the file.
        measured: the conventions that the run measured, if it holds the probes.
        curves, worst: errors while a property of the problems varies, and the worst case of each subject.
        flushing: whether subnormals were flushed, as `Store.flushing` has it.
    """

    made: str = ""
    run: str = "RUN"
    measured: Sequence[Claims] = ()
    curves: Sequence[Curve] = ()
    worst: Sequence[WorstCase] = ()
    flushing: Sequence[tuple[str, bool, bool, int]] = ()

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
        )


NO_FILE: Final = FileFacts()
