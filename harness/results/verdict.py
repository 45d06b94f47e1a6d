"""The verdict on a run in plain words, and how the run was made: what a reader of a report wants to know first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final

from logitmus.core import catalogue
from logitmus.core.finding import Severity
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import SubjectId
from logitmus.results import versions, wording
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_GRADE: Final = re.compile(r" \(grade \S+\)")
_HALF: Final = frozenset({"bfloat16", "float16"})
_WRONG: Final = (Severity.BUG, Severity.HAZARD)


def sentence(summary: Summary) -> str:
    """How many bugs and hazards count; or that there are none."""
    if not summary.calls:
        return "Nothing was tested"
    count = len(wrong(summary))
    if count:
        return "1 thing can bite you" if count == 1 else f"{count} things can bite you"
    rest = [group for group in summary.groups() if group.counts and group.finding.severity is Severity.DIFFERENCE]
    return "No wrong result" + (f"; {wording.plural(len(rest), 'difference')} to decide on" if rest else "")


def wrong(summary: Summary) -> list[Group]:
    """The bugs and hazards that count, worst first."""
    return [group for group in summary.groups() if group.counts and group.finding.severity in _WRONG]


def in_words(group: Group) -> str:
    """The functions of a group, and what is wrong with them."""
    functions = list(dict.fromkeys(SubjectId.parse(subject).function for subject in sorted(group.subjects)))
    others = f" and {len(functions) - 1} more" if len(functions) > 1 else ""
    cause = group.finding.cause
    what = catalogue.summary(cause) if cause.is_convention else group.finding.summary
    where = f" (in {', '.join(sorted(group.dtypes))})" if group.dtypes <= _HALF else ""
    return f"{SubjectId.parse(group.finding.subject).backend} {functions[0]}{others}: {_GRADE.sub('', what)}{where}"


def provenance(summary: Summary, made: str = "") -> list[str]:
    """What ran: the packages of each framework, the devices, the day, and the command.

    Args:
        made: when the run was made; "": unknown.
    """
    packages = [
        f"{name} {version}"
        for of_backend in versions.of_backends(summary).values()
        for name, version in of_backend.items()
    ]
    devices = sorted({SubjectId.parse(subject).device for subject in summary.requested_subjects()})
    lines = [", ".join(dict.fromkeys(packages)), f"on {', '.join(devices)}" if devices else "", made]
    if summary.started:
        lines.append(command(summary.started.settings))
    return [line for line in lines if line]


def command(settings: RunSettings) -> str:
    """The command that makes such a run."""
    function = settings.function
    if function is not None and function.target:
        return shlex.join(["logitmus", "check", function.target, "-f", function.framework or "FRAMEWORK"])
    return shlex.join(["logitmus", "run", *_options(settings)])


def _options(settings: RunSettings) -> Iterator[str]:
    for option, values in {
        "--backend": settings.backends,
        "--subject": settings.subjects,
        "--device": settings.devices,
        "--family": settings.families,
        "--dtype": settings.dtypes,
    }.items():
        for value in values:
            yield from (option, value)
    default = RunSettings()
    if settings.profile != default.profile:
        yield from ("--profile", settings.profile)
    if settings.seed != default.seed:
        yield from ("--seed", str(settings.seed))
    if settings.repeat:
        yield from ("--repeat", str(settings.repeat))
    if settings.explore.minutes:
        yield from ("--explore", f"{settings.explore.minutes:g}")
