"""Identification: which convention a function keeps, measured by elimination.

Every problem rules out the conventions that do not predict what was observed; what survives is the card. A pure
function of the bits: it asks nothing itself (`cases.families.convention_probes` holds the problems to ask) and is
repeated on an old run. It would rather say "undetermined" than be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from logitmus.backend import Subject, outside_domain
from logitmus.card import Card, Measured
from logitmus.convention import FIELDS, PORTABLE, Convention
from logitmus.observation import Answered, NotRun, Outcome, Raised
from logitmus.problem import Problem
from logitmus.reading import LEVELS, Observed, Reading, touched
from logitmus.symptoms import mechanisms_of, unusual_shapes
from logitmus.worlds import TooManyWorldsError, World, Worlds

# What every answer depends on; the others are asked about one at a time.
CORE: Final = ("inputs", "log_base", "probability_clip", "probability_scale", "default_reduction")
# Read off the results themselves, not from their values.
_APART: Final = frozenset({"class_axis", "result_dtype", "target_gradient"})
# Says nothing, so it is never ruled out: taken only where nothing else explains.
_LAST_RESORT: Final = "garbage"
_PLAYS_FOR: Final = {
    **dict.fromkeys(("probability_clip", "probability_scale"), "probabilities"),
    **dict.fromkeys(("infinite_logits", "overflowing_shift", "soft_target_gradient"), "logits"),
}
_EVIDENCE: Final = 6  # ids that a card names for a field


def measure(subject: Subject, observations: Iterable[tuple[Problem, Outcome]]) -> Card:
    """The card of what `subject` did with these problems.

    Args:
        subject: as it was presented; of its convention only `class_axis` matters (how the arrays were laid out).
        observations: of one kind of targets; problems of the family "convention-probes" tell every field apart.
            What was not run, crashed or timed out is no evidence.
    """
    given = list(observations)
    called = [(problem, outcome) for problem, outcome in given if not isinstance(outcome, NotRun)]
    lost = Counter(type(outcome).__name__ for _, outcome in called if not isinstance(outcome, Answered | Raised))
    seen = [Observed(problem, outcome) for problem, outcome in called if isinstance(outcome, Answered | Raised)]
    remarks = [f"{name} on {count} of {len(called)} calls" for name, count in lost.items()]
    notes = _Notes(subject, given)
    if not any(isinstance(one.outcome, Answered) for one in seen):
        remarks.insert(0, _never_answered(seen))
        return notes.card(remarks, len(called))
    remarks += unusual_shapes(seen)
    usable, refused = _usable(seen)
    remarks += list(refused.values())
    notes.refused = refused
    search = _Search(subject, usable, notes)
    search.run()
    return notes.card([*remarks, *search.remarks], len(called), search)


def _never_answered(seen: Sequence[Observed]) -> str:
    errors = Counter(one.error for one in seen)
    if not errors:
        return "was never called"
    return f"raises on every call: {errors.most_common(1)[0][0]}"


def _usable(seen: Sequence[Observed]) -> tuple[list[Observed], dict[tuple[str, ...], str]]:
    """The observations that are evidence; and the contexts in which even plain problems raise, with a remark each."""
    controls: dict[tuple[str, ...], list[Observed]] = {}
    for one in seen:
        if one.control:
            controls.setdefault(one.context, []).append(one)
    refused: dict[tuple[str, ...], str] = {}
    for context in sorted(controls, key=len):
        ones = controls[context]
        if all(one.raised for one in ones) and not any(set(known) <= set(context) for known in refused):
            refused[context] = f"raises with {', '.join(context)}: {ones[0].error}"
    return [one for one in seen if not any(set(known) <= set(one.context) for known in refused)], refused


@dataclass(eq=False)
class _Notes:
    """What is noted down for the card while the search goes on."""

    subject: Subject
    given: Sequence[tuple[Problem, Outcome]]
    refused: dict[tuple[str, ...], str] = field(default_factory=dict)
    evidence: dict[str, list[str]] = field(default_factory=dict)
    contradicted: dict[str, tuple[tuple[str, ...], list[str], str]] = field(default_factory=dict)
    settled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    garbage: dict[str, list[str]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    def rule_out(self, fields: Iterable[str], by: Problem) -> None:
        for name in fields:
            ids = self.evidence.setdefault(name, [])
            if by.id not in ids and len(ids) < _EVIDENCE:
                ids.append(by.id)

    def contradict(self, name: str, values: Iterable[str], by: Problem, why: str) -> None:
        known, ids, first = self.contradicted.get(name, ((), [], why))
        ids = ids if by.id in ids or len(ids) == _EVIDENCE else [*ids, by.id]
        self.contradicted[name] = (tuple(dict.fromkeys([*known, *values])), ids, first)

    def card(self, remarks: list[str], calls: int, search: _Search | None = None) -> Card:
        worlds = search.worlds if search else None
        fields = {name: self._measured(name, worlds) for name in FIELDS}
        chosen = (worlds.one(PORTABLE.as_dict()) if worlds else {}) | {
            name: known.values[0] for name, known in fields.items() if known.state == "measured"
        }
        portable = {name: PORTABLE.as_dict()[name] for name, known in fields.items() if known.state == "contradicted"}
        axis = {} if fields["class_axis"].state == "measured" else {"class_axis": self.subject.convention.class_axis}
        convention = PORTABLE.but(**{**chosen, **portable, **axis})
        return Card(
            subject=self.subject.id,
            targets=self.subject.offer.targets,
            convention=convention,
            fields=fields,
            remarks=tuple(dict.fromkeys(remarks)),
            mechanisms=mechanisms_of(self.subject, convention, search.observed) if search else (),
            calls=calls,
        )

    def _measured(self, name: str, worlds: Worlds | None) -> Measured:
        ids = self.garbage.get(name) or self.evidence.get(name, [])
        if name in self.contradicted:
            values, ids, why = self.contradicted[name]
            return Measured(field=name, state="contradicted", values=values, evidence=tuple(ids), why=why)
        every = tuple(FIELDS[name].values)
        if name in self.settled or name in _APART or worlds is None:
            left = self.settled.get(name, every)
        else:
            left = worlds.values(name)
        if len(left) == 1 and ids:
            by = {problem.id: problem.idea for problem, _ in self.given}
            return Measured(
                field=name, state="measured", values=left, evidence=tuple(ids), why=f"told apart by: {by[ids[0]]}"
            )
        if set(left) | {_LAST_RESORT} == set(every) | {_LAST_RESORT}:
            left = every
        return Measured(field=name, state="undetermined", values=left, evidence=tuple(ids), why=self._why(name, worlds))

    def _why(self, name: str, worlds: Worlds | None) -> str:
        """Why a field stays open."""
        if name in self.silent:
            return self.silent[name]
        domain = _PLAYS_FOR.get(name)
        if worlds is not None and domain and domain not in worlds.values("inputs"):
            return f"plays no part: takes {' or '.join(worlds.values('inputs'))}"
        part = "grad_logits" if name == "soft_target_gradient" else "loss"
        asking = [(p, o) for p, o in self.given if name in touched(p, part, FIELDS["inputs"].values, ("mean",))]
        if not asking:
            return "no problem that was asked depends on it"
        if all(isinstance(outcome, NotRun) for _, outcome in asking):
            return Counter(o.reason for _, o in asking if isinstance(o, NotRun)).most_common(1)[0][0]
        for context, remark in self.refused.items():
            if any(set(context) <= set(Observed(p, o).context) for p, o in asking):
                return remark
        return "all answers that depend on it fit each of these values"


@dataclass(eq=False)
class _Search:
    """The elimination itself: losses before gradients, plain problems before special ones, hard ones last."""

    subject: Subject
    observed: Sequence[Observed]
    notes: _Notes
    level: str = ""
    worlds: Worlds = field(init=False)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worlds = self._fresh()

    def run(self) -> None:
        understood = self._core()
        if not understood:
            return
        rest = [one for one in self.observed if one.kind in understood]
        for part in ("loss", "grad_logits"):
            units = [one for one in sorted(rest, key=_difficulty) if part in one.parts]
            left = [one for one in units if not self._eliminate(one, part, plainly=True)]
            left = [one for one in left if not self._eliminate(one, part, plainly=False)]
            for one in left:
                self._blame(one, part)
        self._axis(rest)
        self._dtypes(rest)
        self._target_gradient(rest)

    # --- core ------------------------------------------------------------------------------------------------

    def _fresh(self) -> Worlds:
        every = {
            name: [value for value in known.values if value != _LAST_RESORT]
            for name, known in FIELDS.items()
            if name not in _APART
        }
        return Worlds(every)

    def _core(self) -> set[str]:
        """Settle what the numbers are taken for; the kinds of batches that are understood (empty: none is)."""
        plain = [one for one in self.observed if one.control and not one.problem.options]
        narrow = [one for one in plain if one.problem.dtype != "float64"] or plain
        narrow = sorted(narrow, key=lambda one: (outside_domain("probabilities", one.problem) is not None, one.kind))
        if not narrow:
            self.remarks.append("no plain problem was answered")
            return set()
        for level in (*LEVELS, LEVELS[0]):  # a coarser one only if it explains everything
            self.level, self.worlds = level, self._fresh()
            self.notes.evidence.clear()
            left = [one for one in narrow if not self._eliminate(one, "loss", plainly=True)]
            left = [one for one in left if not self._eliminate(one, "loss", plainly=False)]
            if not left:
                break
        return self._understood(narrow, left)

    def _understood(self, narrow: Sequence[Observed], left: Sequence[Observed]) -> set[str]:
        asked, failed = (Counter(one.kind for one in ones) for ones in (narrow, left))
        understood = {kind for kind in asked if 2 * failed[kind] < asked[kind]}
        if not understood:
            for name in CORE[:2]:
                why = "no value of it explains even the plain problems, whatever the other fields"
                self.notes.contradict(name, (), narrow[0].problem, why)
            self.worlds = self._fresh()
            self.remarks.append("no known convention explains the results, not even of plain problems")
            return set()
        for kind in asked:
            if kind not in understood:
                self.remarks.append(f"does not take {kind}: no convention explains what it answers to them")
            elif failed[kind]:
                first = next(one for one in left if one.kind == kind)
                self.remarks.append(
                    f"no convention explains {failed[kind]} of {asked[kind]} plain problems ({kind}), "
                    f"the first: {first.problem.idea}"
                )
        if understood == {"a single row"}:
            self.remarks.append("takes a single row only")
        if self.level:
            self.remarks.append(f"computes no more finely than {self.level}")
        return understood

    # --- one observation -------------------------------------------------------------------------------------

    def _fields(self, one: Observed, part: str) -> frozenset[str]:
        inputs, reductions = self.worlds.values("inputs"), self.worlds.values("default_reduction")
        return touched(one.problem, part, inputs, reductions)

    def _readings(self, one: Observed, part: str, worlds: Iterable[World]) -> list[tuple[World, Reading]]:
        return [(world, one.read(part, self.subject, self._convention(world), self.level)) for world in worlds]

    def _convention(self, world: World) -> Convention:
        return Convention(**{**world, "class_axis": self.subject.convention.class_axis})

    def _eliminate(self, one: Observed, part: str, *, plainly: bool) -> bool:
        """Rule out what an observation refutes. False: it refutes everything, or (plainly) what is left is silent."""
        try:
            readings = self._readings(one, part, self.worlds.over(self._fields(one, part)))
        except TooManyWorldsError:
            return not plainly
        closely = any(reading is Reading.FITS for _, reading in readings)
        if closely and "wide_inputs" in readings[0][0]:  # what narrowing rounds away, the widest budget would forgive
            readings = [(w, Reading.REFUTED if reading is Reading.LOOSELY else reading) for w, reading in readings]
        left = [world for world, reading in readings if reading is not Reading.REFUTED]
        fits = any(reading.fits for _, reading in readings)
        if not left or (plainly and not fits and len(left) < len(readings)):
            return False
        self.notes.rule_out(self.worlds.keep(left), one.problem)
        return True

    def _blame(self, one: Observed, part: str) -> None:
        """An observation that no surviving convention explains: which field is it about?"""
        about = self._fields(one, part) - set(CORE)
        if part != "loss" or not about:
            return
        unknown = {name for name in about if name not in self.notes.evidence}
        if self._is_garbage(one, unknown):
            return
        own = self._explaining(one, about)
        contrary = {name for name in about if own and not {w[name] for w in own} & set(self.worlds.values(name))}
        for name in sorted(contrary or unknown):
            if name in contrary:
                known, here = self.worlds.values(name), sorted({world[name] for world in own})
                why = f"{' or '.join(known)} elsewhere, but {' or '.join(here)} for: {one.problem.idea}"
                self.notes.contradict(name, [*known, *here], one.problem, why)
            elif not own:
                self.notes.contradict(name, (), one.problem, f"no value explains: {one.problem.idea}{one.came}")

    def _explaining(self, one: Observed, opened: set[str] | frozenset[str]) -> list[World]:
        """The worlds that explain a loss when these fields may have any value; the last resort too."""
        every = Worlds({name: list(FIELDS[name].values) for name in opened}).over(opened) if opened else [{}]
        touching = self._fields(one, "loss")
        tried = [{**world, **other} for world in self.worlds.over(touching) for other in every]
        return [world for world, reading in self._readings(one, "loss", tried) if _explains(world, reading)]

    def _is_garbage(self, one: Observed, unknown: set[str]) -> bool:
        """Whether the answer to a bad label follows no rule that can be stated."""
        labels = {name for name in unknown if _LAST_RESORT in FIELDS[name].values}
        own = self._explaining(one, labels) if labels else []
        if not own or not all(_LAST_RESORT in world.values() for world in own):
            return False
        for name in labels:
            if any(world[name] == _LAST_RESORT for world in own):
                self.notes.settled[name] = (_LAST_RESORT,)
                self.notes.garbage.setdefault(name, []).append(one.problem.id)
        return True

    # --- what is read off the results ------------------------------------------------------------------------

    def _axis(self, rest: Sequence[Observed]) -> None:
        """A right answer where axis 1 is not the last one shows that the classes lie where they were put."""
        axis = self.subject.convention.class_axis
        spatial = [one for one in rest if one.kind == "spatial axes" and one.control]
        for one in spatial:
            world = self._convention(self.worlds.one(PORTABLE.as_dict()))
            if one.read("loss", self.subject, world, self.level).fits:
                self.notes.settled["class_axis"] = (axis,)
                self.notes.rule_out(["class_axis"], one.problem)
        if spatial and "class_axis" not in self.notes.settled:
            self.notes.silent["class_axis"] = f"gives no right answer where the classes lie on axis {axis}"
        elif not spatial:
            self.notes.silent["class_axis"] = "takes no spatial axes, where the last axis is not axis 1"

    def _dtypes(self, rest: Sequence[Observed]) -> None:
        """`result_dtype` from the dtypes that came back."""
        left = list(FIELDS["result_dtype"].values)
        for one in rest:
            if not isinstance(one.outcome, Answered) or not one.valid:
                continue
            asked, came = one.problem.dtype, one.outcome.loss.dtype.name
            fitting = [value for value in left if result_dtype(value, asked) == came]
            if not fitting:
                why = f"the loss of {asked} logits is {came}"
                self.notes.contradict("result_dtype", left if len(left) < 4 else (), one.problem, why)
                return
            if len(fitting) < len(left):
                self.notes.rule_out(["result_dtype"], one.problem)
            left = fitting
        self.notes.settled["result_dtype"] = tuple(left)
        self.notes.silent["result_dtype"] = "the dtypes that would tell were not answered"

    def _target_gradient(self, rest: Sequence[Observed]) -> None:
        """Whether target probabilities get a gradient: theirs, none (or zeros)."""
        name = "target_gradient"
        if "targets" not in self.subject.offer.gradients or self.subject.offer.targets == "labels":
            self.notes.silent[name] = "gives no gradients by targets, or was not asked for them"
            return
        world = self._convention(self.worlds.one(PORTABLE.as_dict()))
        for one in rest:
            if not isinstance(one.outcome, Answered) or not one.control or one.outcome.grad_logits is None:
                continue
            gradient = one.outcome.grad_targets
            right = gradient is not None and one.read("grad_targets", self.subject, world, self.level).fits
            zero = gradient is None or not gradient.astype(np.float64).any()
            if right == zero:  # wrong, or right to be 0
                continue
            value = "none" if zero else "yes"
            known = self.notes.settled.setdefault(name, (value,))
            self.notes.rule_out([name], one.problem)
            if known != (value,):
                self.notes.contradict(name, (*known, value), one.problem, "a gradient for some problems only")
                return
        self.notes.silent[name] = "the gradients by targets that came back are not those of the loss"


def _difficulty(one: Observed) -> tuple[int, int]:
    """Plain problems first, hard numerics last."""
    hard = not one.moderate and bool(np.isfinite(one.problem.logits.astype(np.float64)).all())
    return (0 if one.control else 2 if hard else 1, len(one.problem.options))


def result_dtype(value: str, dtype: str) -> str:
    """The dtype of the loss under a value of `result_dtype`."""
    wide = dtype == "float64"
    return {
        "as_input": dtype,
        "float32": "float64" if wide else "float32",
        "at_most_float32": "float32" if wide else dtype,
        "always_float32": "float32",
    }[value]


def _explains(world: World, reading: Reading) -> bool:
    """A convention that predicts it; or the last resort, which forbids nothing but an exception."""
    return reading.fits or (reading is Reading.SILENT and _LAST_RESORT in world.values())
