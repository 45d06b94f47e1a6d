"""Convention cards: what has been measured of a function's convention, and how sure that is. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from logitmus.conventions.explain_function import FunctionExplanation
from logitmus.core.causes import Cause
from logitmus.core.convention import Convention

SCHEMA: Final = 1  # of Card.as_dict()
State = Literal["measured", "undetermined", "contradicted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of a field.

    Attributes:
        field: of `convention.FIELDS`.
        state: "measured": one value is left and evidence has ruled out others. "undetermined": several are left, or
            nothing was tested. "contradicted": no value explains all that was observed.
        values: those left; of a contradicted field those that explain a part of the observations.
        evidence: ids of the problems that ruled others out, or that contradict.
        why: in words.
    """

    field: str
    state: State
    values: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """A fault of the arithmetic, as the judge names it.

    Attributes:
        cause, summary: as in `Finding`. problem: the id of a problem that shows it; idea: what that problem is about.
        part, expected, observed: the worst value there.
    """

    cause: Cause
    summary: str
    problem: str
    idea: str
    part: str = ""
    expected: str = ""
    observed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The measured convention of a subject.

    Attributes:
        subject: its id. targets: the kind it was tested with.
        convention: the measured values; elsewhere the most portable of those left.
        fields: by name, in the order of `convention.FIELDS`.
        remarks: what a person should know besides ("raises on every call: TypeError: ...").
        mechanisms: faults of the arithmetic; none for a correct implementation.
        calls: how often it was called.
        explanation: what the function computes; None where it was not looked for.
    """

    subject: str
    targets: str
    convention: Convention
    fields: Mapping[str, Measured]
    remarks: tuple[str, ...] = ()
    mechanisms: tuple[Mechanism, ...] = ()
    calls: int = 0
    explanation: FunctionExplanation | None = None

    def __getitem__(self, field: str) -> Measured:
        return self.fields[field]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; "schema" is its version."""
        return {
            "schema": SCHEMA,
            "subject": self.subject,
            "targets": self.targets,
            "calls": self.calls,
            "convention": self.convention.as_dict(),
            "fields": [asdict(measured) for measured in self.fields.values()],
            "remarks": list(self.remarks),
            "mechanisms": [asdict(mechanism) for mechanism in self.mechanisms],
            "computes": None if self.explanation is None else self.explanation.as_dict(),
        }
