"""The convention card of any callable: probes are evaluated in a worker (or here), and measured by elimination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from logitmus.cases import function_rows
from logitmus.cases.suite import suite
from logitmus.conventions.ask_function import Ask, beside_float32, converse
from logitmus.conventions.card import Card
from logitmus.conventions.explain_function import FunctionExplanation, explain_function
from logitmus.conventions.measure import measure
from logitmus.conventions.row_results import LEADS, NEVER_FINITE
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.execution import registry
from logitmus.execution.ask_backend import inquire
from logitmus.execution.in_process import ask_here
from logitmus.execution.limits import Limits

KINDS: Final = tuple(kind.value for kind in TargetKind)
_AXES: Final = tuple(FIELDS["class_axis"].values)
# A function that dies or hangs on every call is given up sooner than in a run.
_LIMITS: Final = Limits(give_up_after=8)
_Outcomes = Iterator[tuple[Problem, Subject, Outcome]]


def identify(
    function: Callable[..., Any] | str,
    framework: str,
    *,
    targets: Sequence[str] = KINDS,
    options: Mapping[str, str] | None = None,
    class_axis: str = "",
    device: str = "",
    limits: Limits = _LIMITS,
) -> tuple[Card, ...]:
    """Measure the convention of `function`: a card for each kind of targets that it takes.

    Args:
        function: "FILE.py:FUNCTION" or "package.module:FUNCTION", evaluated in a worker, where a crash or a hang
            is an outcome; or a callable, evaluated in this process. It takes (logits, targets) in the framework's own
            arrays, and those of weight, ignore_index, label_smoothing and reduction that its signature names.
        framework: "torch", "tensorflow", "jax" or "numpy"; for a function in a file also "torch@/path/to/python".
        targets: of `KINDS`, those that it is tested with.
        options: its own names for the arguments, by ours: {"weight": "class_weights"}; "": not to be given.
        class_axis: where it gets its classes, "last" or "1"; "": found out.
        device: a device of the framework; "": its first, the CPU.
        limits: of the worker.

    Returns:
        The cards, in the order of `targets`.

    Raises:
        RegistryError, TargetError: for a framework, a file, a function or an option that cannot be meant.
        InquiryError: where the framework cannot run.

    Example:
        >>> import numpy as np
        >>> from logitmus import identify
        >>> def bits(logits, labels):
        ...     shifted = logits - logits.max(axis=-1, keepdims=True)
        ...     log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        ...     return -np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0] / np.log(2)
        >>> (card,) = identify(bits, "numpy", targets=["labels"])
        >>> card["log_base"].state, card["log_base"].values
        ('measured', ('2',))
    """
    unknown = sorted(set(targets) - set(KINDS))
    if unknown:
        raise registry.RegistryError(f"no kind of targets is called {unknown[0]!r}; use {' or '.join(KINDS)}")
    names = dict(options or {})
    ask = (
        partial(_in_a_worker, function, framework, names, device, limits)
        if isinstance(function, str)
        else partial(_here, function, framework, names, device)
    )
    probes = list(suite("default", families=["convention-probes"]))
    first, *others = (class_axis,) if class_axis else _AXES
    rows = [problem for kind in targets for problem in function_rows.problems("float64", kind)]
    found, of_rows = {}, {}
    for kind, (subject, results) in _by_kind(ask([*probes, *rows], first), targets).items():
        found[kind] = subject, [result for result in results if not function_rows.role(result[0])]
        of_rows[kind] = [result for result in results if function_rows.role(result[0])]
    cards = {kind: measure(*results) for kind, results in found.items()}
    for axis in others:
        # Elsewhere the two agree: only where there are spatial axes are the classes laid out differently.
        spatial = [problem for problem in probes if len(problem.batch) > 1]
        again = [kind for kind, card in cards.items() if _open(card)]
        if again:
            for kind, (subject, results) in _by_kind(ask(spatial, axis), again).items():
                elsewhere = [result for result in found[kind][1] if len(result[0].batch) <= 1]
                card = measure(subject, [*elsewhere, *results])
                if card["class_axis"].state == "measured":
                    cards[kind] = card
    return tuple(
        replace(cards[kind], explanation=_explained(partial(_results, ask, first, kind), kind, of_rows[kind]))
        for kind in targets
    )


def _results(ask: Any, class_axis: str, kind: str, problems: Sequence[Problem]) -> list[tuple[Problem, Outcome]]:
    """The results for a kind of targets."""
    return _by_kind(ask(problems, class_axis), [kind])[kind][1] if problems else []


def _explained(ask: Ask, kind: str, results: Sequence[tuple[Problem, Outcome]]) -> FunctionExplanation:
    """What the function computes; where float64 or single rows are not enough for that, other problems are added."""
    if any(isinstance(outcome, Answered) for _, outcome in results):
        explanation = explain_function(results)
        never_finite = explanation.model is None and explanation.sentence.startswith(NEVER_FINITE)
        return explain_function(converse(ask, kind)) if never_finite else beside_float32(explanation, ask, kind)
    refused = any(isinstance(o, Raised) or (isinstance(o, NotRun) and "float64" in o.reason) for _, o in results)
    if not refused or any(not isinstance(outcome, NotRun | Raised) for _, outcome in results):  # it crashes or hangs
        return explain_function(results)
    return explain_function([*results, *converse(ask, kind, LEADS[1:])])


def _open(card: Card) -> bool:
    """Whether it takes these targets at all, and its class axis is still to be found."""
    return card["class_axis"].state != "measured" and any(f.state == "measured" for f in card.fields.values())


def _by_kind(outcomes: _Outcomes, kinds: Iterable[str]) -> dict[str, tuple[Subject, list[tuple[Problem, Outcome]]]]:
    """The observations of each kind of targets, with its subject."""
    found: dict[str, tuple[Subject, list[tuple[Problem, Outcome]]]] = {}
    for problem, subject, outcome in outcomes:
        if subject.offer.targets in kinds:
            found.setdefault(subject.offer.targets, (subject, []))[1].append((problem, outcome))
    return found


def _in_a_worker(
    function: str,
    framework: str,
    names: Mapping[str, str],
    device: str,
    limits: Limits,
    problems: Sequence[Problem],
    class_axis: str,
) -> _Outcomes:
    options = [f"{ours}={theirs}" for ours, theirs in names.items()]
    spec = registry.adopting(framework, function, options, class_axis)
    return inquire(spec, problems, device=device, limits=limits)


def _here(
    function: Callable[..., Any],
    framework: str,
    names: Mapping[str, str],
    device: str,
    problems: Sequence[Problem],
    class_axis: str,
) -> _Outcomes:
    declared = PORTABLE.but(class_axis=class_axis)
    return ask_here(function, framework, problems, names=names, convention=declared, device=device)
