"""Which functions and options a version lacks: every call of them fails in the same way.

A function that a release does not have yet raises AttributeError on every problem, or its backend says that it cannot
be called. Hundreds of findings that say so would hide one fact, which is read off here instead: the function, or the
option, is *gone* or *new*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from logitmus.auditing.classification import plain
from logitmus.core.observation import NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.storage.store import Store

Absent = Mapping[tuple[str, str], str]
"""By subject (an id) and option ("" for the function itself): how every call fails, in words."""
_FEWEST: Final = 3  # calls, below which "every call" says little


def absent(store: Store) -> Absent:
    """The functions and options of a run that fail on every call with the same message.

    An option is absent if all calls with it fail in that way and some call without it does not.
    """
    failures: dict[tuple[str, str], set[str]] = {}
    calls: dict[tuple[str, str], int] = {}
    known: dict[tuple[str, bytes], str | None] = {}
    for problem in store.problems():
        for subject, raw in store.raw_outcomes(problem.id).items():
            if raw not in known:
                known[raw] = _failure(store, raw)
            failure = known[raw]
            if failure is None:
                continue
            for option in ("", *problem.options):
                failures.setdefault((subject, option), set()).add(failure)
                calls[subject, option] = calls.get((subject, option), 0) + 1
    found = {
        place: next(iter(texts))
        for place, texts in failures.items()
        if len(texts) == 1 and "" not in texts and calls[place] >= _FEWEST
    }
    return {place: text for place, text in found.items() if not place[1] or (place[0], "") not in found}


def is_absent(problem: Problem, subject: str, known: Absent) -> bool:
    """Whether a call fails because its function, or one of its options, is absent."""
    return (subject, "") in known or any((subject, option) in known for option in problem.options)


def _failure(store: Store, raw: tuple[str, bytes]) -> str | None:
    """How a call fails, "" if it returns; None: its worker was lost."""
    if raw[0] not in (Raised.__name__, NotRun.__name__):
        return ""
    outcome: Outcome = store.outcome(*raw)
    match outcome:
        case Raised(type=name, message=message):
            return f"{name}: {plain(message)}"
        case NotRun(reason=reason, given_up=False):
            return reason
        case _:
            return None
