"""Words for problems, findings and numbers, the same in every report."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from logitmus.core import catalogue
from logitmus.core.computed_logits import PRODUCT, SCALED
from logitmus.core.finding import Finding, Grade, Kind, Severity, part_name
from logitmus.core.floats import Array, decimal
from logitmus.core.problem import DEFAULT_REDUCTION, ONCE, Problem, TargetKind
from logitmus.core.subject import SubjectId

# Control characters, which a terminal obeys; directions of writing, which disguise text; lone surrogates, which no
# file takes. Line feeds and tabs stay.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

GRADES: Final = {
    Grade.A: "accurate: a few ulps of the result",
    Grade.B_PLUS: "shift-stable, well summed",
    Grade.B: "shift-stable, summed in any order",
    Grade.C: "backward-stable only: cancellation under a common offset",
    Grade.F: "outside every budget",
    Grade.COARSE: "no grade: the budget would let any number pass",
}
SEVERITIES: Final = {
    Severity.BUG: "contradicts the function's own documentation, or no convention explains it",
    Severity.HAZARD: "a plausible number for an invalid input",
    Severity.DIFFERENCE: "another convention than the portable one, or coarser precision",
    Severity.NOTE: "harmless, but worth knowing",
}
CHARACTERISTIC: Final = "a choice that the function declares and keeps: known, with nothing to decide"
KINDS: Final = {
    Kind.ACCURACY: "error larger than its budget",
    Kind.CONVENTION: "computes another formula than the portable one",
    Kind.SPECIAL: "unexpected NaN, infinity or zero",
    Kind.CONTRACT: "missing or unexpected exception, wrong dtype or shape, invalid label accepted",
    Kind.INTEGRITY: "writes into its input, or depends on what it must not",
    Kind.CRASH: "the process died",
    Kind.TIMEOUT: "no result within the time limit",
    Kind.CLAIM: "its declaration is wrong",
}
_FEW_ROWS: Final = 4
_FEW_CLASSES: Final = 8
_WHY: Final = {
    "lost": "one such row turns the whole mean, and with it every weight of the model, into NaN",
    "spurious_overflow": "an infinite loss where training could have gone on",
    "separate_logsumexp": "logits that drift by a common offset (they do: nothing pins them) lose their loss digit by "
    "digit, and a difference of 1 reads as 0",
    "unexplained": "nobody knows yet what it computes; do not compare losses across this",
    "unexplained_within_c": "the larger the logits, the fewer digits are left",
    "invented": "a broken input goes unnoticed",
    "saturated": "a number that looks real hides that the loss left the dtype",
    "weak_sum": "harmless at small K; grows with the vocabulary",
    "negative_zero": "matters only to code that looks at the sign of a zero loss",
    "mean_denominator": "the effective learning rate differs by the ratio of the two counts",
    "inputs": "logits fed to it give a number that looks like a loss and is none",
    "ignore_default": "a label of that value vanishes without being asked to",
    "ignore_with_probabilities": "rows that are meant as padding are trained on",
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
    "gradient": "the loss that is watched is not the one that the model learns by",
    "gradient_of": "the loss that is watched is not the one that the model learns by",
    "raised": "a valid batch stops the program",
    "accepted": "an invalid batch goes on",
    "forward_mode": (
        "Jacobian-vector products and Hessians come out wrong, while training, which goes backward, is right"
    ),
    "second_derivative": "gradient penalties, influence functions and second-order optimisers are taught wrongly, and "
    "nothing is said",
    "changes": "the same batch does not give the same numbers: what is measured cannot be repeated",
    "raises": "training goes well until it does not",
    "wrote_into": "whoever reads its input afterwards reads other numbers",
    "depends_on": "the same row gives another number elsewhere; it may be right in every test that was written",
    "timeout": "the program waits for ever",
}
# Call modes that need other words than their names.
_CALLED: Final = {
    "again": "called again",
    "after_others": "called after other calls",
    "forward_mode": "differentiated in forward mode",
    "second_order": "differentiated twice",
    SCALED: "with logits that are computed as a number times 10/3 in the compiled function",
    PRODUCT: "with logits that are computed as a matrix product in the compiled function",
}


def question(problem: Problem, row: int | None) -> str:
    """The problem in a line: the row concerned (or the row that shows the most), its target, and the options."""
    rows, classes = problem.rows, problem.classes
    shape = "x".join(map(str, problem.logits.shape))
    parts = [f"{problem.dtype}[{shape}]"]
    if rows and classes:
        chosen = telling_row(problem, row)
        few = 1 < rows <= _FEW_ROWS and classes <= _FEW_CLASSES  # then the others are shown too: they may be the cause
        shown = list(range(rows)) if few else [chosen]
        logits = [short(row_values) for row_values in problem.logits.reshape(rows, classes)[shown]]
        if problem.target_kind == TargetKind.LABELS:
            targets = [str(label) for label in problem.targets.reshape(rows)[shown].tolist()]
        else:
            targets = [short(row_values) for row_values in problem.targets.reshape(rows, classes)[shown]]
        plural = "s" if few or problem.target_kind != TargetKind.LABELS else ""
        parts += [f"logits {_listed(logits, few)}", f"target{plural} {_listed(targets, few)}"]
        if rows > 1:
            parts.append(f"row {chosen} of {rows:,}")
    if problem.weight is not None:
        parts.append(f"weight {short(problem.weight)}")
    if problem.ignore_index is not None:
        parts.append(f"ignore_index {problem.ignore_index}")
    if problem.label_smoothing:
        parts.append(f"label_smoothing {problem.label_smoothing!r}")
    if problem.reduction != "none":
        default = problem.reduction == DEFAULT_REDUCTION
        parts.append("default reduction" if default else f"reduction {problem.reduction}")
    if problem.layout != "contiguous":
        parts.append(f"layout {problem.layout}")
    if problem.manner != ONCE:
        parts.append(_CALLED.get(problem.manner) or problem.manner.replace("_", " "))
    return ", ".join(parts)


def _listed(texts: list[str], several: bool) -> str:
    return f"[{', '.join(texts)}]" if several else texts[0]


def telling_row(problem: Problem, row: int | None) -> int:
    """The row to show: the requested row; else the first with a label outside the classes; else the first."""
    if row is not None and 0 <= row < problem.rows:
        return row
    if problem.target_kind == TargetKind.LABELS and problem.rows:
        labels = problem.targets.reshape(problem.rows)
        outside = (labels < 0) | (labels >= problem.classes)
        if problem.ignore_index is not None:
            outside &= labels != problem.ignore_index
        return int(outside.argmax())
    return 0


def short(values: Array, most: int = 8) -> str:
    """A row in few characters: the values, or the few that differ from the most frequent value and where they stand."""
    if len(values) <= most:
        return "[" + ", ".join(_numbers(values)) + "]"
    distinct, counts = np.unique(values.astype(np.float64), return_counts=True)  # all NaN count as the same value
    usual = distinct[counts.argmax()]
    same = np.isnan(values.astype(np.float64)) if np.isnan(usual) else values.astype(np.float64) == usual
    others = np.flatnonzero(~same)
    if len(others) <= 4:
        parts = [f"{len(values) - len(others):,} times {next(_numbers(values[same][:1]))}"]
        parts += [f"{n} at class {k}" for n, k in zip(_numbers(values[others]), others.tolist(), strict=True)]
        return f"[{'; '.join(parts)}]"
    head = ", ".join(_numbers(values[:4]))
    return f"[{head}, ... {len(values) - 5:,} more ..., {next(_numbers(values[-1:]))}]"


def _numbers(values: Array) -> Iterator[str]:
    """Each value exactly where seven digits can, else by the fewest digits that name it in its own dtype."""
    for value in values.astype(np.float64).tolist():
        brief = f"{value:.7g}"
        yield brief if float(brief) == value else decimal(value, values.dtype.name)


def where(finding: Finding) -> str:
    """Which value of which part."""
    if not finding.part:
        return ""
    place = part_name(finding.part)
    return f"{place}, class {finding.index}" if finding.index is not None else place


def doubt(finding: Finding) -> str:
    """Which other conventions explain it as well, and that nothing distinguishes them; "" where it is certain."""
    if not finding.alternatives:
        return ""
    others = "; ".join(map(catalogue.summary, finding.alternatives))
    return f"{others} (no problem that this function supports distinguishes them)"


def depends(dependences: Iterable[str]) -> str:
    """What an answer depends on, "" where on nothing."""
    return "; ".join(catalogue.dependence(name) for name in dependences)


def repro(finding: Finding, run: str = "RUN") -> str:
    """The command that writes a script which shows this finding by itself; RUN is the run's file."""
    return f"logitmus repro {run} {finding.id} -o repro.py"


def measure(finding: Finding) -> str:
    """The error, in ulps of the result and in units of its error budget."""
    infinite = float("inf")
    measures = []
    if finding.ulps is not None:
        measures.append("infinitely many ulps" if finding.ulps == infinite else ulps(finding.ulps))
    if finding.share is not None:
        measures.append("infinite error" if finding.share == infinite else budgets(finding.share))
    return ", ".join(measures)


def budgets(share: float) -> str:
    """An error in units of the error budget: `17.7x its error budget`."""
    return f"{amount(share)}x its error budget"


def amount(value: float) -> str:
    """Three digits: 0.83, 56.6, 7,740, 1.2e+06 (and "infinite")."""
    if value == float("inf"):
        return "infinite"
    return f"{float(f'{value:.3g}'):,.0f}" if 1e3 <= value < 1e6 else f"{value:.3g}"


def ulps(value: float) -> str:
    """A distance in units in the last place, with its unit."""
    number = amount(value)
    return f"{number} ulp" if number == "1" else f"{number} ulps"


def finite(value: float | None) -> float | str | None:
    """For machines: JSON has no infinity."""
    return value if value is None or abs(value) < float("inf") else "infinite"


def all_finite(value: Any) -> Any:
    """Plain values with "infinite" and "NaN" in place of these numbers, for JSON."""
    match value:
        case Mapping():
            return {name: all_finite(part) for name, part in value.items()}
        case list() | tuple():
            return [all_finite(part) for part in value]
        case float() if value != value or abs(value) == float("inf"):  # noqa: PLR0124  (NaN)
            return "NaN" if value != value else "infinite"  # noqa: PLR0124
        case _:
            return value


def names(subjects: Iterable[str]) -> str:
    """Subjects of a backend in few words: `torch: cross_entropy (eager, compile), nn.CrossEntropyLoss on cpu`.

    Modes are shown if there are others than eager. "on cpu", not "@cpu", which would call a person of that
    name on some code hosts.
    """
    ordered = sorted(subjects)
    return f"{SubjectId.parse(ordered[-1]).backend}: {functions(ordered)}" if ordered else ""


def functions(subjects: Iterable[str]) -> str:
    """The functions of subjects of a backend, as in `names`."""
    devices: dict[str, dict[str, list[str]]] = {}
    for subject in sorted(subjects):
        of = SubjectId.parse(subject)
        devices.setdefault(of.device, {}).setdefault(of.function, []).append("+".join(of.modes) or "eager")
    return "; ".join(f"{', '.join(map(_moded, f, f.values()))} on {device}" for device, f in devices.items())


def _moded(function: str, modes: list[str]) -> str:
    if modes == ["eager"]:
        return function
    return f"{function} ({', '.join(sorted(modes, key=lambda mode: (mode != 'eager', mode)))})"


def listed(things: Collection[str], most: int) -> str:
    """The first few, and how many more."""
    ordered = sorted(things)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + rest


def plural(count: int, noun: str) -> str:
    """`1 bug`, `1,200 results`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(words: str) -> str:
    """Words from workers and files, without what a terminal would obey or a file would refuse."""
    return _UNPRINTABLE.sub("\ufffd", words)


def link(address: str) -> str:
    """An address that a page may link to, or "": documentation lies behind https, and nothing else does."""
    return address if address.startswith("https://") else ""
