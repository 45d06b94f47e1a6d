"""Expectations: findings that the user has accepted, with a reason, in `logitmus.toml`.

    [[expect]]
    subject = "tensorflow:*"                            # glob over subject ids
    cause = "convention:soft_target_gradient=plain"     # glob over causes
    reason = "documented; our targets always sum to 1"
    kind = "convention"                                 # optional
    until = 2027-01-31                                  # optional: the last day on which it holds

    [but]                                               # for `logitmus check`: what is intended (`check --but`)
    label_smoothing = 0.1

An accepted finding is still reported, but no longer affects the exit code. An expectation that nothing matched is
stale, and expired after its date: both are reported, because an obsolete exception hides the next fault.
"""

from __future__ import annotations

import datetime
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from logitmus.core.errors import LogitmusError
from logitmus.core.finding import Finding, Kind, Severity


class ExpectationsError(LogitmusError, ValueError):
    """An invalid expectations file; the message names the file, the place and what is allowed."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One accepted kind of finding; the module's docstring explains the fields."""

    subject: str
    cause: str
    reason: str
    kind: Kind | None = None
    until: datetime.date | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether it matches this finding, or a cause that explains it as well, whatever the date."""
        return (
            fnmatchcase(finding.subject, self.subject)
            and any(fnmatchcase(cause, self.cause) for cause in (finding.cause, *finding.alternatives))
            and self.kind in (None, finding.kind)
        )

    def __str__(self) -> str:
        kind = f" ({self.kind.value})" if self.kind else ""
        return f"{self.subject} · {self.cause}{kind}"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    expect: list[Expectation] = []
    but: dict[str, str | float] = {}


def load(path: Path) -> tuple[Expectation, ...]:
    """The expectations in `path`.

    Raises:
        ExpectationsError: not readable, not TOML, an unknown, missing or empty field.
    """
    expectations = _read(path).expect
    for number, expectation in enumerate(expectations, start=1):
        for name in ("subject", "cause", "reason"):
            if not getattr(expectation, name).strip():
                raise ExpectationsError(f"{path}: [[expect]] number {number}: {name} is empty")
    return tuple(expectations)


def load_intentions(path: Path) -> dict[str, str | float]:
    """The table [but] of `path`: what `logitmus check` takes for intended; the names are checked there.

    Raises:
        ExpectationsError: not readable, not TOML, or a value that is neither text nor a number.
    """
    return _read(path).but


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except OSError as error:
        raise ExpectationsError(f"{path}: cannot be read ({error.strerror}); name a file with --expect") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExpectationsError(f"{path}: not a TOML file: {error}") from error
    except msgspec.ValidationError as error:
        known = ", ".join(Expectation.__struct_fields__)
        tables = f"An [[expect]] table takes {known}; [but] takes NAME = VALUE, text or a number"
        raise ExpectationsError(f"{path}: {error}. {tables}") from error


@dataclass
class Acceptance:
    """Which findings of a run are accepted, and which expectations earned their place.

    Args:
        expectations: in the order of the file; the first that covers a finding takes it.
        today: the day that `until` is held against.
    """

    expectations: Sequence[Expectation]
    today: datetime.date = field(default_factory=datetime.date.today)
    _unaccepted: Counter[Severity] = field(default_factory=Counter, init=False)
    _accepted: int = field(default=0, init=False)
    _taken: dict[tuple[object, ...], Expectation | None] = field(default_factory=dict, init=False)
    _used: set[Expectation] = field(default_factory=set, init=False)

    def count(self, finding: Finding) -> str:
        """Count a finding; why it is accepted, "" where it is not."""
        taken = self.add(finding)
        return "" if taken is None else taken.reason

    def add(self, finding: Finding) -> Expectation | None:
        """Count a finding; return the expectation that accepts it, if any."""
        key = (*finding.key, finding.alternatives)
        if key not in self._taken:
            self._taken[key] = self._accepting(finding)
        accepted = self._taken[key]
        if accepted is None:
            self._unaccepted[finding.severity] += 1
        else:
            self._accepted += 1
        return accepted

    def reason(self, finding: Finding) -> str:
        """Why a finding that was counted is accepted; "" where it is not."""
        taken = self._taken.get((*finding.key, finding.alternatives))
        return "" if taken is None else taken.reason

    def unaccepted(self, fail_on: Severity) -> int:
        """The number of findings at least as severe as `fail_on` that no expectation accepts."""
        return sum(count for severity, count in self._unaccepted.items() if severity.rank <= fail_on.rank)

    @property
    def accepted(self) -> int:
        """The number of findings that an expectation accepts."""
        return self._accepted

    @property
    def unmatched(self) -> tuple[Expectation, ...]:
        """The expectations that no finding matched."""
        return tuple(e for e in self.expectations if e not in self._used)

    def stale(self, subjects: Iterable[str]) -> tuple[Expectation, ...]:
        """The expectations that no finding matched, though one of these subjects (ids) was tested: remove them."""
        tested = list(subjects)
        return tuple(e for e in self.unmatched if any(fnmatchcase(subject, e.subject) for subject in tested))

    @property
    def expired(self) -> tuple[Expectation, ...]:
        """The expectations past their last day."""
        return tuple(e for e in self.expectations if self._is_over(e))

    def _accepting(self, finding: Finding) -> Expectation | None:
        covering = [e for e in self.expectations if e.covers(finding)]
        self._used.update(covering)
        return next((e for e in covering if not self._is_over(e)), None)

    def _is_over(self, expectation: Expectation) -> bool:
        return expectation.until is not None and expectation.until < self.today
