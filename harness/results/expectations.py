"""Expectations: findings that the user has accepted, with a reason, in `logitmus.toml` or in `pyproject.toml`.

    [[expect]]                                          # in pyproject.toml: [[tool.logitmus.expect]]
    subject = "tensorflow:*"                            # glob over subject ids, or a list of globs
    cause = "convention:soft_target_gradient=plain"     # glob over causes
    reason = "documented; our targets always sum to 1"
    kind = "convention"                                 # optional
    family = "probability-targets"                      # optional: glob over families, or a list of globs
    problem = "0f3c"                                    # optional: the id of a problem, or how it begins
    link = "https://example.org/issues/7"               # optional
    until = 2027-01-31                                  # optional: the last day on which it holds
    profile = "quick"                                   # optional: the smallest profile that shows it ("default")
    when.packages.keras = ">=3.5,<4"                    # optional conditions: all of them must hold
    when.device = "cpu"                                 # glob over devices
    when.dtype = "float16"                              # a dtype, or a list
    when.mode = "jit"                                   # glob over modes; "eager" where there is none
    when.platform = "linux*"                            # glob over platforms, in lower case

    [but]                                               # for `logitmus check`: what is intended (`check --but`)
    label_smoothing = 0.1

An entry accepts a class of findings, and never a looser tolerance. An accepted finding is still reported, but no longer
affects the exit code. `results.acceptance` says which entries a run needs.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from logitmus.core.catalogue import CAUSES
from logitmus.core.convention import FIELDS
from logitmus.core.errors import LogitmusError, suggest
from logitmus.core.finding import Finding, Kind
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.subject import SubjectId
from logitmus.results.expectations_mistakes import Located
from logitmus.worker.environment import normalized

Globs = str | tuple[str, ...]
EAGER: Final = "eager"
DEFAULT_FILE: Final = Path("logitmus.toml")
_IN_PYPROJECT: Final = ("tool", "logitmus")
_PROBLEM_ID: Final = re.compile("[0-9a-f]{1,20}")  # or how it begins: `Problem.id`


class ExpectationsError(LogitmusError, ValueError):
    """An invalid expectations file; the message names the file, the line and what is allowed."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where an expectation holds; the module's docstring explains the fields."""

    packages: dict[str, str] = {}
    device: str | None = None
    dtype: Globs | None = None
    mode: str | None = None
    platform: str | None = None

    def holds_in(self, environment: Mapping[str, Any]) -> bool:
        """Whether the packages and the platform of a backend's environment meet the conditions."""
        installed = environment.get("packages", {})
        return _matches(self.platform, str(environment.get("platform", "")).lower()) and all(
            _is_within(installed.get(normalized(name)), versions) for name, versions in self.packages.items()
        )


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted class of findings; the module's docstring explains the fields."""

    subject: Globs
    cause: str
    reason: str
    kind: Kind | None = None
    family: Globs | None = None
    problem: str | None = None
    link: str = ""
    until: datetime.date | None = None
    profile: Literal["quick", "default", "full"] = "default"
    when: Conditions = Conditions()

    def covers(self, finding: Finding) -> bool:
        """Whether it matches this finding, or a cause that explains it as well, whatever the date and the packages."""
        return (
            self.concerns(finding.subject, finding.family, finding.dtype, finding.problem)
            and any(fnmatchcase(cause, self.cause) for cause in (finding.cause, *finding.alternatives))
            and self.kind in (None, finding.kind)
        )

    def concerns(self, subject: str, family: str, dtype: str, problem: str) -> bool:
        """Whether it is about the results of this subject (an id) on this problem (an id) of a family."""
        return (
            self.includes(subject)
            and _matches(self.family, family)
            and _matches(self.when.dtype, dtype)
            and problem.startswith(self.problem or "")
        )

    def is_within(self, selected: Collection[str]) -> bool:
        """Whether it is about no subject beyond these globs: each of its own is one of them, or the id of a subject."""
        globs = (self.subject,) if isinstance(self.subject, str) else self.subject
        return all(glob in selected or not set(glob) & set("*?[") for glob in globs)

    def includes(self, subject: str) -> bool:
        """Whether it is about this subject (an id)."""
        if not _matches(self.subject, subject):
            return False
        named = SubjectId.parse(subject)
        return _matches(self.when.device, named.device) and _matches(self.when.mode, "+".join(named.modes) or EAGER)

    def __str__(self) -> str:
        subject = self.subject if isinstance(self.subject, str) else ", ".join(self.subject)
        kind = f" ({self.kind.value})" if self.kind else ""
        return f"{subject} · {self.cause}{kind}"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    expect: list[Expectation] = []
    but: dict[str, str | float] = {}


def _matches(globs: Globs | None, name: str) -> bool:
    patterns = (globs,) if isinstance(globs, str) else globs
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_within(version: str | None, versions: str) -> bool:
    """Whether an installed version is in a range; a package that is not installed is in none."""
    try:
        return version is not None and SpecifierSet(versions).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def load(path: Path) -> tuple[Expectation, ...]:
    """The expectations in `path`.

    Raises:
        ExpectationsError: not readable, not TOML, an unknown, missing or empty field, a cause that no finding has, or a
            condition that nothing meets.
    """
    source = _Source.of(path)
    for number, expectation in enumerate(source.content.expect):
        for name, message in _faults(expectation):
            raise ExpectationsError(source.located.message(number, name, message))
    return tuple(source.content.expect)


def load_intentions(path: Path) -> dict[str, str | float]:
    """The table [but] of `path`: what `logitmus check` takes for intended; the names are checked there.

    Raises:
        ExpectationsError: not readable, not TOML, or a value that is neither text nor a number.
    """
    return _Source.of(path).content.but


def default_file(folder: Path = Path()) -> Path | None:
    """The file of a folder that holds expectations: logitmus.toml, or a pyproject.toml with [tool.logitmus]."""
    own, project = folder / DEFAULT_FILE, folder / "pyproject.toml"
    if own.exists():
        return own
    try:
        tools = tomllib.loads(project.read_text(encoding="utf-8")).get(_IN_PYPROJECT[0], {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None  # not a project, or one whose file is for other tools to complain about
    return project if isinstance(tools, dict) and _IN_PYPROJECT[1] in tools else None


def place(path: Path) -> tuple[str, ...]:
    """The table of a file in which the expectations are."""
    return _IN_PYPROJECT if path.name == "pyproject.toml" else ()


@dataclass(frozen=True)
class _Source:
    """A file, and what it holds."""

    located: Located
    content: _File

    @classmethod
    def of(cls, path: Path) -> _Source:
        try:
            text = path.read_text(encoding="utf-8")
            table: Any = tomllib.loads(text)
        except OSError as error:
            raise ExpectationsError(f"{path}: cannot be read ({error.strerror}); name a file with --expect") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ExpectationsError(f"{path}: not a TOML file: {error}") from error
        for name in place(path):
            table = table.get(name, {})
        located = Located(path, text, ".".join((*place(path), "expect")))
        try:
            # An array of TOML is a list; the values are hashed, so that they hold tuples.
            return cls(located, msgspec.convert(table, _File))
        except msgspec.ValidationError as error:
            raise ExpectationsError(located.explained(str(error), table)) from error


def _faults(expectation: Expectation) -> Iterator[tuple[str, str]]:
    """The fields that can match nothing, and what is wrong with them."""
    for name in ("subject", "cause", "reason", "family", "problem"):
        value = getattr(expectation, name)
        texts = () if value is None else (value,) if isinstance(value, str) else value
        if value is not None and not (texts and all(text.strip() for text in texts)):
            yield name, f"{name} is empty"
    for name in ("device", "mode", "platform"):
        if getattr(expectation.when, name) is not None and not getattr(expectation.when, name).strip():
            yield name, f"when.{name} is empty"
    if expectation.when.dtype == ():
        yield "dtype", "when.dtype is empty"
    if expectation.problem is not None and not _PROBLEM_ID.fullmatch(expectation.problem):
        allowed = "write the 20 characters of the id, each 0-9 or a-f, or the first of them"
        yield "problem", f"{expectation.problem!r} cannot be the id of a problem; {allowed}"
    yield from (("cause", message) for message in _unknown_cause(expectation.cause))
    when = expectation.when
    dtypes = (when.dtype,) if isinstance(when.dtype, str) else when.dtype or ()
    for dtype in dtypes:
        if dtype not in FLOAT_DTYPES:
            yield "dtype", f"unknown dtype {dtype!r}; {suggest(dtype, FLOAT_DTYPES)}"
    for package, versions in when.packages.items():
        yield from ((package, message) for message in _impossible(package, versions))


def _unknown_cause(pattern: str) -> Iterator[str]:
    name, _, detail = pattern.partition(":")
    if not any(fnmatchcase(known, name) for known in CAUSES):
        yield f"unknown cause {name!r}; {suggest(name, CAUSES)}"
    field = detail.partition("=")[0]
    if name == "convention" and "=" in detail and not any(fnmatchcase(known, field) for known in FIELDS):
        yield f"unknown field of a convention {field!r}; {suggest(field, FIELDS)}"


def _impossible(package: str, versions: str) -> Iterator[str]:
    try:
        wanted = SpecifierSet(versions)
    except InvalidSpecifier:
        yield f"invalid version range {versions!r} of {package}; write one such as '>=2.1,<3'"
        return
    if not any(wanted.contains(version, prereleases=True) for version in _near(wanted)):
        yield f"no version of {package} is in the range {versions!r}"


def _near(wanted: SpecifierSet) -> Iterable[Version]:
    """Versions below, at and above each bound: if none of them is in the range, the range is empty."""
    yield Version("0")
    for specifier in wanted:
        bound = specifier.version.removesuffix(".*")
        yield from map(Version, (bound, f"{Version(bound).public}.post999"))
        yield Version(f"{Version(bound).base_version}.0.0.1")
        yield Version(f"{Version(bound).base_version}.dev0")
