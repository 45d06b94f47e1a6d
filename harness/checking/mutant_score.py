"""Measures how many mutants the harness finds (`logitmus.cases.planted.mutants`), each checked as a user's function is.

Two kinds of mutants are left out: mutants that raise on every problem, because anybody finds them, and mutants that
equal their originals within rounding. Both are measured on the smaller problems of the full suite, some thousand in
three dtypes, with another seed than that of the check. A mutant equals its original if on all of these problems either
both raise, or both return the same number of arrays, of the same shapes and dtypes, and every value is the same, or no
further from the other than two sound computations can be: twice the error budget of the exact value (docs/accuracy.md),
and the rounding of both results.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from logitmus.cases.planted.mutants import Mutant, all_mutants
from logitmus.cases.planted.zoo import Planted
from logitmus.cases.suite import suite
from logitmus.checking import reference, selftest
from logitmus.checking.selftest import Watch
from logitmus.core.finding import Grade
from logitmus.core.floats import FLOAT_DTYPES, Array, dtype_name, ulp
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.execution.in_process import hosted
from logitmus.execution.registry import BackendSpec
from logitmus.judging.bench import Bench
from logitmus.judging.budget import Roundoffs
from logitmus.results.detection_power import Result

# The name gives the mutants the same subjects' ids as the planted functions have.
_BACKEND: Final = BackendSpec(name="planted-numpy", target="logitmus.checking.mutant_backend:MUTANTS")
# NumPy has no bfloat16 of its own.
_DTYPES: Final = ("float64", "float32", "float16")
_OTHER_SEED: Final = 1
_LOGITS: Final = 1024  # of the largest problem on which mutants are compared with their originals
_PARTS: Final = ("loss", "grad_logits", "grad_targets")
PROBLEMS_TO_RAISE: Final = 50  # the first; a mutant that raises on all of them counts as one that always raises


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
        bench = Bench(problem)
        for mutant in mutants:
            key, original = mutant.name, mutant.original.planted.id
            right = expected[original]
            if isinstance(right, NotRun) or key in differ & answered or raised[key] >= PROBLEMS_TO_RAISE:
                continue
            outcome = called[key].outcome(problem)
            if not equal(outcome, right, bench, originals[original].subject):
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


def equal(first: Outcome, other: Outcome, bench: Bench, subject: Subject) -> bool:
    """Whether two results of a subject for the problem of a bench are the same but for rounding; see the module."""
    if not isinstance(first, Answered) or not isinstance(other, Answered):
        return type(first) is type(other)
    return first.written == other.written and all(_equal_parts(first, other, part, bench, subject) for part in _PARTS)


def _equal_parts(first: Answered, other: Answered, part: str, bench: Bench, subject: Subject) -> bool:
    a, b = getattr(first, part), getattr(other, part)
    if a is None or b is None:
        return a is b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f")) or _near(a, b, part, bench, subject)


def _near(a: Array, b: Array, part: str, bench: Bench, subject: Subject) -> bool:
    """Whether two sound computations of the same exact values can be as far apart as these results."""
    question, dtype = bench.question(subject.convention), dtype_name(a)
    if question.refused is not None or dtype not in FLOAT_DTYPES:
        return False
    precision = replace(subject.precision[bench.problem.dtype], result=dtype)
    budget = bench.budget(bench.answer(question), Roundoffs.of(precision, flushes=False), Grade.B_PLUS)
    allowed: Array = getattr(budget, part)
    if allowed.size != a.size:
        return False
    left, right = (array.astype(np.float64).reshape(allowed.shape) for array in (a, b))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(left - right) <= 2 * allowed + ulp(np.maximum(np.abs(left), np.abs(right)), dtype)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return bool((same | (apart & np.isfinite(left) & np.isfinite(right))).all())


class _Called:
    """A planted function in NumPy, called in this process as a worker calls it."""

    def __init__(self, planted: Planted) -> None:
        self._here = hosted(planted.function, planted.framework, names=planted.options)
        self._subject = next(subject for subject in self._here.subjects if subject.offer.targets == planted.targets)
        flagship = reference.references(selftest.FLAGSHIP, targets=(planted.targets,))[planted.targets]
        self.subject = reference.with_reference(self._subject, flagship, planted.default_reduction)

    def outcome(self, problem: Problem) -> Outcome:
        reason = self._subject.why_not(problem)
        return self._here.observe(problem, self._subject.id)[0] if reason is None else NotRun(reason)
