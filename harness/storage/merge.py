"""Merge: the exact union of runs: the shards of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from logitmus.core.observation import Observation
from logitmus.storage.store import Store, StoreError

_HINT: Final = "Merge only runs of the same versions; for others use `logitmus compare`"


def merge(paths: Sequence[Path], out: Path) -> int:
    """The exact union of several runs in a new file `out`; returns the number of observations.

    Problems keep the order in which they are met. Environment and settings are those of the first, with `merged`.

    Raises:
        StoreError: if two runs declare a subject differently, or hold different outcomes of a pair.
    """
    with Store.open(paths[0]) as first:
        settings = replace(first.settings, merged=len(paths))
        merged = Store.create(out, environment=first.environment, settings=settings)
    try:
        with merged:
            for path in paths:
                with Store.open(path) as shard:
                    _add(shard, merged)
            return len(merged)
    except BaseException:
        out.unlink()  # half a union is none
        raise


def _add(shard: Store, merged: Store) -> None:
    known = merged.subjects()
    for identity, subject in shard.subjects().items():
        if known.get(identity, subject) != subject:
            raise StoreError(shard.path, f"declares {identity} differently from the runs before it", _HINT)
    for backend in shard.backends():
        merged.add_backend(backend)
    merged.add_problems(shard.problems())
    for problem in shard.problem_ids():
        there, answered = merged.raw_outcomes(problem), merged.answered(problem) & shard.answered(problem)
        for identity, raw in shard.raw_outcomes(problem).items():
            if identity in answered and there[identity] != raw:
                seen = f"{identity} answered problem {problem} differently from the runs before it"
                raise StoreError(shard.path, seen, _HINT)
            merged.add(Observation(identity, problem, shard.outcome(*raw)))
