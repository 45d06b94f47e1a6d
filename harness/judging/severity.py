"""The weight of a choice of the convention: how severe it is if a result is right only under that choice, and whether
anybody has to decide about it.
"""

from __future__ import annotations

from typing import Final

from logitmus.core.convention import FIELDS
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.core.floats import FLOAT_DTYPES
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


def is_characteristic(finding: Finding, subject: Subject | None) -> bool:
    """Whether it is a choice that its subject declares and keeps: half precision stored in half, a convention.

    A function that is checked against a reference declares nothing itself.
    """
    if subject is None or subject.held_to or finding.severity is not Severity.DIFFERENCE:
        return False
    if finding.kind is Kind.CONVENTION and finding.cause.is_convention and not finding.alternatives:
        name, value = finding.cause.choice
        return bool(getattr(subject.convention, name) == value)
    return finding.kind is Kind.ACCURACY and finding.cause.name == "effective_precision" and _is_kept(finding, subject)


def _is_kept(finding: Finding, subject: Subject) -> bool:
    """Whether the effective precision that was found is at least the declared one."""
    declared = subject.precision[finding.dtype]
    return all(
        FLOAT_DTYPES[dtype].itemsize >= FLOAT_DTYPES[getattr(declared, use)].itemsize
        for use, dtype in finding.cause.precision.items()
    )
