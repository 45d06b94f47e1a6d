"""Details of a finding that only a page has room for: the problem to the bit, class by class, and documentation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from logitmus import __version__
from logitmus.core.causes import Cause
from logitmus.core.problem import MANNERS, ONCE, Problem, TargetKind
from logitmus.core.subject import Subject, SubjectId
from logitmus.reports.html.file_facts import FileFacts
from logitmus.results import versions, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_MOST_CLASSES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class of the row concerned: its logit in decimals and exactly, its target, its weight, and its role."""

    index: int
    logit: str
    exact: str
    target: str
    weight: str
    concerned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingDetails:
    """A finding as the page shows it.

    Attributes:
        number: its place on the page. view: its words.
        backend, functions, devices: of the subjects that show it, to filter by.
        shown_by, given_to: how many frameworks show the same kind and cause in any of its families, of those that were
            given problems of them; 0 for a finding without an explanation, which need not be that of another.
        command: what writes a script for it. script: the script itself, or "".
        bug_report: a text for the framework's issue tracker.
        docs: a link to the documentation of the choice in question, or "".
        row: the row shown. classes: the classes that matter, at most 24, in order; left_out: how many others there are.
    """

    number: int
    group: Group
    view: FindingView
    backend: str
    functions: list[str]
    devices: list[str]
    shown_by: int
    given_to: int
    command: str
    script: str
    bug_report: str
    docs: str
    row: int
    options: list[tuple[str, str]]
    classes: list[ClassRow]
    left_out: int

    @property
    def share(self) -> str:
        """The error in units of the budget, to sort by; "": infinite, or there is no number."""
        share = self.group.finding.share
        return f"{share!r}" if share is not None and math.isfinite(share) else ""

    @property
    def filters(self) -> str:
        """What the finding is found by on the page, as JSON: a list of values for each choice."""
        which = ["some"] if self.shown_by < self.given_to else []
        if self.shown_by == 1 and self.given_to > 2:
            which.append("one")
        return json.dumps(
            {
                "backend": [self.backend],
                "function": self.functions,
                "kind": [self.group.finding.kind.value],
                "family": sorted(self.group.families),
                "dtype": sorted(self.group.dtypes),
                "device": self.devices,
                "which": which,
            }
        )

    @classmethod
    def of(
        cls,
        number: int,
        group: Group,
        subject: Subject | None,
        summary: Summary,
        facts: FileFacts,
        alike: Iterable[Group],
    ) -> FindingDetails:
        """The details of the `number`-th group of the page; `subject` is None if it was not described.

        Args:
            facts: of the run's file. alike: the groups with the same kind and cause, this one among them.
        """
        finding, problem = group.finding, group.problem
        subjects = [SubjectId.parse(subject) for subject in sorted(group.subjects)]
        row = wording.telling_row(problem, finding.row)
        classes = _classes(problem, row, finding.index)
        return cls(
            number=number,
            group=group,
            view=FindingView.of(group),
            backend=SubjectId.parse(finding.subject).backend,
            functions=list(dict.fromkeys(subject.qualified_name for subject in subjects)),
            devices=sorted({subject.device for subject in subjects}),
            shown_by=0 if finding.cause.startswith("unexplained") else len(_backends(group, alike)),
            given_to=0 if finding.cause.startswith("unexplained") else len(_backends_given(group, summary)),
            command=wording.repro(finding, facts.run),
            script=facts.scripts.get(finding.id, ""),
            bug_report=_bug_report(FindingView.of(group), summary),
            docs=_docs(finding.cause, subject),
            row=row,
            options=_options(problem),
            classes=classes,
            left_out=problem.classes - len(classes) if classes else 0,
        )


def _backends(group: Group, alike: Iterable[Group]) -> set[str]:
    return {SubjectId.parse(other.finding.subject).backend for other in alike if group.families & other.families}


def _backends_given(group: Group, summary: Summary) -> set[str]:
    return {
        SubjectId.parse(subject).backend
        for subject in summary.requested_subjects()
        if any(summary.cell(subject, family).requested for family in group.families)
    }


def _bug_report(view: FindingView, summary: Summary) -> str:
    """The finding as Markdown, for people who do not know Logitmus."""
    finding, problem = view.group.finding, view.group.problem
    backend = SubjectId.parse(finding.subject).backend
    packages = versions.of_backends(summary).get(backend, {})
    used = ", ".join(f"{name} {version}" for name, version in packages.items())
    logits = problem.logits.reshape(-1)
    exact = ", ".join(float(value).hex() for value in logits[:_MOST_CLASSES].astype(np.float64))
    lines = [
        f"### {SubjectId.parse(finding.subject).function}: {finding.summary}",
        "",
        f"Versions: {used or backend}",
        f"Affects: {view.affects}",
        f"Input: {view.minimal_input}",
        *([f"Logits, exactly: {exact}"] if logits.size <= _MOST_CLASSES else []),
        f"Expected: {view.expected}{f' ({view.place})' if view.place else ''}",
        f"Got: {view.got}{f' ({view.error})' if view.error else ''}",
        *([f"Impact: {view.impact}"] if view.impact else []),
        "",
        f"Found by Logitmus {__version__}: the expected value is an interval that is proven to contain the exact one.",
    ]
    return "\n".join(lines)


def _docs(cause: Cause, subject: Subject | None) -> str:
    if subject is None:
        return ""
    return wording.link(subject.docs.get(cause.field or "") or subject.docs.get("", ""))


def _options(problem: Problem) -> list[tuple[str, str]]:
    given = {
        "shape": f"{problem.dtype}{list(problem.logits.shape)}",
        "targets": f"{problem.targets.dtype.name}{list(problem.targets.shape)}",
        "reduction": problem.reduction,
        "ignore_index": "" if problem.ignore_index is None else str(problem.ignore_index),
        "label_smoothing": f"{problem.label_smoothing!r}" if problem.label_smoothing else "",
        "upstream gradient": "" if problem.cotangent is None else wording.short(problem.cotangent.reshape(-1)),
        "layout": "" if problem.layout == "contiguous" else problem.layout,
        "call mode": "" if problem.manner == ONCE else MANNERS[problem.manner],
        "family": problem.family,
        "idea": problem.idea,
    }
    return [(name, value) for name, value in given.items() if value]


def _classes(problem: Problem, row: int, concerned: int | None) -> list[ClassRow]:
    if not problem.rows or not problem.classes:
        return []
    logits = problem.logits.reshape(problem.rows, problem.classes)[row].astype(np.float64)
    targets = problem.targets.reshape(problem.rows, -1)[row]
    label = int(targets[0]) if problem.target_kind == TargetKind.LABELS else None
    # First the classes that determine the answer (the label, the class concerned, the largest logits), then from 0 on.
    largest = np.argsort(-np.nan_to_num(logits, nan=np.inf), kind="stable")[:4]
    first = [k for k in (label, concerned, *largest.tolist()) if k is not None and 0 <= k < problem.classes]
    shown = list(dict.fromkeys([*first, *range(min(_MOST_CLASSES, problem.classes))]))[:_MOST_CLASSES]
    return [
        ClassRow(
            index=k,
            logit=f"{float(logits[k])!r}",
            exact=float(logits[k]).hex(),
            target=("target" if k == label else "") if label is not None else f"{float(targets[k])!r}",
            weight="" if problem.weight is None else f"{float(problem.weight[k])!r}",
            concerned=k in (label, concerned),
        )
        for k in sorted(shown)
    ]
