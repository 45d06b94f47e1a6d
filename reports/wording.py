"""How problems and findings are put into words, the same for every reader."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from logitmus.finding import Finding, Grade, Kind, Severity
from logitmus.phrases import part_name
from logitmus.problem import Array, Problem

GRADES: Final = {
    Grade.A: "accurate: a few ulps of the result",
    Grade.B_PLUS: "shift-stable, well summed",
    Grade.B: "shift-stable, summed in any order",
    Grade.C: "backward-stable only: a common offset eats the digits",
    Grade.F: "outside every budget",
    Grade.COARSE: "the budget would let any number pass; no grade",
}
SEVERITIES: Final = {
    Severity.BUG: "contradicts its own documentation, or no convention excuses it",
    Severity.HAZARD: "a plausible number for an invalid question",
    Severity.DIFFERENCE: "from the portable convention, or short of what is asked",
    Severity.NOTE: "worth knowing",
}
KINDS: Final = {
    Kind.ACCURACY: "further from the exact value than its budget",
    Kind.CONVENTION: "answers another question than the portable one",
    Kind.SPECIAL: "NaN, an infinity or a zero where the exact answer is another",
    Kind.CONTRACT: "raised or did not, wrong dtype or shape, accepted an invalid label",
    Kind.INTEGRITY: "wrote into its input, or depends on what it should not",
    Kind.CRASH: "the process died",
    Kind.TIMEOUT: "did not come back",
    Kind.CLAIM: "its declaration is false",
}
_WHY: Final = {
    "lost": "one such row turns the whole mean, and with it every weight of the model, into NaN",
    "spurious_overflow": "an infinite loss where training could have gone on",
    "separate_logsumexp": "logits that drift by a common offset (they do: nothing pins them) lose their loss digit by "
    "digit, and a difference of 1 reads as 0",
    "unexplained": "nobody knows yet what it computes; do not compare losses across this",
    "invented": "a broken input goes unnoticed",
    "saturated": "a number that looks real hides that the loss left the dtype",
    "weak_sum": "harmless at small K; grows with the vocabulary",
    "negative_zero": "matters only to code that looks at the sign of a zero loss",
    "mean_denominator": "the effective learning rate differs by the ratio of the two counts",
    "inputs": "logits fed to it give a number that looks like a loss and is none",
    "ignore_default": "a label of that value vanishes without being asked to",
    "ignored_row": "padding that holds NaN or infinities poisons the batch",
    "zero_times_infinity": "masking classes with -inf turns the loss into NaN",
    "infinite_logits": "one overflowed logit costs the whole batch, even where the limit is known",
    "overflowing_shift": "finite logits, a finite answer, and NaN: large masks such as -3e38 meet this",
    "label_out_of_range": "a wrong label goes unnoticed",
    "label_negative": "a wrong or padding label goes unnoticed",
    "soft_target_gradient": "for targets that do not sum to 1 the update is not the derivative of the loss",
    "wide_inputs": "float64 was asked for and 29 bits were dropped",
    "effective_precision": "half-precision losses carry two or three digits, and confident rows read as 0",
    "all_ignored_mean": "a batch without a single kept label gives NaN here and 0 there",
    "empty_batch_mean": "an empty batch gives NaN here and 0 there",
    "probability_clip": "confident wrong answers are all charged the same",
    "raised": "a valid batch stops the program",
    "accepted": "an invalid batch goes on",
}


def why(finding: Finding) -> str:
    """Why it matters, in a sentence; empty where nothing more is to be said."""
    head, _, tail = finding.cause.partition(":")
    field = tail.partition("=")[0]
    return _WHY.get(field) or _WHY.get(head, "")


def question(problem: Problem, row: int | None) -> str:
    """The problem in a line: the row concerned (or the rows), its target, and the options that are not the default."""
    rows = problem.rows
    x = problem.logits.reshape(rows, problem.classes) if rows else problem.logits.reshape(0, problem.classes)
    shape = "x".join(map(str, problem.logits.shape))
    said = [f"{problem.dtype}[{shape}]"]
    if rows and problem.classes:
        chosen = row if row is not None and row < rows else 0
        said.append(f"logits {short(x[chosen])}")
        if problem.target_kind == "labels":
            said.append(f"target {problem.targets.reshape(rows)[chosen]}")
        else:
            said.append(f"targets {short(problem.targets.reshape(rows, problem.classes)[chosen])}")
        if rows > 1:
            said.append(f"row {chosen} of {rows}")
    if problem.weight is not None:
        said.append(f"weight {short(problem.weight)}")
    if problem.ignore_index is not None:
        said.append(f"ignore_index {problem.ignore_index}")
    if problem.label_smoothing:
        said.append(f"label_smoothing {problem.label_smoothing:g}")
    if problem.reduction != "none":
        said.append(f"reduction {problem.reduction}")
    if problem.layout != "contiguous":
        said.append(f"layout {problem.layout}")
    return ", ".join(said)


def short(values: Array, most: int = 8) -> str:
    """A row in few characters: the values, or those that differ from the most frequent one."""
    row = values.astype(np.float64)
    if len(row) <= most:
        return "[" + ", ".join(number(v) for v in row.tolist()) + "]"
    distinct, counts = np.unique(row, return_counts=True)
    if len(distinct) <= most:
        usual = distinct[counts.argmax()]
        others = [f"{number(v)} at {k}" for k, v in enumerate(row.tolist()) if v != usual and not math.isnan(v)]
        if len(others) <= 4:
            rest = f", but {', '.join(others)}" if others else ""
            return f"[{len(row)} times {number(usual)}{rest}]"
    head = ", ".join(number(v) for v in row[:4].tolist())
    return f"[{head}, ... {len(row) - 5} more ..., {number(float(row[-1]))}]"


def number(value: float) -> str:
    """Seven digits are enough to know it by; the exact bits are in the file."""
    return f"{value:.7g}"


def where(finding: Finding) -> str:
    """Which value of which part."""
    if not finding.part:
        return ""
    place = part_name(finding.part)
    return f"{place}, class {finding.index}" if finding.index is not None else place


def measure(finding: Finding) -> str:
    """Both coordinates: ulps of the result, share of the budget."""
    said = []
    if finding.ulps is not None:
        said.append("infinitely many ulps" if finding.ulps == float("inf") else f"{finding.ulps:,.3g} ulps")
    if finding.share is not None:
        said.append(f"{finding.share:,.3g} of its budget")
    return ", ".join(said)


def names(subjects: set[str]) -> str:
    """Subjects of one backend in few words: `torch: cross_entropy, nn.CrossEntropyLoss @cpu`."""
    ordered = sorted(subjects)
    backend = ordered[0].split(":", 1)[0]
    by_device: dict[str, list[str]] = {}
    for subject in ordered:
        function, _, device = subject.split(":", 1)[-1].rpartition("@")
        by_device.setdefault(device, []).append(function)
    devices = "; ".join(f"{', '.join(functions)} @{device}" for device, functions in by_device.items())
    return f"{backend}: {devices}"
