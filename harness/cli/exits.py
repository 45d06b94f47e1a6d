"""Exit codes, and the options that decide them. Light: loaded by `--help`."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """The exit codes of `logitmus`."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    BACKEND = 3
    INTERNAL_ERROR = 70
    INTERRUPTED = 130


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
