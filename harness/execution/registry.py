"""Which backends there are, and what a user's `--backend` means.

    torch                       a registered backend (entry-point group `logitmus.backends`), in this interpreter
    torch@/path/to/python       the same in another interpreter
    torch@env:NAME              the same in an environment that `logitmus env create NAME` made
    old=torch@/path/to/python   the same under a name of its own, so that two versions stand side by side
    my_module:BACKEND           a `Backend` value in a module of the user's own
    cmd:./program --flag        any program that speaks the protocol (docs/protocol.md)

Nothing is imported to find out: entry points are metadata. This module itself is light (no numpy), because workers are
launched as soon as it has parsed their specs.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from logitmus.core.errors import LogitmusError, suggest
from logitmus.worker import user_code

if TYPE_CHECKING:
    from logitmus.core.backend import Backend

GROUP = "logitmus.backends"
DISTRIBUTION: Final = "logitmus"  # other people's backends may import anything; these import no framework
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SETTING = re.compile(r"[\w.-]+", re.ASCII)
_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*)=(.+)", re.DOTALL)


class RegistryError(LogitmusError, ValueError):
    """An unknown or invalid backend, subject or device; the message lists the known names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendSpec:
    """One backend to run.

    Attributes:
        name: what its subjects' ids begin with; "" lets a `cmd:` program name itself.
        target: "module:attribute" of a `Backend` value; "" for a program.
        distribution: the installed distribution that registered it.
        python: another interpreter to run it in; "" is the current interpreter.
        command: the program and its arguments, for `cmd:`.
        path: a folder that the worker adds to its import path.
        function: FILE.py:FUNCTION or module:FUNCTION that replaces the backend's own functions.
        options: that function's own names for the arguments, by ours (`logitmus.worker.user_function.ARGUMENTS`).
        class_axis: where that function wants its classes, as in `Convention`.
        settings: "chunk=7": further ways to call that function (`logitmus.worker.user_function`).
    """

    name: str
    target: str = ""
    distribution: str = ""
    python: str = ""
    command: tuple[str, ...] = ()
    path: str = ""
    function: str = ""
    options: tuple[tuple[str, str], ...] = ()
    class_axis: str = "last"
    settings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What a person calls it."""
        if self.function:
            return f"{self.name}:{self.function}"
        return self.name or f"cmd:{shlex.join(self.command)}"


@cache
def available() -> tuple[BackendSpec, ...]:
    """The registered backends by name; nothing is imported.

    Raises:
        RegistryError: where two distributions register the same name.
    """
    found: dict[str, BackendSpec] = {}
    for point in metadata.entry_points(group=GROUP):
        distribution = point.dist.name if point.dist is not None else ""
        spec = BackendSpec(name=point.name, target=point.value, distribution=distribution)
        other = found.setdefault(point.name, spec)
        if other.target != spec.target:
            raise RegistryError(
                f"backend {point.name!r} is registered by {other.distribution} ({other.target}) and by "
                f"{distribution} ({spec.target}); uninstall either"
            )
    return tuple(found[name] for name in sorted(found))


def parse(text: str) -> BackendSpec:
    """What `--backend TEXT` means (the forms are at the top of this module).

    Raises:
        RegistryError: for an unknown name, an interpreter or a program that does not exist.
        EnvironmentsError: for an environment that does not exist.
    """
    named = _NAMED.fullmatch(text)
    if named:
        return replace(parse(named[2]), name=named[1])
    if text.startswith("cmd:"):
        return BackendSpec(name="", command=_command(text))
    target, at, python = text.partition("@")
    if ".py:" in target:
        raise RegistryError(f"--backend {text}: a module is named without .py: {target.replace('.py:', ':', 1)}")
    spec = _own(target) if _TARGET.fullmatch(target) else _registered(target)
    return replace(spec, python=_interpreter(python, text)) if at else spec


def adopting(
    framework: str,
    function: str,
    options: Sequence[str] = (),
    class_axis: str = "last",
    settings: Sequence[str] = (),
) -> BackendSpec:
    """A user's own function, run in a framework: `identify FUNCTION --framework FRAMEWORK --option weight=w`.

    Raises:
        RegistryError, target.TargetError: for a framework, a file or an option that cannot be meant.
    """
    from logitmus.core.convention import FIELDS  # noqa: PLC0415  (loads numpy)

    spec = parse(framework)
    if spec.command:
        raise RegistryError(f"--framework {framework}: a program of its own takes no functions; use e.g. torch or jax")
    if class_axis not in FIELDS["class_axis"].values:
        raise RegistryError(f"--class-axis {class_axis}: use {' or '.join(FIELDS['class_axis'].values)}")
    return replace(
        spec,
        function=str(user_code.parse(function)),
        options=tuple(named_options(options).items()),
        class_axis=class_axis,
        settings=tuple(settings),
    )


def settings_of(same: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """The settings ("chunk=7") of parameters that must not matter, by their names with the values to try.

    Raises:
        RegistryError: for a name or a value that cannot stand in the id of a subject.
    """
    settings = []
    for name, values in same.items():
        for value in map(str, values):
            if not name.isidentifier() or not _SETTING.fullmatch(value):
                raise RegistryError(
                    f"--same {name}={value}: use NAME=VALUE,VALUE,... where NAME is a parameter of the function and "
                    "each VALUE consists of letters, digits, '.', '-' and '_', e.g. chunk=1,2,7"
                )
            settings.append(f"{name}={value}")
    return tuple(dict.fromkeys(settings))


def named_options(options: Sequence[str]) -> dict[str, str]:
    """What each `--option OURS=THEIRS` means: a function's own names for the arguments, by ours.

    Raises:
        RegistryError: for what is not of this form, or no argument of ours.
    """
    from logitmus.worker.user_function import ARGUMENTS  # noqa: PLC0415  (with all that it needs: most runs have no use for it)

    named = [option.partition("=") for option in options]
    for ours, equals, theirs in named:
        if ours not in ARGUMENTS or not equals or not (theirs.isidentifier() or not theirs):
            raise RegistryError(
                f"--option {ours}{equals}{theirs}: use OURS=THEIRS, e.g. weight=class_weights, where OURS is one of "
                f"{', '.join(ARGUMENTS)}; nothing after the = leaves an option out"
            )
    return {ours: theirs for ours, _, theirs in named}


def distinct(specs: Sequence[BackendSpec]) -> tuple[BackendSpec, ...]:
    """The specs, each once.

    Raises:
        RegistryError: where two different specs have the same label.
    """
    by_label: dict[str, BackendSpec] = {}
    for spec in specs:
        if by_label.setdefault(spec.label, spec) != spec:
            raise RegistryError(
                f"two backends are called {spec.label!r}; name one of them, e.g. --backend old=torch@/path/to/python"
            )
    return tuple(by_label.values())


def _own(target: str) -> BackendSpec:
    module = target.partition(":")[0].rpartition(".")[2]
    return BackendSpec(name=module, target=target, path=str(Path.cwd()))


def _registered(name: str) -> BackendSpec:
    for spec in available():
        if spec.name == name:
            return spec
    names = [spec.name for spec in available()]
    raise RegistryError(
        f"unknown backend {name!r}; {suggest(name, names)}",
        "A backend is a name, NAME@/path/to/python, NAME@env:ENVIRONMENT, module:ATTRIBUTE or cmd:./program",
    )


def _interpreter(python: str, text: str) -> str:
    from logitmus.environments.environments import Environments  # noqa: PLC0415  (loads packaging and filelock)
    from logitmus.environments.spec import NAMED  # noqa: PLC0415

    if python.startswith(NAMED):
        return str(Environments().named(python.removeprefix(NAMED)).python)
    if shutil.which(python) is None:
        raise RegistryError(
            f"--backend {text}: {repr(python) if python else 'nothing'} is not a program that can be run; "
            "give the path of a Python interpreter, e.g. torch@/path/to/venv/bin/python, or a named environment, "
            "e.g. torch@env:NAME (logitmus env list)"
        )
    return str(Path(python).absolute()) if "/" in python else python


def _command(text: str) -> tuple[str, ...]:
    try:
        command = shlex.split(text.removeprefix("cmd:"))
    except ValueError as error:
        raise RegistryError(f"--backend {text}: {error}") from None
    if not command:
        raise RegistryError("--backend cmd: names no program; use cmd:./program, with its arguments if it has any")
    if shutil.which(command[0]) is None:
        raise RegistryError(
            f"--backend {text}: {command[0]!r} is not a program that can be run; "
            "is the path right, and is it executable?"
        )
    return tuple(command)


def backend_name(framework: str) -> str:
    """The registered name in what a person calls a framework: "torch" in "mine=torch@/path/to/python"."""
    return framework.partition("@")[0].rpartition("=")[2]


def backend_of(spec: BackendSpec) -> Backend | None:
    """What a backend of this distribution declares; None: it is another's, and only a worker may import it."""
    known = any(
        registered.target == spec.target for registered in available() if registered.distribution == DISTRIBUTION
    )
    if not known:
        return None
    module, _, attribute = spec.target.partition(":")
    backend: Backend = getattr(import_module(module), attribute)
    return backend
