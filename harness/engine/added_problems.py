"""Problems that a run adds to its suite: those of reduction and exploration, apart from the rest."""

from __future__ import annotations

from typing import Final

from logitmus.core.problem import Problem, Purpose
from logitmus.storage.store import Store

_FOLLOW_UPS: Final = (Purpose.REDUCTION, Purpose.EXPLORATION)


def without_follow_ups(store: Store) -> list[str]:
    """Return the ids of all problems in the file but those of reduction and exploration, in their order."""
    return [identity for identity, family in store.families().items() if family not in _FOLLOW_UPS]


def exploration_problems(store: Store) -> list[Problem]:
    """Return the problems in the file that exploration added, in their order."""
    families = store.families()
    return [store.problem(identity) for identity, family in families.items() if family == Purpose.EXPLORATION]
