"""Elimination: every observation rules out the conventions that do not predict it; what is left is the card.

A convention has two dozen fields, and their product is beyond counting. It need not be counted: one problem depends on
few fields (`core.relevance`), and what is known links few fields at a time, so the conventions that are left are kept
as small tables (`version_space`). Three things are hard.

*An observation is noisy.* A number is no proof of a formula: the same convention gives other digits in another order of
summation. So a convention predicts a number within a derived budget, and an observation has four readings (`fit`): it
fits closely, it fits loosely, the convention predicts nothing, or the convention is refuted. Silence rules out nothing.

*The order matters.* Whether the inputs are logits, whether losses are in bits, and whether a mean is returned decide
what every number means. Ruling out other fields before these are settled blames the wrong one. So plain problems come
first and settle the core; then the other fields, special values, and hard numerics last, where a fault of the
arithmetic looks like a choice (an overflow looks like "infinite logits give NaN"). Of these only `overflowing_shift`
may be read off hard numerics. Arithmetic coarser than the dtype is tried only if none of the plain problems contradicts
it.

*The truth may not be among the conventions.* Functions contradict themselves (a default that holds for one reduction
alone), compute something else, or are wrong. Elimination then ends with nothing, and the last observation is not the
culprit: it was merely the last. So an observation that refutes everything that is left rules out nothing. First all
others are heard; then the fields on which its answer depends are opened again (`_blame`). If another value of a field
explains it, that field contradicts itself, and both values are reported with the problem. If none does, the fields that
are still unknown are reported as unexplained, and the known ones as contradicted for that problem. A rule of "garbage",
which explains everything, is the last resort and never competes.

Voting is no alternative. If the convention that explains most observations won, many ordinary problems would outvote
the few on which a field depends, and each rare field would get a wrong value with confidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from logitmus.conventions.evidence import APART, LAST_RESORT, Notes
from logitmus.conventions.fit import LEVELS, BatchKind, Observed, Reading
from logitmus.conventions.version_space import TooManyWorldsError, World, Worlds
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.relevance import depended_on
from logitmus.core.subject import Subject, outside_domain

# What every answer depends on.
CORE: Final = ("inputs", "log_base", "probability_clip", "probability_scale", "default_reduction")
_Readings = list[tuple[World, Reading]]


@dataclass(eq=False)
class Elimination:
    """One elimination over the observations of a subject.

    Attributes:
        level: the precision (`reading.LEVELS`) at which plain problems are explained.
        worlds: the conventions that are left.
        understood: what is evidence beyond plain problems: the kinds of batches that it takes.
    """

    subject: Subject
    observed: Sequence[Observed]
    notes: Notes
    level: str = ""
    worlds: Worlds = field(init=False)
    understood: Sequence[Observed] = ()

    def run(self) -> None:
        """Rule out what can be ruled out, and note it down."""
        self._restart(LEVELS[0])
        kinds = self._core()
        self.understood = sorted(
            (observation for observation in self.observed if observation.batch_kind in kinds), key=_difficulty
        )
        for part in ("loss", "grad_logits"):
            units = [observation for observation in self.understood if part in observation.parts]
            left = [observation for observation in units if not self._eliminate(observation, part, plainly=True)]
            left = [observation for observation in left if not self._eliminate(observation, part, plainly=False)]
            for observation in left if part == "loss" else ():
                self._blame(observation)

    def fits(self, observation: Observed, part: str) -> bool:
        """Whether a part is what the conventions that are left predict."""
        return observation.read(part, self.subject, self.convention, self.level).fits

    @property
    def convention(self) -> Convention:
        """One of those that are left, as portable as may be."""
        return self._convention(self.worlds.closest(PORTABLE.as_dict()))

    def touches(self, observation: Observed, name: str) -> bool:
        """Whether a field may change the loss of an observation."""
        return name in self._fields(observation, "loss")

    def _core(self) -> set[BatchKind]:
        """Settle what the numbers are taken for; the kinds of batches that are understood (empty: none is)."""
        plain = [
            observation for observation in self.observed if observation.control and not observation.problem.options
        ]
        narrow = [observation for observation in plain if observation.problem.dtype != "float64"] or plain
        # In the domain of all inputs first, and batches first: there the most is ruled out.
        narrow = sorted(
            narrow,
            key=lambda observation: (
                bool(outside_domain("probabilities", observation.problem)),
                observation.problem.rows == 1,
            ),
        )
        if not narrow:
            self.notes.nothing = "no plain problem was answered"
            return set()
        for level in LEVELS:  # a coarser level only if it explains everything
            self._restart(level)
            if all(self._eliminate(observation, "loss", plainly=False) for observation in narrow):
                break
        else:
            self._restart(LEVELS[0])
            left = [observation for observation in narrow if not self._eliminate(observation, "loss", plainly=True)]
            for observation in left:
                self._eliminate(observation, "loss", plainly=False)
        return self._kinds(narrow)

    def _restart(self, level: str) -> None:
        self.level = level
        self.worlds = Worlds(
            {
                name: [value for value in known.values if value != LAST_RESORT]
                for name, known in FIELDS.items()
                if name not in APART
            }
        )
        self.notes.evidence.clear()

    def _kinds(self, narrow: Sequence[Observed]) -> set[BatchKind]:
        """The kinds of batches that it takes: most of their plain problems are explained, by a prediction.

        A kind without plain problems is assumed to be taken if any other kind is.
        """
        fitted: dict[BatchKind, list[Observed]] = {}
        failed: dict[BatchKind, list[Observed]] = {}
        for observation in narrow:
            readings = {
                reading for _, reading in self._readings(observation, "loss", self._worlds_of(observation, "loss"))
            }
            if any(reading.fits for reading in readings):
                fitted.setdefault(observation.batch_kind, []).append(observation)
            elif Reading.SILENT not in readings:
                failed.setdefault(observation.batch_kind, []).append(observation)
        taken = {kind for kind, group in fitted.items() if len(group) > len(failed.get(kind, ()))}
        untested = {observation.batch_kind for observation in self.observed} - set(failed)
        kinds = taken | untested if taken else taken
        if not kinds:
            self._restart(LEVELS[0])
            if failed:
                self._nothing_explains(narrow[0])
            else:
                self.notes.nothing = "no plain problem was answered that lies in the domain of what it may take"
            return kinds
        for kind, ones in failed.items():
            if kind in kinds:
                of, first = len(ones) + len(fitted[kind]), ones[0].problem.idea
                self.notes.remarks.append(f"no convention explains {len(ones)} of {of} plain problems, first: {first}")
            else:
                self.notes.remarks.append(f"does not take {kind}: no convention explains what it answers to them")
        if kinds == {BatchKind.SINGLE_ROW}:
            self.notes.remarks.append("takes a single row only")
        if self.level:
            self.notes.remarks.append(f"computes no more finely than {self.level}")
        return kinds

    def _nothing_explains(self, first: Observed) -> None:
        self.notes.nothing = "no known convention explains the results, not even of plain problems"
        self.notes.remarks.append(self.notes.nothing)
        for name in CORE[:2]:
            why = f"no value explains: {first.problem.idea}{first.result_text}"
            self.notes.contradict(name, (), first.problem, why)

    def _fields(self, observation: Observed, part: str) -> frozenset[str]:
        return depended_on(
            observation.problem, part, self.worlds.values("inputs"), self.worlds.values("default_reduction")
        )

    def _worlds_of(self, observation: Observed, part: str) -> list[World]:
        return self.worlds.over(self._fields(observation, part))

    def _readings(self, observation: Observed, part: str, worlds: Iterable[World]) -> _Readings:
        return [(w, observation.read(part, self.subject, self._convention(w), self.level)) for w in worlds]

    def _convention(self, world: World) -> Convention:
        return _convention(self.subject.convention.class_axis, tuple(world.items()))

    def _eliminate(self, observation: Observed, part: str, *, plainly: bool) -> bool:
        """Rule out what an observation refutes. False: it refutes everything, or (plainly) what is left is silent."""
        try:
            readings = self._readings(observation, part, self._worlds_of(observation, part))
        except TooManyWorldsError:
            return not plainly
        if observation.wide and part == "loss" and not self.level:
            readings = _not_narrowed(readings, exact=observation.loss_dtype == "float64")
        left = [world for world, reading in readings if reading is not Reading.REFUTED]
        fits = any(reading.fits for _, reading in readings)
        if not left or (plainly and not fits and len(left) < len(readings)):
            return False
        self.notes.rule_out(self.worlds.keep(left), observation.problem)
        return True

    # --- what nothing explains -------------------------------------------------------------------------------

    def _blame(self, observation: Observed) -> None:
        """No convention that is left explains a loss: find the field that contradicts itself, if any does."""
        about = self._about(observation)
        if not about.isdisjoint(self.notes.contradicted):  # a single such field says why
            return
        known = set(self.notes.evidence) - set(self.notes.settled)
        unknown = about - known
        if self._is_garbage(observation, unknown):
            return
        own = [world for world in self._explaining(observation, about) if LAST_RESORT not in world.values()]
        contrary = {name for name in about if own and not {w[name] for w in own} & set(self.worlds.values(name))}
        for name in sorted(contrary or unknown):
            elsewhere = self.worlds.values(name)
            if name in contrary:
                here = [value for value in FIELDS[name].values if value in {world[name] for world in own}]
                why = f"{' or '.join(elsewhere)} elsewhere, but {' or '.join(here)} for: {observation.problem.idea}"
                self.notes.contradict(name, [*elsewhere, *here], observation.problem, why)
            elif not own:
                self.notes.contradict(
                    name,
                    (),
                    observation.problem,
                    f"no value explains: {observation.problem.idea}{observation.result_text}",
                )
        for name in sorted(about & known - {"ignore_default"}) if not own and not unknown else ():
            idea = f"{observation.problem.idea}{observation.result_text}"
            why = f"{' or '.join(self.worlds.values(name))} elsewhere, but not for: {idea}"
            self.notes.contradict(name, self.worlds.values(name), observation.problem, why)

    def _about(self, observation: Observed) -> set[str]:
        """The fields beside the core that change the exact answer; where the numbers are hard, the hard field alone.

        Coarser arithmetic than the dtype overflows where it likes: that says nothing of what is meant.
        """
        if observation.hard and self.level:
            return set()
        base = self.convention
        about = {name for name in self._fields(observation, "loss") - set(CORE) if observation.depends(name, base)}
        return about & {"overflowing_shift"} if observation.hard else about

    def _explaining(self, observation: Observed, opened: Collection[str]) -> list[World]:
        """The worlds that explain a loss when these fields may have any value; the last resort too."""
        every = Worlds({name: list(FIELDS[name].values) for name in opened}).over(opened) if opened else [{}]
        tried = [{**world, **other} for world in self._worlds_of(observation, "loss") for other in every]
        return [world for world, reading in self._readings(observation, "loss", tried) if _explains(world, reading)]

    def _is_garbage(self, observation: Observed, unknown: set[str]) -> bool:
        """Whether the answer to a bad label follows no rule that can be stated."""
        labels = {name for name in unknown if LAST_RESORT in FIELDS[name].values}
        own = self._explaining(observation, labels) if labels else []
        if not own or not all(LAST_RESORT in world.values() for world in own):
            return False
        for name in labels:
            if all(world[name] == LAST_RESORT for world in own):
                self.notes.settle(name, [LAST_RESORT], observation.problem)
        return True


@lru_cache(maxsize=1 << 16)  # every problem is read under the same conventions
def _convention(class_axis: str, choices: tuple[tuple[str, str], ...]) -> Convention:
    return Convention.from_dict({**dict(choices), "class_axis": class_axis})


def _explains(world: World, reading: Reading) -> bool:
    """A convention that predicts it; or the last resort, which forbids nothing but an exception."""
    return reading.fits or (reading is Reading.SILENT and LAST_RESORT in world.values())


def _not_narrowed(readings: _Readings, *, exact: bool) -> _Readings:
    """A result as accurate as 64-bit inputs allow does not come from narrowed ones, whose budget would hold it, too.

    exact: the result is 64 bits wide. Else it must fit closely, and narrowed inputs only loosely.
    """
    kept = {reading for world, reading in readings if world["wide_inputs"] == "kept"}
    if exact and kept & {Reading.FITS, Reading.LOOSELY}:
        beaten = {Reading.FITS, Reading.LOOSELY}
    elif Reading.FITS in kept:
        beaten = {Reading.LOOSELY}
    else:
        return readings
    return [
        (world, Reading.REFUTED if reading in beaten and world["wide_inputs"] == "narrowed" else reading)
        for world, reading in readings
    ]


def _difficulty(observation: Observed) -> tuple[int, int]:
    """Plain problems first, special values next, hard numerics last."""
    return (0 if observation.control else 2 if observation.hard else 1, len(observation.problem.options))
