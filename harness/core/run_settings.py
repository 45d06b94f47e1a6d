"""The settings of a run, which its file keeps: they select its problems and say what follows on the suite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from logitmus.core.problem import Problem  # `--help` loads this module, and no NumPy


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """How findings are examined.

    calls: the most calls for a finding; 0: none is examined.
    subjects: the ids of the subjects whose findings are examined, each for itself; none: one subject of each backend
        stands for all subjects with the same finding.
    references: by the id of a subject, the subject that it is compared with: what both show on a problem is not
        examined.
    """

    calls: int = 0
    subjects: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exploration:
    """How long a run explores beyond the suite: minutes, or fewer if so many rounds are complete."""

    minutes: float = 0.0
    rounds: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of `count` parts of a suite, numbered from 1.

    Problems are divided by a hash of their signature: a problem stays in its shard when others are added to the suite,
    and problems that share a compilation share a shard.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"{self}: there are shards 1/{self.count} to {self.count}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """NUMBER/COUNT.

        Raises:
            ValueError: for anything else.
        """
        number, _, count = text.partition("/")
        return cls(number=int(number), count=int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def includes(self, problem: Problem) -> bool:
        """Whether `problem` belongs to this shard."""
        digest = hashlib.blake2b(json.dumps(problem.signature).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedFunction:
    """The user's function in the file of `logitmus check`.

    framework: the registered name of its backend.
    target: "FILE.py:FUNCTION" or "MODULE:FUNCTION"; "": an object of the process that no import can find.
    options: its own names for the arguments, by ours.
    """

    framework: str = ""
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """The settings of a run, which resumes with its own.

    A file that was written by another version may lack some of them, which then have these defaults.

    Attributes:
        backends: as `--backend` names them; none: all that are installed.
        subjects, devices, families: globs; none: all. dtypes: names; none: all.
        profile, seed: of the suite.
        examine, explore: what follows on the suite.
        check, function: the label and the location of the function that `logitmus check` checks.
        merged: the number of files that this file is the union of; not every subject was called with every problem.
        repeat: how many times all calls are repeated, each time in the same workers and in new ones.
        shard: the part of the suite that this file holds; None: all of it. What follows on the suite depends on all
            of its results, so a shard leaves it to the file into which all shards are merged.
    """

    backends: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    profile: str = "default"
    seed: int = 0
    examine: Examination = Examination()
    explore: Exploration = Exploration()
    check: str = ""
    function: CheckedFunction | None = None
    merged: int = 0
    repeat: int = 0
    shard: Shard | None = None

    @property
    def examination(self) -> Examination:
        """How findings are examined: not at all in a shard."""
        return self.examine if self.shard is None else Examination()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without what is not set beyond the selection of problems and the examination."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name in _ALWAYS or value}


_ALWAYS: Final = ("backends", "subjects", "devices", "families", "dtypes", "profile", "seed", "examine")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items() if inner or inner == 0}
    return list(value) if isinstance(value, tuple) else value
