"""Identification: which convention a function keeps, measured by elimination.

Every problem rules out the conventions that do not predict what was observed; what survives is the card. A pure
function of the bits: it asks nothing itself (`cases.families.convention_probes` holds the problems to ask) and is
repeated on an old run. It would rather say "undetermined" than be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from logitmus.conventions.arithmetic_faults import mechanisms_of, unusual_shapes
from logitmus.conventions.card import Card
from logitmus.conventions.elimination import Elimination
from logitmus.conventions.evidence import Context, Notes
from logitmus.conventions.fit import BatchKind, Observed
from logitmus.core.convention import FIELDS
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.judging.bench import Bench


def measure(
    subject: Subject,
    observations: Iterable[tuple[Problem, Outcome]],
    *,
    benches: Callable[[Problem], Bench] = Bench,
    faults: bool = True,
) -> Card:
    """The card of what `subject` did with these problems.

    Args:
        subject: as it was presented; of its convention only `class_axis` matters (how the arrays were laid out).
        observations: with the same kind of targets; problems of the family "convention-probes" distinguish all fields.
            What was not run, crashed or timed out is no evidence.
        benches: makes a problem's `Bench`; pass a caching function where many subjects are measured.
        faults: look for the mechanisms of the arithmetic, too.
    """
    given = list(observations)
    called = [(problem, outcome) for problem, outcome in given if not isinstance(outcome, NotRun)]
    lost = Counter(type(outcome).__name__ for _, outcome in called if not isinstance(outcome, Answered | Raised))
    seen = [Observed(p, outcome, benches(p)) for p, outcome in called if isinstance(outcome, Answered | Raised)]
    notes = Notes(subject, given)
    notes.remarks += [f"{name} on {count} of {len(called)} calls" for name, count in lost.items()]
    found = None
    if any(isinstance(probe.outcome, Answered) for probe in seen):
        notes.remarks += unusual_shapes(seen)
        notes.refused = _refused(seen)
        notes.remarks += notes.refused.values()
        usable = [probe for probe in seen if not any(set(known) <= set(probe.context) for known in notes.refused)]
        found = Elimination(subject, usable, notes)
        found.run()
        _read_off(found)
    else:
        notes.nothing = _never_answered(seen)
        notes.remarks.insert(0, notes.nothing)
    fields = notes.fields(found.worlds if found else None)
    convention = notes.convention(fields, found.worlds if found else None)
    return Card(
        subject=subject.id,
        targets=subject.offer.targets,
        convention=convention,
        fields=fields,
        remarks=tuple(dict.fromkeys(notes.remarks)),
        mechanisms=mechanisms_of(subject, convention, _judged(found)) if found and faults else (),
        calls=len(called),
    )


def _judged(found: Elimination) -> Sequence[Observed]:
    """The observations to judge against the measured convention; all of them where plain problems are wrong.

    Nothing, where it is not even known what the numbers are taken for.
    """
    if "inputs" in found.notes.contradicted:
        return found.observed
    return found.understood if len(found.worlds.values("inputs")) == 1 else ()


def _never_answered(seen: Sequence[Observed]) -> str:
    errors = Counter(probe.error for probe in seen)
    return f"raises on every call: {errors.most_common(1)[0][0]}" if errors else "never answered"


def _refused(seen: Sequence[Observed]) -> dict[Context, str]:
    """The contexts in which even plain problems raise, with a remark each."""
    controls: dict[Context, list[Observed]] = {}
    for probe in seen:
        if probe.control:
            controls.setdefault(probe.context, []).append(probe)
    refused: dict[Context, str] = {}
    for context in sorted(controls, key=len):
        plain_probes = controls[context]
        if all(probe.raised for probe in plain_probes) and not any(set(known) <= set(context) for known in refused):
            refused[context] = f"raises with {', '.join(context)}: {plain_probes[0].error}"
    return refused


# --- what is read off the results: shapes and dtypes -----------------------------------------------------------------


def _read_off(found: Elimination) -> None:
    _class_axis(found)
    _result_dtype(found)
    _target_gradient(found)
    _ignored_row(found)


def _class_axis(found: Elimination) -> None:
    """A right answer where axis 1 is not the last axis shows where the classes lie."""
    notes, axis = found.notes, found.subject.convention.class_axis
    spatial = [probe for probe in found.understood if probe.batch_kind is BatchKind.SPATIAL and probe.control]
    for probe in spatial:
        if found.fits(probe, "loss"):
            notes.settle("class_axis", [axis], probe.problem)
    where = f"where the classes lie on {'the last axis' if axis == 'last' else f'axis {axis}'}"
    refused = next((why for context, why in notes.refused.items() if set(context) <= {BatchKind.SPATIAL}), "")
    notes.silent["class_axis"] = f"{refused or 'gives no right answer, or was not tested'} ({where})"


def _result_dtype(found: Elimination) -> None:
    notes, name = found.notes, "result_dtype"
    left = list(FIELDS[name].values)
    notes.silent[name] = "the dtypes that would tell were not answered"
    returned: dict[str, str] = {}
    for probe in found.understood:
        if not isinstance(probe.outcome, Answered) or not probe.valid:
            continue
        requested = probe.problem.dtype
        returned.setdefault(requested, probe.outcome.loss.dtype.name)
        fitting = [value for value in left if result_dtype(value, requested) == returned[requested]]
        if not fitting:
            why = ", ".join(f"{theirs} for {dtype} logits" for dtype, theirs in returned.items())
            notes.contradict(name, (), probe.problem, f"the loss comes back as {why}")
            return
        if len(fitting) < len(left):
            notes.rule_out([name], probe.problem)
        left = fitting
    notes.settled[name] = tuple(left)


def result_dtype(value: str, dtype: str) -> str:
    """The dtype of the loss of logits of this dtype, under a value of the field `result_dtype`."""
    wide = dtype == "float64"
    return {
        "as_input": dtype,
        "float32": "float64" if wide else "float32",
        "at_most_float32": "float32" if wide else dtype,
        "always_float32": "float32",
    }[value]


def _target_gradient(found: Elimination) -> None:
    """Whether target probabilities get a gradient: theirs, or none (or zeros)."""
    notes, name, offer = found.notes, "target_gradient", found.subject.offer
    if offer.targets == TargetKind.LABELS or "targets" not in offer.gradients:
        notes.silent[name] = "gives no gradients by targets, or they were not tested"
        return
    notes.silent[name] = "the returned gradients by targets are not those of the loss"
    for probe in found.understood:
        if not isinstance(probe.outcome, Answered) or not probe.control or probe.outcome.grad_logits is None:
            continue
        gradient = probe.outcome.grad_targets
        right = gradient is not None and found.fits(probe, "grad_targets")
        zero = gradient is None or not gradient.astype(np.float64).any()
        if right == zero:  # wrong, or right to be 0
            continue
        value = "none" if zero else "yes"
        if notes.settled.get(name, (value,)) != (value,):
            notes.contradict(name, ("yes", "none"), probe.problem, "a gradient for some problems only")
            return
        notes.settle(name, [value], probe.problem)


def _ignored_row(found: Elimination) -> None:
    """Whether the gradient of an ignored row is 0 where its loss is: not where NaN leaks into the gradient alone."""
    name, leaking = "ignored_row", found.convention.but(ignored_row="nan_leaks")
    if found.worlds.values(name) != ("zero",):
        return
    for probe in found.understood:
        if not found.touches(probe, name) or "grad_logits" not in probe.parts or not found.fits(probe, "loss"):
            continue
        fits = probe.read("grad_logits", found.subject, leaking, found.level).fits
        if fits and not found.fits(probe, "grad_logits"):
            why = f"the loss is 0, but the gradient is NaN for: {probe.problem.idea}"
            found.notes.contradict(name, ("zero", "nan_leaks"), probe.problem, why)
