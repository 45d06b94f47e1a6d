"""The worker: a backend in a process of its own, answering problems over the wire (docs/protocol.md).

It speaks on the standard output that it was started with, and moves that out of everyone's reach before it imports a
framework: whatever the framework prints, at whatever level, goes to stderr. Standard library, numpy and ml_dtypes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from logitmus.core.backend import Backend, Function, Inputs, NotAskedError, Outputs
from logitmus.core.convention import PORTABLE
from logitmus.core.declaration import DeclarationError, subjects_of
from logitmus.core.floats import dtype_name, little_endian_bytes
from logitmus.core.observation import Answered, Garbled, NotRun, Outcome, PartName, Raised
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import BY_CALL, Subject
from logitmus.worker import user_code
from logitmus.worker.call_modes import Called, perform
from logitmus.worker.environment import flushes_subnormals, process_environment
from logitmus.worker.layout import canonical, present
from logitmus.worker.user_function import adopt
from logitmus.worker.wire import (
    DTYPES,
    PROTOCOL,
    Message,
    WireError,
    decode_problem,
    encode_outcome,
    encode_subject,
    plain_text,
    to_line,
)

_WRITABLE = ("logits", "targets", "weight", "cotangent")


@dataclass(frozen=True)
class _Served:
    """A subject, and the function behind it."""

    subject: Subject
    function: Function


def main(argv: Sequence[str]) -> int:
    """Serve a backend until standard input ends; return 1 if it could not start."""
    options = _options(argv)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(
            "always"
        )  # before a backend starts, which may leave out what is no fault of its functions
        return _serve(options, caught)


def _serve(options: argparse.Namespace, caught: list[warnings.WarningMessage]) -> int:
    questions, send = _take_the_wire()
    _die_with_parent()
    gc.disable()  # a framework's import makes a million objects and hardly any garbage: a tenth of its time
    backend: Backend | None = None
    try:
        backend = load(options.backend, options.path)
        backend.start(options.variant)
        devices = tuple(backend.devices())  # a framework that is not there is no fault of the function's file
        if options.function:
            backend = _adopted(backend, options)
        functions = {function.name: function for function in backend.functions}
        served = {s.id: _Served(s, functions[s.function]) for s in subjects_of(backend, devices)}
    except Exception as error:
        send(_failure(error, backend))
        return 1
    if options.device not in (devices if options.device else ("",)):
        send({"type": "failed", "reason": f"no device {options.device}; there is {', '.join(devices)}", "hint": ""})
        return 1
    send(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "subjects": [encode_subject(entry.subject) for entry in served.values()],
            "environment": {**process_environment(), "devices": list(devices)},
        }
    )
    gc.freeze()  # what has been imported stays: no collection during a call looks through it
    gc.enable()
    for line in questions:
        _answer_batch(json.loads(line), backend, served, caught, send)
    return 0


def load(target: str, path: str = "") -> Backend:
    """The `Backend` value at "module:attribute", with `path` on the import path.

    Raises:
        ImportError: where there is no such module; AttributeError, TypeError: where the attribute is not a `Backend`.
    """
    if path:
        sys.path.insert(0, path)
    module, _, attribute = target.partition(":")
    value = getattr(import_module(module), attribute)
    if not isinstance(value, Backend):
        raise TypeError(f"{target} is a {type(value).__name__}; a backend is a logitmus.core.backend.Backend value")
    return value


def _adopted(backend: Backend, options: argparse.Namespace) -> Backend:
    """A user's own function, called as the backend calls its own."""
    named = user_code.parse(options.function)
    return adopt(
        user_code.load(named),
        backend,
        name=named.name,
        names=dict(option.split("=", 1) for option in options.option),
        settings=options.setting,
        convention=PORTABLE.but(class_axis=options.class_axis),
    )


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="logitmus.worker.main", description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", required=True, help='"module:attribute" of a Backend value')
    parser.add_argument("--path", default="", help="a folder for the import path")
    parser.add_argument("--function", default="", help="FILE.py:FUNCTION or module:FUNCTION to ask in place of its own")
    parser.add_argument(
        "--option", action="append", default=[], help="weight=class_weights: a name of the function's own"
    )
    parser.add_argument("--setting", action="append", default=[], help="chunk=7: a further way to call the function")
    parser.add_argument("--class-axis", default="last", help="where the function wants its classes: last or 1")
    parser.add_argument("--variant", default="", help="the process-wide setting to start with")
    parser.add_argument("--device", default="", help="device that its subjects run on")
    return parser.parse_args(argv)


def _take_the_wire() -> tuple[BinaryIO, Callable[[Mapping[str, Any]], None]]:
    """The wire's two ends. Descriptors 0 and 1 are moved away: C code and child processes reach only the others."""
    questions = os.fdopen(os.dup(0), "rb", buffering=1 << 20)
    answers = os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def send(message: Mapping[str, Any]) -> None:
        rest = memoryview(to_line(message))
        while rest:
            rest = rest[os.write(answers, rest) :]

    return questions, send


def _die_with_parent() -> None:
    """Ends this process soon after its parent is gone, even in the middle of a call that never returns."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="logitmus-parent-watch", daemon=True).start()


def _failure(error: Exception, backend: Backend | None) -> Message:
    hint = ""
    if isinstance(error, user_code.TargetError | DeclarationError):
        return {"type": "failed", "reason": plain_text(str(error)), "hint": hint}
    if isinstance(error, ModuleNotFoundError) and backend is not None and backend.distributions:
        hint = f"{sys.executable} -m pip install {' '.join(backend.distributions)}"
    return {"type": "failed", "reason": plain_text(f"{type(error).__name__}: {error}"), "hint": hint}


def _answer_batch(
    batch: Mapping[str, Any],
    backend: Backend,
    served: Mapping[str, _Served],
    caught: list[warnings.WarningMessage],
    send: Callable[[Mapping[str, Any]], None],
) -> None:
    before = flushes_subnormals()
    for item in batch["items"]:
        problem = decode_problem(item["problem"])
        for subject in item["subjects"]:
            entry = served[subject]
            outcome, seconds = observe(problem, entry.subject, entry.function, backend, caught)
            send(
                {
                    "type": "answer",
                    "problem": item["problem"]["id"],
                    "subject": subject,
                    "outcome": _encoded(outcome),
                    "seconds": seconds,
                }
            )
    send({"type": "done", "batch": batch["batch"], "flushes_before": before, "flushes_after": flushes_subnormals()})


def observe(
    problem: Problem, subject: Subject, function: Function, backend: Backend, caught: list[warnings.WarningMessage]
) -> tuple[Outcome, float]:
    """The outcome of a problem, evaluated in its call mode in this process, and the seconds that it took.

    caught: the list of a `warnings.catch_warnings(record=True)` around it.
    """

    def call(variation: Problem, manner: str) -> Called:
        return _call(variation, manner, subject, function, backend, caught)

    return perform(problem, subject.convention.inputs, call)


def _call(
    problem: Problem,
    manner: str,
    subject: Subject,
    function: Function,
    backend: Backend,
    caught: list[warnings.WarningMessage],
) -> Called:
    try:
        inputs = present(problem, subject)
    except Exception as error:
        return Called(NotRun(f"could not be presented: {type(error).__name__}: {error}"), 0.0)
    bits = _bits(inputs)
    caught.clear()
    started = time.perf_counter()
    try:
        outputs = _evaluated(backend, function, subject, inputs, manner)
    except NotAskedError as error:
        return Called(NotRun(str(error)), 0.0)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_its_own(error, backend):  # no fault of its functions
            return Called(NotRun(f"needs a module that is not installed: {error}", lacks_module=True), 0.0)
        return Called(Raised(type(error).__name__, str(error)), time.perf_counter() - started)
    seconds = time.perf_counter() - started
    texts = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    written = tuple(name for name, now in _bits(inputs).items() if now != bits[name])
    return Called(_answered(outputs, problem, subject, written, texts), seconds)


def _is_its_own(error: ModuleNotFoundError, backend: Backend) -> bool:
    """Whether the missing module belongs to the backend, or is needed by an installed package: the environment's fault.

    A module that the user's function imports itself is the function's fault.
    """
    wanted = (error.name or "").partition(".")[0]
    if wanted in {distribution.replace("-", "_") for distribution in backend.distributions}:
        return True
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    importer = next(file for file in reversed(files) if not file.startswith("<frozen"))
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(importer).parts)


def _evaluated(backend: Backend, function: Function, subject: Subject, inputs: Inputs, manner: str) -> Outputs:
    if subject.switch == BY_CALL and backend.switched is not None:
        with backend.switched(subject.variant):
            return _in_manner(backend, function, subject, inputs, manner)
    return _in_manner(backend, function, subject, inputs, manner)


def _in_manner(backend: Backend, function: Function, subject: Subject, inputs: Inputs, manner: str) -> Outputs:
    if manner == ONCE:
        return backend.evaluate(function, subject.mode, subject.device, inputs)
    if backend.differentiate is None:
        raise NotAskedError(f"{backend.name} does not support {manner} calls: it has no `differentiate`")
    return backend.differentiate(function, subject.mode, subject.device, inputs, manner)


def _answered(
    outputs: Outputs, problem: Problem, subject: Subject, written: tuple[str, ...], texts: tuple[str, ...]
) -> Outcome:
    try:
        result = canonical(outputs, problem, subject)
    except Exception as error:
        return Garbled(f"{type(error).__name__}: {error}")
    parts = {name: getattr(result, name) for name in PartName}
    for name, part in parts.items():
        wrong = _wrong(name, part, problem)
        if wrong:
            return Garbled(f"{name}: {wrong}")
    arrays: dict[str, Any] = {name: np.asarray(part) for name, part in parts.items() if part is not None}
    return Answered(**arrays, written=written, warnings=texts)


def _wrong(name: str, part: object, problem: Problem) -> str:
    """Why a part is no result; "" if it is. A loss may have any shape: judging that is not the worker's business."""
    if part is None and name != "loss":
        return ""
    if not isinstance(part, np.ndarray | np.generic):
        return f"a value of type {type(part).__name__}; an array of the framework's own was due"
    if dtype_name(part) not in DTYPES:
        return f"an array of {part.dtype}; the protocol carries {', '.join(DTYPES)}"
    if name != "loss" and part.shape != problem.logits.shape:
        return f"shape {part.shape}, classes last; its problem's logits have {problem.logits.shape}"
    return ""


def _encoded(outcome: Outcome) -> Message:
    try:
        return encode_outcome(outcome)
    except WireError as error:
        return encode_outcome(Garbled(str(error)))


def _bits(inputs: Inputs) -> dict[str, bytes]:
    arrays = {name: getattr(inputs, name) for name in _WRITABLE}
    return {name: little_endian_bytes(array) for name, array in arrays.items() if array is not None}
