"""Compares the convention card that was measured for a planted function with the one that is right for it."""

from __future__ import annotations

from logitmus.cases.planted.cards import CardTruth
from logitmus.conventions.card import Card, Measured
from logitmus.core.convention import FIELDS


def errors(truth: CardTruth, card: Card, *, mechanisms: bool = True) -> list[str]:
    """What the card states wrongly, and what it had to determine and did not; empty for a right card.

    Args:
        mechanisms: whether the mechanisms were looked for.
    """
    messages = [message for name in FIELDS if (message := _error(truth, name, card[name]))]
    messages += [
        f"{name} must be measured, and is {card[name].state}" for name in truth.measured if not _is_measured(card[name])
    ]
    if mechanisms:
        messages += _mechanism_errors(truth, [str(mechanism.cause) for mechanism in card.mechanisms])
    if truth.remark and not any(truth.remark in remark for remark in card.remarks):
        messages.append(f"no remark contains {truth.remark!r}; remarks: {'; '.join(card.remarks) or 'none'}")
    return messages


def _mechanism_errors(truth: CardTruth, causes: list[str]) -> list[str]:
    messages = []
    if unfounded := sorted(set(causes) - set(truth.mechanisms)):
        messages.append(f"it does not have these mechanisms: {', '.join(unfounded)}")
    if truth.mechanisms and truth.mechanisms[0] not in causes:
        messages.append(f"its mechanism {truth.mechanisms[0]} is not named; named: {', '.join(causes) or 'none'}")
    return messages


def _is_measured(measured: Measured) -> bool:
    return measured.state == "measured"


def _error(truth: CardTruth, name: str, measured: Measured) -> str:
    """What is wrong with one field; "": nothing."""
    right, plays_a_part = truth.right(name), name in truth.values
    if name in truth.inconsistent and (not _is_measured(measured) or (plays_a_part and measured.values[0] in right)):
        return ""
    expected = "/".join(sorted(right))
    match measured.state:
        case "measured" if not plays_a_part:
            return f"{name} plays no part, and {measured.values[0]} was measured ({measured.why})"
        case "measured" if measured.values[0] not in right:
            return f"{name} is {expected}, and {measured.values[0]} was measured ({measured.why})"
        case "undetermined" if not right <= set(measured.values):
            return f"{name} is {expected}, and only {'/'.join(measured.values)} are left ({measured.why})"
        case "contradicted":
            return f"{name} is {expected}, and is reported to contradict itself ({measured.why})"
        case _:
            return ""
