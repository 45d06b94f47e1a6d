"""Merge: the exact union of runs, for shards of one run made apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logitmus.events import BackendReady
from logitmus.observation import Observation
from logitmus.store import Store, StoreError

_HINT: Final = "Merge only runs of the same versions; for others use `logitmus compare`"


def merge(paths: Sequence[Path], out: Path) -> int:
    """The exact union of several runs in a new file `out`; returns the number of observations.

    Problems keep the order in which they are met. Environment and settings are those of the first.

    Raises:
        StoreError: if two runs declare one subject differently, or hold different outcomes of one pair.
    """
    with Store.open(paths[0]) as first:
        merged = Store.create(out, environment=first.environment, settings=first.settings)
    try:
        with merged:
            for path in paths:
                with Store.open(path) as shard:
                    _add(shard, merged)
            return len(merged)
    except StoreError:
        out.unlink()  # half a union is none
        raise


def _add(shard: Store, merged: Store) -> None:
    known = merged.subjects()
    for backend in shard.backends():
        for subject in backend.subjects if isinstance(backend, BackendReady) else ():
            if known.get(subject.id, subject) != subject:
                raise StoreError(shard.path, f"declares {subject.id} differently from the runs before it", _HINT)
        merged.add_backend(backend)
    merged.add_problems(shard.problems())
    for problem in shard.problem_ids():
        there = merged.raw_outcomes(problem)
        for subject, raw in shard.raw_outcomes(problem).items():
            if there.get(subject, raw) != raw:
                raise StoreError(shard.path, f"{subject} answered {problem} differently from the runs before it", _HINT)
            merged.record(Observation(subject, problem, shard.outcome(*raw)))
