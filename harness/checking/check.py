"""Checks a user's function: the problems of the suite, judged by what a well-known function promises.

A check is a run (`logitmus.engine.run`) with two subjects: the user's function, judged by the convention, precision and
documentation of a reference (`logitmus.checking.reference`), and the reference itself. `logitmus.checking.session`
starts both, and `logitmus.checking.baseline` decides which findings count.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from logitmus.cases.suite import check_dtypes
from logitmus.checking import reference
from logitmus.checking.baseline import BaselineComparison
from logitmus.checking.explanation import LostWorkerError, as_measured, explanations, unjudged_labels
from logitmus.checking.first_look import first_look
from logitmus.checking.reference import IntentionError, Intentions
from logitmus.checking.result import CheckResult
from logitmus.checking.session import CheckRequest, CheckSession, start
from logitmus.core.events import Event, RunFinished
from logitmus.core.finding import Grade, Judgement
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.run_settings import Examination, Exploration, RunSettings
from logitmus.core.subject import Subject
from logitmus.engine import run as engine
from logitmus.execution import registry
from logitmus.execution.limits import Limits
from logitmus.judging.judge import Judge
from logitmus.results import detection_power
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Expectation, load, load_intentions
from logitmus.results.summary import Summary
from logitmus.storage.store import SUFFIX, Store
from logitmus.worker.environment import harness_environment

KINDS: Final = tuple(TargetKind)
REQUIRABLE: Final = (Grade.A, Grade.B_PLUS, Grade.B, Grade.C)
_DTYPES: Final = ("float64", "float32", "bfloat16", "float16")
# NumPy has no bfloat16 of its own; dtypes=["bfloat16"] tests a function in it all the same.
_NUMPY_DTYPES: Final = ("float64", "float32", "float16")
_CALLS: Final = 120  # to reduce each group of like findings to the simplest problem
# Every so many-th of the quick problems, which are a first sample of all families.
_SOME: Final = 8
_FEW: Final = 40
Watch = Callable[[Iterable[Event]], Iterable[Event]]


def check(
    function: Callable[..., Any] | str,
    framework: str,
    *,
    like: str = "",
    targets: Sequence[str] = (),
    class_axis: str = "",
    require: str = "",
    but: Mapping[str, str | float] | None = None,
    strict: bool = False,
    device: str = "",
    dtypes: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    profile: str = "default",
    seed: int = 0,
    explore: float = 0.0,
    same: Mapping[str, Sequence[object]] | None = None,
    fail_fast: bool = False,
    compare: bool = True,
    isolated: bool | None = None,
    expect: Path | str | None = None,
    out: Path | str | None = None,
    limits: Limits = reference.LIMITS,
    watch: Watch = iter,
) -> CheckResult:
    """Test whether `function` is as good a cross-entropy as its reference.

    Args:
        function: "FILE.py:FUNCTION" or "package.module:FUNCTION", or a callable. It takes (logits, targets) in the
            framework's own arrays, and those of weight, ignore_index, label_smoothing and reduction that its
            signature names; the others are not tested. In NumPy it may return (loss, gradient).
        framework: "torch", "tensorflow", "jax" or "numpy"; for a function in a file also "torch@/path/to/python".
        like: the reference; "": the framework's flagship (for NumPy, PyTorch's).
        targets: the kinds to test, "labels" or "probabilities"; empty: the kind of `like`, by default labels.
        class_axis: where it gets its classes, "last" or "1"; "": as the framework's flagship, in NumPy last.
        require: the grade that every dtype must reach, "A", "B+", "B" or "C": numbers within it do not count against
            the function, all others do. "": all findings of the judge count (a weak sum is only a note).
        but: what is intended to differ from the reference: values of convention fields, by name, such as
            {"mean_denominator": "rows"} (docs/conventions.md), and numbers that the function applies by itself:
            label_smoothing, temperature, z_loss, factor and clip (`logitmus.core.parameters`).
            `CheckResult.intentions` holds those that would apply.
        strict: count exceptions on kinds of input that the function does not take at all (an empty batch, float64
            logits, ...); otherwise they are only listed, in `CheckResult.limits`.
        device: one of the framework's devices; "": its first, the CPU.
        dtypes: the dtypes to test; empty: float64, float32, bfloat16 (not in NumPy) and float16.
        options: its own names for the arguments, by ours: {"weight": "class_weights"}; "": not to be given.
        profile, seed: as of `logitmus run`.
        explore: minutes to go on with problems beyond the suite (`logitmus.engine.exploration`).
        same: parameters of the function that must not matter, such as the length of a chunk, with the values to try:
            {"chunk": [1, 2, 7]}. With each value the function is tested as it is without.
        fail_fast: begin with the quick problems, and stop at the first finding that counts.
        compare: run the reference, too. Findings that it has on the same problem do not count against the function.
        isolated: run the function in a worker process, where a crash or a hang is a finding; None: if a worker can
            import it, which it can if it has a name in a module. In this process, a crash ends the check.
        expect: a file of accepted findings (`logitmus.results.expectations`), which do not count; its table [but]
            holds what is intended, too, unless `but` says otherwise.
        out: where to keep the run's file; None: it is not kept.
        limits: of the workers.
        watch: passes on every event of the run, to show progress.

    Raises:
        RegistryError, TargetError, SuiteError, ExpectationsError, IntentionError: for an invalid argument: an unknown
            framework, file, function or dtype, say.
        InquiryError: if the framework is not installed or cannot start.

    Example:
        >>> import numpy as np, logitmus
        >>> def unshifted(logits, labels):
        ...     rows = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
        ...     return rows.mean()
        >>> result = logitmus.check(unshifted, "numpy", dtypes=["float32"], profile="quick", compare=False)
        >>> result.conforms, "spurious_overflow" in {finding.cause for finding in result.findings}
        (False, True)
    """
    began = time.monotonic()
    if require and require not in REQUIRABLE:
        raise registry.RegistryError(f"--require {require}: use {', '.join(REQUIRABLE)}")
    if not 0 <= explore < math.inf:
        raise registry.RegistryError(f"explore={explore}: is not a duration; use minutes above 0, e.g. 2 or 0.5")
    registry.parse(framework)
    dtypes = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
    check_dtypes(dtypes)
    accepted = load(Path(expect)) if expect else ()
    intended = _intended(Path(expect), but or {}) if expect else reference.intended(but or {})
    request = CheckRequest(
        function=function,
        framework=framework,
        names=dict(options or {}),
        class_axis=reference.class_axis(framework, class_axis),
        device=device,
        references=reference.references(framework, like, targets),
        intended=intended,
        settings=registry.settings_of(same or {}),
        dtypes=dtypes or (_NUMPY_DTYPES if registry.backend_name(framework) == "numpy" else _DTYPES),
    )
    with ExitStack() as stack:
        session = stack.enter_context(start(request, limits, compare=compare, isolated=isolated))
        kept = Path(out) if out else None
        path = kept or Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"check{SUFFIX}"
        grade = Grade(require) if require else None
        run = partial(_run, path=path, seed=seed, require=grade, strict=strict, expectations=accepted, watch=watch)
        # The quick problems in one dtype show most faults, and few of them what is wrong on all inputs. They are judged
        # in this process: processes of their own would take longer to start than a few problems need.
        first = "float32" if "float32" in request.dtypes else request.dtypes[0]
        early = partial(run, session, profile="quick", dtypes=(first,), judge=Judge())
        look = first_look(session)
        if look.hopeless:
            result = early(fail_fast=False, every=_FEW if look.answers else _SOME)
            if not result.conforms and result.answered == look.answers:
                result = replace(result, hopeless=look.hopeless, groups=result.groups[:1])
                return replace(result, seconds=time.monotonic() - began, file=kept)
            path.unlink()
        for every in (_FEW, 1) if fail_fast and profile != "quick" else ():
            result = early(fail_fast=True, every=every)
            if not result.conforms:
                return replace(result, seconds=time.monotonic() - began, file=kept)
            path.unlink()
        lost: list[Problem] = []
        try:
            found = {} if look.lost else explanations(session)
        except LostWorkerError as error:  # asked again in the run, which reports it, by new workers
            found, lost = {}, [error.problem]
            session = stack.enter_context(start(request, limits, compare=compare, isolated=isolated))
        if found and not session.with_settings:  # a setting may not do what the default does
            session = session.described_as(lambda subject: as_measured(found[subject.offer.targets], subject))
        result = run(
            session, profile=profile, dtypes=request.dtypes, fail_fast=fail_fast, explore=explore, further=lost
        )
        if not result.stopped:
            unjudged = [unjudged_labels(explained, session.subjects[kind]) for kind, explained in found.items()]
            result = replace(result, explanations=found, remarks=(*result.remarks, *filter(None, unjudged)))
    return replace(result, seconds=time.monotonic() - began, file=kept)


def _intended(file: Path, given: Mapping[str, str | float]) -> Intentions:
    """What the table [but] of a file and the caller intend; the caller has the last word."""
    table = load_intentions(file)
    try:
        reference.intended(table)
    except IntentionError as error:
        raise IntentionError(f"{file}: [but]: {error.message}") from error
    return reference.intended({**table, **given})


def _run(
    session: CheckSession,
    *,
    path: Path,
    profile: str,
    dtypes: Sequence[str],
    seed: int,
    require: Grade | None,
    strict: bool,
    expectations: Sequence[Expectation],
    fail_fast: bool,
    watch: Watch,
    explore: float = 0.0,
    judge: Judge | None = None,
    every: int = 1,
    further: Sequence[Problem] = (),
) -> CheckResult:
    """Run the engine once, and collect the result; `further`: problems that are asked before those of the profile."""
    settings = RunSettings(
        profile=profile,
        seed=seed,
        dtypes=tuple(dtypes),
        check=session.label,
        function=session.location,
        examine=Examination(
            calls=_CALLS,
            subjects=tuple(subject.id for subject in session.judged),
            references={key: other.id for key, other in session.compared.items()},
        ),
        explore=Exploration(minutes=explore),
    )
    summary = Summary(detection_power.known())
    accepted = Acceptance(expectations)
    stopped = False
    with Store.create(path, environment=harness_environment(), settings=settings) as store:
        again = judge or Judge()

        def judge_again(problem: Problem, subject: Subject) -> Judgement:
            return again.judge(problem, subject, store.outcomes(problem.id)[subject.id])

        comparison = BaselineComparison(
            session.judged, session.compared, require, accepted, strict=strict, judge_again=judge_again
        )
        problems = chain(further, islice(session.problems(profile, seed, dtypes), 0, None, every))
        events = engine.run(
            problems, session.specs, store, judge=judge, pool=lambda *_: session.workers, enough=lambda: stopped
        )
        for event in watch(events):
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
        require=require,
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


def assert_conforms(function: Callable[..., Any] | str, framework: str, **settings: Any) -> CheckResult:
    """`check`, as an assertion; its message states the problem, the expected result and the observed one.

    Args:
        settings: as of `check`.

    Raises:
        AssertionError: if the function does not conform; and the errors of `check`.

    Example:
        >>> import logitmus
        >>> logitmus.assert_conforms("losses.py:my_loss", framework="torch")  # doctest: +SKIP
    """
    __tracebackhide__ = True
    result = check(function, framework, **settings)
    if not result.conforms:
        raise AssertionError(str(result))
    return result


def _in_order(grades: Mapping[str, Grade]) -> dict[str, Grade]:
    return {dtype: grades[dtype] for dtype in FLOAT_DTYPES if dtype in grades}
