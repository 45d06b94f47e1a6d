"""The typed events of a run. The engine yields them and knows none of their readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from logitmus.backend import Subject
from logitmus.finding import Finding, Judgement
from logitmus.problem import Problem


@dataclass(frozen=True)
class RunStarted:
    """The problems are known. `settings` are the run's own (profile, seed, globs)."""

    problems: int
    backends: tuple[str, ...]
    environment: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BackendReady:
    """A backend answered: its subjects and its environment (versions, devices, threads)."""

    backend: str
    subjects: tuple[Subject, ...]
    environment: Mapping[str, Any]
    calls: int


@dataclass(frozen=True)
class BackendFailed:
    """A backend that was asked for could not run at all."""

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
    """What one subject did with one problem, judged; what it did is in the run's file."""

    problem: Problem
    judgement: Judgement


@dataclass(frozen=True)
class Examined:
    """A finding was reduced to the simplest problem that still shows it, and to what it depends on.

    Attributes:
        of: the finding as it was judged; it stands for all of its subject, kind, severity, cause and alternatives.
        finding: the same on `problem`. Where what it depends on is the fault, it is of kind integrity and says so.
        dependences: without each of these the answer is right (`phrases.dependence` says them in words).
    """

    of: Finding
    finding: Finding
    problem: Problem
    dependences: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFinished:
    """The end. seconds: wall time. resumed: observations that an earlier, interrupted run had already made."""

    seconds: float
    resumed: int = 0
    interrupted: bool = False


Event = RunStarted | BackendReady | BackendFailed | Progressed | Judged | Examined | RunFinished
