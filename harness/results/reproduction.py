"""Reproductions: a finding of a run, with everything that a script needs to reproduce it without Logitmus.

Everything is read from the run's file, which is data: names that will be part of a script are checked here.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from logitmus.core.backend import Function
from logitmus.core.errors import LogitmusError
from logitmus.core.events import BackendReady, Event, Examined, Judged, Settled
from logitmus.core.finding import Finding
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import REDUCTIONS, Problem
from logitmus.core.run_settings import CheckedFunction, RunSettings
from logitmus.core.subject import Subject
from logitmus.engine.run import judge_run
from logitmus.execution import registry
from logitmus.judging.acceptance import Criterion, criterion
from logitmus.judging.portability import portable_for
from logitmus.oracle.resolve import resolve
from logitmus.storage.store import Store
from logitmus.worker.environment import versions
from logitmus.worker.user_function import ARGUMENTS, TARGET_NAMES

_CANDIDATES: Final = 12
_BUILDS: Final = ("", "-cpu", "-gpu", "-macos")  # TensorFlow's distributions are called so


class ReproError(LogitmusError, ValueError):
    """An unknown finding, or a finding that no script can reproduce; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnFunction:
    """A user's own function, as a script finds and calls it.

    Attributes:
        file: the path of its file; "" for a module. module: the module's name. attribute: its name there.
        options: its own names for the arguments, by ours; "" for an argument that must not be passed.
        targets_first: it takes its targets before its logits.
        required: of our names, what must be given even where a problem does not.
        takes_reduction: it has an argument for it.
    """

    file: str
    module: str
    attribute: str
    options: Mapping[str, str] = field(default_factory=dict)
    targets_first: bool = False
    required: tuple[str, ...] = ()
    takes_reduction: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """One finding, ready to be shown again.

    Attributes:
        finding, problem, subject, outcome: what was seen. dependences: what it depends on (`catalogue.dependence`).
        framework: the registered name of its backend. function: what that backend declares (None: it is `own`).
        part: the result that the finding is about, "" for the whole call.
        right: what the value concerned may be; None: the finding is about no value.
        expects_exception: the finding is a result where the portable or the documented convention expects an exception.
        versions: of the framework's distributions and of Python, by name.
    """

    finding: Finding
    problem: Problem
    subject: Subject
    outcome: Outcome
    dependences: tuple[str, ...]
    framework: str
    function: Function | None
    own: OwnFunction | None
    part: str
    right: Criterion | None
    expects_exception: bool
    versions: Mapping[str, str]


def reproduction(store: Store, wanted: str) -> Reproduction:
    """The reproduction of the finding whose id begins with `wanted`.

    If the run reduced the finding to a simpler problem, the script uses that problem.

    Raises:
        ReproError: no such finding, several, or a subject that a script cannot call.
    """
    return reproduction_of(store, *find(store, wanted))


def reproduction_of(store: Store, shown: Examined, of_subject: BackendReady) -> Reproduction:
    """The reproduction of a finding that a report shows, with its problem; `of_subject` is the backend of its subject.

    Raises:
        ReproError: a subject that a script cannot call.
    """
    finding, problem = shown.finding, shown.problem
    subject = store.subjects()[finding.subject]
    outcome = store.outcomes(problem.id)[subject.id]
    framework = _framework(store.settings, subject, of_subject)
    is_own = of_subject.backend != subject.backend and store.settings.function is not None
    own = _own(store.settings.function, subject) if is_own else None
    part, right = _right(problem, subject, outcome, finding)
    return Reproduction(
        finding=finding,
        problem=problem,
        subject=subject,
        outcome=outcome,
        dependences=shown.dependences,
        framework=framework,
        function=None if own else _function(framework, subject),
        own=own,
        part=part,
        right=right,
        expects_exception=_expects_exception(problem, subject, finding),
        versions=_versions(framework, of_subject),
    )


def find(store: Store, wanted: str) -> tuple[Examined, BackendReady]:
    """The finding whose id begins with `wanted`, with its problem, and the backend that its subject is of.

    Raises:
        ReproError: no such finding, or several.
    """
    return _found(judge_run(store), wanted)


def _found(events: Iterable[Event], wanted: str) -> tuple[Examined, BackendReady]:
    """The finding with its problem, and the backend that its subject is of."""
    wanted = wanted.strip().lower()
    known: dict[str, Examined] = {}
    backends: dict[str, BackendReady] = {}
    for event in events:
        match event:
            case BackendReady():
                backends.update(dict.fromkeys((subject.id for subject in event.subjects), event))
            case Judged(problem, judgement):
                known.update((finding.id, Examined(finding, finding, problem)) for finding in judgement.findings)
            case Examined(of, finding, _, _):
                known[of.id] = known[finding.id] = event
            case Settled(of, _, Finding() as finding, problem, dependences):
                known[finding.id] = Examined(of, finding, problem, dependences)
            case _:
                pass
    hits = {
        examined.finding.id: examined for identity, examined in sorted(known.items()) if identity.startswith(wanted)
    }
    if wanted in known:
        hits = {wanted: known[wanted]}
    if len(hits) != 1 or not wanted:
        raise ReproError(_which(wanted, hits, known))
    (shown,) = hits.values()
    return shown, backends[shown.finding.subject]


def _which(wanted: str, hits: Mapping[str, Examined], known: Mapping[str, Examined]) -> str:
    """The candidates: the findings that match, else the simplest of each cause."""
    if not known:
        return "this run has no findings"
    by_cause = {
        examined.finding.key: examined
        for examined in sorted(known.values(), key=lambda e: (e.problem.logits.size, e.of.id))
    }
    listed = sorted((hits or {examined.finding.id: examined for examined in by_cause.values()}).values(), key=_rank)
    lines = [f"  {e.finding.id}  {e.finding.subject}  {e.finding.summary}" for e in listed[:_CANDIDATES]]
    if len(listed) > _CANDIDATES:
        lines.append(f"  and {len(listed) - _CANDIDATES} more")
    seen = f"{len(hits)} findings begin with {wanted!r}" if hits else f"unknown finding {wanted!r}"
    return "\n".join([f"{seen}; this run has" if not hits else f"{seen}:", *lines])


def _rank(examined: Examined) -> tuple[object, ...]:
    return examined.finding.severity.rank, examined.finding.subject, examined.finding.cause, examined.finding.id


def _expects_exception(problem: Problem, subject: Subject, finding: Finding) -> bool:
    cause = finding.effect or finding.cause
    if cause.name == "accepted":
        return True
    return (
        cause.name in ("convention", "switch")
        and resolve(problem, portable_for(subject.convention)).refused is not None
    )


def _right(problem: Problem, subject: Subject, outcome: Outcome, finding: Finding) -> tuple[str, Criterion | None]:
    """The part that the finding is about, and what its value may be.

    Forward mode is held to the exact answer, not to the bits of the plain call (`logitmus.judging.consistency`): of the
    parts that differ from that call's, the first that is wrong is taken.
    """
    if not isinstance(outcome, Answered):
        return finding.part, None
    parts = outcome.changed if finding.cause == "changes:forward_mode" else (finding.part,)
    for part in parts:
        right = criterion(problem, subject, outcome, replace(finding, part=part))
        if right is not None:
            return part, right
    return finding.part, None


def _framework(settings: RunSettings, subject: Subject, ready: BackendReady) -> str:
    """The registered name of the subject's backend, whatever the user called it."""
    if ready.backend != subject.backend and settings.function is not None:
        return settings.function.framework
    for text in settings.backends:
        if text.partition("=")[0] == subject.backend:
            return registry.backend_name(text)
    return subject.backend


def _function(framework: str, subject: Subject) -> Function:
    """The function as its backend declares it; only built-in backends know how a user writes the call."""
    spec = next((spec for spec in registry.available() if spec.name == framework), None)
    backend = None if spec is None else registry.backend_of(spec)
    functions = {} if backend is None else {function.name: function for function in backend.functions}
    if subject.function not in functions:
        raise ReproError(
            f"{subject.id}: no script can be written, because only its backend knows how to call this function; "
            "`logitmus report RUN --html FILE` shows the problem"
        )
    return functions[subject.function]


def _own(checked: CheckedFunction | None, subject: Subject) -> OwnFunction:
    if checked is None or not checked.target:
        raise ReproError(
            f"{subject.function} was a callable of a running program, which a script cannot import; put it into a "
            "file, and check FILE.py:FUNCTION"
        )
    where, _, attribute = checked.target.rpartition(":")
    is_file = where.endswith(".py")
    options = dict(checked.options)
    names = [*attribute.split("."), *(() if is_file else where.split(".")), *filter(None, options.values())]
    if any(not name.isidentifier() or keyword.iskeyword(name) for name in names) or set(options) - set(ARGUMENTS):
        raise ReproError(
            f"{where}:{attribute} {options} is not a function name: was this file written by `logitmus check`?"
        )
    signature = _signature(Path(where if is_file else f"{where.replace('.', '/')}.py"), attribute)
    own_names = {options.get(ours, ours): ours for ours in ("weight", "label_smoothing")}
    return OwnFunction(
        file=where if is_file else "",
        module=Path(where).stem if is_file else where,
        attribute=attribute,
        options=options,
        targets_first=_targets_first(signature, options),
        required=tuple(own_names[name] for name, given in signature.items() if not given and name in own_names),
        takes_reduction=subject.offer.reductions == REDUCTIONS,
    )


def _signature(file: Path, attribute: str) -> dict[str, bool]:
    """The parameters that the file's text gives the function, and whether each has a default; none if it is unclear."""
    try:
        body: list[ast.stmt] = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return {}
    *outer, name = attribute.split(".")
    for part in outer:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == part), [])
    found = [node.args for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        return {}
    positional = [*found[-1].posonlyargs, *found[-1].args]
    first_default = len(positional) - len(found[-1].defaults)
    return {parameter.arg: n >= first_default for n, parameter in enumerate(positional)} | {
        parameter.arg: default is not None
        for parameter, default in zip(found[-1].kwonlyargs, found[-1].kw_defaults, strict=True)
    }


def _targets_first(signature: Mapping[str, bool], options: Mapping[str, str]) -> bool:
    """Whether its first two parameters are called as those of TensorFlow and Keras are."""
    pair = [name for name in signature if name != "self"][:2]
    if options.get("logits") or options.get("targets") or len(pair) < 2:
        return False
    return pair[0] in TARGET_NAMES and pair[1] not in TARGET_NAMES


def _versions(framework: str, ready: BackendReady) -> dict[str, str]:
    """Those that identify the backend: what its distributions are called, it says itself."""
    spec = next((spec for spec in registry.available() if spec.name == framework), None)
    backend = None if spec is None else registry.backend_of(spec)
    there = versions(ready.environment)
    names = ("numpy", *(backend.distributions if backend else ()))
    builds = dict.fromkeys(f"{name}{build}" for name in names for build in _BUILDS)
    return {name: there[name] for name in builds if name in there}
