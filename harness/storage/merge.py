"""Merge: the exact union of runs, and the run whose shards they are.

The shards of a run and whole runs are merged differently. Shards are parts of one suite: each problem is in one of
them, all of them are needed, and the merged file is the file of the whole run before the steps that follow on the suite
(`logitmus run --resume` carries these out). Whole runs may hold anything, so their union is a file of its own kind.

Neither mixes results of two versions of a package under the name of one backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from logitmus.core.events import BackendFailed, BackendReady
from logitmus.core.observation import Observation, Outcome
from logitmus.core.run_settings import RunSettings
from logitmus.storage import encoding
from logitmus.storage.store import Store, StoreError
from logitmus.worker.environment import changed_version

_HINT: Final = "Merge only runs of the same versions; for others use `logitmus compare`"
_BY_ENVIRONMENT: Final = "Merge only runs of the same versions, or write a file for each with --by-environment"


def merge(paths: Sequence[Path], out: Path) -> int:
    """Write the union of several runs, or the run that they are the shards of, to a new file; return its results.

    The environment is that of the first. The problems of shards have the order of the suite, those of whole runs that
    in which they are met.

    Raises:
        StoreError: where two runs were made with different versions, declare a subject differently or hold different
            outcomes of a call; for shards of different runs, the same shard twice, and a shard that is missing.
    """
    with Store.open(paths[0]) as first:
        settings = _merged_settings(paths)
        merged = Store.create(out, environment=first.environment, settings=settings)
    try:
        with merged:
            for path in paths:
                with Store.open(path) as part:
                    _add(part, merged)
            return len(merged)
    except BaseException:
        out.unlink()  # half a union is none
        raise


def by_environment(paths: Sequence[Path]) -> list[list[Path]]:
    """The runs in groups, each of one version of every package; in the order in which they are given."""
    groups: list[list[Path]] = []
    for path in paths:
        with Store.open(path, check=False) as run:
            for group in groups:
                if all(_is_alike(known, run) for known in group):
                    group.append(path)
                    break
            else:
                groups.append([path])
    return groups


def _is_alike(path: Path, run: Store) -> bool:
    with Store.open(path, check=False) as known:
        return _other_version(known, run) is None


def _merged_settings(paths: Sequence[Path]) -> RunSettings:
    """The settings of the whole run of which these are the shards; those of the first, for other runs.

    Raises:
        StoreError: where some are shards, but not each of the shards of one run once.
    """
    settings, unstarted = {}, set()
    for path in paths:
        with Store.open(path, check=False) as run:
            settings[path] = run.settings
            if not (run.problem_ids() or run.backends()):  # a small selection has no problem in some shards
                unstarted.add(path)
    first = settings[paths[0]]
    if not any(given.shard for given in settings.values()):
        return replace(first, merged=len(paths))
    seen: dict[int, Path] = {}
    for path in paths:
        shard = settings[path].shard
        if shard is None or first.shard is None:
            other = next(path for path in paths if settings[path].shard is None)
            raise StoreError(other, "a whole run, and others are shards", "Merge the shards by themselves")
        if replace(settings[path], shard=first.shard) != first or shard.count != first.shard.count:
            message = f"shard {shard} of another run than {paths[0]}: {_difference(first, settings[path])}"
            raise StoreError(path, message, "Merge the shards of one run")
        if shard.number in seen:
            hint = "Give each shard once"
            raise StoreError(path, f"shard {shard} again, after {seen[shard.number]}", hint)
        if path in unstarted:  # its problems are in no other shard, and a resumed run would miss them in the order
            hint = f"Finish it (logitmus run --resume --out {path}), and merge again"
            raise StoreError(path, f"shard {shard}, interrupted before it had any problem", hint)
        seen[shard.number] = path
    count = first.shard.count if first.shard else 0
    missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in seen]
    if missing:
        hint = "Give all shards of the run; what a shard could not finish, `logitmus run --resume` does"
        shards = f"shards {', '.join(missing)} are" if missing[1:] else f"shard {missing[0]} is"
        raise StoreError(paths[0], f"a shard of a run whose {shards} not given", hint)
    return replace(first, shard=None)


def _difference(first: RunSettings, other: RunSettings) -> str:
    """The first setting that differs, in words."""
    before, after = first.as_dict(), other.as_dict()
    if first.shard and other.shard and first.shard.count != other.shard.count:
        return f"{other.shard.count} shards, not {first.shard.count}"
    name = next(name for name in (*before, *after) if name != "shard" and before.get(name) != after.get(name))
    return f"{name} = {after.get(name)!r}, not {before.get(name)!r}"


def _other_version(known: Store, run: Store) -> str | None:
    """Which version of a backend that both runs hold differs, in words."""
    environments = {ready.backend: ready.environment for ready in known.backends() if isinstance(ready, BackendReady)}
    for ready in run.backends():
        if isinstance(ready, BackendReady) and ready.backend in environments:
            changed = changed_version(environments[ready.backend], ready.environment)
            if changed:
                name, old, new = changed
                return f"{ready.backend} with {name} {new}, the runs before it with {old}"
    return None


def _add(part: Store, merged: Store) -> None:
    other = _other_version(merged, part)
    if other:
        raise StoreError(part.path, f"called {other}", _BY_ENVIRONMENT)
    known = merged.subjects()
    for identity, subject in part.subjects().items():
        if known.get(identity, subject) != subject:
            raise StoreError(part.path, f"declares {identity} differently from the runs before it", _HINT)
    failed = [backend for backend in merged.backends() if isinstance(backend, BackendFailed)]
    for backend in (*part.backends(), *failed):  # a later run in which it started does not undo a failure
        merged.add_backend(backend)
    if part.settings.shard:
        merged.place_problems(part.placed_problems())
    else:
        merged.add_problems(part.problems())
    for worker, before, after, count in part.flushing():
        merged.add_flushing(worker, before=before, after=after, count=count)
    for problem in part.problem_ids():
        there, answered = merged.raw_outcomes(problem), merged.answered(problem) & part.answered(problem)
        own = part.raw_outcomes(problem)
        for identity in sorted(answered):
            if there[identity] != own[identity]:
                seen = f"{identity} answered problem {problem} differently from the runs before it"
                raise StoreError(part.path, seen, _HINT)
        for observation, seconds, first in part.calls(problem):
            merged.add(observation, seconds=seconds, first=first)
        _add_repeats(part, merged, problem)


def _add_repeats(part: Store, merged: Store, problem: str) -> None:
    """Add the repeated calls with a problem; what differs from the same repetition of another run is one more."""
    there = {(subject, of): _bits(outcome) for subject, of, outcome in merged.repeats.of(problem)}
    for subject, of, outcome in part.repeats.of(problem):
        bits = _bits(outcome)
        while there.get((subject, of), bits) != bits:
            of = of._replace(number=of.number + 1)  # noqa: PLW2901
        there[subject, of] = bits
        merged.add_repeat(Observation(subject, problem, outcome), of)


def _bits(outcome: Outcome) -> tuple[str, bytes]:
    """What is the same for equal outcomes only, as in the file."""
    return encoding.encode_outcome(outcome, encoding.content_hash)
