"""Detection power: which of the planted faults this harness finds and names, and what it reports on correct functions.

`logitmus selftest` measures it (`logitmus.checking.selftest`). The score is kept beside the fingerprint of the harness,
so that every report can state how reliable the harness is, or that this is unmeasured: a release ships the file
`detection_power.json` of this package, and a source checkout has what was measured there in the user's cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import platformdirs

from logitmus import __version__, cases
from logitmus.cases.planted.zoo import CORRECT, KINDS, Naming, Planted
from logitmus.results import wording

_NOT_MEASURED = "not measured for this version of the harness; logitmus selftest does that"
SCHEMA: Final = 2
SHIPPED: Final = Path(__file__).with_name("detection_power.json")
"""The score of the release; a source checkout has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result for a planted function.

    Attributes:
        causes: the causes of its findings, and what those depend on; the worst first.
        model: where these name nothing, the parts in which a model of the whole function deviates from what it must
            compute, as "computes:..."; None: no model was looked for.
        profile: where it was found, "quick" or "default". family: the first of the suite's families that showed it.
        card_errors: what is wrong with its convention card; None: no card can be right for it.
    """

    planted: Planted
    causes: tuple[str, ...] = ()
    model: tuple[str, ...] | None = None
    profile: str = ""
    family: str = ""
    card_errors: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return self.planted.id

    @property
    def found(self) -> bool:
        return bool(self.causes)

    @property
    def naming(self) -> Naming:
        """How the reported causes, or else the model, name the fault."""
        return self.planted.naming(self.causes, self.model or ())

    @property
    def settled(self) -> bool:
        """Whether a fault is named rightly, or is found and no cause can name it."""
        return self.naming is Naming.RIGHT or (self.planted.faulty and self.found and not self.planted.causes)

    @property
    def right(self) -> bool:
        """A fault is found and not named wrongly, a correct function has no finding, and no card is wrong."""
        if self.card_errors:
            return False
        return not self.found if not self.planted.faulty else self.naming in (Naming.RIGHT, Naming.UNEXPLAINED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The results of a selftest.

    Attributes:
        results: in the order of the planted functions. remarks: what could not be tested, and why.
    """

    results: tuple[Result, ...]
    seconds: float
    problems: int
    calls: int
    remarks: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[Result, ...]:
        """The results of the functions of a kind in `KINDS`."""
        return tuple(result for result in self.results if result.planted.kind == kind)

    @property
    def faults(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.planted.faulty)

    @property
    def correct(self) -> tuple[Result, ...]:
        return self.of_kind(CORRECT)

    @property
    def perfect(self) -> bool:
        """Every fault is found and none named wrongly, no correct function has a finding, and every card is right."""
        return all(result.right for result in self.results)

    @property
    def power(self) -> Power:
        """The counts and names that are kept."""
        kinds = {kind: self.of_kind(kind) for kind in KINDS if kind != CORRECT}
        cards = [result for result in self.results if result.card_errors is not None]
        return Power(
            schema=SCHEMA,
            fingerprint=fingerprint(),
            version=__version__,
            kinds={kind: _kind_power(results) for kind, results in kinds.items() if results},
            correct=len(self.correct),
            missed=tuple(result.name for result in self.faults if not result.found),
            unexplained=tuple(result.name for result in self.faults if result.naming is Naming.UNEXPLAINED),
            misnamed=tuple(result.name for result in self.faults if result.naming is Naming.WRONG),
            alarms=tuple(result.name for result in self.correct if result.found),
            cards=len(cards),
            wrong_cards=tuple(result.name for result in cards if result.card_errors),
            remarks=self.remarks,
        )


class KindPower(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many faults of a kind were planted, found, and among these named rightly, unexplained, named wrongly."""

    planted: int
    found: int
    named: int
    unexplained: int
    misnamed: int


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The score of a whole selftest.

    Attributes:
        fingerprint: of the harness that was tested, `fingerprint()`. version: its version.
        kinds: the counts by kind of fault.
        correct: how many correct implementations were checked.
        missed, unexplained, misnamed: the faults that were not found, found without a name, and named wrongly.
        alarms: the correct implementations with a finding.
        cards: how many convention cards were measured. wrong_cards: the functions whose card is wrong.
        remarks: what could not be tested, and why.
    """

    schema: int
    fingerprint: str
    version: str
    kinds: dict[str, KindPower]
    correct: int
    missed: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    cards: int = 0
    wrong_cards: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def planted(self) -> int:
        return sum(kind.planted for kind in self.kinds.values())

    @property
    def found(self) -> int:
        return sum(kind.found for kind in self.kinds.values())

    @property
    def named(self) -> int:
        return sum(kind.named for kind in self.kinds.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def keep(power: Power, path: Path | None = None) -> Path:
    """Save the score, by default in the user's cache, and return the path of the file."""
    path = path or _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(power), indent=1) + b"\n")
    return path


def known() -> Power | None:
    """The score of this very harness, if it was measured here or shipped with it; any other file is ignored."""
    for path in (_path(), SHIPPED):
        try:
            power = msgspec.json.decode(path.read_bytes(), type=Power)
        except (OSError, msgspec.MsgspecError):
            continue
        if (power.schema, power.fingerprint) == (SCHEMA, fingerprint()):
            return power
    return None


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
    """One sentence under its name, also where it is unmeasured."""
    return f"detection power: {score(power)}"


def score(power: Power | None) -> str:
    """What was found of the planted faults, in a sentence without its name."""
    if power is None:
        return _NOT_MEASURED
    alarms = wording.plural(len(power.alarms), "false alarm") if power.alarms else "no false alarm"
    return (
        f"{power.found} of {power.planted} planted faults found, {power.named} of them named rightly, "
        f"{len(power.unexplained)} unexplained, {len(power.misnamed)} named wrongly; "
        f"{alarms} on {wording.plural(power.correct, 'correct implementation')}; "
        f"{power.cards - len(power.wrong_cards)} of {power.cards} convention cards right"
    )


def shortfalls(power: Power | None) -> list[str]:
    """The functions that were not found, not named, named wrongly or found without a fault; and what was not tested."""
    if power is None:
        return []
    lists = (
        ("not found", power.missed),
        ("found, but unexplained", power.unexplained),
        ("found, but named wrongly", power.misnamed),
        ("false alarms", power.alarms),
        ("wrong convention cards", power.wrong_cards),
    )
    return [f"{label}: {', '.join(names)}" for label, names in lists if names] + list(power.remarks)


def rows(power: Power) -> list[tuple[str, str, KindPower]]:
    """For each kind of fault: the kind, what it is, and its counts."""
    return [(kind, KINDS[kind], counts) for kind, counts in power.kinds.items()]


def _kind_power(results: Sequence[Result]) -> KindPower:
    namings = [result.naming for result in results]
    return KindPower(
        planted=len(results),
        found=sum(result.found for result in results),
        named=namings.count(Naming.RIGHT),
        unexplained=namings.count(Naming.UNEXPLAINED),
        misnamed=namings.count(Naming.WRONG),
    )


def _folders() -> tuple[Path, ...]:
    """The folders of the engine and of the problems; an editable install has them side by side."""
    return (Path(__file__).parent.parent, Path(str(cases.__file__)).parent)


def _path() -> Path:
    return Path(platformdirs.user_cache_dir("logitmus")) / "selftest.json"
