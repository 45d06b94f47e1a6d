"""What the names and globs of the command line stand for; what stands for nothing is told with what there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from logitmus.cases.family import Family
    from logitmus.problem import Problem
    from logitmus.registry import BackendSpec


def chosen_backends(texts: Sequence[str]) -> tuple[BackendSpec, ...]:
    """What each `--backend` means; none given: all that are registered."""
    from logitmus import registry

    return registry.distinct([registry.parse(text) for text in texts]) if texts else registry.available()


def chosen_families(globs: Sequence[str]) -> tuple[Family, ...]:
    """The families that a glob matches, in their own order; none given: all."""
    from logitmus.cases.suite import FAMILIES

    names = [family.name for family in FAMILIES]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise _unknown("--family", glob, names)
    return tuple(f for f in FAMILIES if not globs or any(fnmatchcase(f.name, glob) for glob in globs))


def chosen_problems(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of a run's settings ("profile", "seed", "dtypes", "families"), one at a time."""
    from logitmus.cases.family import Profile
    from logitmus.problem import FLOAT_DTYPES

    for dtype in settings["dtypes"]:
        if dtype not in FLOAT_DTYPES:
            raise _unknown("--dtype", dtype, list(FLOAT_DTYPES))
    profile = Profile(settings["profile"], settings["seed"], tuple(settings["dtypes"]))
    return (problem for family in chosen_families(settings["families"]) for problem in family.problems(profile))


def _unknown(option: str, seen: str, there: Sequence[str]) -> typer.BadParameter:
    close = difflib.get_close_matches(seen, there, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return typer.BadParameter(f"there is no {seen!r}.{meant} There is: {', '.join(there)}", param_hint=option)
