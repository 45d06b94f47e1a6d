"""Logitmus: every framework's cross-entropy, the same adversarial questions, exact answers.

The public names are loaded on first use: the worker imports this package inside foreign environments, and
`logitmus --help` should not wait for numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Convention": "logitmus.core.convention",
    "Problem": "logitmus.core.problem",
    "Enclosure": "logitmus.oracle.enclosure",
    "assert_conforms": "logitmus.checking.check",
    "check": "logitmus.checking.check",
    "explain": "logitmus.conventions.explain",
    "identify": "logitmus.conventions.identify",
    "reference": "logitmus.oracle.answer",
}
__all__ = [
    "Convention",
    "Enclosure",
    "Problem",
    "__version__",
    "assert_conforms",
    "check",
    "explain",
    "identify",
    "reference",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'logitmus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
