"""What it is that a function does otherwise, in one field, than its declared convention says."""

from __future__ import annotations

from logitmus.core import causes
from logitmus.core.convention import FIELDS
from logitmus.core.finding import Kind, Severity
from logitmus.core.subject import Subject


def weight(subject: Subject, name: str) -> tuple[Kind, Severity]:
    """Against what its documentation says: a false claim. Where that is silent: a difference of convention.

    A function that is held to another's convention has claimed nothing itself.
    """
    if name in subject.docs:
        return Kind.CONVENTION if subject.held_to else Kind.CLAIM, Severity.BUG
    return Kind.CONVENTION, Severity.DIFFERENCE


def words(subject: Subject, name: str, value: str) -> str:
    """What was declared, by whom, and what was measured."""
    said = f"{subject.held_to} has" if subject.held_to else "declared is"
    return f"{said} {causes.chosen(subject.convention, name)}; measured: {FIELDS[name].values[value]}"
