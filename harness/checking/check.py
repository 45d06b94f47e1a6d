"""Checks a user's function: the problems of the suite, judged by what a well-known function promises.

A check is a run (`logitmus.engine.run`) with two subjects: the user's function, judged by the convention, precision and
documentation of a reference (`logitmus.checking.reference`), and the reference itself. `logitmus.checking.session`
starts both, and `logitmus.checking.examination` examines the function with them.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from logitmus.cases.suite import check_dtypes
from logitmus.checking import reference
from logitmus.checking.reference import IntentionError, Intentions
from logitmus.checking.session import CheckRequest, start
from logitmus.core.finding import Grade
from logitmus.core.problem import TargetKind
from logitmus.execution import registry
from logitmus.execution.limits import Limits
from logitmus.results.expectations import load, load_intentions
from logitmus.storage.store import SUFFIX

if TYPE_CHECKING:
    from logitmus.checking.examination import Watch
    from logitmus.checking.result import CheckResult

KINDS: Final = tuple(TargetKind)
REQUIRABLE: Final = (Grade.A, Grade.B_PLUS, Grade.B, Grade.C)
_DTYPES: Final = ("float64", "float32", "bfloat16", "float16")
# NumPy has no bfloat16 of its own; dtypes=["bfloat16"] tests a function in it all the same.
_NUMPY_DTYPES: Final = ("float64", "float32", "float16")
_EXAMINATION: Final = "logitmus.checking.examination"  # half a second to import: meanwhile the workers start


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
        begin = partial(start, request, limits, compare=compare, isolated=isolated)
        session = stack.enter_context(begin(meanwhile=partial(import_module, _EXAMINATION)))
        kept = Path(out) if out else None
        examine = import_module(_EXAMINATION).Examination(
            path=kept or Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"check{SUFFIX}",
            profile=profile,
            dtypes=request.dtypes,
            seed=seed,
            require=Grade(require) if require else None,
            strict=strict,
            expectations=accepted,
            explore=explore,
            watch=watch,
        )
        result: CheckResult = examine.of(session, lambda: stack.enter_context(begin()), fail_fast=fail_fast)
    return replace(result, seconds=time.monotonic() - began, file=kept)


def _intended(file: Path, given: Mapping[str, str | float]) -> Intentions:
    """What the table [but] of a file and the caller intend; the caller has the last word."""
    table = load_intentions(file)
    try:
        reference.intended(table)
    except IntentionError as error:
        raise IntentionError(f"{file}: [but]: {error.message}") from error
    return reference.intended({**table, **given})


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
