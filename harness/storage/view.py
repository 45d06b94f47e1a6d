"""Some subjects of a run, under the ids of others: so that devices or modes are compared as two runs are.

The view of a run for the mode "jit" shows `jax:f+jit@cpu` as `jax:f@cpu`, and hides what has no such mode. Beside the
view for eager calls, the same code that compares two releases then compares eager with compiled results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from typing import Final

from logitmus.core.subject import Subject
from logitmus.storage.store import Store

EAGER: Final = "eager"


class Axis(StrEnum):
    """What distinguishes the columns of a comparison, beside the run."""

    DEVICE = "device"
    MODE = "mode"

    def of(self, subject: Subject) -> str:
        """The value of a subject: its device, or its mode with its variant ("jit", "x64", "jit+x64", "eager")."""
        return subject.device if self is Axis.DEVICE else "+".join(subject.modes) or EAGER

    def without(self, subject: Subject) -> Subject:
        """The subject with the default value of the axis."""
        if self is Axis.DEVICE:
            return replace(subject, device="any")
        return replace(subject, mode="", variant="", switch="")


class View(Store):
    """A run file that shows the subjects with one value of an axis; open it with `View.of`."""

    axis: Axis
    value: str

    @classmethod
    def of(cls, store: Store, axis: Axis, value: str) -> View:
        """A view of an open run, with a connection of its own."""
        view = cls.open(store.path, check=False)
        view.axis, view.value = axis, value
        return view

    @cached_property
    def _shown(self) -> dict[str, str]:
        """The id that is shown, by the id in the file."""
        plain = (subject for backend in self._backend_names() for subject in super(View, self)._subjects_of(backend))
        return {s.id: self.axis.without(s).id for s in plain if self.axis.of(s) == self.value}

    @cached_property
    def _originals(self) -> dict[str, str]:
        return {shown: original for original, shown in self._shown.items()}

    def _backend_names(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT name FROM backends ORDER BY name")]

    def original(self, subject: str) -> str:
        """See `Store.original`."""
        return self._originals.get(subject, subject)

    def _subjects_of(self, backend: str) -> tuple[Subject, ...]:
        subjects = super()._subjects_of(backend)
        shown = (self.axis.without(subject) for subject in subjects if subject.id in self._shown)
        return tuple(sorted(shown, key=lambda subject: subject.id))

    def raw_outcomes(self, problem: str) -> dict[str, tuple[str, bytes]]:
        """See `Store.raw_outcomes`."""
        return dict(
            sorted((self._shown[s], raw) for s, raw in super().raw_outcomes(problem).items() if s in self._shown)
        )

    def later_seconds(self) -> dict[str, dict[str, float]]:
        """See `Store.later_seconds`."""
        return {self._shown[s]: times for s, times in super().later_seconds().items() if s in self._shown}


def values(store: Store, axis: Axis) -> list[str]:
    """The values of an axis that the subjects of a run have; the default first, then by the number of subjects."""
    counts: dict[str, int] = {}
    for subject in store.subjects().values():
        if not subject.has_switch:
            value = axis.of(subject)
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: (value not in (EAGER, "cpu"), -counts[value], value))


def views(store: Store, axis: Axis) -> Iterator[View]:
    """A view for each value of an axis."""
    for value in values(store, axis):
        yield View.of(store, axis, value)
