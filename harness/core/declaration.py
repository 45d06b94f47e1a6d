"""Checks of what a backend declares about its subjects.

The worker checks its own `Backend` value before it describes it; the harness checks every worker, which may be any
program.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from logitmus.core.backend import Backend
from logitmus.core.convention import FIELDS
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES
from logitmus.core.problem import LAYOUTS, MANNERS, REDUCTIONS, Option, TargetKind
from logitmus.core.subject import BY_CALL, BY_START, OFF, PROFILES, Subject

_GRADIENTS: Final = ("logits", "targets")


class DeclarationError(LogitmusError, ValueError):
    """An invalid declaration; the message gives the value and the valid values."""

    exit_code = Exit.INTERNAL_ERROR


def subjects_of(backend: Backend, devices: Iterable[str]) -> list[Subject]:
    """Its subjects on these devices.

    Raises:
        DeclarationError: see `check_subjects`.
        ConventionError: for a convention's field or choice that there is not.
    """
    subjects = backend.subjects(list(devices))
    check_subjects(subjects)
    return subjects


def check_subjects(subjects: Iterable[Subject]) -> None:
    """Check everything that is named by a string.

    Raises:
        DeclarationError: for an unknown name, for a dtype without a precision, and for two subjects with the same id.
    """
    seen: set[str] = set()
    for subject in subjects:
        if subject.id in seen:
            raise DeclarationError(f"subject {subject.id} is offered twice")
        seen.add(subject.id)
        _check(subject)


def _check(subject: Subject) -> None:
    offer, precision = subject.offer, subject.precision
    for what, names, known in (
        ("offer.targets", (offer.targets,), tuple(TargetKind)),
        ("offer.options", offer.options, tuple(Option)),
        ("offer.reductions", offer.reductions, REDUCTIONS),
        ("offer.dtypes", offer.dtypes, FLOAT_DTYPES),
        ("offer.label_dtypes", offer.label_dtypes, LABEL_DTYPES),
        ("offer.layouts", offer.layouts, LAYOUTS),
        ("offer.manners", offer.manners, MANNERS),
        ("offer.gradients", offer.gradients, _GRADIENTS),
        ("precision", precision, FLOAT_DTYPES),
        *((f"precision.{d}", (p.result, p.storage, p.arithmetic), FLOAT_DTYPES) for d, p in precision.items()),
        ("least_profile", (subject.least_profile,), PROFILES),
        ("docs", subject.docs, ("", *FIELDS)),
        ("switch", (subject.switch,), ("", OFF, BY_START, BY_CALL)),
    ):
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise DeclarationError(
                f"subject {subject.id}: {what}: {unknown[0]!r}; use {', '.join(filter(None, known))}"
            )
    if subject.has_switch and (not subject.variant or set(subject.variant) & set("+@: ")):
        raise DeclarationError(f"subject {subject.id}: switch {subject.variant!r}; a name has none of '+@: '")
    missing = sorted(set(offer.dtypes) - set(precision))
    if missing:
        raise DeclarationError(f"subject {subject.id}: precision: nothing for {missing[0]}, which it takes")
