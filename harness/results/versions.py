"""The versions of what was tested: the packages that the functions of a backend are named after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from logitmus.core.subject import Subject
from logitmus.results import wording
from logitmus.results.summary import Summary


def tested(subjects: Iterable[Subject], environment: Mapping[str, Any]) -> dict[str, str]:
    """The versions, by name, of the packages that subjects are named after, such as torch, or jax, jaxlib and optax.

    Args:
        environment: of the backend of these subjects.
    """
    names = {part for subject in subjects for part in (subject.backend, subject.function.split(".")[0])}
    packages: Mapping[str, Any] = environment.get("packages", {})
    chosen = [(name, str(version)) for name, version in packages.items() if re.split("[-_]", name)[0] in names]
    return {wording.printable(name): wording.printable(version) for name, version in chosen}


def of_backends(summary: Summary) -> dict[str, dict[str, str]]:
    """For each backend that was called, the versions of its packages."""
    called = [summary.subjects[identity] for identity in summary.requested_subjects() if identity in summary.subjects]
    return {
        name: tested((subject for subject in called if subject.backend == name), backend.environment)
        for name, backend in sorted(summary.backends.items())
        if any(subject.backend == name for subject in called)
    }
