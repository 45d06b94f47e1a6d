"""Translation of a call of a function into a call of another that means the same.

A translation first uses what the other function offers (arguments, other ways to call it). If that is not enough, it
requests the rows without a reduction and reduces them by hand. Pure: no function is called here. Whether a translation
is correct is decided by the exact answer (`logitmus.porting.differences`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from logitmus.core.backend import Usage
from logitmus.core.floats import Array, float_array
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.oracle.question import Question, one_hot
from logitmus.oracle.resolve import resolve

NEVER: Final = -(2**31)  # a label that does not occur, for functions that ignore a label by default
_LOG: Final = "log"
_ARGMAX: Final = "targets.argmax(-1)"
_ONLY_ONE_HOT: Final = "for one-hot targets only: soft targets are not supported"
_DIVISORS: Final = {
    "rows": "the number of all rows",
    "kept": "the number of rows that are not ignored",
    "weights": "the sum of the class weights at the labels of the kept rows",
    "elements": "the number of all logits",
}
_TRANSFORMS: Final[Mapping[tuple[str, str], str]] = {
    ("logits", "probabilities"): "softmax",
    ("logits", "log_probabilities"): "log_softmax",
    ("probabilities", "logits"): _LOG,
    ("probabilities", "log_probabilities"): _LOG,
    ("log_probabilities", "probabilities"): "exp",
}


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A call of `subject` that means the same as a call of another function.

    Attributes:
        problem: the inputs of `subject`. question: the meaning.
        arguments, statements: the code in the call and before it. turn: the changes that select this subject.
        logits, targets: the expressions for the inputs in the call.
        afterwards: what remains to be done with the result, in words.
    """

    subject: Subject
    problem: Problem
    question: Question
    factors: Array | None = None
    arguments: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    logits: str = "logits"
    targets: str = "targets"
    afterwards: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All changes, in words and code."""
        places = (("logits", self.logits), ("targets", self.targets))
        expressions = (f"{name} = {written}" for name, written in places if written != name)
        return (*self.turn, *self.arguments, *expressions, *self.afterwards)

    def code(self, usage: Usage) -> str:
        """The call; "" if the backend does not describe it."""
        return written(usage, self.logits, self.targets, self.arguments)

    def finish(self, outcome: Outcome) -> Outcome:
        """The result, with the rows reduced by hand if the translation requires it."""
        if self.factors is None or not isinstance(outcome, Answered):
            return outcome
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = outcome.loss * self.factors.reshape(outcome.loss.shape).astype(outcome.loss.dtype)
            if self.question.reduction == "none":
                return Answered(rows)
            joined = rows.sum() / self.question.divisor.sum().astype(rows.dtype)
        fixed = self.question.fixed
        return Answered(np.asarray(joined if fixed is None else np.asarray(fixed, rows.dtype)))


@dataclass(frozen=True)
class Turn:
    """A subject, its code, and the changes that turn the named function into it.

    statements: the `words` that precede the call; the others are part of `usage.call`.
    """

    subject: Subject
    usage: Usage
    words: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


@dataclass
class _Draft:
    """A translation in the making."""

    problem: dict[str, Any]
    arguments: list[str] = field(default_factory=list)
    targets: str = "targets"
    afterwards: list[str] = field(default_factory=list)


def translations(
    problem: Problem, source: Subject, turns: Sequence[Turn], *, plain: bool = False
) -> Iterator[Translated]:
    """The translations of `problem` from `source` to each of `turns`, simplest first; none if `source` must refuse it.

    Args:
        plain: write out the defaults of `source`, even if this problem does not need them.
    """
    question = resolve(problem, source.convention)
    if question.refused is not None:
        return
    for make in (_by_arguments, _by_hand):
        for turn in turns:
            made = make(problem, question, source, turn, plain=plain)
            if made is not None and turn.subject.why_not(made.problem) is None:
                yield made


def as_it_stands(problem: Problem, source: Subject, target: Subject) -> Problem:
    """The same arrays in the same call of `target`; labels are one-hot encoded if it takes no labels."""
    if problem.logits.ndim == 3 and source.convention.class_axis != target.convention.class_axis:
        logits = np.swapaxes(problem.logits, 1, 2)
        problem = problem.but(
            logits=logits,
            targets=problem.targets if problem.target_kind == TargetKind.LABELS else np.swapaxes(problem.targets, 1, 2),
        )
    if target.offer.targets == problem.target_kind:
        return problem
    return problem.but(targets=_other_kind(problem))


def _by_arguments(
    problem: Problem, question: Question, source: Subject, turn: Turn, *, plain: bool
) -> Translated | None:
    """Translate with arguments of the function."""
    offer = turn.subject.offer
    draft = _Draft({})
    if problem.reduction == DEFAULT_REDUCTION and question.reduction != turn.subject.convention.default_reduction:
        draft.problem["reduction"] = question.reduction
        draft.arguments.append(argument(turn.usage, "reduction", question.reduction))
    ignored = _unasked(problem, source, turn.subject, plain=plain)
    if ignored is not None:
        draft.problem["ignore_index"] = ignored
        draft.arguments.append(argument(turn.usage, "ignore_index", ignored))
    if offer.targets != problem.target_kind:
        if problem.target_kind == TargetKind.PROBABILITIES and not _is_one_hot(problem):
            return None
        draft.problem["targets"] = _other_kind(problem)
        if offer.targets == TargetKind.LABELS:
            draft.targets = _ARGMAX
            draft.afterwards.append(_ONLY_ONE_HOT)
        else:
            draft.targets = _helper(turn.usage, "one_hot", targets="targets")
    return _made(problem, question, source, turn, draft, None)


def _unasked(problem: Problem, source: Subject, target: Subject, *, plain: bool) -> int | None:
    """The label to pass as ignore_index, if the two functions ignore different labels by default."""
    mine, theirs = source.convention.ignore_default, target.convention.ignore_default
    if mine == theirs or problem.ignore_index is not None or problem.target_kind != TargetKind.LABELS:
        return None
    if mine != "none" and ((plain and "ignore_index" in target.offer.options) or (problem.targets == int(mine)).any()):
        return int(mine)
    return NEVER if theirs != "none" and (problem.targets == int(theirs)).any() else None


def _by_hand(problem: Problem, question: Question, source: Subject, turn: Turn, *, plain: bool) -> Translated | None:
    """Translate without a reduction; unsupported options are applied to the targets before or to the rows after."""
    del plain  # ignored rows are left out by hand
    offer, kept = turn.subject.offer, question.kept
    draft = _Draft({"weight": None, "ignore_index": None, "label_smoothing": 0.0, "reduction": "none"})
    if "none" not in offer.reductions or turn.subject.convention.default_reduction == "none":
        draft.problem["reduction"] = DEFAULT_REDUCTION
    else:
        draft.arguments.append(argument(turn.usage, "reduction", "none"))
    factors = kept.astype(np.float64)
    if not kept.all():
        draft.problem["logits"] = np.where(kept.reshape((*problem.batch, 1)), problem.logits, 0)
        draft.afterwards.append("put 0 in place of the ignored labels and of their logits, and leave those rows out")
    if offer.targets == TargetKind.LABELS:
        labels = _plain_labels(problem, question)
        if labels is None:
            return None
        draft.problem["targets"] = labels.reshape(problem.batch)
        if problem.target_kind == TargetKind.PROBABILITIES:
            draft.targets = _ARGMAX
            draft.afterwards.append(_ONLY_ONE_HOT)
        if question.weight is not None:
            factors = factors * question.weight[labels]
            draft.afterwards.append("multiply each row by the weight of its label")
    else:
        effective = np.where(kept[:, None], question.effective[0], 0.0)
        draft.problem["targets"] = float_array(effective.reshape(problem.logits.shape), problem.dtype)
        draft.targets = _effective_words(problem, question, turn.usage)
    if question.reduction != "none":
        draft.afterwards.append(_joined(question, source))
    return _made(problem, question, source, turn, draft, factors)


def _plain_labels(problem: Problem, question: Question) -> Array | None:
    """(R,) labels equivalent to the targets; None for smoothed or soft targets, or labels that are remapped."""
    if question.eps:
        return None
    if question.labels is None:
        return _other_kind(problem).reshape(-1) if _is_one_hot(problem) else None
    given = problem.targets.reshape(-1)
    taken_for_others = bool((given != question.labels)[question.kept].any())
    return None if taken_for_others else question.labels.astype(given.dtype)


def _made(
    problem: Problem, question: Question, source: Subject, turn: Turn, draft: _Draft, factors: Array | None
) -> Translated | None:
    changed = replace(problem, **draft.problem)
    theirs = turn.subject.convention
    logits, transform = "logits", _TRANSFORMS.get((source.convention.inputs, theirs.inputs))
    moved = problem.logits.ndim > 2 and source.convention.class_axis != theirs.class_axis
    if moved:
        logits = _helper(turn.usage, f"classes_{theirs.class_axis}", logits=logits)
    encoded = problem.target_kind == TargetKind.LABELS and problem.logits.ndim > 2 and theirs.class_axis == "1"
    if turn.subject.offer.targets == TargetKind.PROBABILITIES and (
        encoded or (moved and problem.target_kind != TargetKind.LABELS)
    ):
        draft.targets = _helper(turn.usage, f"classes_{theirs.class_axis}", logits=draft.targets)
    if transform is not None:
        changed = changed.but(logits=_transformed(changed, transform, question))
        if transform == _LOG and question.probability_scale == "before_clip":
            logits = _helper(turn.usage, "normalize", logits=logits)
        if transform == _LOG and question.clip is not None:
            logits = _helper(turn.usage, "clip", logits=logits, low=source.convention.probability_clip)
        logits = _helper(turn.usage, transform, logits=logits)
    return Translated(
        subject=turn.subject,
        problem=changed,
        question=question,
        factors=factors,
        arguments=tuple(draft.arguments),
        statements=turn.statements,
        turn=turn.words,
        logits=logits,
        targets=draft.targets,
        afterwards=tuple(draft.afterwards),
    )


def _other_kind(problem: Problem) -> Array:
    """Labels as one-hot rows (zero rows for invalid labels, as the helpers do), or the labels of one-hot rows."""
    if problem.target_kind == TargetKind.PROBABILITIES:
        return np.asarray(problem.targets.astype(np.float64).argmax(axis=-1))
    labels = problem.targets.reshape(-1)
    inside = (labels >= 0) & (labels < problem.classes)
    hot = one_hot(np.where(inside, labels, 0), problem.classes) * inside[:, None]
    return float_array(hot.reshape(problem.logits.shape), problem.dtype)


def _is_one_hot(problem: Problem) -> bool:
    q = problem.targets.astype(np.float64)
    return bool(((q == 0) | (q == 1)).all() and (q.sum(axis=-1) == 1).all())


def _transformed(problem: Problem, transform: str, question: Question) -> Array:
    """The logits after a transform; before a logarithm, probabilities are scaled and clipped as the source does it."""
    x = problem.logits.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if transform == _LOG:
            if question.probability_scale == "before_clip":
                x = x / x.sum(axis=-1, keepdims=True)
            if question.clip is not None:
                x = np.clip(x, *question.clip)
            return float_array(np.log(x), problem.dtype)
        if transform == "exp":
            return float_array(np.exp(x), problem.dtype)
        d = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
        log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
        return float_array(np.exp(log_p) if transform == "softmax" else log_p, problem.dtype)


def written(usage: Usage, logits: str = "logits", targets: str = "targets", arguments: Sequence[str] = ()) -> str:
    """The call as code; "" if the backend does not describe it."""
    return usage.call.format(logits=logits, targets=targets, more=", ".join(arguments)).replace(", )", ")")


def argument(usage: Usage, option: str, value: object) -> str:
    """An option as code."""
    template = usage.arguments.get(f"{option}={value}") or usage.arguments.get(option) or f"{option}={{}}"
    return template.format(value)


def _helper(usage: Usage, name: str, **places: str) -> str:
    inside = next(iter(places.values()))
    return usage.helpers.get(name, f"{name}({inside})").format(**places)


def _effective_words(problem: Problem, question: Question, usage: Usage) -> str:
    q = _helper(usage, "one_hot", targets="targets") if problem.target_kind == TargetKind.LABELS else "targets"
    if question.eps:
        q = (
            f"((1 - {question.eps:g}) * {q} + {question.eps:g} / K)"
            if question.spread == "uniform"
            else f"smoothed({q})"
        )
    return q if question.weight is None else f"weight * {q}"


def _joined(question: Question, source: Subject) -> str:
    if question.reduction == "sum":
        return "sum the rows"
    name = source.convention.mean_denominator
    if name == "weights" and question.weight is None:
        name = "kept"
    divisor = _DIVISORS[name]
    guard = ", or take 0 where that is 0" if question.fixed == 0 else ""
    return f"divide the sum of the rows by {divisor}{guard}"
