"""How a script calls the function: once, repeatedly, or with another derivative (see `logitmus.worker.call_modes`)."""

from __future__ import annotations

from typing import Any, Final

from logitmus.core.observation import Garbled, Raised
from logitmus.core.problem import DERIVATIVES, ONCE
from logitmus.reports.script.literals import Code
from logitmus.results.reproduction import Reproduction, ReproError

_WRITTEN: Final = ("backward_twice", "forward_mode")  # of `DERIVATIVES`, those that the templates know
_REPEATED: Final = 40  # calls, where chance decides


def scenario(one: Reproduction) -> dict[str, Any]:
    """What is called beside the question itself, where the answer hangs on that."""
    problem = one.problem
    told = {problem.manner, one.finding.cause.partition(":")[2], *one.dependences}
    # What a function of a user's own remembers, it need not remember in a process that has just begun.
    others = bool(told & {"after_others", "earlier_calls"}) or one.own is not None
    by_chance = bool(told & {"chance", "again"})
    place = f"np.linspace(-1, 1, {problem.classes})"
    large = {"logits": f"16384 * {place}", "probabilities": f"(1 + {place}) / 2"}
    twice = ["np.concatenate([LOGITS[::-1]] * 2)", "np.concatenate([TARGETS[::-1]] * 2)"]
    if problem.cotangent is not None:
        twice.append("np.concatenate([UPSTREAM] * 2)" if problem.cotangent.ndim else "UPSTREAM")
    return {
        "others": others,
        "again": _REPEATED if by_chance else 2 if others else int(one.finding.cause == "changes:backward_twice"),
        "large": Code(large.get(one.subject.convention.inputs, f"8192 * ({place} - 1)")),
        "twice": Code(", ".join(twice)) if problem.batch else None,
    }


def asking(one: Reproduction, mode: str) -> dict[str, Any]:
    """The calls that are the question, in a script of this mode (`repro`).

    Raises:
        ReproError: for a derivative that the templates do not know, or of what is not differentiated.
    """
    manner = _manner(one, mode)
    if manner in DERIVATIVES and (manner not in _WRITTEN or one.framework == "numpy"):
        raise ReproError(f"{one.finding.id}: no scripts of {one.framework} are made for the manner {manner}")
    forward, twice = manner == "forward_mode", manner == "backward_twice"
    names = ["LOGITS", "TARGETS", *(["UPSTREAM"] if one.problem.cotangent is not None else [])]
    question, ask = ", ".join(names), "ask_forward" if forward else "ask"
    return {
        "forward": forward,
        "backward_twice": twice,
        "plain": not forward or mode == "dies",  # it may have been the plain call that did not come back
        "ask": Code(ask),
        "twice_argument": Code(", twice=False" if twice else ""),
        "question": Code(question),
        "rest": Code("".join(f", {name}" for name in names[1:])),
        "asked_first": Code(f"{ask}({question})"),
        "asked": Code(f"{ask}({question}{', twice=True' if twice else ''})"),
    }


def _manner(one: Reproduction, mode: str) -> str:
    """That of the problem, unless what was seen was seen in the plain call, which comes first."""
    plain = isinstance(one.outcome, Garbled) or (isinstance(one.outcome, Raised) and not one.outcome.answered_before)
    return ONCE if plain or mode == "wrote_into" else one.problem.manner
