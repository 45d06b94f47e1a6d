"""Which functions and options a version lacks: every call of them fails in the same way.

A function that a release does not have yet raises AttributeError on every problem, or its backend says that it cannot
be called. Hundreds of findings that say so would hide one fact, which is read off here instead: the function, or the
option, is *gone* or *new*.
"""

from __future__ import annotations

from collections import Counter
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
    """The functions and options of a run of which every call fails.

    A function is absent if all of its calls raise with the same message, or if none of them could be made. An option is
    absent if all calls with it raise with the same message, and some call without it returns.
    """
    failures: dict[tuple[str, str], Counter[str]] = {}
    reached: set[str] = set()  # the functions that were called at all
    known: dict[tuple[str, bytes], str | None] = {}
    for problem in store.problems():
        for subject, raw in store.raw_outcomes(problem.id).items():
            if raw not in known:
                known[raw] = _failure(store, raw)
            failure = known[raw]
            if failure is None:
                continue
            if raw[0] != NotRun.__name__:
                reached.add(subject)
            for option in ("", *problem.options):
                failures.setdefault((subject, option), Counter())[failure] += 1
    return {
        (subject, option): max(texts, key=lambda text: (texts[text], text))
        for (subject, option), texts in failures.items()
        if "" not in texts
        and texts.total() >= _FEWEST
        and (len(texts) == 1 or subject not in reached)
        and (not option or "" in failures[subject, ""])
    }


def is_absent(problem: Problem, subject: str, known: Absent) -> bool:
    """Whether a call fails because its function, or one of its options, is absent."""
    return (subject, "") in known or any((subject, option) in known for option in problem.options)


def lost_calls(store: Store) -> int:
    """The number of calls of a run that were due and not made, because workers were lost."""
    outcomes = (
        store.outcome(*raw) for i in store.problem_ids() for raw in store.raw_outcomes(i).values() if _is_not_run(raw)
    )
    return sum(isinstance(outcome, NotRun) and outcome.given_up for outcome in outcomes)


def _is_not_run(raw: tuple[str, bytes]) -> bool:
    return raw[0] == NotRun.__name__


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
