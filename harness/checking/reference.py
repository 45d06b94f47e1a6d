"""A trial: what a function of a user's own is held to, and which problems it is asked.

It is held to a function that everybody knows: a framework's flagship, or the one that the user names. Its own are
where it takes its classes and, where it has no argument for it, its reduction; options that it does not name are not
exercised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.cases import metamorphic
from logitmus.cases.suite import suite
from logitmus.core.errors import closest, suggest
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, Reduction
from logitmus.core.subject import Subject, SubjectId, TargetKind
from logitmus.execution import registry
from logitmus.execution.pool import Limits

# A function that hangs or dies here and there is found out soon, and need not be waited for everywhere.
LIMITS: Final = Limits(compile_seconds=20.0, call_seconds=5.0, patience=20.0, give_up_after=8, lost_seconds=30.0)
# For NumPy, whose own function is but a textbook's.
_MODELS: Final = {"numpy": "torch"}
# Of a function that only gives a sum or a mean: so many rows of each problem are asked one by one.
_ROWS_OF_QUICK: Final = 8
_ROWS_OF_EACH: Final = 3


def class_axis(framework: str, said: str = "") -> str:
    """Where a function gets its classes, as in `Convention`: as `said`, or as the framework's own functions have it."""
    if said:
        return {"-1": "last"}.get(said, said)
    flagship = next((one for one in _declared(framework, "") if one.backend == registry.backend_name(framework)), None)
    return "last" if flagship is None else flagship.convention.class_axis


def models(framework: str, like: str = "", targets: Sequence[TargetKind] = ()) -> dict[TargetKind, Subject]:
    """The functions that a function in `framework` is held to, by the kind of targets, as they declare themselves.

    Args:
        framework: a backend's name; where it runs is left aside.
        like: a subject ("torch:cross_entropy", "torch:cross_entropy@cpu") or its function alone
            ("optax.softmax_cross_entropy"); "": the framework's flagship, the first that its backend has.
        targets: the kinds wanted; empty: that of `like`, else labels.

    Raises:
        RegistryError: for a function that there is not; the message names the ones there are.
    """
    subjects = list(_declared(framework, like))
    named = [subject for subject in subjects if like in _names(subject)] if like else subjects[:1]
    if not named:
        raise registry.RegistryError(_unknown(like, subjects))
    first = named[0]
    found: dict[TargetKind, Subject] = {}
    for kind in targets or (first.offer.targets,):
        # A function's other half bears its name; else the flagship of that kind stands in.
        own = [s for s in subjects if s.backend == first.backend and s.offer.targets == kind]
        akin = [s for s in own if _stem(s) == _stem(first)] or own
        if not akin:
            raise registry.RegistryError(f"{first.backend} has no function of {kind} to hold another to; use --like")
        found[kind] = first if first.offer.targets == kind else akin[0]
    return found


def held(subject: Subject, model: Subject, reduction: Reduction) -> Subject:
    """`subject` with the convention, the precision and the documentation of `model`.

    Args:
        reduction: what a `subject` without that argument does (`reduction_of` finds it out).
    """
    offer = subject.offer
    chosen = {"class_axis": subject.convention.class_axis}
    if not offer.reductions:
        offer = replace(offer, reductions=(reduction,))
        chosen["default_reduction"] = reduction
    return replace(
        subject,
        offer=offer,
        convention=model.convention.but(**chosen),
        precision={**subject.precision, **model.precision},
        docs={name: link for name, link in model.docs.items() if name not in chosen},
        held_to=model.id,
    )


def reduction_probe(kind: TargetKind, dtype: str) -> Problem:
    """Two rows of two equal logits, no reduction asked for: log 2 each, or their sum, or their mean."""
    targets = np.array([0, 1]) if kind == "labels" else float_array(np.eye(2), dtype)
    return Problem(logits=float_array(np.zeros((2, 2)), dtype), targets=targets, reduction=DEFAULT_REDUCTION)


def reduction_of(loss: Array) -> Reduction:
    """What a function without that argument does with the rows, by its answer to `reduction_probe`."""
    if loss.shape:
        return "none"
    value = float(loss)
    return "sum" if abs(value - 2 * np.log(2)) < abs(value - np.log(2)) else "mean"


def problems(
    subjects: Iterable[Subject],
    *,
    beside: Sequence[Subject] = (),
    profile: str = "default",
    seed: int = 0,
    dtypes: Sequence[str] = (),
) -> Iterator[Problem]:
    """What subjects that are `held` are asked, each problem once; the quick ones first, so that most faults show soon.

    A subject that only gives a sum or a mean is asked single rows, so that no row hides behind others.

    Args:
        beside: what is asked for comparison; where it gives no sum or mean itself, it gets the rows together.

    Raises:
        SuiteError: for a profile or a dtype that there is not.
    """
    asked = tuple(subjects)
    kinds = {subject.offer.targets for subject in asked}
    reduced = [s.convention.default_reduction for s in asked if s.offer.reductions in (("sum",), ("mean",))]
    gradients = any(subject.offer.gradients for subject in asked)
    seen: set[str] = set()
    for stage in dict.fromkeys(("quick", profile)):
        for asking in suite(stage, seed=seed, dtypes=list(dtypes) or None):
            # What a function without autodiff returns as its gradient is that of the loss alone.
            problem = asking if gradients else asking.but(cotangent=None)
            if problem.target_kind not in kinds or any(_leaves_open(problem, subject) for subject in asked):
                continue
            forms = [problem]
            if reduced and problem.reduction == "none":
                most = _ROWS_OF_QUICK if stage == "quick" else _ROWS_OF_EACH
                # Of problems that belong together the same rows, so that their answers can be compared.
                turn = 0 if problem.family == metamorphic.FAMILY else len(seen)
                forms = _single_rows(problem, reduced[0], most, turn)
                if not any(reduced[0] in one.offer.reductions for one in beside):
                    forms.append(problem)
            for form in forms:
                takers = asked if form.reduction != "none" or not reduced else (*asked, *beside)
                if form.id not in seen and any(subject.why_not(form) is None for subject in takers):
                    seen.add(form.id)
                    yield form


# --- within ------------------------------------------------------------------------------------------------------


def _declared(framework: str, like: str) -> Iterator[Subject]:
    """What the backends in question declare, eager and in their default variant, on the CPU; the flagship first."""
    backend = registry.backend_name(framework)
    own = _MODELS.get(backend, backend)
    available = {spec.name: spec for spec in registry.available()}
    named = SubjectId.parse(like).backend or own
    for name in dict.fromkeys((named, own, *available) if like else (own,)):
        if name not in available:
            continue
        described = registry.backend_of(available[name])
        if described is not None:
            yield from (s for s in described.subjects(["cpu"]) if not s.mode and not s.variant)


def _names(subject: Subject) -> tuple[str, ...]:
    return (subject.id, subject.qualified_name, subject.function)


def _stem(subject: Subject) -> str:
    return subject.function.removesuffix(".probabilities")


def _unknown(like: str, subjects: Sequence[Subject]) -> str:
    if not like:
        return "no function is known to hold this framework's to; name one with --like, e.g. --like torch:cross_entropy"
    names = [name for subject in subjects for name in _names(subject)]
    known = names if closest(like, names) else [subject.id for subject in subjects]
    return f"--like {like}: unknown function; {suggest(like, known)}"


def _single_rows(problem: Problem, reduction: str, most: int, turn: int) -> list[Problem]:
    """Some `most` rows of a problem, each by itself, evenly spread; others than those of the last turn."""
    rows = problem.rows
    logits = problem.logits.reshape(rows, problem.classes)
    targets = problem.targets.reshape(rows, -1) if rows else problem.targets
    upstream = None if problem.cotangent is None else problem.cotangent.reshape(rows)
    step = max(1, -(-rows // most))
    return [
        problem.but(
            logits=logits[n : n + 1],
            targets=targets[n : n + 1] if problem.target_kind == "probabilities" else targets[n],
            cotangent=None if upstream is None else upstream[n],
            reduction=reduction,
            layout="contiguous",
        )
        for n in range(turn % step, rows, step)
    ]


def _leaves_open(problem: Problem, subject: Subject) -> bool:
    """Whether a label is there that is ignored by default, and the function has no argument for that."""
    ignored = subject.convention.ignore_default
    if ignored == "none" or "ignore_index" in subject.offer.options or problem.target_kind != "labels":
        return False
    return problem.ignore_index is None and bool((problem.targets == int(ignored)).any())
