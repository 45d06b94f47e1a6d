"""The runs of a bisection: releases of a package, each installed, run and compared with the first release."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement

from logitmus.auditing.audit import AuditError, AuditSettings, Column, columns, side_by_side
from logitmus.auditing.bisection import Bisection, Trial, search
from logitmus.auditing.comparison import step
from logitmus.auditing.selection import Concerned, SelectionError, concerned
from logitmus.auditing.symptom import State, Symptom
from logitmus.core.errors import Exit, LogitmusError
from logitmus.environments.environments import Environment
from logitmus.environments.errors import EnvironmentsError
from logitmus.environments.releases import Release
from logitmus.environments.spec import EnvironmentSpec
from logitmus.storage.store import Store
from logitmus.worker.environment import normalized

Report = Callable[[str], None]


class EndError(LogitmusError):
    """The first or the last release of a bisection could not be installed or run."""

    exit_code = Exit.BACKEND

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What makes environments and runs.

    Attributes:
        provide: gives the environment of a request. run: makes the run file of a column, with the problems of the
            settings.
        installing, running: contexts around each of these, which show progress. stop: ends the runs that are under way.
        folder: for the run files.
    """

    provide: Callable[[EnvironmentSpec], Environment]
    run: Callable[[Column, AuditSettings], None]
    installing: Callable[[], AbstractContextManager[object]]
    running: Callable[[], AbstractContextManager[object]]
    stop: Callable[[], None]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Series:
    """Releases of a package, in the order of their versions; at least two.

    Attributes:
        package: its name, with its extras if it has any. held: what else every environment contains.
    """

    package: str
    releases: Sequence[Release]
    held: EnvironmentSpec | None = None

    @cached_property
    def name(self) -> str:
        """The normalized name of the package."""
        return normalized(Requirement(self.package).name)

    def spec(self, release: Release) -> EnvironmentSpec:
        """The request of an environment with a release."""
        wanted = Requirement(f"{self.package}=={release.version}")
        if self.held is None:
            return EnvironmentSpec(str(wanted), (wanted,))
        return EnvironmentSpec(f"{wanted} {self.held}", (wanted, *self.held.requirements), self.held.files)


def bisect(
    series: Series,
    symptom: Symptom,
    settings: AuditSettings,
    workplace: Workplace,
    *,
    backends: Sequence[str] = (),
    report: Report = lambda _: None,
) -> Bisection:
    """Find the release of a series in which a symptom appeared, vanished or changed.

    Args:
        backends: as for `concerned`. report: receives a short line for each release.

    Raises:
        EndError: where the first or the last release cannot be installed or run.
        SelectionError, SymptomError: where there is nothing to compare.
        KeyboardInterrupt: after Ctrl-C; the run files of tested releases are kept.
    """
    return _Bisecting(series, symptom, settings, workplace, report).result(backends)


class _Bisecting:
    def __init__(
        self, series: Series, symptom: Symptom, settings: AuditSettings, workplace: Workplace, report: Report
    ) -> None:
        self._series, self._symptom, self._workplace, self._report = series, symptom, workplace, report
        self._settings = settings
        self._of: tuple[Concerned, ...] = ()
        self._trials: dict[int, Trial] = {}
        self._first = State(words="", calls=0)

    def result(self, backends: Sequence[str]) -> Bisection:
        last = len(self._series.releases) - 1
        ends = (0, last)
        environments = [self._end(place) for place in ends]
        self._of = self._concerned(environments, backends)
        globs = self._symptom.subjects or tuple(glob for entry in self._of for glob in entry.subjects)
        self._settings = self._symptom.settings(replace(self._settings, subjects=globs, times=False))
        made = list(zip(ends, environments, strict=True))
        self._report(f"running {' and '.join(self._label(place) for place in ends)}")
        try:
            with self._workplace.running():
                files = side_by_side(
                    lambda pair: self._run(*pair), made, min(2, os.cpu_count() or 1), self._workplace.stop
                )
        except AuditError as error:
            hint = "Begin or end with another release, or install what it needs beside it: --with REQUIREMENT"
            raise EndError(error.message, hint) from error
        except SelectionError as error:  # no call was due
            raise self._symptom.nothing from error
        self._first, latest = map(self._state, files)
        if not (self._first.calls or latest.calls):
            raise self._symptom.nothing
        differs = self._symptom.differs(self._first, latest)
        states = self._first.words, latest.words
        for (place, environment), file, changed in zip(made, files, (False, differs), strict=True):
            self._trials[place] = self._record(place, environment, file, changed)
        bisection = self._bisection(states)
        if not differs:
            return bisection
        search(last + 1, self._look)
        bisection = self._bisection(states)
        names = tuple(f"{self._series.name} {one.version}" for one in (bisection.unchanged, bisection.changed))
        self._report("comparing")
        with (
            Store.open(Path(bisection.unchanged.file), check=False) as before,
            Store.open(Path(bisection.changed.file), check=False) as after,
        ):
            found = step(before, after, names=(names[0], names[1]))
        belonging = tuple(transition for transition in found.transitions if self._symptom.concerns(transition))
        return replace(bisection, step=found, transitions=belonging)

    def _bisection(self, ends: tuple[str, str]) -> Bisection:
        return Bisection(
            package=self._series.name,
            symptom=self._symptom.words,
            ends=ends,
            versions=tuple(release.version for release in self._series.releases),
            trials=tuple(one for _, one in sorted(self._trials.items())),
        )

    def _end(self, place: int) -> Environment:
        try:
            return self._environment(place)
        except EnvironmentsError as error:
            raise EndError(f"{self._label(place)} cannot be tested: {error.message}", error.hint) from error

    def _concerned(self, environments: Sequence[Environment], backends: Sequence[str]) -> tuple[Concerned, ...]:
        try:
            return concerned(environments, backends)
        except SelectionError as error:
            raise SelectionError(error.message, 'In a bisection, --with adds it, e.g. --with "jax==0.6.0"') from error

    def _look(self, place: int) -> bool | None:
        """Test a release: whether it differs from the first; None: it cannot be tested."""
        try:
            environment = self._environment(place)
            self._report(f"running {self._label(place)}")
            with self._workplace.running():
                file = self._run(place, environment)
        except (EnvironmentsError, AuditError) as error:
            release = self._series.releases[place]
            self._report(f"skipping {self._label(place)}: {_line(error)}")
            self._trials[place] = Trial(version=release.version, date=release.date, reason=_line(error))
            return None
        changed = self._symptom.differs(self._first, self._state(file))
        self._trials[place] = self._record(place, environment, file, changed)
        self._report(f"{self._label(place)}: {self._trials[place].state}")
        return changed

    def _state(self, file: Path) -> State:
        with Store.open(file, check=False) as store:
            return self._symptom.state(store)

    def _environment(self, place: int) -> Environment:
        with self._workplace.installing():
            return self._workplace.provide(self._series.spec(self._series.releases[place]))

    def _run(self, place: int, environment: Environment) -> Path:
        (column,) = columns([environment], self._of, self._workplace.folder)
        column = replace(column, name=self._label(place), file=self._file(place))
        self._workplace.run(column, self._settings)
        return column.file

    def _file(self, place: int) -> Path:
        release = self._series.releases[place]
        return self._workplace.folder / f"{place + 1:03}-{self._series.name}-{release.version}.logitmus"

    def _label(self, place: int) -> str:
        return f"{self._series.name} {self._series.releases[place].version}"

    def _record(self, place: int, environment: Environment, file: Path, changed: bool) -> Trial:
        release = self._series.releases[place]
        return Trial(
            version=release.version,
            date=release.date or environment.dates.get(self._series.name, ""),
            changed=changed,
            file=str(file),
            packages=tuple(sorted(environment.packages.items())),
        )


_LENGTH = 300


def _line(error: LogitmusError) -> str:
    """An error in a line."""
    words = " ".join(error.message.split())
    return words if len(words) <= _LENGTH else f"{words[:_LENGTH]}..."
