"""The course of a check: a first look, the model of the function, and a run of the engine that is judged by it.

Loaded while the workers import their framework (`check`): it needs the engine, the judge and the search for a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from logitmus.checking.baseline import BaselineComparison
from logitmus.checking.explanation import LostWorkerError, as_measured, explanations, unjudged_labels
from logitmus.checking.first_look import first_look
from logitmus.checking.result import CheckResult
from logitmus.checking.session import CheckSession
from logitmus.core import run_settings
from logitmus.core.events import Event, RunFinished
from logitmus.core.finding import Grade, Judgement
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine import run as engine
from logitmus.judging.judge import Judge
from logitmus.results import detection_power
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Expectation
from logitmus.results.summary import Summary
from logitmus.storage.store import Store
from logitmus.worker.environment import harness_environment

_CALLS: Final = 120  # to reduce each group of like findings to the simplest problem
# Every so many-th of the quick problems, which are a first sample of all families.
_SOME: Final = 8
_FEW: Final = 40
Watch = Callable[[Iterable[Event]], Iterable[Event]]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """How a function is examined; the attributes are arguments of `check`.

    Attributes:
        path: of the run's file. dtypes: of the logits; not empty.
    """

    path: Path
    profile: str
    dtypes: Sequence[str]
    seed: int
    require: Grade | None
    strict: bool
    expectations: Sequence[Expectation]
    explore: float
    watch: Watch

    def of(self, session: CheckSession, again: Callable[[], CheckSession], *, fail_fast: bool) -> CheckResult:
        """What is found about the function of a session.

        Args:
            again: starts another session, where the workers of the first are lost.
            fail_fast: begin with the quick problems, and stop at the first finding that counts.
        """
        # The quick problems in one dtype show most faults, and few of them what is wrong on all inputs. They are judged
        # in this process: processes of their own would take longer to start than a few problems need.
        first = "float32" if "float32" in self.dtypes else self.dtypes[0]
        early = replace(self, profile="quick", dtypes=(first,), explore=0.0)
        look = first_look(session)
        if look.hopeless:
            result = early._run(session, judge=Judge(), every=_FEW if look.answers else _SOME)
            if not result.conforms and result.answered == look.answers:
                return replace(result, hopeless=look.hopeless, groups=result.groups[:1])
            self.path.unlink()
        for every in (_FEW, 1) if fail_fast and self.profile != "quick" else ():
            result = early._run(session, judge=Judge(), every=every, fail_fast=True)
            if not result.conforms:
                return result
            self.path.unlink()
        lost: list[Problem] = []
        try:
            found = {} if look.lost else explanations(session)
        except LostWorkerError as error:  # asked again in the run, which reports it, by new workers
            found, lost, session = {}, [error.problem], again()
        if found and not session.with_settings:  # a setting may not do what the default does
            session = session.described_as(lambda subject: as_measured(found[subject.offer.targets], subject))
        result = self._run(session, fail_fast=fail_fast, further=lost)
        if result.stopped:
            return result
        unjudged = [unjudged_labels(explained, session.subjects[kind]) for kind, explained in found.items()]
        return replace(result, explanations=found, remarks=(*result.remarks, *filter(None, unjudged)))

    def _run(
        self,
        session: CheckSession,
        *,
        fail_fast: bool = False,
        judge: Judge | None = None,
        every: int = 1,
        further: Sequence[Problem] = (),
    ) -> CheckResult:
        """Run the engine once, and collect the result; `further` problems come before those of the profile."""
        settings = run_settings.RunSettings(
            profile=self.profile,
            seed=self.seed,
            dtypes=tuple(self.dtypes),
            check=session.label,
            function=session.location,
            examine=run_settings.Examination(
                calls=_CALLS,
                subjects=tuple(subject.id for subject in session.judged),
                references={key: other.id for key, other in session.compared.items()},
            ),
            explore=run_settings.Exploration(minutes=self.explore),
        )
        summary = Summary(detection_power.known())
        accepted = Acceptance(self.expectations)
        stopped = False
        with Store.create(self.path, environment=harness_environment(), settings=settings) as store:
            again = judge or Judge()

            def judge_again(problem: Problem, subject: Subject) -> Judgement:
                return again.judge(problem, subject, store.outcomes(problem.id)[subject.id])

            comparison = BaselineComparison(
                session.judged, session.compared, self.require, accepted, strict=self.strict, judge_again=judge_again
            )
            problems = chain(further, islice(session.problems(self.profile, self.seed, self.dtypes), 0, None, every))
            events = engine.run(
                problems, session.specs, store, judge=judge, pool=lambda *_: session.workers, enough=lambda: stopped
            )
            for event in self.watch(events):
                accepted.observe(event)
                summary.add(event)
                if comparison.add(event) and fail_fast and not (stopped or isinstance(event, RunFinished)):
                    session.workers.halt()
                    stopped = True
        if summary.finished is not None and summary.finished.interrupted:
            raise KeyboardInterrupt
        remarks = session.remarks
        inputs = next(iter(session.subjects.values())).convention.inputs
        if inputs != "logits":
            named = inputs.replace("_", "-")
            remarks += (f"it takes {named}: it was given the {named} that the logits of the suite stand for",)
        if comparison.problems and comparison.only_raises and not comparison.answered:
            framework = next(iter(session.subjects.values())).backend
            remarks += (f"it raises on every call with arrays of {framework}: is it another framework's (-f)?",)
        return CheckResult(
            function=session.label,
            subjects=session.subjects,
            settings=tuple(dict.fromkeys(subject.mode for subject in session.with_settings)),
            references=session.references,
            require=self.require,
            groups=comparison.groups,
            combined=comparison.combined,
            below=comparison.below,
            excused=comparison.excused,
            limits=comparison.limits,
            accepted=accepted,
            grades=_in_order(comparison.grades),
            reference_grades=_in_order(comparison.reference_grades),
            problems=comparison.problems,
            calls=summary.calls,
            seconds=0.0 if summary.finished is None else summary.finished.seconds,
            not_asked=comparison.not_asked,
            remarks=remarks,
            stopped=stopped,
            answered=comparison.answered,
            summary=summary,
        )


def _in_order(grades: Mapping[str, Grade]) -> dict[str, Grade]:
    return {dtype: grades[dtype] for dtype in FLOAT_DTYPES if dtype in grades}
