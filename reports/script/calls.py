"""Calls of a script: once, repeatedly, or with another derivative (see `logitmus.worker.call_modes`)."""

from __future__ import annotations

from typing import Any, Final

from logitmus.core.observation import Garbled, Raised
from logitmus.core.problem import DERIVATIVES, ONCE
from logitmus.reports.script.literals import Code
from logitmus.results.reproduction import Reproduction, ReproError

_WRITTEN: Final = ("backward_twice", "forward_mode")  # the `DERIVATIVES` that the templates support
_REPEATED: Final = 40  # calls, where chance decides


def scenario(reproduction: Reproduction) -> dict[str, Any]:
    """Calls besides the problem itself, if the result depends on them."""
    problem = reproduction.problem
    occasions = {problem.manner, reproduction.finding.cause.detail, *reproduction.dependences}
    # The state of a user's function may differ in a fresh process.
    others = bool(occasions & {"after_others", "earlier_calls"}) or reproduction.own is not None
    by_chance = bool(occasions & {"chance", "again"})
    place = f"np.linspace(-1, 1, {problem.classes})"
    large = {"logits": f"16384 * {place}", "probabilities": f"(1 + {place}) / 2"}
    twice = ["np.concatenate([LOGITS[::-1]] * 2)", "np.concatenate([TARGETS[::-1]] * 2)"]
    if problem.cotangent is not None:
        twice.append("np.concatenate([UPSTREAM] * 2)" if problem.cotangent.ndim else "UPSTREAM")
    return {
        "others": others,
        "again": _REPEATED
        if by_chance
        else 2
        if others
        else int(reproduction.finding.cause == "changes:backward_twice"),
        "large": Code(large.get(reproduction.subject.convention.inputs, f"8192 * ({place} - 1)")),
        "twice": Code(", ".join(twice)) if problem.batch else None,
    }


def call_values(reproduction: Reproduction, mode: str) -> dict[str, Any]:
    """The calls of the problem, in a script of this mode.

    Raises:
        ReproError: a derivative that the templates do not support.
    """
    manner = _manner(reproduction, mode)
    if manner in DERIVATIVES and (manner not in _WRITTEN or reproduction.framework == "numpy"):
        raise ReproError(
            f"{reproduction.finding.id}: {reproduction.framework} scripts do not support the call mode {manner}"
        )
    forward, twice = manner == "forward_mode", manner == "backward_twice"
    names = ["LOGITS", "TARGETS", *(["UPSTREAM"] if reproduction.problem.cotangent is not None else [])]
    inputs = ", ".join(names)
    call = "call_forward" if forward else "call_function"
    return {
        "forward": forward,
        "backward_twice": twice,
        "plain": not forward or mode == "dies",  # the plain call itself may not have returned
        "ask": Code(call),
        "twice_argument": Code(", twice=False" if twice else ""),
        "inputs": Code(inputs),
        "rest": Code("".join(f", {name}" for name in names[1:])),
        "plain_call": Code(f"{call}({inputs})"),
        "full_call": Code(f"{call}({inputs}{', twice=True' if twice else ''})"),
    }


def _manner(reproduction: Reproduction, mode: str) -> str:
    """The call mode of the problem, unless the fault is in the plain call, which is first."""
    plain = isinstance(reproduction.outcome, Garbled) or (
        isinstance(reproduction.outcome, Raised) and not reproduction.outcome.answered_before
    )
    return ONCE if plain or mode == "wrote_into" else reproduction.problem.manner
