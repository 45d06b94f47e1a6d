"""The result of a check: a value, its plain text (`str`), and its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from logitmus.conventions.explain_function import FunctionExplanation
from logitmus.core.events import Judged
from logitmus.core.finding import Finding, Grade, Severity
from logitmus.core.problem import Option, TargetKind
from logitmus.core.subject import Subject, SubjectId
from logitmus.results import detection_power, exploration, metamorphic, serialize, wording
from logitmus.results.acceptance import Acceptance
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

SCHEMA: Final = 1
_LABEL: Final = len("minimal input: ")


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of a check; `str()` gives a complete message.

    Attributes:
        function: its name, as the user gave it.
        subjects: its subjects with the convention of their references, by the kind of targets.
        settings: "chunk=7": the ways in which it was called, beside the default.
        references: the ids of the references.
        require: the required grade, if any.
        groups: the findings that count against it, by cause, worst first, each with the smallest problem that shows it.
        excused: the findings that do not count (see `BaselineComparison`). accepted: the expectations of the user.
        combined: how many results only several of the conventions in the findings explain together.
        limits: how many problems it refused, by the kind of input that it does not take; these do not count.
        grades, reference_grades: the worst grade by dtype.
        below: by dtype, the smallest problem without a finding on which the required grade is not reached.
        problems, calls, seconds: how many problems the function got, the calls of all subjects, and the time.
        not_asked: how many problems it did not get, by reason.
        remarks: what else a reader must know, such as a comparison that could not be made.
        stopped: whether it ended at the first finding.
        answered: whether the function returned numbers at all.
        hopeless: what the function does on every call, if that leaves nothing to judge, as a sentence; "": there is.
        file: the run's, where it was kept.
        explanations: what the function computes, by the kind of targets; empty where it was not looked for.
        summary: of the run, for reports.
    """

    function: str
    subjects: Mapping[TargetKind, Subject]
    settings: tuple[str, ...] = ()
    references: Mapping[TargetKind, str]
    require: Grade | None
    groups: tuple[Group, ...]
    excused: tuple[Group, ...]
    combined: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    accepted: Acceptance = field(default_factory=lambda: Acceptance(()), repr=False)
    grades: Mapping[str, Grade]
    reference_grades: Mapping[str, Grade]
    below: Mapping[str, Judged] = field(default_factory=dict)
    problems: int
    calls: int
    seconds: float
    not_asked: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    stopped: bool = False
    answered: bool = True
    hopeless: str = ""
    file: Path | None = None
    explanations: Mapping[TargetKind, FunctionExplanation] = field(default_factory=dict)
    summary: Summary = field(repr=False)

    @property
    def conforms(self) -> bool:
        """Whether it was tested, no finding counts against it, and every dtype reaches the required grade."""
        return bool(self.problems) and not self.groups and not self.short

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The finding of each group on the smallest problem."""
        return tuple(group.finding for group in self.groups)

    @property
    def short(self) -> tuple[str, ...]:
        """The dtypes whose grade is below the required one."""
        required = self.require
        return tuple(d for d, grade in self.grades.items() if required is not None and grade.rank > required.rank)

    @property
    def intentions(self) -> dict[str, str]:
        """What, if intended (`but`), would make differences from the reference conform: fields and parameters."""
        if self.hopeless:
            return {}
        causes = [group.finding.cause for group in self.groups if not group.finding.alternatives]
        intended = [cause.choice for cause in causes if cause.is_convention or cause.name == "parameter"]
        return {name: value for name, value in intended if name != "class_axis"}

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The options that are not tested, because the function does not name them."""
        offers = [subject.offer for subject in self.subjects.values()]
        return tuple(option for option in Option if not any(option in offer.options for offer in offers))

    @property
    def headline(self) -> str:
        """One sentence."""
        references = " and ".join(dict.fromkeys(self.references.values()))
        if self.conforms:
            return f"{self.function} conforms to {references}"
        if not self.problems:
            return f"{self.function} was not tested: it takes none of the problems"
        if self.hopeless:
            return f"{self.function} does not conform to {references}: {self.hopeless[:1].lower()}{self.hopeless[1:]}"
        found = [f"{wording.plural(n, severity.value)}" for severity, n in self._counts().items() if n]
        required = "" if self.require is None else self.require.value
        short = f"grade {required} is not reached in {', '.join(self.short)}" if self.short else ""
        return f"{self.function} does not conform to {references}: {', '.join([*found, *filter(None, [short])])}"

    def _counts(self) -> dict[Severity, int]:
        return {level: sum(group.finding.severity is level for group in self.groups) for level in Severity}

    def __str__(self) -> str:
        lines = [self.headline, ""]
        if self.explanations:
            lines += [*computes(self), ""]
        for number, group in enumerate(self.groups, 1):
            lines.append(f"{number}. {_head(group)}")
            lines += [f"   {label + ':':<{_LABEL}}{text}" for label, text in fields(self, group)]
            lines.append("")
        lines += [*_grade_lines(self), *facts(self)]
        return wording.printable("\n".join(lines))

    def as_dict(self) -> dict[str, Any]:
        """For machines; the schema is versioned. The run's own summary is under "run"."""
        run = serialize.as_dict(self.summary)
        return {
            "schema": SCHEMA,
            "conforms": self.conforms,
            "headline": self.headline,
            "function": self.function,
            "held_to": dict(self.references),
            "require": None if self.require is None else self.require.value,
            "grades": {dtype: grade.value for dtype, grade in self.grades.items()},
            "model_grades": {dtype: grade.value for dtype, grade in self.reference_grades.items()},
            "findings": [_as_dict(group) for group in self.groups],
            "does_not_take": dict(self.limits),
            "intentions": self.intentions,
            "excused": [_as_dict(group) for group in self.excused],
            "computes": {kind: explanation.as_dict() for kind, explanation in self.explanations.items()},
            "settings": list(self.settings),
            "problems": self.problems,
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "stopped_at_first": self.stopped,
            "hopeless": self.hopeless,
            "not_exercised": list(self.unnamed),
            "not_asked": dict(self.not_asked),
            "remarks": list(self.remarks),
            "run": run,
        }


def fields(result: CheckResult, group: Group) -> list[tuple[str, str]]:
    """What shows a group's cause: labels and texts. "affects" is there where the function has several settings."""
    shown = FindingView.of(group).fields()
    if not result.settings:
        return [(label, text) for label, text in shown if label != "affects"]
    return [(label, _affected(result, group) if label == "affects" else text) for label, text in shown]


def _affected(result: CheckResult, group: Group) -> str:
    """The settings of the function that have a finding."""
    modes = {mode for subject in group.subjects for mode in SubjectId.parse(subject).modes or ("",)}
    if modes >= {"", *result.settings}:
        return "every setting"
    return ", ".join(["the default"] * ("" in modes) + [setting for setting in result.settings if setting in modes])


def computes(result: CheckResult) -> Iterator[str]:
    """What the function computes: a line for each kind of targets, and what supports it."""
    for kind, explanation in result.explanations.items():
        of_kind = f" (with {kind})" if len(result.explanations) > 1 else ""
        yield f"computes{of_kind}: {explanation.phrase}"
        for text in explanation.details():
            yield f"  {text}"


def facts(result: CheckResult) -> Iterator[str]:
    """What was tested and what was not, and the findings that do not count."""
    yield from _examples_below(result)
    yield from limits_in_words(result)
    if result.intentions:
        options = " ".join(f"--but {field}={value}" for field, value in result.intentions.items())
        yield f"if this is intended, check it with: {options}"
    yield from _not_counted(result)
    yield from expectations_in_words(result)
    own_ids = [subject.id for subject in result.subjects.values()]
    if result.unnamed:
        names = ", ".join(result.unnamed)
        hint = f"(called otherwise? --option {result.unnamed[0]}=ITS_NAME)"
        yield f"not exercised, for it has no such argument: {names} {hint}"
    offers = [subject.offer for subject in result.subjects.values()]
    if not any("logits" in offer.gradients for offer in offers):
        yield "no gradient was judged: it gives none"
    raised = sum(group.count for group in result.groups if group.finding.cause.name == "raised")
    if len(offers) == 1 and raised > result.problems / 2:
        other = TargetKind.PROBABILITIES if offers[0].targets == TargetKind.LABELS else TargetKind.LABELS
        yield f"only {offers[0].targets} were tested; if it takes {other}, use --targets {other}"
    reasons = sorted(result.not_asked.items(), key=lambda item: (-item[1], item[0]))
    if reasons:
        listed = "; ".join(f"{reason} ({wording.plural(count, 'problem')})" for reason, count in reasons)
        yield f"not tested: {listed}"
    yield from metamorphic.brief(related for related in result.summary.related if related.subject in own_ids)
    explored = exploration.of(result.summary.explored, set(own_ids))
    yield from exploration.lines(explored)
    yield from result.remarks
    if result.groups:
        command = wording.repro(result.groups[0].finding, "RUN" if result.file is None else str(result.file))
        kept = ", once the run is kept (--out RUN, or out=)" if result.file is None else ""
        yield f"a script that shows a finding by itself: {command}{kept}"
    yield detection_power.headline(result.summary.power)
    stopped = "; stopped at the first finding" if result.stopped else ""
    stopped = "; nothing else was tested, for no other problem would show more" if result.hopeless else stopped
    work = f"{wording.plural(result.problems, 'problem')}, {wording.plural(result.calls, 'call')}"
    yield f"{work}, {result.seconds:.0f} s{stopped}"


def limits_in_words(result: CheckResult) -> Iterator[str]:
    """What the function does not take."""
    if result.limits:
        limits = "; ".join(f"{kind} ({wording.plural(n, 'problem')})" for kind, n in result.limits.items())
        yield f"does not take: {limits}. It raises on all of them; --strict counts that as a finding"


def expectations_in_words(result: CheckResult) -> Iterator[str]:
    """The expectations about the function that are stale or expired."""
    own_ids = [subject.id for subject in result.subjects.values()]
    for words, expectations in (
        ("stale expectation, matched nothing", () if result.stopped else result.accepted.stale),
        ("expired expectation", result.accepted.expired),
    ):
        for expectation in expectations:
            if any(expectation.includes(identity) for identity in own_ids):
                yield f"{words}: {expectation}"


# --- within ------------------------------------------------------------------------------------------------------


def _head(group: Group) -> str:
    finding = group.finding
    return f"{finding.severity.value.upper()} ({finding.kind.value}, {finding.id}): {finding.summary}"


def _not_counted(result: CheckResult) -> Iterator[str]:
    if result.combined:
        several = wording.plural(result.combined, "more result")
        yield f"{several}: explained by several of the conventions in the findings together"
    for group in result.excused:
        reason = result.accepted.reason(group.finding)
        because = f"; accepted: {reason}" if reason else ""
        yield f"not held against it: {group.finding.summary} ({wording.plural(group.count, 'result')}){because}"


def grade_rows(result: CheckResult) -> Iterator[tuple[str, ...]]:
    yield (result.function, *(grade.value for grade in result.grades.values()))
    if result.reference_grades:
        grades = [result.reference_grades.get(dtype) for dtype in result.grades]
        name = " and ".join(dict.fromkeys(result.references.values()))
        yield (name, *("." if grade is None else grade.value for grade in grades))


def _grade_lines(result: CheckResult) -> Iterator[str]:
    for name, *cells in grade_rows(result) if result.grades else ():
        listed = ", ".join(f"{cell} in {dtype}" for dtype, cell in zip(result.grades, cells, strict=True))
        yield f"{name}: grade {listed}"


def _examples_below(result: CheckResult) -> Iterator[str]:
    """On what the required grade is not reached: nothing that a finding tells of."""
    for dtype in result.short:
        if dtype in result.below:
            problem, judgement = result.below[dtype].problem, result.below[dtype].judgement
            seen = f"grade {judgement.grade.value if judgement.grade else '?'}, up to {wording.ulps(judgement.ulps)}"
            yield f"not {result.require} in {dtype}, e.g. {wording.question(problem, None)}: {seen}"


def _as_dict(group: Group) -> dict[str, Any]:
    finding = group.finding
    return {
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "cause": finding.cause,
        "summary": finding.summary,
        "count": group.count,
        "families": sorted(group.families),
        "dtypes": sorted(group.dtypes),
        "id": finding.id,
        "dependences": list(group.dependences),
        "problem": finding.problem,
        "question": wording.question(group.problem, finding.row),
        "expected": finding.expected,
        "observed": finding.observed,
        "part": finding.part,
    }
