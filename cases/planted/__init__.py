"""Planted faults and correct implementations: what `logitmus selftest` asks, so that anyone can see that it sees.

Small functions, written as people write them. Each faulty one has one fault, modelled on a real one; a correct one has
none, however it is made. No framework is imported with a module of these, only where a function is called: the harness
reads what they are, and a worker asks them (`logitmus.checking.planted_backends`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeVar

CORRECT: Final = "correct"
KINDS: Final[Mapping[str, str]] = {
    "forward": "the loss is computed wrongly",
    "convention": "another convention than the one promised",
    "gradient": "the gradient is wrong, and the loss is right",
    "integrity": "the answer depends on what it must not, or the inputs are written into",
    "special": "NaN and infinities",
    "contract": "shapes, dtypes, exceptions",
    "crash": "it dies, hangs, or eats the memory",
    CORRECT: "nothing is wrong",
}
Targets = Literal["labels", "probabilities"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A function and what is true of it.

    Attributes:
        name, framework: of the function, in whose arrays it takes and gives.
        kind: one of `KINDS`. targets: the kind that it takes.
        incident: the real fault that it is modelled on.
        right: patterns (`fnmatch`) of the causes, or "depends_on:...", any of which is a right explanation.
    """

    name: str
    framework: str
    function: Callable[..., Any]
    kind: str
    targets: Targets = "labels"
    incident: str = ""
    right: tuple[str, ...] = ()

    def explains(self, cause: str) -> bool:
        """Whether this cause says rightly what is wrong."""
        return any(fnmatchcase(cause, pattern) for pattern in self.right)


@dataclass
class Bed:
    """The planted functions of one framework, in the order in which they stand in their module."""

    framework: str
    planted: list[Planted] = field(default_factory=list)

    def fault(self, kind: str, incident: str, *right: str, targets: Targets = "labels") -> Callable[[F], F]:
        """Plants the decorated function, whose fault any of the causes `right` explains rightly."""

        def plant(function: F) -> F:
            self._add(function, kind, targets, incident, right)
            return function

        return plant

    def correct(self, targets: Targets = "labels") -> Callable[[F], F]:
        """Plants the decorated function as one that has no fault."""

        def plant(function: F) -> F:
            self._add(function, CORRECT, targets, "", ())
            return function

        return plant

    def _add(
        self, function: Callable[..., Any], kind: str, targets: Targets, incident: str, right: tuple[str, ...]
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind}: no such kind; use one of {', '.join(KINDS)}")
        self.planted.append(
            Planted(
                name=function.__name__,
                framework=self.framework,
                function=function,
                kind=kind,
                targets=targets,
                incident=incident,
                right=right,
            )
        )
