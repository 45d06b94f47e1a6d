"""What each framework does with a question, from what its backend declares, with no framework installed.

A declared convention is a claim (`logitmus run` tests it), and the value is exact: how accurately a function
computes it is another matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.conventions.hypotheses.arithmetic import FLOAT32
from logitmus.conventions.hypotheses.evaluate import Evaluator
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, TargetKind
from logitmus.core.subject import LEAST_PROFILE, Subject, outside_domain
from logitmus.execution import registry
from logitmus.oracle.answer import answer
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.resolve import resolve

DTYPE: Final = "float32"  # what every framework computes in by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What some functions do with a question, eager and on the CPU.

    Attributes:
        value: the loss as the functions would print it; "" where there is none.
        why: in place of a value: the reason of the exception, or why the question does not apply.
        applies: whether the function takes the question at all.
        functions: by backend.
        loss: the exact value, (rows,) or (), or None. computed: the same in plain float32, float64 array.
    """

    value: str
    why: str
    applies: bool
    functions: dict[str, list[str]]
    loss: Enclosure | None = None
    computed: Array | None = None


def sayings(problem: Problem, reduction: str | None) -> tuple[Saying, ...]:
    """What the functions of the backends in this distribution do with `problem` in float32.

    Args:
        reduction: the requested reduction; None: every function takes its own default.

    Returns:
        The values first, then exceptions, then what does not apply; functions with the same backend and value together.
        Functions of the other kind of targets are left out.
    """
    single = problem.but(
        logits=float_array(problem.logits, DTYPE),
        targets=problem.targets if problem.target_kind == TargetKind.LABELS else float_array(problem.targets, DTYPE),
        weight=None if problem.weight is None else float_array(problem.weight, DTYPE),
        reduction=reduction or DEFAULT_REDUCTION,
    )
    grouped: dict[tuple[bool, str, str], Saying] = {}
    for subject in _subjects():
        if subject.offer.targets != single.target_kind:
            continue
        saying = _saying(single, subject)
        known = grouped.setdefault((saying.applies, saying.value, saying.why), saying)
        known.functions.setdefault(subject.backend, []).append(subject.function)
    return tuple(sorted(grouped.values(), key=lambda saying: (not saying.applies, not saying.value)))


def _subjects() -> Iterator[Subject]:
    for spec in registry.available():
        backend = registry.backend_of(spec)
        if backend is None:
            continue
        subjects = backend.subjects(["cpu"])
        # A function of which the profile quick has no mode only repeats another function.
        in_quick = {s.function for s in subjects if s.least_profile == LEAST_PROFILE and not s.variant}
        yield from (s for s in subjects if s.function in in_quick and not (s.mode or s.variant))


def _saying(problem: Problem, subject: Subject) -> Saying:
    """One saying without its functions."""
    why_not = subject.why_not(problem)
    outside = outside_domain(subject.convention.inputs, problem)
    if why_not is not None and why_not != outside:
        return Saying(value="", why=why_not, applies=False, functions={})
    question = resolve(problem, subject.convention)
    if question.refused is not None:
        return Saying(value="", why=f"an exception: {question.refused}", applies=True, functions={})
    if bool(question.unjudged.any()):
        return Saying(value="", why="no rule that can be stated", applies=True, functions={})
    loss = answer(question).loss
    computed = Evaluator(problem, subject.convention).loss((FLOAT32,))
    printed = [_short(v) for v in np.atleast_1d(loss.rounded(subject.precision[DTYPE].result))]
    why = outside or ""
    return Saying(value=", ".join(printed), why=why, applies=True, functions={}, loss=loss, computed=computed)


def _short(value: np.floating) -> str:
    """As many digits as tell it from its neighbours."""
    return str(value).removesuffix(".0")
