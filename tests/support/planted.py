"""What planted functions are: small cross-entropies, each declared beside the truth about it.

`Planted.truth` says for every field which values are right: one, or several that nothing can tell apart on what the
function takes. A field that is left out plays no part in it: all values are as right, and none must be "measured".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from logitmus.conventions.card import Card, Measured
from logitmus.core.convention import FIELDS
from logitmus.core.subject import TargetKind

Truth = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A function and what is true of it.

    Attributes:
        function: in the arrays of `framework`. targets: the kind it is asked with.
        truth: by field, the right value or values.
        planted: the fields that must come out as measured; all others may stay undetermined.
        odd: the fields on which it does what no value of the lattice says (a label of -1 wraps and -100 raises, say):
            that they contradict themselves is right, and so is a value that `truth` lets stand for what it mostly does.
        faults: the causes that its mechanisms may have, the first of which must be named; none: no mechanism may be.
        remark: a part of a remark that its card must have.
    """

    name: str
    framework: str
    function: Callable[..., Any]
    targets: TargetKind
    truth: Truth
    planted: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    remark: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def right(self, name: str) -> frozenset[str]:
        """The right values of a field."""
        value = self.truth.get(name, tuple(FIELDS[name].values))
        return frozenset({value} if isinstance(value, str) else value)


def wrongs(planted: Planted, card: Card) -> list[str]:
    """What a card says wrongly; the empty list is what must be."""
    said = [wrong for name in FIELDS if (wrong := _wrong(planted, name, card[name]))]
    said += [f"{name} is planted and not measured: {card[name]}" for name in planted.planted if not _told(card[name])]
    causes = [mechanism.cause for mechanism in card.mechanisms]
    if unfounded := set(causes) - set(planted.faults):
        said.append(f"it is said to have {sorted(unfounded)}, which it has not")
    if planted.faults and planted.faults[0] not in causes:
        said.append(f"its fault {planted.faults[0]} is not named: {causes}")
    if planted.remark and not any(planted.remark in remark for remark in card.remarks):
        said.append(f"no remark says {planted.remark!r}: {card.remarks}")
    return said


def _told(measured: Measured) -> bool:
    return measured.state == "measured"


def _wrong(planted: Planted, name: str, measured: Measured) -> str:
    right = planted.right(name)
    if name in planted.odd and (
        measured.state != "measured" or (name in planted.truth and measured.values[0] in right)
    ):
        return ""
    match measured.state:
        case "measured" if name not in planted.truth:
            return f"{name} has no value that holds, and {measured.values[0]} was measured ({measured.why})"
        case "measured" if measured.values[0] not in right:
            return f"{name} is {'/'.join(sorted(right))}, and {measured.values[0]} was measured ({measured.why})"
        case "undetermined" if not right <= set(measured.values):
            return f"{name} is {'/'.join(sorted(right))}, and {measured.values} are said to be left ({measured.why})"
        case "contradicted":
            return f"{name} is {'/'.join(sorted(right))}, and it is said to contradict itself ({measured.why})"
        case _:
            return ""
