"""How a planted function is declared: a decorator that states its fault, the causes that name it, and its card."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from logitmus.cases.planted.cards import AS_PYTORCH, CardTruth, Deviation
from logitmus.core.problem import REDUCTIONS, Reduction, TargetKind

CORRECT: Final = "correct"
KINDS: Final[Mapping[str, str]] = {
    "forward": "the loss is computed wrongly",
    "convention": "another convention than the one promised",
    "gradient": "the gradient is wrong, and the loss is right",
    "integrity": "the result depends on what it must not depend on, or the inputs are overwritten",
    "special": "NaN and infinities",
    "contract": "shapes, dtypes, exceptions",
    "crash": "the process dies, hangs, or runs out of memory",
    CORRECT: "nothing is wrong",
}
# These causes state what was observed, and not why: by themselves they name no fault, neither rightly nor wrongly.
_SYMPTOMS: Final = (
    *("unexplained*", "lost", "invented", "missed_infinity", "wrong_infinity", "spurious_*"),
    "computes:gradient=unknown",
)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Naming(StrEnum):
    """How well the reported causes name a fault."""

    NONE = "not found"
    RIGHT = "named rightly"
    UNEXPLAINED = "unexplained"
    WRONG = "named wrongly"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A function and what is true of it.

    Attributes:
        function: takes and returns arrays of `framework`.
        kind: a key of `KINDS`. targets: the kind of targets that it takes.
        incident: the real fault that it is modelled on.
        causes: patterns (`fnmatch`) of the causes, of "depends_on:...", or of the parts "computes:..." of a model of
            the whole function, that name the fault rightly. Empty for a fault that no cause can name yet: then
            "unexplained" is the honest finding, but never a right name.
        card: what its convention card must say; None where no card can be right, because its results depend on more
            than its arguments or its process dies.
        options: its own names for the arguments, by ours.
    """

    name: str
    framework: str
    function: Callable[..., Any]
    kind: str
    targets: TargetKind = TargetKind.LABELS
    incident: str = ""
    causes: tuple[str, ...] = ()
    card: CardTruth | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; choose from {', '.join(KINDS)}")
        if _matches("unexplained", self.causes):
            raise ValueError(f"{self.name}: 'unexplained' names no fault")

    @property
    def id(self) -> str:
        return f"{self.framework}:{self.name}"

    @property
    def faulty(self) -> bool:
        return self.kind != CORRECT

    @property
    def class_axis(self) -> str:
        """Where it takes its classes."""
        return self._only("class_axis", "last")

    @property
    def default_reduction(self) -> Reduction:
        """What it does with the rows where no reduction is requested."""
        default = self._only("default_reduction", "mean")
        return next(reduction for reduction in REDUCTIONS if reduction == default)

    def _only(self, name: str, otherwise: str) -> str:
        values = () if self.card is None or name not in self.card.values else self.card.right(name)
        return next(iter(values)) if len(values) == 1 else otherwise

    def naming(self, causes: Collection[str], model: Collection[str] = ()) -> Naming:
        """How the causes that were reported name the fault; a right cause suffices.

        Args:
            model: the parts "computes:..." of a model of the whole function. They decide where the causes state only
                symptoms; then each of them must be true, because a sentence with a false part is false.
        """
        if not causes:
            return Naming.NONE
        if any(_matches(cause, self.causes) for cause in causes):
            return Naming.RIGHT
        if not all(_matches(cause, _SYMPTOMS) for cause in causes):
            return Naming.WRONG
        parts = [part for part in model if not _matches(part, _SYMPTOMS)]
        if not parts:
            return Naming.UNEXPLAINED
        return Naming.RIGHT if all(_matches(part, self.causes) for part in parts) else Naming.WRONG


def _matches(cause: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(cause, pattern) for pattern in patterns)


@dataclass
class Zoo:
    """The planted functions of a module, in their order."""

    framework: str
    planted: list[Planted] = field(default_factory=list)

    def fault(
        self,
        kind: str,
        incident: str,
        *causes: str,
        targets: TargetKind = TargetKind.LABELS,
        card: Deviation | None = AS_PYTORCH,
        options: Mapping[str, str] | None = None,
    ) -> Callable[[_Function], _Function]:
        """Declare the decorated function to have a fault, which any of these causes names rightly.

        Args:
            card: how its card differs from that of PyTorch's function with the same parameters.
        """
        return self._planting(kind, targets, card, options or {}, incident=incident, causes=causes)

    def correct(
        self, targets: TargetKind = TargetKind.LABELS, card: Deviation = AS_PYTORCH
    ) -> Callable[[_Function], _Function]:
        """Declare the decorated function to be correct."""
        return self._planting(CORRECT, targets, card, {})

    def _planting(
        self,
        kind: str,
        targets: TargetKind,
        card: Deviation | None,
        options: Mapping[str, str],
        incident: str = "",
        causes: tuple[str, ...] = (),
    ) -> Callable[[_Function], _Function]:
        def plant(function: _Function) -> _Function:
            planted = Planted(
                name=function.__name__,
                framework=self.framework,
                function=function,
                kind=kind,
                targets=targets,
                incident=incident,
                causes=causes,
                card=None if card is None else card.of(function, self.framework),
                options=options,
            )
            self.planted.append(planted)
            return function

        return plant
