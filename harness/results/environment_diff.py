"""How the environments of two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from logitmus.core.events import BackendReady
from logitmus.results.run_changes import EnvironmentChange
from logitmus.results.versions import is_own, owners
from logitmus.storage.store import Store
from logitmus.worker.environment import normalized


def environment_changes(before: Store, after: Store) -> Iterator[EnvironmentChange]:
    """Yield the facts that differ, of the harness and of common backends; a framework's own packages first."""
    subjects = [*before.subjects().values(), *after.subjects().values()]
    sides = [_environments(store) for store in (before, after)]
    names = {
        backend: {backend} | owners([subject for subject in subjects if subject.backend == backend])
        for backend in sides[1]
    }
    changes = [
        EnvironmentChange(where=where, name=name, before=old, after=new, own=is_own(name, names.get(where, ())))
        for where in sides[0].keys() & sides[1].keys()
        for name in sides[0][where].keys() | sides[1][where].keys()
        if (old := sides[0][where].get(name)) != (new := sides[1][where].get(name))
    ]
    yield from sorted(changes, key=lambda c: (not c.own, c.where != "harness", c.where, c.name))


def _environments(store: Store) -> dict[str, dict[str, str]]:
    """Backend (or "harness") -> the facts of its environment, flat; packages under their own names."""
    backends = {event.backend: event.environment for event in store.backends() if isinstance(event, BackendReady)}
    return {where: dict(_facts(facts)) for where, facts in chain([("harness", store.environment)], backends.items())}


def _facts(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            if name == "packages":  # files of older versions have the spelling of each release
                yield from ((normalized(package), str(version)) for package, version in part.items())
            else:
                yield from _facts(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(part)
