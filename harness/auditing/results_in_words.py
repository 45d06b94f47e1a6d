"""The results of a call of two runs, in few words: the value that a finding is about, or the first that differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.auditing.classification import outcome_kind, plain
from logitmus.core.convention import Convention
from logitmus.core.finding import Finding, part_name
from logitmus.core.floats import FLOAT_DTYPES, Array, decimal
from logitmus.core.observation import Answered, Outcome, PartName, Raised
from logitmus.core.problem import Problem
from logitmus.oracle.answer import UnanswerableError, reference
from logitmus.oracle.enclosure import Enclosure

_MESSAGE: Final = 160  # characters of an exception's message
_CONTEXT: Final = 40  # of these, before the place where two messages differ
_Place = tuple[str, int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class Values:
    """One value of two results of a problem.

    Attributes:
        part, row, index: which value, as in `Finding`; part is "" where it is about the whole call.
        before, after: the value, or what the call did.
    """

    before: str
    after: str
    part: str = ""
    row: int | None = None
    index: int | None = None

    def place(self, problem: Problem) -> str:
        """Which value, in words; "" for the whole call."""
        words = part_name(self.part) if self.part else ""
        if self.row is not None and problem.rows > 1:
            words += f", row {self.row}"
        return words + (f", class {self.index}" if self.index is not None else "")

    def exact(self, problem: Problem, convention: Convention) -> str:
        """The exact value, as an interval; "" where there is none."""
        if not self.part or self.part == PartName.SECOND_LOGITS:
            return ""
        try:
            enclosure: Enclosure = getattr(reference(problem, convention), self.part)
        except (UnanswerableError, AttributeError):
            return ""
        shape = enclosure.mid.shape
        flat = 0 if self.row is None else self.row
        if self.index is not None:
            flat = flat * problem.classes + self.index
        if flat >= enclosure.mid.size or (self.row is None and enclosure.mid.size > 1):
            return ""
        return enclosure.describe(tuple(map(int, np.unravel_index(flat, shape))) if shape else ())


def values(problem: Problem, before: Outcome, after: Outcome, finding: Finding | None) -> Values:
    """The value that a finding is about, or without one the value that differs most."""
    if isinstance(before, Raised) and isinstance(after, Raised) and before.type == after.type:
        old, new = _messages(before, after)
        return Values(before=old, after=new)
    place: _Place = ("", None, None)
    if finding is not None and finding.part:
        place = (finding.part, finding.row, finding.index)
    elif isinstance(before, Answered) and isinstance(after, Answered):
        place = _first_difference(problem, before, after)
    part, row, index = place
    return Values(
        before=_shown(before, place, problem), after=_shown(after, place, problem), part=part, row=row, index=index
    )


def _first_difference(problem: Problem, before: Answered, after: Answered) -> _Place:
    for part in PartName:
        old, new = getattr(before, part), getattr(after, part)
        if old is None or new is None or old.shape != new.shape or old.dtype != new.dtype:
            if old is None and new is None:
                continue
            return part.value, None, None
        left, right = old.astype(np.float64).reshape(-1), new.astype(np.float64).reshape(-1)
        with np.errstate(invalid="ignore"):
            differs = ~((left == right) & (np.signbit(left) == np.signbit(right)) | (np.isnan(left) & np.isnan(right)))
        if differs.any():
            gaps = np.where(differs, np.nan_to_num(np.abs(left - right), nan=np.inf, posinf=np.inf), -1.0)
            at = int(gaps.argmax())
            if part is PartName.LOSS:
                return part.value, (at if left.size > 1 else None), None
            return part.value, at // max(problem.classes, 1), at % max(problem.classes, 1)
    return "", None, None


def _messages(before: Raised, after: Raised) -> tuple[str, str]:
    """Two messages of the same exception, from a little before the place where they differ."""
    old, new = plain(before.message), plain(after.message)
    differs = next((at for at, pair in enumerate(zip(old, new, strict=False)) if len(set(pair)) > 1), len(old))
    start = max(0, differs - _CONTEXT)
    return (
        f"raises {before.type}: {'...' if start else ''}{_cut(old[start:])}",
        f"raises {after.type}: {'...' if start else ''}{_cut(new[start:])}",
    )


def _cut(message: str) -> str:
    return message[:_MESSAGE] + ("..." if len(message) > _MESSAGE else "")


def _shown(outcome: Outcome, place: _Place, problem: Problem) -> str:
    if isinstance(outcome, Raised):
        return f"raises {outcome.type}: {_cut(plain(outcome.message))}"
    if not isinstance(outcome, Answered):
        return outcome_kind(outcome)
    part, row, index = place
    array: Array | None = getattr(outcome, part or PartName.LOSS)
    if array is None:
        return "none"
    return _value(array, row, index, problem)


def _value(array: Array, row: int | None, index: int | None, problem: Problem) -> str:
    flat = array.reshape(-1)
    if not flat.size:
        return f"an empty {array.dtype.name} array"
    at = 0 if row is None else row if index is None else row * problem.classes + index
    if (row is None and flat.size > 1) or at >= flat.size:
        return f"{array.dtype.name}{list(array.shape)}"
    value = float(flat[at].astype(np.float64))
    return decimal(value, array.dtype.name) if array.dtype.name in FLOAT_DTYPES else repr(value)
