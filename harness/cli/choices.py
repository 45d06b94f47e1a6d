"""Resolve the names and globs of the command line; an empty list means all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logitmus.core.problem import Problem
    from logitmus.core.run_settings import RunSettings
    from logitmus.execution.registry import BackendSpec


def chosen_backends(texts: Sequence[str]) -> tuple[BackendSpec, ...]:
    """The backend of each `--backend TEXT`.

    Raises:
        RegistryError: for an unknown or invalid backend.
    """
    from logitmus.execution import registry

    return registry.distinct([registry.parse(text) for text in texts]) if texts else registry.available()


def chosen_problems(settings: RunSettings) -> Iterator[Problem]:
    """The problems that a run's settings select, one at a time.

    Raises:
        SuiteError: at the call, for a name or a glob that matches nothing.
    """
    from logitmus.cases.suite import suite

    return suite(
        settings.profile,
        seed=settings.seed,
        families=settings.families or None,
        dtypes=settings.dtypes or None,
    )
