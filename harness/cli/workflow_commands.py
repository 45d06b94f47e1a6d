"""Workflow commands of GitHub Actions: what is printed there contains none, except for the annotations of `--github`.

The runner takes every line of the output that begins with "::", after white space, for a command, and every "##[" in a
line for one of an earlier kind. The names of functions and the messages of exceptions are foreign text, and a line that
is wrapped may begin anywhere in it. Light: loaded by `--help`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

_COMMAND: Final = re.compile(r"(?P<start>(?:^|[\r\n])[^\S\r\n]*):(?=:)|(?P<earlier>##)(?=\[)")
_LINE_ENDS: Final = re.compile(r"[\r\n]")


class _Disarmed:
    """A stream of text in whose lines a space breaks up what would be a command.

    Attributes:
        armed: the stream behind it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.armed = stream
        self._line = ""  # the part of the last line that is written; as it was before

    def write(self, text: str) -> int:
        whole = self._line + text
        self.armed.write(disarmed(whole)[len(disarmed(self._line)) :])
        self._line = _LINE_ENDS.split(whole)[-1]
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.armed, name)


def disarmed(text: str) -> str:
    """The text without workflow commands."""
    return _COMMAND.sub(lambda found: f"{found['start']}: " if found["earlier"] is None else "## ", text)


@contextmanager
def without_commands() -> Iterator[None]:
    """In a job of GitHub Actions, print no workflow commands on standard output and standard error but by `command`."""
    if not os.environ.get("GITHUB_ACTIONS"):
        yield
        return
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_Disarmed, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def command(line: str) -> None:
    """Print a workflow command."""
    stream = getattr(sys.stdout, "armed", sys.stdout)
    stream.write(f"{line}\n")
    stream.flush()
