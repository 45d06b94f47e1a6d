"""The reference of a check: the well-known function whose convention a user's function must follow, and its problems.

The reference is the flagship of the framework, or the function that the user names. Two things are the function's own:
the axis of the classes and, if it has no parameter for it, the reduction. Options that it does not name are not tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from logitmus.cases import metamorphic
from logitmus.cases.suite import suite
from logitmus.checking.domain import for_inputs
from logitmus.core.convention import FIELDS, Convention
from logitmus.core.errors import LogitmusError, closest, suggest
from logitmus.core.floats import Array, float_array
from logitmus.core.parameters import NO_PARAMETERS, PARAMETERS, ParameterError, Parameters
from logitmus.core.problem import DEFAULT_REDUCTION, SWITCHES, Problem, Reduction, TargetKind
from logitmus.core.subject import IN_FLOAT32, Precision, Subject, SubjectId
from logitmus.execution import registry
from logitmus.execution.limits import Limits

References = Mapping[TargetKind, Subject]
# A function that hangs or dies now and then is found soon; a check need not wait for every one of its calls. (The first
# derivative in forward mode imports half of SymPy: seconds on a busy machine.)
LIMITS: Final = Limits(compile_seconds=20.0, call_seconds=10.0, patience=20.0, give_up_after=8, lost_seconds=50.0)
# NumPy's own function is only a textbook example.
_FLAGSHIPS: Final = {"numpy": "torch"}
# How many rows of each problem are tested one by one, for a function that only returns a sum or a mean.
_ROWS_OF_QUICK: Final = 8
_ROWS_OF_EACH: Final = 3


def class_axis(framework: str, requested: str = "") -> str:
    """Where a function gets its classes, as in `Convention`: as requested, or as the framework's own functions do."""
    if requested:
        return {"-1": "last"}.get(requested, requested)
    own = registry.backend_name(framework)
    flagship = next((subject for subject in _declared(framework, "") if subject.backend == own), None)
    return "last" if flagship is None else flagship.convention.class_axis


def references(framework: str, like: str = "", targets: Sequence[str] = ()) -> dict[TargetKind, Subject]:
    """The references of a function in `framework`, by the kind of targets, as their backends declare them.

    Args:
        framework: a backend's name; the interpreter in it does not matter.
        like: a subject ("torch:cross_entropy", "torch:cross_entropy@cpu") or its function alone
            ("optax.softmax_cross_entropy"); "": the framework's flagship, the first that its backend has.
        targets: the requested kinds, of `TargetKind`; empty: the kind of `like`, else labels.

    Raises:
        RegistryError: for an unknown function.
    """
    subjects = list(_declared(framework, like))
    named = [subject for subject in subjects if like in _names(subject)] if like else subjects[:1]
    if not named:
        raise registry.RegistryError(_unknown(like, subjects))
    first = named[0]
    found: dict[TargetKind, Subject] = {}
    for kind in targets or (first.offer.targets,):
        # The same function with the other kind of targets, or the flagship of that kind.
        own = [s for s in subjects if s.backend == first.backend and s.offer.targets == kind]
        akin = [s for s in own if _stem(s) == _stem(first)] or own
        if not akin:
            raise registry.RegistryError(
                f"{first.backend} has no function that takes {kind}; name a reference with --like"
            )
        reference = first if first.offer.targets == kind else akin[0]
        found[reference.offer.targets] = reference
    return found


class IntentionError(LogitmusError, ValueError):
    """An intended difference that no check can hold a function to, or that has an option of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intentions:
    """What is intended to differ from a reference.

    Attributes:
        choices: values of convention fields, by name. parameters: numbers that the function applies by itself.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    parameters: Parameters = NO_PARAMETERS

    def __iter__(self) -> Iterator[str]:
        """As `--but` takes them: "mean_denominator=rows", "temperature=2"."""
        yield from (f"{name}={value}" for name, value in self.choices.items())
        yield from (
            f"{name}={value:.17g}" if float(f"{value:g}") != value else f"{name}={value:g}"
            for name, value in self.parameters.chosen.items()
        )


def intended(given: Mapping[str, str | float]) -> Intentions:
    """The intended differences from a reference, checked: values of convention fields and of parameters, by name.

    Raises:
        IntentionError: for an unknown name or value, or a field that has an option of its own.
    """
    choices: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for name, value in given.items():
        if name == "class_axis":
            raise IntentionError("class_axis is no intended difference; use --class-axis (in Python: class_axis=)")
        if name in PARAMETERS:
            numbers[name] = _number(name, value)
        elif name not in FIELDS:
            raise IntentionError(
                f"no convention field or parameter is called {name!r}; {suggest(name, (*PARAMETERS, *FIELDS))}"
            )
        elif str(value) not in FIELDS[name].values:
            own = "; for another number use clip=NUMBER" if name == "probability_clip" else ""
            raise IntentionError(f"{name} has no value {str(value)!r}; {suggest(str(value), FIELDS[name].values)}{own}")
        else:
            choices[name] = str(value)
    try:
        return Intentions(choices=choices, parameters=Parameters(**numbers))
    except ParameterError as error:
        raise IntentionError(error.message) from error


def _number(name: str, value: str | float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        allowed = PARAMETERS[name].words
        raise IntentionError(f"{name}={value}: is not a number; use a number {allowed}, e.g. {name}=0.1") from error


def _with_intentions(convention: Convention, intended: Intentions, reference: Subject) -> Convention:
    """The convention with what is intended; a parameter must have a meaning beside the rest of it."""
    convention = replace(convention.but(**intended.choices), parameters=intended.parameters)
    for name in intended.parameters.chosen:
        needed = PARAMETERS[name].inputs
        if needed not in ("", convention.inputs):
            raise IntentionError(
                f"{name} needs {needed} as inputs, and those of {reference.id} are {convention.inputs}; "
                f"name another reference with --like, or intend inputs={needed}, too"
            )
    return convention


def with_reference(
    subject: Subject, reference: Subject, reduction: Reduction, *, intended: Intentions = Intentions()
) -> Subject:
    """`subject` with the convention, the precision and the documentation of `reference`.

    Args:
        reduction: what a `subject` without that parameter does with the rows (`reduction_of` measures it).
        intended: what is intended to differ; see the function `intended`.

    Raises:
        IntentionError: for an intended reduction that is not the one of a `subject` without that parameter, or an
            intended parameter that has no meaning beside the inputs of the reference.
    """
    offer = subject.offer
    convention = _with_intentions(reference.convention, intended, reference)
    chosen = {**intended.choices, "class_axis": subject.convention.class_axis}
    if not offer.reductions:
        if chosen.get("default_reduction", reduction) != reduction:
            raise IntentionError(
                f"default_reduction={chosen['default_reduction']} is intended, but the function has no reduction "
                f"parameter, and the measured reduction is {reduction!r}"
            )
        offer = replace(offer, reductions=(reduction,))
        chosen["default_reduction"] = reduction
    convention = convention.but(**chosen)
    # Where nothing differs from the reference, equal results of both are judged once.
    own = set(convention.differences(reference.convention))
    return replace(
        subject,
        offer=offer,
        convention=convention,
        precision=_precision({**subject.precision, **reference.precision}, convention),
        docs={name: link for name, link in reference.docs.items() if name not in own},
        held_to=reference.id,
    )


def with_parameters(subject: Subject, choices: Mapping[str, str]) -> Subject:
    """`subject` with the parameters (and fields) that it was measured to apply by itself.

    Where they matter, `logitmus.judging.own_parameters` reports them, as what it is held to has others.
    """
    own, promised = intended(choices), subject.convention
    numbers = {name: getattr(own.parameters, name) for name in choices if name in PARAMETERS}
    convention = replace(promised.but(**own.choices), parameters=replace(promised.parameters, **numbers))
    precision = _precision(subject.precision, convention)
    return replace(subject, convention=convention, precision=precision, promised=promised)


def _precision(declared: Mapping[str, Precision], convention: Convention) -> Mapping[str, Precision]:
    """The precisions, by input dtype; results of float64 inputs that are narrowed are those of float32."""
    if convention.wide_inputs != "narrowed":
        return declared
    return {**declared, "float64": IN_FLOAT32}


def reduction_probes(kind: TargetKind, dtype: str) -> tuple[Problem, Problem]:
    """Two rows, and each of them twice: the loss stays what it was, or doubles, or has a value for each row.

    The numbers may be logits, or probabilities.
    """
    rows, labels = np.array([[0.25, 0.75], [0.75, 0.25]]), np.array([0, 1])
    targets = labels if kind == TargetKind.LABELS else float_array(np.eye(2), dtype)
    once = Problem(logits=float_array(rows, dtype), targets=targets, reduction=DEFAULT_REDUCTION)
    return once, once.but(logits=np.concatenate([once.logits] * 2), targets=np.concatenate([targets] * 2))


def reduction_of(once: Array, twice: Array) -> Reduction:
    """What a function without a reduction parameter does with the rows, by its results for `reduction_probes`."""
    if twice.shape:
        return "none"
    loss, of_twice = float(once), float(twice)
    return "sum" if abs(of_twice - 2 * loss) < abs(of_twice - loss) else "mean"


def problems(
    subjects: Iterable[Subject],
    *,
    compared: Sequence[Subject] = (),
    profile: str = "default",
    seed: int = 0,
    dtypes: Sequence[str] = (),
    families: Sequence[str] | None = None,
) -> Iterator[Problem]:
    """The problems for these subjects, each once; the quick ones come first, so that most faults are found soon.

    What takes probabilities gets those of the logits (`checking.domain`), where they are no probabilities themselves.
    A subject that only returns a sum or a mean gets single rows, so that no row hides behind others.

    Args:
        subjects: as `with_reference` makes them.
        compared: the references that run beside them; if they have no sum or mean, they get the rows together.
        families: patterns of the families' names; None: all.

    Raises:
        SuiteError: for an unknown profile or dtype.
    """
    tested = tuple(subjects)
    by_kind = {kind: [s for s in tested if s.offer.targets == kind] for kind in {s.offer.targets for s in tested}}
    gradients = any(subject.offer.gradients for subject in tested)
    seen: set[str] = set()
    for stage in dict.fromkeys(("quick", profile)):
        most = _ROWS_OF_QUICK if stage == "quick" else _ROWS_OF_EACH
        for suite_problem in suite(stage, seed=seed, families=families, dtypes=list(dtypes) or None):
            # A function without autodiff returns the gradient of the loss alone.
            problem = suite_problem if gradients else suite_problem.but(cotangent=None)
            takers = by_kind.get(problem.target_kind, [])
            if problem.family == SWITCHES:  # nothing is compared with a switch here
                continue
            if not takers or any(_leaves_open(problem, subject) for subject in tested):
                continue
            problem = for_inputs(problem, takers[0].convention.inputs)
            reductions = _fixed_reductions(takers) if problem.reduction == "none" else []
            # Problems that belong together give the same rows, so that their results can be compared.
            turn = 0 if problem.family == metamorphic.FAMILY else len(seen)
            forms = [form for reduction in reductions for form in _single_rows(problem, reduction, most, turn)]
            if len(reductions) != 1 or not _all_fixed(takers) or not _offered(reductions[0], compared):
                forms.append(problem)
            for form in forms:
                able = (*takers, *compared) if reductions and form.reduction == "none" else takers
                if form.id not in seen and any(subject.why_not(form) is None for subject in able):
                    seen.add(form.id)
                    yield form


def _fixed_reductions(subjects: Sequence[Subject]) -> list[Reduction]:
    """The reductions of those that only return a sum or a mean."""
    reductions: tuple[Reduction, ...] = ("sum", "mean")
    return [reduction for reduction in reductions if any(s.offer.reductions == (reduction,) for s in subjects)]


def _all_fixed(subjects: Sequence[Subject]) -> bool:
    return all(subject.offer.reductions in (("sum",), ("mean",)) for subject in subjects)


def _offered(reduction: str, subjects: Sequence[Subject]) -> bool:
    return any(reduction in subject.offer.reductions for subject in subjects)


def _declared(framework: str, like: str) -> Iterator[Subject]:
    """The declared subjects of the backends in question, eager, in the default variant, on the CPU; flagship first."""
    backend = registry.backend_name(framework)
    own = _FLAGSHIPS.get(backend, backend)
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
        return "this framework has no reference of its own; name one with --like, e.g. --like torch:cross_entropy"
    names = [name for subject in subjects for name in _names(subject)]
    known = names if closest(like, names) else [subject.id for subject in subjects]
    return f"--like {like}: unknown function; {suggest(like, known)}"


def _single_rows(problem: Problem, reduction: str, most: int, turn: int) -> list[Problem]:
    """About `most` rows of a problem, evenly spread, each as a problem; each turn takes others."""
    rows = problem.rows
    logits = problem.logits.reshape(rows, problem.classes)
    targets = problem.targets.reshape(rows, -1) if rows else problem.targets
    upstream = None if problem.cotangent is None else problem.cotangent.reshape(rows)
    step = max(1, -(-rows // most))
    return [
        problem.but(
            logits=logits[n : n + 1],
            targets=targets[n : n + 1] if problem.target_kind == TargetKind.PROBABILITIES else targets[n],
            cotangent=None if upstream is None else upstream[n],
            reduction=reduction,
            layout="contiguous",
        )
        for n in range(turn % step, rows, step)
    ]


def _leaves_open(problem: Problem, subject: Subject) -> bool:
    """Whether a label is ignored by default, and the function has no parameter for that."""
    ignored = subject.convention.ignore_default
    if ignored == "none" or "ignore_index" in subject.offer.options or problem.target_kind != TargetKind.LABELS:
        return False
    return problem.ignore_index is None and bool((problem.targets == int(ignored)).any())
