"""Disambiguation: find problems on which conventions disagree that explain an observation equally well.

A finding names the other conventions that fit as well. For every subject with such an ambiguity, the probes of the
family `convention-probes` are searched for problems on which the candidates give different results. These are run on
the subject, kept in the run's file and judged like all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from logitmus.cases.suite import suite
from logitmus.core.causes import Cause
from logitmus.core.convention import Convention
from logitmus.core.events import Judged
from logitmus.core.finding import Finding, Judgement, Verdict
from logitmus.core.problem import Problem, Purpose
from logitmus.core.subject import Subject
from logitmus.oracle.resolve import resolve

_PROBE_FAMILY: Final = "convention-probes"
_PROBES: Final = (Purpose.DISAMBIGUATION.value, _PROBE_FAMILY)
_CHOICES: Final = ("convention", "accepted")
# Distinguished by the problems of the suite, not by probes.
_GRADIENTS: Final = ("gradient", "gradient_of")
_ARITHMETIC: Final = ("separate_logsumexp", "effective_precision")


def candidates(finding: Finding) -> frozenset[Cause]:
    """The conventions, gradient faults or kinds of arithmetic that may explain it; empty if there is no such choice."""
    causes = (finding.cause, *finding.alternatives)
    if finding.cause.name in _CHOICES and finding.cause.is_choice:
        return frozenset(cause.named("convention") for cause in causes)
    return frozenset(causes) if finding.cause.name in (*_GRADIENTS, *_ARITHMETIC) else frozenset()


class Ambiguities:
    """What several conventions explain, and what a single convention explains, for each subject."""

    def __init__(self) -> None:
        self._open: dict[str, set[frozenset[Cause]]] = {}
        self._certain: dict[str, Counter[Cause]] = {}
        self._confirmed: dict[str, dict[str, Problem]] = {}

    def observe(self, event: Judged) -> None:
        """Take in a judgement."""
        self.add(event.judgement)

    def add(self, judgement: Judgement, problem: Problem | None = None) -> None:
        """Take in what the findings of a judgement leave open, and what they resolve.

        Args:
            problem: the problem judged. A probe with the documented result refutes conventions that give another.
        """
        as_documented = judgement.verdict is Verdict.PASS and not judgement.findings
        if as_documented and problem is not None and problem.family in _PROBES:
            self._confirmed.setdefault(judgement.subject, {})[problem.id] = problem
        for finding in judgement.findings:
            fitting = candidates(finding)
            if len(fitting) == 1:
                self._certain.setdefault(finding.subject, Counter()).update(fitting)
            elif fitting:
                self._open.setdefault(finding.subject, set()).add(fitting)

    def unresolved(self, subject: str) -> list[frozenset[Cause]]:
        """The ambiguities of a subject (its id) that no other finding resolves, in a fixed order."""
        certain = self._certain.get(subject, Counter())
        return sorted((fitting for fitting in self._open.get(subject, ()) if fitting.isdisjoint(certain)), key=sorted)

    def resolved(self, subject: str, fitting: frozenset[Cause]) -> Cause | None:
        """The candidate that most findings of the subject name alone; None without a single such candidate."""
        certain = self._certain.get(subject, Counter())
        ranked = sorted(fitting, key=lambda cause: (certain[cause], cause), reverse=True)
        second = certain[ranked[1]] if len(ranked) > 1 else 0
        return ranked[0] if ranked and certain[ranked[0]] > second else None

    def not_refuted(self, subject: Subject, fitting: frozenset[Cause]) -> list[Cause]:
        """The candidates that agree with the documentation on every probe that confirmed it."""
        probes = [(probe, resolve(probe, subject.convention)) for probe in self._confirmed.get(subject.id, {}).values()]
        judged = [(probe, question.key) for probe, question in probes if not question.unjudged.any()]
        return [
            cause
            for cause in sorted(fitting)
            if all(resolve(probe, _changed(subject.convention, cause)).key == key for probe, key in judged)
        ]

    def problems(self, subjects: Mapping[str, Subject]) -> Iterator[tuple[Problem, str]]:
        """Yield problems that resolve the unresolved ambiguities, each with the id of the subject to run it on."""
        for identity in sorted(self._open):
            if identity in subjects:
                for fitting in self.unresolved(identity):
                    if all(cause.is_convention for cause in fitting):
                        yield from ((problem, identity) for problem in separating(subjects[identity], fitting))


def separating(subject: Subject, fitting: Iterable[Cause]) -> list[Problem]:
    """Find probes that `subject` accepts and on which the candidates give different results.

    As few as distinguish every two of them; candidates that no probe distinguishes stay together. Best is a probe on
    which the documented result is a third: whichever candidate is right, the result is a finding that names it.
    Otherwise a candidate agrees with the documentation, and the documented result refutes the other.
    """
    conventions = {cause: _changed(subject.convention, cause) for cause in sorted(fitting)}
    pairs = set(combinations(conventions, 2))
    probes: list[tuple[Problem, str, dict[Cause, str]]] = []
    for probe in suite("full", families=[_PROBE_FAMILY]):
        if subject.why_not(probe) is None:
            keys = {cause: resolve(probe, convention).key for cause, convention in conventions.items()}
            probes.append(
                (probe.but(family=Purpose.DISAMBIGUATION.value), resolve(probe, subject.convention).key, keys)
            )
    selected: list[Problem] = []
    for distinct_results in (3, 2):
        for probe, documented, keys in probes:
            distinguished = {
                (first, second)
                for first, second in pairs
                if keys[first] != keys[second] and len({documented, keys[first], keys[second]}) >= distinct_results
            }
            pairs -= distinguished
            selected += [probe] if distinguished else []
    return selected


def _changed(convention: Convention, cause: Cause) -> Convention:
    field, value = cause.choice
    return convention.but(**{field: value})
