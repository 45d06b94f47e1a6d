"""Standard output as a Rich console; in a file or a pipe, without trailing blanks."""

from __future__ import annotations

import re
import sys
from typing import IO, Any, Final

from rich.console import Console

_PADDING: Final = re.compile(r" +(?=\n)")


class _Trimmed:
    """A stream that removes the trailing blanks of table rows."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(_PADDING.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def stdout() -> Console:
    """The console for what a verb prints."""
    stream: Any = sys.stdout if sys.stdout.isatty() else _Trimmed(sys.stdout)
    return Console(file=stream)
