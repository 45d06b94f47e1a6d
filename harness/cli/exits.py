"""Exit codes, and which findings decide them. Light: loaded by `--help`."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """What `logitmus` ends with."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    BACKEND = 3
    FAULT = 70
    INTERRUPTED = 130


class FailOn(StrEnum):
    """The least severity that exits with 1."""

    BUG = "bug"
    HAZARD = "hazard"
    DIFFERENCE = "difference"
    NOTE = "note"
    NEVER = "never"


class ProfileChoice(StrEnum):
    """How much is asked."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"
