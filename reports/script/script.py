"""Scripts that reproduce a fault without Logitmus: a template, and the exact problem as Python literals.

Text from a run's file enters a script only as a literal or as a comment: the template engine writes every value as a
literal, except `Code`, which is made in this package.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from logitmus import __version__
from logitmus.core import catalogue
from logitmus.core.finding import Finding
from logitmus.core.observation import Crashed, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import DEFAULT_REDUCTION, DERIVATIVES, Problem, TargetKind
from logitmus.porting.translation import argument, written
from logitmus.reports.script.calls import call_values, scenario
from logitmus.reports.script.literals import WRITTEN_OUT, Code, exact, literal
from logitmus.results import wording
from logitmus.results.reproduction import OwnFunction, Reproduction, ReproError
from logitmus.worker.user_function import value_of

FRAMEWORKS: Final = ("torch", "tensorflow", "jax", "numpy")
_CRASH_SECONDS: Final = 300.0
_COMMENT: Final = 116
# The dotted names that a call needs.
_NAMES: Final = re.compile(r"\b(?:torch|tf|keras|optax|jnp|jax)(?:\.\w+)+(?=\()")
_GIVEN: Final = '{"logits": logits, "targets": targets}'
_GRADIENTS: Final = ("grad_logits", "grad_targets")


def script(reproduction: Reproduction) -> str:
    """The script.

    Raises:
        ReproError: the finding is not about a single call.
    """
    if reproduction.framework not in FRAMEWORKS:
        raise ReproError(
            f"{reproduction.subject.id}: no scripts for {reproduction.framework!r}, only for {', '.join(FRAMEWORKS)}"
        )
    mode, more = _mode(reproduction)
    values = {
        **_problem_values(reproduction),
        **call_values(reproduction, mode),
        "again": 0,
        "others": False,
        "mode": mode,
        **more,
    }
    return _template().render(**values)


@cache
def _template() -> Template:
    """Its engine writes every value as a literal."""
    engine = Environment(
        loader=PackageLoader("logitmus.reports.script", "templates"),
        autoescape=False,  # noqa: S701  (the scripts are no pages; see `literal`)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=literal,
    )
    return engine.get_template("repro.py.jinja")


def _mode(reproduction: Reproduction) -> tuple[str, dict[str, Any]]:
    """The mode of the script, which decides how it recognises the fault, and the values that this needs."""
    finding, outcome = reproduction.finding, reproduction.outcome
    cause = finding.effect or finding.cause
    head, tail = cause.name, cause.detail
    if isinstance(outcome, Crashed | TimedOut | OutOfMemory):
        seconds = outcome.seconds if isinstance(outcome, TimedOut) else _CRASH_SECONDS
        return "dies", {"seconds": seconds, "memory": outcome.limit if isinstance(outcome, OutOfMemory) else None}
    if head == "wrote_into":
        return "wrote_into", {"name": tail}
    if head == "raises" and tail in DERIVATIVES:
        return "raises", {}
    if head == "raises" or (head == "changes" and tail != "forward_mode"):
        return "changes", scenario(reproduction)
    if head in ("shape", "dtype", "no_gradient", "garbled"):
        return "form", {"part": finding.part or "loss", "misshapen": _misshapen(reproduction, head)}
    if head == "negative_zero":
        return "negative_zero", {}
    if reproduction.right is not None:
        return "value", {"right": reproduction.right, **_value(reproduction), **scenario(reproduction)}
    if reproduction.expects_exception:
        return "accepts", {}
    if isinstance(outcome, Raised):
        return "raises", {}
    if head == "second_derivative":
        raise ReproError(f"{finding.id} ({finding.summary}): no script: scripts do not compute second derivatives")
    raise ReproError(
        f"{finding.id} ({finding.summary}) no script: the finding compares many results; no single call shows it"
    )


def _misshapen(reproduction: Reproduction, head: str) -> Code:
    problem, part = reproduction.problem, reproduction.finding.part or "loss"
    if head == "no_gradient":
        return Code("shape is None")
    if head == "dtype":
        return Code(f"dtype != {reproduction.finding.expected!a}")
    reduction = (
        problem.reduction
        if problem.reduction != DEFAULT_REDUCTION
        else reproduction.subject.convention.default_reduction
    )
    due = problem.batch if reduction == "none" else ()
    if part != "loss":
        due = problem.logits.shape
        if _moved(reproduction):
            due = (due[0], due[-1], *due[1:-1])
    return Code(f"shape != {list(due)} or dtype not in ('float64', 'float32', 'bfloat16', 'float16')")


def _value(reproduction: Reproduction) -> dict[str, Any]:
    """The position of the value, and its admissible values."""
    finding, right = replace(reproduction.finding, part=reproduction.part), reproduction.right
    assert right is not None  # noqa: S101  (it is a finding about a value)
    place = "values.reshape(-1)[0]"
    if finding.row is not None:
        place = f"values.reshape(-1)[{int(finding.row)}]"
    if finding.row is not None and finding.index is not None:
        place = f"values.reshape(-1, {reproduction.problem.classes})[{int(finding.row)}, {int(finding.index)}]"
    tests = [] if right.lowest is None else ["LOWEST <= value <= HIGHEST"]
    tests += ["repr(value) in SPECIAL"] if right.special else []
    return {
        "part": finding.part,
        "part_words": Code(wording.where(finding)),
        "place": Code(place),
        "special": tuple(repr(value) for value in right.special),
        "lowest": Code(repr(right.lowest)),
        "highest": Code(repr(right.highest)),
        "is_right": Code(" or ".join(tests) or "False"),
    }


def _problem_values(reproduction: Reproduction) -> dict[str, Any]:
    """The problem and the call."""
    problem, subject, finding = reproduction.problem, reproduction.subject, reproduction.finding
    dense = problem.target_kind == TargetKind.PROBABILITIES
    call = _call(reproduction)
    arrays = (problem.logits, problem.targets, problem.weight, problem.cotangent)
    in_torch = reproduction.framework == "torch"
    at_home = subject.device == "cpu"
    plain = at_home and problem.dtype != "bfloat16"
    return {
        "story": _story(reproduction),
        "versions": dict(reproduction.versions),
        "expected": reproduction.right.exact if reproduction.right else finding.expected,
        "seen": finding.observed,
        "framework": reproduction.framework,
        "own": reproduction.own,
        "attribute": Code(reproduction.own.attribute) if reproduction.own else None,
        "textbook": problem.target_kind if _is_textbook(reproduction) else None,
        "call": call,
        "needed": [Code(name) for name in dict.fromkeys(_NAMES.findall(call))],
        "device": _device(reproduction),
        "device_check": _device_check(reproduction.framework, subject.device),
        "x64": subject.variant == "x64",
        "switch": _switch(reproduction),
        "compiled": bool(subject.mode) and reproduction.own is None,
        "ml_dtypes": problem.dtype == "bfloat16" and not in_torch,
        "bfloat16": Code(".view(torch.bfloat16)" if problem.dtype == "bfloat16" else ""),
        "packed": any(array is not None and array.size > WRITTEN_OUT for array in arrays),
        "logits": exact(problem.logits),
        "targets": exact(problem.targets),
        "weight": None if problem.weight is None else exact(problem.weight),
        "upstream": None if problem.cotangent is None else exact(problem.cotangent),
        "dense": dense,
        "layout": problem.layout,
        "moved": _moved(reproduction),
        "axis": 1 if _moved(reproduction) else -1,
        "tensor": Code("torch.from_numpy" if plain else "tensor"),
        "targets_tensor": Code("tensor" if dense and not plain else "torch.from_numpy"),
        "targets_there": Code("" if dense or at_home else f".to({subject.device!a})"),
        "wanted": Code("[logits, targets]" if dense else "[logits]"),
        "gradients": _GRADIENTS if dense else _GRADIENTS[:1],
        "given": Code(_GIVEN if problem.weight is None else f'{_GIVEN[:-1]}, "weight": weight}}'),
        **_handed_over(reproduction),
    }


def _switch(reproduction: Reproduction) -> Code | None:
    """The statement that sets the switch of the subject.

    Raises:
        ReproError: its backend does not say how it is set.
    """
    subject = reproduction.subject
    if not subject.has_switch:
        return None
    switches = {} if reproduction.function is None else reproduction.function.switches
    if subject.variant not in switches or not switches[subject.variant].statement:
        raise ReproError(f"{subject.id}: no script can be written, because its backend has no statement for the switch")
    return Code(switches[subject.variant].statement)


def _handed_over(reproduction: Reproduction) -> dict[str, Any]:
    """The arguments of a call, as expressions."""
    problem = reproduction.problem
    dense = problem.target_kind == TargetKind.PROBABILITIES
    arrangement = [f"laid out {problem.layout}"] if problem.layout != "contiguous" else []
    arrangement += ["its classes on axis 1"] if _moved(reproduction) else []

    def arranged(expression: str, *, by_layout: bool = True) -> str:
        return f"arranged({expression})" if arrangement and by_layout else expression

    targets = _stored("targets", problem.dtype, reproduction.framework) if dense else "targets"
    targets_out = arranged(targets, by_layout=problem.layout != "expanded" or (dense and _moved(reproduction)))
    return {
        "arranged": Code(", ".join(arrangement)),
        "logits_out": Code(arranged(_stored("logits", problem.dtype, reproduction.framework))),
        "targets_out": Code("targets.copy()" if targets_out == "targets" else targets_out),
        "weight_out": Code(_stored("WEIGHT", problem.dtype, reproduction.framework)),
        "upstream_out": Code(_stored("upstream", problem.dtype, reproduction.framework)),
        "direction_out": Code(arranged(_stored("direction", problem.dtype, reproduction.framework))),
        "upstream_argument": Code(", upstream" if problem.cotangent is not None else ""),
    }


def _device(reproduction: Reproduction) -> str:
    if reproduction.framework != "tensorflow":
        return reproduction.subject.device
    return {"cuda": "/GPU:0", "cpu": "/CPU:0"}.get(reproduction.subject.device, reproduction.subject.device)


def _moved(reproduction: Reproduction) -> bool:
    """Whether the classes stand on axis 1 where that is not the last."""
    return reproduction.subject.convention.class_axis == "1" and reproduction.problem.logits.ndim > 2


def _is_textbook(reproduction: Reproduction) -> bool:
    """Whether the function is the textbook formula, which the script holds; no library has it."""
    function = reproduction.function
    return reproduction.framework == "numpy" and function is not None and not function.usage.call


def _call(reproduction: Reproduction) -> Code:
    options = _options(reproduction.problem)
    if reproduction.own is not None:
        return _own_call(reproduction.own, options, reproduction.subject.mode)
    if _is_textbook(reproduction) or reproduction.function is None:
        return Code("function(logits, targets)")
    usage = reproduction.function.usage
    known = reproduction.function.usage.arguments
    if "label_smoothing" in reproduction.function.offer.options and not reproduction.function.offer.reductions[1:]:
        options.setdefault("label_smoothing", "0.0")  # the function has no default for it
    given = [argument(usage, o, v) for o, v in options.items() if o in known or f"{o}={v}" in known]
    call = written(usage, arguments=given)
    return Code(call.replace("dim=1", "dim=0") if reproduction.problem.logits.ndim == 1 else call)


def _options(problem: Problem) -> dict[str, str]:
    """The options that the problem gives, as they are written."""
    given = {
        "weight": None if problem.weight is None else "weight",
        "ignore_index": None if problem.ignore_index is None else f"{int(problem.ignore_index)}",
        "label_smoothing": f"{float(problem.label_smoothing)!r}" if problem.label_smoothing else None,
        "reduction": None if problem.reduction == DEFAULT_REDUCTION else problem.reduction,
    }
    return {name: value for name, value in given.items() if value is not None}


def _own_call(own: OwnFunction, options: dict[str, str], setting: str) -> Code:
    """`function(logits, targets, weight=weight)`, under the function's own names; its setting is "chunk=7", or ""."""
    if not own.takes_reduction:
        options.pop("reduction", None)
    elif "reduction" in options:
        options["reduction"] = ascii(options["reduction"])
    for name in own.required:
        options.setdefault(name, {"weight": "None", "label_smoothing": "0.0"}[name])
    pair = ["targets", "logits"] if own.targets_first else ["logits", "targets"]
    given = [f"{own.options[name]}={name}" if own.options.get(name) else name for name in pair]
    given.sort(key=lambda name: "=" in name)
    given += [f"{own.options.get(name) or name}={value}" for name, value in options.items()]
    if setting:
        name, _, value = setting.partition("=")
        given.append(f"{name}={value_of(value)!a}")
    return Code(f"function({', '.join(given)})")


def _device_check(framework: str, device: str) -> Code | None:
    if device == "cpu":
        return None
    checks = {
        "torch": f"torch.zeros(1).to({device!a})",
        "tensorflow": 'tf.config.list_logical_devices("GPU")[0]',
        "jax": f"jax.devices({device!a})[0]",
    }
    return Code(f"{checks[framework]}  # there is such a device") if framework in checks else None


def _stored(values: str, dtype: str, framework: str) -> str:
    """A copy in the dtype of the question, which holds its values exactly."""
    if dtype != "bfloat16":
        return f"{values}.astype(np.{np.dtype(dtype).name})"
    if framework == "torch":  # NumPy has no bfloat16: the upper half of a float32's bits
        return f"({values}.astype(np.float32).view(np.int32) >> 16).astype(np.int16)"
    return f"{values}.astype(ml_dtypes.bfloat16)"


def _story(reproduction: Reproduction) -> Code:
    """Comments: the finding, what it depends on, and where it is from."""
    finding = reproduction.finding
    lines = [
        f"{reproduction.own.file or reproduction.own.module}: {reproduction.own.attribute}"
        if reproduction.own
        else reproduction.subject.id,
        f"{finding.severity.value}, {finding.kind.value}: {finding.summary}",
        wording.question(reproduction.problem, finding.row),
        _depends(reproduction.dependences),
        f"Finding {finding.id}, problem {finding.problem}; written by logitmus {__version__}.",
    ]
    return Code("\n".join(line for words in lines if words for line in _comment(words)))


def _depends(dependences: tuple[str, ...]) -> str:
    return f"It depends on {'; '.join(map(catalogue.dependence, dependences))}" if dependences else ""


def _comment(words: str) -> list[str]:
    """Comment lines of plain ASCII, whatever the words are."""
    plain = " ".join(words.split()).encode("ascii", "backslashreplace").decode()
    printable = "".join(character if character.isprintable() else "?" for character in plain)
    return [f"# {line}" for line in textwrap.wrap(printable, _COMMENT) or [""]]


def describe(finding: Finding, versions: Mapping[str, str]) -> str:
    """A line about a script that was written into a file."""
    seen = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{finding.id}: {finding.summary} (found with {seen})"
