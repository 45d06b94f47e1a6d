"""Detection power: which of the planted faults this harness finds and explains, and what it says of correct functions.

`logitmus selftest` measures it (`logitmus.checking.selftest`). The score is kept in the user's cache beside the
fingerprint of the harness, so that every report can state how reliable the harness is, or that this is unmeasured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import platformdirs

from logitmus import __version__, cases
from logitmus.cases.planted import CORRECT, KINDS, Planted
from logitmus.results import wording

_NOT_MEASURED = "not measured for this version of the harness; `logitmus selftest` does that"
SCHEMA: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one planted function.

    Attributes:
        causes: of all that is held against it, and what that depends on; the worst first.
        found: something is. explained: one of the causes says rightly what is wrong.
        profile: where it was found, "quick" or "default". family: the first of the suite's families that showed it.
    """

    planted: Planted
    causes: tuple[str, ...] = ()
    explained: bool = False
    profile: str = ""
    family: str = ""

    @property
    def name(self) -> str:
        return f"{self.planted.framework}:{self.planted.name}"

    @property
    def found(self) -> bool:
        return bool(self.causes)

    @property
    def as_it_should_be(self) -> bool:
        return not self.found if self.planted.kind == CORRECT else self.explained


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The results of one selftest.

    Attributes:
        results: in the order of the planted functions. remarks: what could not be asked, and why.
    """

    results: tuple[Result, ...]
    seconds: float
    problems: int
    calls: int
    remarks: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[Result, ...]:
        """The results of the functions of one of `KINDS`."""
        return tuple(one for one in self.results if one.planted.kind == kind)

    @property
    def faults(self) -> tuple[Result, ...]:
        return tuple(one for one in self.results if one.planted.kind != CORRECT)

    @property
    def correct(self) -> tuple[Result, ...]:
        return self.of_kind(CORRECT)

    @property
    def perfect(self) -> bool:
        """Every fault found and rightly explained, nothing said against a correct implementation."""
        return all(one.as_it_should_be for one in self.results)

    def by_kind(self) -> Iterator[tuple[str, int, int, int]]:
        """For each kind of fault: planted, found, and rightly explained."""
        for kind in KINDS:
            of_kind = self.of_kind(kind)
            if kind != CORRECT and of_kind:
                yield kind, len(of_kind), sum(one.found for one in of_kind), sum(one.explained for one in of_kind)

    @property
    def power(self) -> Power:
        """In numbers and names, as it is kept."""
        return Power(
            schema=SCHEMA,
            fingerprint=fingerprint(),
            version=__version__,
            kinds={kind: (planted, found, right) for kind, planted, found, right in self.by_kind()},
            correct=len(self.correct),
            missed=tuple(one.name for one in self.faults if not one.found),
            misnamed=tuple(one.name for one in self.faults if one.found and not one.explained),
            alarms=tuple(one.name for one in self.correct if one.found),
            remarks=self.remarks,
        )


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a selftest of the whole came to.

    Attributes:
        fingerprint: of the harness that was tested, `fingerprint()`. version: its version.
        kinds: by kind of fault: how many were planted, found, and rightly explained.
        correct: how many correct implementations were asked.
        missed, misnamed, alarms: faults not found, those found and not rightly explained, and correct implementations
            that something was said against.
        remarks: what could not be asked, and why.
    """

    schema: int
    fingerprint: str
    version: str
    kinds: dict[str, tuple[int, int, int]]
    correct: int
    missed: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def planted(self) -> int:
        return sum(planted for planted, _, _ in self.kinds.values())

    @property
    def found(self) -> int:
        return sum(found for _, found, _ in self.kinds.values())

    @property
    def explained(self) -> int:
        return sum(explained for _, _, explained in self.kinds.values())

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def keep(power: Power) -> Path:
    """Put it into the user's cache; where it then is."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(power), indent=1) + b"\n")
    return path


def known() -> Power | None:
    """What this very harness came to here, if that was ever measured; a file that says anything else is passed over."""
    try:
        power = msgspec.json.decode(_path().read_bytes(), type=Power)
    except (OSError, msgspec.MsgspecError):
        return None
    return power if (power.schema, power.fingerprint) == (SCHEMA, fingerprint()) else None


@cache
def fingerprint() -> str:
    """20 hexadecimal digits of the BLAKE2b hash of the harness's own source: another harness, another power."""
    digest = hashlib.blake2b(digest_size=10)
    for folder in _folders():
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def headline(power: Power | None) -> str:
    """One sentence; also where nobody has measured it."""
    if power is None:
        return f"detection power: {_NOT_MEASURED}"
    alarms = wording.plural(len(power.alarms), "false alarm") if power.alarms else "no false alarm"
    return (
        f"detection power: {power.found} of {power.planted} planted faults found, {power.explained} of them rightly "
        f"explained; {alarms} on {wording.plural(power.correct, 'correct implementation')}"
    )


def shortfalls(power: Power | None) -> list[str]:
    """What was not found, not rightly explained, or found without cause, by name; and what could not be asked."""
    if power is None:
        return []
    told = (
        ("not found", power.missed),
        ("found, and not rightly explained", power.misnamed),
        ("said something against, though correct", power.alarms),
    )
    return [f"{words}: {', '.join(names)}" for words, names in told if names] + list(power.remarks)


def rows(power: Power) -> list[tuple[str, str, int, int, int]]:
    """For each kind of fault: the kind, what it is, and how many were planted, found and rightly explained."""
    return [(kind, KINDS[kind], *counts) for kind, counts in power.kinds.items()]


# --- within ------------------------------------------------------------------------------------------------------


def _folders() -> tuple[Path, ...]:
    """Where what finds and explains lies: the engine and the problems. An editable install has them side by side."""
    return (Path(__file__).parent.parent, Path(str(cases.__file__)).parent)


def _path() -> Path:
    return Path(platformdirs.user_cache_dir("logitmus")) / "selftest.json"
