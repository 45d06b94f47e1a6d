"""A bisection: in which release did a result change?

The first and the last release of a range are tested; if they differ, halving finds two neighbours of which the earlier
release shows what the first shows, and the later does not. A release that cannot be tested is skipped, and the nearest
one that was not tried yet takes its place. `symptom` decides what is compared, `release_runs` makes the runs.

If results changed several times within the range, one of the changes is found; nothing is known about the releases that
were not tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from logitmus.auditing.transitions import Step, Transition
from logitmus.results import wording


def search(count: int, look: Callable[[int], bool | None]) -> tuple[int, int]:
    """Two places of a sequence between which a change lies: the last unchanged, and the first changed place.

    All places between the two are skipped ones. At most ceil(log2(count - 1)) places are looked at besides those that
    are skipped.

    Args:
        count: the length of the sequence, at least 2; the first place is known as unchanged, the last as changed.
        look: whether a place is changed; None: it is skipped.
    """
    low, high = 0, count - 1
    left = list(range(1, high))
    while left:
        middle = left[len(left) // 2]  # the middle of what can be looked at: a skipped place costs one look, no more
        changed = look(middle)
        if changed is None:
            left.remove(middle)
        elif changed:
            high = middle
        else:
            low = middle
        left = [place for place in left if low < place < high]
    return low, high


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A release that was tested, or could not be.

    Attributes:
        version: "0.2.4". date: of its release ("2024-11-05"), "" where unknown.
        changed: whether it differs from the first release; None: it was skipped. reason: why it was skipped.
        file: its run file, "" if it was skipped.
        packages: all packages of its environment, each with its version.
    """

    version: str
    date: str = ""
    changed: bool | None = None
    reason: str = ""
    file: str = ""
    packages: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> str:
        """The result of the test: unchanged, changed or skipped."""
        return "skipped" if self.changed is None else "changed" if self.changed else "unchanged"

    @property
    def dated(self) -> str:
        """The version, with its date where it is known."""
        return f"{self.version} ({self.date})" if self.date else self.version


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """What a bisection found.

    Attributes:
        package: its name. symptom: what was compared, in words. ends: what the first and the last release show.
        versions: all releases of the range, in order. trials: of these, the tested and the skipped ones, in order.
        step: from the last unchanged to the first changed release; None: the first and the last release agree.
        transitions: of this step, those that belong to the symptom.
    """

    package: str
    symptom: str
    ends: tuple[str, str]
    versions: tuple[str, ...]
    trials: tuple[Trial, ...]
    step: Step | None = None
    transitions: tuple[Transition, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the first and the last release differ."""
        return bool(self.trials[-1].changed)

    @property
    def unchanged(self) -> Trial:
        """The last release that is known to show what the first shows."""
        return [trial for trial in self.trials if trial.changed is False][-1]

    @property
    def changed(self) -> Trial:
        """The earliest release that is known to differ.

        Raises:
            StopIteration: where nothing was found.
        """
        return next(trial for trial in self.trials if trial.changed)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The releases of which one made the change: the first changed one, after those that were skipped before it."""
        versions = list(self.versions)
        return tuple(versions[versions.index(self.unchanged.version) + 1 : versions.index(self.changed.version) + 1])

    @property
    def not_tested(self) -> tuple[str, ...]:
        """The releases that were neither tested nor skipped."""
        known = {trial.version for trial in self.trials}
        return tuple(version for version in self.versions if version not in known)

    @property
    def runs(self) -> int:
        """How many releases were tested."""
        return sum(trial.changed is not None for trial in self.trials)

    @property
    def also_different(self) -> tuple[str, ...]:
        """The other packages whose versions differ between the two releases: "jax 0.4.30 -> 0.4.31"."""
        old, new = dict(self.unchanged.packages), dict(self.changed.packages)
        return tuple(
            f"{name} {old.get(name, '(none)')} -> {new.get(name, '(none)')}"
            for name in sorted(old.keys() | new.keys())
            if name != self.package and old.get(name) != new.get(name)
        )

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        first, last = self.versions[0], self.versions[-1]
        if not self.found:
            return f"{self.package} {first} and {last} agree: {self.ends[0]}"
        shown = self.transitions[0] if self.transitions else None
        what = f": {shown.change.value}: {shown.what}" if shown else ""
        before = f"{self.unchanged.version} still agrees with {first}" if self.unchanged.version != first else ""
        if len(self.candidates) == 1:
            named = f"{self.package} {self.changed.dated} changed the result{what}"
        else:
            named = f"one of {self.package} {', '.join(self.candidates)} changed the result{what}"
        return f"{named}; {before or f'{first} does not show the change'}"

    @property
    def extent(self) -> tuple[str, ...]:
        """What was compared, how many releases were tested, and what is not known."""
        lines = [f"compared: {self.symptom}"]
        if self.found:
            lines.append(f"{self.versions[0]}: {self.ends[0]}; {self.versions[-1]}: {self.ends[1]}")
        lines.append(f"tested: {self.runs} of {wording.plural(len(self.versions), 'release')}")
        if self.found and len(self.candidates) > 1:
            skipped, known = ", ".join(self.candidates[:-1]), self.candidates[-1]
            lines.append(f"{skipped} could not be tested: the change may be older than {known}")
        if self.found and self.also_different:
            lines.append(
                f"also different between {self.unchanged.version} and {self.changed.version}: "
                f"{wording.listed(self.also_different, 6)}; --with keeps a package at one version"
            )
        if self.not_tested:
            lines.append(f"not tested, so their results are unknown: {_listed(self.not_tested)}")
        return tuple(lines)


_LISTED: Final = 12


def _listed(versions: Sequence[str]) -> str:
    rest = len(versions) - _LISTED
    return ", ".join(versions[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
