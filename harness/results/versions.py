"""The packages of a framework: those that its functions are named after, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from logitmus.core.subject import Subject
from logitmus.results import wording
from logitmus.worker.environment import normalized

if TYPE_CHECKING:
    from logitmus.results.summary import Summary


def owners(subjects: Sequence[Subject]) -> set[str]:
    """The backends of subjects, and the modules by which functions are named (optax, keras)."""
    named = {subject.function.partition(".")[0] for subject in subjects if "." in subject.function}
    return {subject.backend for subject in subjects} | {normalized(name) for name in named}


def is_own(package: str, names: Iterable[str]) -> bool:
    """Whether a distribution belongs to a framework: jax, jaxlib and jax-cuda12-plugin belong to jax."""
    return any(package in (name, f"{name}lib") or package.startswith(f"{name}-") for name in names)


def tested(subjects: Iterable[Subject], environment: Mapping[str, Any]) -> dict[str, str]:
    """The versions, by name, of the packages that subjects are named after, such as torch, or jax, jaxlib and optax.

    Args:
        environment: of the backend of these subjects.
    """
    names = owners(list(subjects))
    packages = {normalized(name): str(version) for name, version in environment.get("packages", {}).items()}
    return {
        wording.printable(name): wording.printable(version) for name, version in packages.items() if is_own(name, names)
    }


def of_backends(summary: Summary) -> dict[str, dict[str, str]]:
    """For each backend that was called, the versions of its packages."""
    called = [summary.subjects[identity] for identity in summary.requested_subjects() if identity in summary.subjects]
    return {
        name: tested((subject for subject in called if subject.backend == name), backend.environment)
        for name, backend in sorted(summary.backends.items())
        if any(subject.backend == name for subject in called)
    }
