"""The typed events of a run; the engine yields them and does not depend on their readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Judgement
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject


@dataclass(frozen=True)
class RunStarted:
    """The problems are known. `settings` are those of the run."""

    problems: int
    backends: tuple[str, ...]
    environment: Mapping[str, Any]
    settings: RunSettings = field(default_factory=RunSettings)


@dataclass(frozen=True)
class BackendReady:
    """A backend answered: its subjects and its environment (versions, devices, threads)."""

    backend: str
    subjects: tuple[Subject, ...]
    environment: Mapping[str, Any]
    calls: int


@dataclass(frozen=True)
class BackendFailed:
    """A requested backend could not run at all."""

    backend: str
    reason: str
    hint: str = ""


@dataclass(frozen=True)
class Progressed:
    """`answered` calls of a backend are in the file. Readers that show no progress ignore it."""

    backend: str
    answered: int


@dataclass(frozen=True)
class Judged:
    """The judgement of a subject's result on a problem; the result itself is in the run file."""

    problem: Problem
    judgement: Judgement


@dataclass(frozen=True)
class Examined:
    """A finding was reduced to the simplest problem that still shows it, and to what it depends on.

    Attributes:
        of: the finding as it was judged; it stands for all of its subject, kind, severity, cause and alternatives.
        finding: the same on `problem`. Where what it depends on is the fault, it is of kind integrity and says so.
        dependences: without each of these the answer is right (`catalogue.dependence` has the words).
    """

    of: Finding
    finding: Finding
    problem: Problem
    dependences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """Other results of a subject decide between the causes that explain a finding, or refute its cause.

    Attributes:
        of: the finding as it was judged; it stands for all of its subject, kind, severity, cause and alternatives.
        certain: the cause that other findings of the subject have, most of them, and have alone; None: there is none.
            For a refuted cause, the cause in its place.
        finding: the finding, as examined, with the only cause that is not refuted, or with the cause in place of a
            refuted one; None: several are left, or none.
        problem, dependences: of `finding`.
    """

    of: Finding
    certain: Cause | None
    finding: Finding | None
    problem: Problem
    dependences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Related:
    """How a subject keeps a relation between answers, which needs no reference (docs/accuracy.md, section 6).

    Attributes:
        relation: a name of `cases.metamorphic.RELATIONS`, or "gradient_sum".
        pairs: pairs of answers that were compared; of them `identical` ones agree to the bit, `by_convention` ones
            differ as the subject's own convention says, and `broken` ones differ by more than both budgets.
        share: the largest difference as a share of both budgets together, ulps: of two losses; of those that are
            broken, if there are any.
        classes: the largest number of classes K among the compared problems: nothing is known beyond it.
        why: the causes of what is not kept. example: the problems (ids) of the worst pair that is broken.
    """

    subject: str
    relation: str
    pairs: int
    identical: int
    broken: int
    by_convention: int
    share: float
    ulps: float
    classes: int = 0
    why: tuple[Cause, ...] = ()
    example: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repeated:
    """How a subject's results differ when its calls are repeated (`RunSettings.repeat`).

    Attributes:
        new_process: whether they were repeated in new workers; else in those that made the first calls.
        calls: the number of repeated calls. changed: how many gave other bits, or another outcome.
        ulps: the largest distance from the first result, in ulps of the result's dtype.
        other: changes that are no distance, by kind ("answered -> raised", "number -> NaN"): the number of calls.
        example: a problem (id) whose result changed: the one with the largest distance.
        missing: the number of calls that were due and not made: the run was interrupted, or workers were lost.
    """

    subject: str
    new_process: bool
    calls: int
    changed: int = 0
    ulps: int = 0
    other: Mapping[str, int] = field(default_factory=dict)
    example: str = ""
    missing: int = 0


@dataclass(frozen=True)
class Reached:
    """The largest share of its error budget that a subject used while it was explored in a dtype.

    Results with findings are not counted.

    Attributes:
        calls: the number of calls.
        suite: the largest share in the fixed suite. share: the largest while exploring.
    """

    subject: str
    dtype: str
    calls: int
    suite: float
    share: float


@dataclass(frozen=True)
class Explored:
    """The progress of exploration; the last event has the totals.

    Attributes:
        problems, calls: totals. reached: by subject and dtype.
        new: the first finding of each subject, kind, severity and cause that the fixed suite had not shown.
    """

    problems: int
    calls: int
    reached: tuple[Reached, ...] = ()
    new: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class RunFinished:
    """The end.

    Attributes:
        seconds: wall time. resumed: observations that an earlier, interrupted run had already made.
        stored: whether all observations were read from a run file: the time is that of judging them.
    """

    seconds: float
    resumed: int = 0
    interrupted: bool = False
    stored: bool = False


Event = (
    RunStarted
    | BackendReady
    | BackendFailed
    | Progressed
    | Judged
    | Examined
    | Settled
    | Related
    | Repeated
    | Explored
    | RunFinished
)
