"""The fixed suite: every family's problems, deterministic, the same bits on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, cast

from logitmus.cases.families import (
    asked_again,
    bad_labels,
    big_gap,
    block_edges,
    class_weights,
    common_offset,
    computed_logits,
    confident_rows,
    convention_probes,
    degenerate,
    exp_thresholds,
    finite_masks,
    huge_magnitudes,
    ignored_rows,
    label_dtypes,
    label_smoothing,
    large_vocabulary,
    layouts,
    log_probability_inputs,
    low_rows,
    many_rows,
    masked_classes,
    non_finite,
    ordinary,
    overflowing_differences,
    probability_inputs,
    probability_targets,
    process_switches,
    reductions,
    relations,
    row_counts,
    seed_question,
    spatial,
    subnormals,
    summation_killers,
    ties,
    wide_spread,
)
from logitmus.cases.family import PROFILES, Family, Profile, ProfileName
from logitmus.core.errors import LogitmusError, suggest
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import Problem

FAMILIES: Final[tuple[Family, ...]] = tuple(
    module.FAMILY
    for module in (
        seed_question,
        ordinary,
        common_offset,
        low_rows,
        confident_rows,
        big_gap,
        huge_magnitudes,
        overflowing_differences,
        ties,
        wide_spread,
        exp_thresholds,
        subnormals,
        summation_killers,
        block_edges,
        large_vocabulary,
        finite_masks,
        masked_classes,
        non_finite,
        probability_inputs,
        log_probability_inputs,
        probability_targets,
        label_smoothing,
        ignored_rows,
        class_weights,
        reductions,
        row_counts,
        many_rows,
        label_dtypes,
        bad_labels,
        spatial,
        layouts,
        degenerate,
        asked_again,
        computed_logits,
        process_switches,
        relations,
        convention_probes,
    )
)


class SuiteError(LogitmusError, ValueError):
    """An unknown profile, family or dtype; the message lists the known names."""


def suite(
    profile: str = "default",
    *,
    seed: int = 0,
    families: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> Iterator[Problem]:
    """The problems of a profile, lazily, each id once, family by family.

    Args:
        profile: of `PROFILES`.
        seed: another seed gives other rows for the same ideas.
        families: glob patterns on the families' names; None: all.
        dtypes: of `FLOAT_DTYPES`; None: the profile's own. Fewer dtypes leave the problems of the others as they are.

    Raises:
        SuiteError: at the call, for a name or pattern that fits nothing.

    Example:
        >>> [str(problem.idea) for problem in suite("quick", families=["seed-*"], dtypes=["float32"])]
        ['the question itself', 'the question itself, one-hot target']
    """
    if profile not in PROFILES:
        raise SuiteError(_unknown("profile", profile, PROFILES))
    check_dtypes(dtypes or ())
    selected = Profile(cast(ProfileName, profile), seed, tuple(dict.fromkeys(dtypes or ())))
    return _deduplicated(select(families), selected)


def select(patterns: Sequence[str] | None = None) -> tuple[Family, ...]:
    """The families whose names match any of the glob patterns, in their own order; None: all.

    Raises:
        SuiteError: for a pattern that matches none.
    """
    names = [family.name for family in FAMILIES]
    for pattern in patterns or ():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SuiteError(_unknown("family", pattern, names))
    return tuple(
        family for family in FAMILIES if patterns is None or any(fnmatchcase(family.name, p) for p in patterns)
    )


def signatures(problems: Iterable[Problem]) -> dict[tuple[object, ...], int]:
    """How many problems share each signature: what a compiling framework pays for, and what it gets."""
    counted: dict[tuple[object, ...], int] = {}
    for problem in problems:
        counted[problem.signature] = counted.get(problem.signature, 0) + 1
    return counted


def _deduplicated(families: Iterable[Family], profile: Profile) -> Iterator[Problem]:
    seen: set[str] = set()
    for family in families:
        for problem in family.problems(profile):
            if problem.id not in seen:
                seen.add(problem.id)
                yield problem


def check_dtypes(dtypes: Iterable[str]) -> None:
    """Raises SuiteError for the first that there is not."""
    for dtype in dtypes:
        if dtype not in FLOAT_DTYPES:
            raise SuiteError(_unknown("dtype", dtype, FLOAT_DTYPES))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {what} {name!r}; {suggest(name, known)}"
