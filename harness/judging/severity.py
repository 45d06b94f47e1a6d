"""The weight of a choice of the convention: how severe it is if a result is right only under that choice."""

from __future__ import annotations

from typing import Final

from logitmus.core.convention import FIELDS
from logitmus.core.finding import Kind, Severity
from logitmus.core.subject import Subject

# An invalid label is not reported by these: a plausible number hides it.
_SILENT: Final = frozenset({"wrap", "clamp", "zero", "garbage"})


def of_contradiction(subject: Subject, name: str) -> tuple[Kind, Severity]:
    """The kind and severity of a finding that a result contradicts the declared value of a field.

    A documented value is a false claim; an undocumented value is a difference. A function that is checked against a
    reference has claimed nothing itself.
    """
    if name in subject.docs:
        return Kind.CONVENTION if subject.held_to else Kind.CLAIM, Severity.BUG
    return Kind.CONVENTION, Severity.DIFFERENCE


def contradiction(subject: Subject, name: str, value: str) -> str:
    """The declared value of a field, its source, and the measured value."""
    source = f"{subject.held_to} has" if subject.held_to else "declared is"
    return f"{source} {subject.convention.describe(name)}; measured: {FIELDS[name].values[value]}"


def of_difference(name: str, value: str) -> Severity:
    """The severity of a declared choice that is not portable: a plausible number for an invalid label is a hazard."""
    silent = (name.startswith("label_") and value in _SILENT) or (name, value) == ("wide_labels", "narrowed")
    return Severity.HAZARD if silent else Severity.DIFFERENCE
