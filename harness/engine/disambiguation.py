"""Separation: where several conventions explain an observation, a problem is found on which they do not agree.

A finding says which other conventions fit as well. For every subject that leaves such a doubt, the probes of
the family `convention-probes` are searched for problems on which the candidates give different answers; these are
put to it, kept in the run's file and judged like all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from logitmus.cases.suite import suite
from logitmus.core.convention import Convention
from logitmus.core.finding import Finding, Judgement, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.oracle.resolve import resolve

SEPARATING: Final = "separating"  # the family of problems that are in a run for this sake alone
_FAMILY: Final = "convention-probes"
_PROBES: Final = (SEPARATING, _FAMILY)
_NAMED = ("convention:", "accepted:")
_CAUSES = ("gradient:", "gradient_of:")  # told apart by the problems of the suite, not by probes


def candidates(finding: Finding) -> frozenset[str]:
    """The conventions ("field=value") or causes of which one explains the finding; empty: it leaves no such choice."""
    for prefix in _NAMED:
        if finding.cause.startswith(prefix) and "=" in finding.cause:
            return frozenset({finding.cause.removeprefix(prefix), *finding.alternatives})
    return frozenset({finding.cause, *finding.alternatives}) if finding.cause.startswith(_CAUSES) else frozenset()


class Doubts:
    """What several conventions explain, and what one alone does, by subject."""

    def __init__(self) -> None:
        self._open: dict[str, set[frozenset[str]]] = {}
        self._certain: dict[str, Counter[str]] = {}
        self._kept: dict[str, dict[str, Problem]] = {}

    def add(self, judgement: Judgement, problem: Problem | None = None) -> None:
        """Take in what the findings of one judgement leave open, and what they settle.

        problem: what was asked; a probe that was answered as declared speaks against what would have it otherwise.
        """
        as_declared = judgement.verdict is Verdict.PASS and not judgement.findings
        if as_declared and problem is not None and problem.family in _PROBES:
            self._kept.setdefault(judgement.subject, {})[problem.id] = problem
        for finding in judgement.findings:
            fitting = candidates(finding)
            if len(fitting) == 1:
                self._certain.setdefault(finding.subject, Counter()).update(fitting)
            elif fitting:
                self._open.setdefault(finding.subject, set()).add(fitting)

    def left(self, subject: str) -> list[frozenset[str]]:
        """The doubts about a subject (an id) that no other finding settles, in a fixed order."""
        certain = self._certain.get(subject, Counter())
        return sorted((one for one in self._open.get(subject, ()) if one.isdisjoint(certain)), key=sorted)

    def settled(self, subject: str, fitting: frozenset[str]) -> str | None:
        """The candidate that other findings of the subject name alone, most of them; None: there is no such one."""
        certain = self._certain.get(subject, Counter())
        first, second = [*sorted(((certain[one], one) for one in fitting), reverse=True), (0, "")][:2]
        return first[1] if first[0] > second[0] else None

    def not_refuted(self, subject: Subject, fitting: frozenset[str]) -> list[str]:
        """The candidates ("field=value") by which no probe that was answered as declared asks anything else."""
        probes = [(probe, resolve(probe, subject.convention)) for probe in self._kept.get(subject.id, {}).values()]
        judged = [(probe, question.key) for probe, question in probes if not question.unjudged.any()]
        return [
            text
            for text in sorted(fitting)
            if all(resolve(probe, _with(subject.convention, text)).key == key for probe, key in judged)
        ]

    def problems(self, subjects: Mapping[str, Subject]) -> Iterator[tuple[Problem, str]]:
        """Problems that separate what is left, each with the id of the subject to ask."""
        for identity in sorted(self._open):
            if identity in subjects:
                for fitting in (left for left in self.left(identity) if not any(":" in text for text in left)):
                    yield from ((problem, identity) for problem in separating(subjects[identity], fitting))


def separating(subject: Subject, fitting: Iterable[str]) -> list[Problem]:
    """Probes that `subject` can be asked and on which the candidates ("field=value") give different answers.

    As few as tell every two of them apart; what none tells apart is left together. Best is one on which the answer of
    what is declared is a third one: whichever candidate is right, the answer is a finding which names it. Else one
    candidate asks what is declared, and its answer refutes the other.
    """
    conventions = {text: _with(subject.convention, text) for text in sorted(fitting)}
    left = set(combinations(conventions, 2))
    asked: list[tuple[Problem, object, dict[str, object]]] = []
    for probe in suite("full", families=[_FAMILY]):
        if subject.why_not(probe) is None:
            keys: dict[str, object] = {text: resolve(probe, convention).key for text, convention in conventions.items()}
            asked.append((probe.but(family=SEPARATING), resolve(probe, subject.convention).key, keys))
    found: list[Problem] = []
    for answers in (3, 2):
        for probe, declared, keys in asked:
            apart = {
                (one, other)
                for one, other in left
                if keys[one] != keys[other] and len({declared, keys[one], keys[other]}) >= answers
            }
            left -= apart
            found += [probe] if apart else []
    return found


def _with(convention: Convention, text: str) -> Convention:
    name, _, value = text.partition("=")
    return convention.but(**{name: value})
