"""Measures how many mutants the harness finds (`logitmus.cases.planted.mutants`), each checked as a user's function is.

Two kinds of mutants are left out: mutants that raise on every problem, because anybody finds them, and mutants that
equal their originals within rounding. Both are measured on the smaller problems of the full suite, some thousand in
three dtypes, with another seed than that of the check. A mutant equals its original if on all of these problems either
both raise, or both return the same number of arrays, of the same shapes and dtypes, with the same infinities and NaN,
and with finite values that agree to half of the digits of their dtype or, near 0, to the error of the sum of a row.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.cases.planted.mutants import Mutant, all_mutants
from logitmus.cases.planted.zoo import Planted
from logitmus.cases.suite import suite
from logitmus.checking import selftest
from logitmus.checking.selftest import Watch
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.execution.in_process import hosted
from logitmus.execution.registry import BackendSpec
from logitmus.results.detection_power import Result

# The name gives the mutants the same subjects' ids as the planted functions have.
_BACKEND: Final = BackendSpec(name="planted-numpy", target="logitmus.checking.mutant_backend:MUTANTS")
# NumPy has no bfloat16 of its own.
_DTYPES: Final = ("float64", "float32", "float16")
_OTHER_SEED: Final = 1
_LOGITS: Final = 1024  # of the largest problem on which mutants are compared with their originals
PROBLEMS_TO_RAISE: Final = 50  # the first; a mutant that raises on all of them counts as one that always raises
_LARGEST: Final = 1e300


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The mutants, by whether they can be found. differ: they do not equal their originals, and return numbers."""

    differ: tuple[Mutant, ...]
    equivalent: tuple[Mutant, ...]
    always_raise: tuple[Mutant, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MutantScore:
    """Which mutants were found.

    Attributes:
        selection: which mutants were checked, and which were left out.
        results: by the id of a mutant, the result of its check.
        remarks: what could not be tested, and why.
    """

    selection: Selection
    results: dict[str, Result]
    seconds: float
    problems: int
    calls: int
    remarks: tuple[str, ...] = ()

    @property
    def checked(self) -> tuple[Mutant, ...]:
        return tuple(mutant for mutant in self.selection.differ if mutant.name in self.results)

    @property
    def missed(self) -> tuple[Mutant, ...]:
        """The mutants without a finding."""
        return tuple(mutant for mutant in self.checked if not self.results[mutant.name].found)

    @property
    def found(self) -> int:
        return len(self.checked) - len(self.missed)

    @property
    def complete(self) -> bool:
        """Whether every mutant that differs from its original was checked and found."""
        return self.found == len(self.selection.differ)


def measure(*, seed: int = 0, only: Sequence[str] = (), thorough: bool = True, watch: Watch = iter) -> MutantScore:
    """Check every mutant: on the quick problems in float32 and, if these do not find it, on the default problems.

    Mutants that are left out are not checked; see the module.

    Args:
        seed: the seed of the problems.
        only: patterns (`fnmatch`) of the names of mutants; empty: all.
        thorough: go on with the default problems.
        watch: passes on every event of the runs, to show progress.

    Raises:
        SelftestError: if a pattern matches no mutant.
    """
    start = time.monotonic()
    selection = select(chosen(only))
    functions = [mutant.planted for mutant in selection.differ]
    score = selftest.detect(functions, _BACKEND, seed=seed, thorough=thorough, watch=watch)
    return MutantScore(
        selection=selection,
        results={result.name: result for result in score.results},
        seconds=time.monotonic() - start,
        problems=score.problems,
        calls=score.calls,
        remarks=score.remarks,
    )


def chosen(only: Sequence[str]) -> tuple[Mutant, ...]:
    """The mutants whose name or id matches any of these patterns; without a pattern, all.

    Raises:
        SelftestError: for a pattern that matches none.
    """
    known = {mutant.name: mutant for mutant in all_mutants()}
    functions = selftest.chosen(only, [mutant.planted for mutant in known.values()])
    return tuple(known[planted.id] for planted in functions)


def select(mutants: Sequence[Mutant], problems: Iterable[Problem] | None = None) -> Selection:
    """Compare the mutants with their originals; see the module.

    Args:
        problems: those on which they are compared; None: see the module.
    """
    originals = {mutant.original.planted.id: _Called(mutant.original.planted) for mutant in mutants}
    called = {mutant.name: _Called(mutant.planted) for mutant in mutants}
    differ: set[str] = set()
    answered: set[str] = set()
    raised: Counter[str] = Counter()
    for problem in small_problems() if problems is None else problems:
        expected = {key: original.outcome(problem) for key, original in originals.items()}
        for mutant in mutants:
            key, right = mutant.name, expected[mutant.original.planted.id]
            if isinstance(right, NotRun) or key in differ & answered or raised[key] >= PROBLEMS_TO_RAISE:
                continue
            outcome = called[key].outcome(problem)
            if not equal(outcome, right, problem):
                differ.add(key)
            if not isinstance(outcome, Raised):
                answered.add(key)
            elif key not in answered:
                raised[key] += 1
    return Selection(
        differ=tuple(mutant for mutant in mutants if mutant.name in differ & answered),
        equivalent=tuple(mutant for mutant in mutants if mutant.name not in differ),
        always_raise=tuple(mutant for mutant in mutants if mutant.name in differ - answered),
    )


def small_problems() -> Iterator[Problem]:
    every = suite("full", seed=_OTHER_SEED, dtypes=_DTYPES)
    return (problem for problem in every if problem.logits.size <= _LOGITS)


def equal(one: Outcome, other: Outcome, problem: Problem) -> bool:
    """Whether two results for a problem are the same but for rounding; see the module."""
    match one, other:
        case Answered(), Answered():
            parts = [(getattr(one, part), getattr(other, part)) for part in ("loss", "grad_logits", "grad_targets")]
            return one.written == other.written and all(_equal_arrays(a, b, _scale(problem)) for a, b in parts)
        case _:
            return type(one) is type(other)


def _scale(problem: Problem) -> float:
    """The absolute error of a row, in units of the last place of 1.

    Near 0 a loss is the logarithm of a sum near 1 and has the absolute error of that sum, which is rounded as often as
    it has terms; a gradient is a difference of numbers up to 1. Class weights and upstream gradients multiply both.
    """
    factors = [array.astype(np.float64) for array in (problem.weight, problem.cotangent) if array is not None]
    largest = [float(np.abs(factor[np.isfinite(factor)]).max(initial=1.0)) for factor in factors]
    return min(problem.classes * math.prod(largest), _LARGEST)


def _equal_arrays(one: Array | None, other: Array | None, scale: float) -> bool:
    if one is None or other is None:
        return one is other
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    unit = float(np.finfo(one.dtype).eps)
    a, b = one.astype(np.float64), other.astype(np.float64)
    return bool(np.allclose(a, b, rtol=unit**0.5, atol=unit * scale, equal_nan=True))


class _Called:
    """A planted function in NumPy, called in this process as a worker calls it."""

    def __init__(self, planted: Planted) -> None:
        self._here = hosted(planted.function, planted.framework, names=planted.options)
        self._subject = next(subject for subject in self._here.subjects if subject.offer.targets == planted.targets)

    def outcome(self, problem: Problem) -> Outcome:
        reason = self._subject.why_not(problem)
        return self._here.observe(problem, self._subject.id)[0] if reason is None else NotRun(reason)
