"""Problems that a run adds to its suite: why each is in the run's file, which its family tells."""

from __future__ import annotations

from typing import Final

from logitmus.core.problem import Problem
from logitmus.storage.store import Store

# These names are in the files of old runs.
DISAMBIGUATION: Final = "separating"  # problems on which competing conventions give different results
REDUCTION: Final = "examining"  # variants of a problem that shows a finding
EXPLORATION: Final = "explored"  # problems bred from those that come closest to their error budgets
FOLLOW_UPS: Final = (REDUCTION, EXPLORATION)
ADDED: Final = (DISAMBIGUATION, *FOLLOW_UPS)


def without_follow_ups(store: Store) -> list[str]:
    """Return the ids of all problems in the file but those of reduction and exploration, in their order."""
    identities = store.problem_ids()
    if not identities or store.problem(identities[-1]).family not in FOLLOW_UPS:  # follow-ups come last
        return identities
    return [identity for identity in identities if store.problem(identity).family not in FOLLOW_UPS]


def exploration_problems(store: Store) -> list[Problem]:
    """Return the problems in the file that exploration added, in their order."""
    problems = [store.problem(identity) for identity in store.problem_ids()]
    return [problem for problem in problems if problem.family == EXPLORATION]
