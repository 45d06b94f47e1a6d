"""Exit codes, and the options that decide them. Light: loaded by `--help`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from logitmus.core.errors import Exit

if TYPE_CHECKING:
    from logitmus.core.finding import Severity

__all__ = ["Exit", "FailOn", "FailOnChange", "ProfileChoice"]


class FailOn(StrEnum):
    """The lowest severity that makes the exit code 1; `new` is `difference`, of what is new."""

    BUG = "bug"
    HAZARD = "hazard"
    DIFFERENCE = "difference"
    NOTE = "note"
    NEW = "new"
    NEVER = "never"

    @property
    def severity(self) -> Severity | None:
        """The lowest severity that counts; None: none does."""
        from logitmus.core.finding import Severity

        if self is FailOn.NEVER:
            return None
        return Severity.DIFFERENCE if self is FailOn.NEW else Severity(self.value)


class FailOnChange(StrEnum):
    """Which changes from one version to another make the exit code 1."""

    WORSE = "worse"
    CHANGED = "changed"
    NEVER = "never"


class ProfileChoice(StrEnum):
    """Test profile: how many problems are used."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"
