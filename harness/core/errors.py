"""Errors that a person can act on: what is wrong, what to do about it, and how the command line ends.

Light (stdlib): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """The exit codes of `logitmus`."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    BACKEND = 3
    INTERNAL_ERROR = 70
    INTERRUPTED = 130


class LogitmusError(Exception):
    """The root of all errors of Logitmus; the command line and the pytest plugin print it without a traceback.

    An error with the exit code INTERNAL_ERROR should have been handled by other code: it keeps its traceback.

    Attributes:
        message: what is wrong. hint: what to do about it; "": the message says so.
        exit_code: how the command line ends if nothing handles the error.
    """

    exit_code: ClassVar[Exit] = Exit.USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        end = "" if self.message.endswith("?") else "."
        return f"{self.message.rstrip('.')}{end} {self.hint}"


def closest(name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that are spelled most like `name`, best first; empty where none is close."""
    return get_close_matches(name, list(known), n=count, cutoff=cutoff)


def suggest(name: str, known: Iterable[str], *, cutoff: float = 0.6, most: int | None = None) -> str:
    """The end of a message about an unknown name: "did you mean 'mean_denominator'?", or a list of the known names.

    Args:
        most: how many names the list has at most; None: all.
    """
    names = list(known)
    close = closest(name, names, cutoff=cutoff)
    if close:
        return f"did you mean {close[0]!r}?"
    listed = names if most is None or len(names) <= most else [*names[:most], "..."]
    return f"choose from: {', '.join(listed)}" if names else "there are none"
