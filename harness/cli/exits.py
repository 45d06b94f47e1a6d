"""Exit codes, and the options that decide them. Light: loaded by `--help`."""

from __future__ import annotations

from enum import StrEnum

from logitmus.core.errors import Exit

__all__ = ["Exit", "FailOn", "ProfileChoice"]


class FailOn(StrEnum):
    """The lowest severity that makes the exit code 1."""

    BUG = "bug"
    HAZARD = "hazard"
    DIFFERENCE = "difference"
    NOTE = "note"
    NEVER = "never"


class ProfileChoice(StrEnum):
    """Test profile: how many problems are used."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"
