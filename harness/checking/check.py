"""Checking a function of a user's own: the suite's problems, judged by what a well-known function promises.

The work is that of any run (`logitmus.engine.run`) over two subjects: the user's function, which is held to the
convention, precision and documentation of a reference (`logitmus.checking.reference`), and the reference itself.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from typing import cast as typed

from logitmus.cases.suite import check_dtypes
from logitmus.checking import reference
from logitmus.checking.baseline import Tally
from logitmus.checking.result import CheckResult
from logitmus.checking.setup import Cast, Wanted, cast
from logitmus.core.events import Event
from logitmus.core.finding import Grade
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.subject import TargetKind
from logitmus.engine import run as engine
from logitmus.engine.exploration import SETTING as EXPLORE
from logitmus.engine.reduction import SETTING
from logitmus.execution import registry
from logitmus.execution.pool import Limits, Pool
from logitmus.results import detection_power
from logitmus.results.expectations import Acceptance, Expectation, load
from logitmus.results.summary import Summary
from logitmus.storage.store import SUFFIX, Store
from logitmus.worker.environment import harness_environment

KINDS: Final[tuple[TargetKind, ...]] = ("labels", "probabilities")
REQUIRABLE: Final = (Grade.A, Grade.B_PLUS, Grade.B, Grade.C)
_DTYPES: Final = ("float64", "float32", "bfloat16", "float16")
# NumPy has no bfloat16 of its own; a function that is to be asked in it can be, with dtypes=["bfloat16"].
_NUMPY_DTYPES: Final = ("float64", "float32", "float16")
_CALLS: Final = 120  # for each group of like findings, to reduce it to the simplest problem
Watch = Callable[[Iterable[Event]], Iterable[Event]]


def check(
    function: Callable[..., Any] | str,
    framework: str,
    *,
    like: str = "",
    targets: Sequence[TargetKind] = (),
    class_axis: str = "",
    require: str = "",
    device: str = "",
    dtypes: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    profile: str = "default",
    seed: int = 0,
    explore: float = 0.0,
    fail_fast: bool = False,
    compare: bool = True,
    isolated: bool | None = None,
    expect: Path | str | None = None,
    out: Path | str | None = None,
    limits: Limits = reference.LIMITS,
    watch: Watch = iter,
) -> CheckResult:
    """Whether `function` is as good a cross-entropy as the one that it is held to.

    Args:
        function: "FILE.py:FUNCTION" or "package.module:FUNCTION", or a callable. It takes (logits, targets) in the
            framework's own arrays, and those of weight, ignore_index, label_smoothing and reduction that its
            signature names; what it does not name is not exercised. In NumPy it may return (loss, gradient).
        framework: "torch", "tensorflow", "jax" or "numpy"; for a function in a file also "torch@/path/to/python".
        like: the subject whose convention it is held to; "": the framework's flagship (for NumPy, PyTorch's).
        targets: the kinds that it is asked with; empty: that of `like`, which is labels unless said otherwise.
        class_axis: where it gets its classes, "last" or "1"; "": as the framework's flagship, in NumPy last.
        require: the grade that every dtype must reach, "A", "B+", "B" or "C": numbers within it are not held against
            the function, all others are. "": all that the judge finds is (a weak sum is but a note).
        device: one that the framework has; "": its first, the CPU.
        dtypes: those it is asked in; empty: float64, float32, bfloat16 (not in NumPy) and float16.
        options: its own names for the arguments, by ours: {"weight": "class_weights"}; "": not to be given.
        profile, seed: as of `logitmus run`.
        explore: go on for so many minutes with problems beyond the suite (`logitmus.engine.exploration`).
        fail_fast: begin with the quick problems, and end where they or one of the others show a finding that counts.
        compare: whether the function that it is held to is asked, too. What that one does no better on the same
            problem is not held against yours.
        isolated: whether it runs in a worker process, where a crash or a hang is a finding; None: if a worker can
            import it, which it can if it has a name in a module. In this process, a crash is a crash.
        expect: a file of accepted findings (`logitmus.results.expectations`), which are not held against the function.
        out: where to keep the run's file; None: it is not kept.
        limits: of the workers.
        watch: sees every event of the run on its way, for progress.

    Raises:
        RegistryError, TargetError, SuiteError, ExpectationsError: for what cannot be meant: a framework, a file, a
            function, a dtype.
        InquiryError: where the framework is not installed or cannot start.

    Example:
        >>> import numpy as np, logitmus
        >>> def unshifted(logits, labels):
        ...     rows = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
        ...     return rows.mean()
        >>> result = logitmus.check(unshifted, "numpy", dtypes=["float32"], profile="quick", compare=False)
        >>> result.conforms, "spurious_overflow" in {finding.cause for finding in result.findings}
        (False, True)
    """
    start = time.monotonic()
    if require and require not in REQUIRABLE:
        raise registry.RegistryError(f"--require {require}: use {', '.join(REQUIRABLE)}")
    if not 0 <= explore < math.inf:
        raise registry.RegistryError(f"explore={explore}: is no time to explore; use minutes, e.g. 2 or 0.5")
    registry.parse(framework)
    dtypes = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
    check_dtypes(dtypes)
    accepted = load(Path(expect)) if expect else ()
    wanted = Wanted(
        function=function,
        framework=framework,
        names=dict(options or {}),
        class_axis=reference.class_axis(framework, class_axis),
        device=device,
        models=reference.models(framework, like, targets),
        dtypes=dtypes or (_NUMPY_DTYPES if registry.backend_name(framework) == "numpy" else _DTYPES),
    )
    with ExitStack() as stack:
        asked = cast(wanted, limits, compare=compare, isolated=isolated)
        stack.callback(asked.stage.close)
        kept = Path(out) if out else None
        path = kept or Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"check{SUFFIX}"
        needed = Grade(require) if require else None
        ask = partial(_ask, asked, path, seed=seed, require=needed, expectations=accepted, watch=watch)
        if fail_fast and profile != "quick":
            # Most faults show on the quick problems in one dtype; only who passes them is asked the others.
            lead = "float32" if "float32" in wanted.dtypes else wanted.dtypes[0]
            result = ask("quick", (lead,), fail_fast=True)
            if not result.conforms:
                return replace(result, seconds=time.monotonic() - start, file=kept)
            path.unlink()
        result = ask(profile, wanted.dtypes, fail_fast=fail_fast, explore=explore)
    return replace(result, seconds=time.monotonic() - start, file=kept)


def _ask(
    asked: Cast,
    path: Path,
    profile: str,
    dtypes: Sequence[str],
    *,
    seed: int,
    require: Grade | None,
    expectations: Sequence[Expectation],
    fail_fast: bool,
    watch: Watch,
    explore: float = 0.0,
) -> CheckResult:
    """One run, and what it says."""
    beside = asked.beside
    problems = reference.problems(
        asked.held.values(), beside=list(beside.values()), profile=profile, seed=seed, dtypes=dtypes
    )
    settings = {"profile": profile, "seed": seed, "dtypes": list(dtypes), "check": asked.label}
    settings |= {
        "function": asked.function,
        SETTING: {"calls": _CALLS, "subjects": [s.id for s in asked.held.values()]},
        **({EXPLORE: {"minutes": explore}} if explore else {}),
    }
    summary = Summary(detection_power.known())
    accepted = Acceptance(expectations)
    tally = Tally(asked.held.values(), beside, require, accepted)
    stopped = False
    with Store.create(path, environment=harness_environment(), settings=settings) as store:
        stage = typed(Pool, asked.stage)
        events = engine.run(problems, asked.specs, store, pool=lambda *_: stage, enough=lambda: stopped)
        for event in watch(events):
            summary.add(event)
            if tally.add(event) and fail_fast and not stopped:
                asked.stage.halt()
                stopped = True
    if summary.finished is not None and summary.finished.interrupted:
        raise KeyboardInterrupt
    remarks = asked.remarks
    if tally.asked and not tally.answered:
        whose = next(iter(asked.held.values())).backend
        remarks += (f"it raised whatever it was asked with arrays of {whose}: is it another framework's (-f)?",)
    return CheckResult(
        function=asked.label,
        subjects=asked.held,
        models=asked.models,
        require=require,
        groups=tally.groups,
        below=tally.below,
        excused=tally.excused,
        accepted=accepted,
        grades=_in_order(tally.grades),
        model_grades=_in_order(tally.model_grades),
        problems=tally.asked,
        calls=summary.calls,
        seconds=0.0 if summary.finished is None else summary.finished.seconds,
        not_asked=tally.not_asked,
        remarks=remarks,
        stopped=stopped,
        summary=summary,
    )


def assert_conforms(function: Callable[..., Any] | str, framework: str, **settings: Any) -> CheckResult:
    """`check`, as an assertion; its message says what was asked, what was expected and what came.

    Args:
        settings: as of `check`.

    Raises:
        AssertionError: where the function does not conform; and what `check` raises.

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
