"""Whether calls take longer.

Times of single calls are noisy and skewed, and the noise differs from problem to problem, so each problem gives one
ratio of the later time to the earlier, and a function is described by the median of its ratios. But the speed of a
machine drifts, too: one run as a whole may be a third slower than the next. Two ways lead to an answer:

- An audit *measures in rounds* (`measure`): the same calls are made in turn in both versions, several times. Each round
  gives a median, and the smallest and the largest of them are the noise. A change is reported where all rounds agree
  that the factor is beyond `_IN_TURN`.
- *Stored runs* hold one round, made at different times. The noise is then the confidence interval of the median (its
  ends are order statistics: the ranks n/2 -+ 0.98 sqrt(n) hold the median with a probability of 95 %, by the normal
  approximation of the binomial distribution), and only factors beyond `_APART` are reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.execution.pool import AbstractPool, Observed

Times = Mapping[str, Mapping[str, float]]
"""Seconds by subject (an id) and problem (an id)."""
_IN_TURN: Final = 1.25
_APART: Final = 2.0
_FEWEST: Final = 6  # problems
ROUNDS: Final = 4


@dataclass(frozen=True, kw_only=True)
class TimeChange:
    """How the time of a call of a function changed.

    Attributes:
        ratio: the later time by the earlier. low, high: between which it varies.
        problems: the number of problems. before, after: the median times in seconds.
    """

    subject: str
    ratio: float
    low: float
    high: float
    problems: int
    before: float
    after: float


def time_changes(rounds: Sequence[tuple[Times, Times]]) -> Iterator[TimeChange]:
    """Yield the changes that the noise does not explain, by subject; each round has the times before and after."""
    subjects = {subject for old, new in rounds for subject in old.keys() & new.keys()}
    for subject in sorted(subjects):
        change = _change(subject, [(old.get(subject, {}), new.get(subject, {})) for old, new in rounds])
        if change is not None:
            yield change


def _change(subject: str, rounds: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> TimeChange | None:
    both = sorted(set.intersection(*(old.keys() & new.keys() for old, new in rounds)))
    if len(both) < _FEWEST:
        return None
    ratios = [sorted(new[problem] / max(old[problem], 1e-9) for problem in both) for old, new in rounds]
    medians = [median(of_round) for of_round in ratios]
    if len(rounds) == 1:
        half = 0.98 * math.sqrt(len(both))
        low = ratios[0][max(math.floor(len(both) / 2 - half), 0)]
        high = ratios[0][min(math.ceil(len(both) / 2 + half), len(both) - 1)]
    else:
        low, high = min(medians), max(medians)
    least = _APART if len(rounds) == 1 else _IN_TURN
    if low <= least and high >= 1 / least:
        return None
    before, after = (median(of[n][problem] for of in rounds for problem in both) for n in (0, 1))
    return TimeChange(
        subject=subject, ratio=median(medians), low=low, high=high, problems=len(both), before=before, after=after
    )


def measure(pools: Sequence[AbstractPool], pairs: Sequence[tuple[Problem, str]]) -> Iterator[list[Times]]:
    """Make calls in each pool in turn; yield a list with the times of each pool for each round.

    The pools have made the same calls before, so that all is compiled.
    """
    for _ in range(ROUNDS):
        yield [_times(pool, pairs) for pool in pools]


def _times(pool: AbstractPool, pairs: Iterable[tuple[Problem, str]]) -> Times:
    times: dict[str, dict[str, float]] = {}
    for event in pool.ask(pairs):
        if isinstance(event, Observed) and isinstance(event.observation.outcome, Answered) and not event.first:
            times.setdefault(event.observation.subject, {})[event.problem.id] = event.seconds
    return times
