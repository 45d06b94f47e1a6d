"""Which functions an upgrade concerns: those of the packages whose versions differ between the environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from logitmus.core.backend import Backend
from logitmus.core.errors import LogitmusError
from logitmus.environments.environments import Environment
from logitmus.execution import registry
from logitmus.execution.registry import BackendSpec
from logitmus.results.versions import is_own

_EVERYWHERE = "numpy"  # every environment has it, as a dependency of the workers


class SelectionError(LogitmusError, ValueError):
    """Environments among which there is nothing to compare; the message says what to add."""


@dataclass(frozen=True)
class Concerned:
    """A backend to run, and the globs of its subjects."""

    backend: BackendSpec
    subjects: tuple[str, ...]


def concerned(environments: Sequence[Environment], backends: Sequence[str] = ()) -> tuple[Concerned, ...]:
    """The backends whose packages differ, with those of their functions that may have changed.

    If a framework itself changes, all of its functions are concerned; if only a package beside it does (optax, keras),
    the functions of that package are. Where no package of a backend differs, the requested packages decide.

    Args:
        backends: the names of backends to use whatever differs; none: those that are concerned.

    Raises:
        SelectionError: where no backend is concerned, or a backend lacks its framework.
        RegistryError: for an unknown backend.
    """
    known = [(registry.parse(name), True) for name in backends] or [(spec, False) for spec in registry.available()]
    changed = _changed([environment.packages for environment in environments])
    requested = {name for environment in environments for name in environment.named_packages}
    found = []
    for wanted in (changed, requested):
        for spec, chosen in known:
            backend = registry.backend_of(spec)
            globs = _globs(backend, wanted, requested) if backend is not None else ()
            if chosen and not globs:
                globs = (f"{spec.name}:*",)
            if globs and (chosen or _has_framework(spec.name, environments)):
                found.append(Concerned(spec, globs))
        if found:
            return tuple(found)
    raise SelectionError(_nothing(changed or requested, environments))


def _changed(packages: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for of_environment in packages for name in of_environment}
    return {name for name in names if len({of_environment.get(name) for of_environment in packages}) > 1}


def _globs(backend: Backend, packages: Iterable[str], requested: Iterable[str]) -> tuple[str, ...]:
    """The subjects of a backend that belong to any of the packages."""
    packages = set(packages)
    if backend.name == _EVERYWHERE and not is_any_own(requested, backend.name):
        return ()
    if is_any_own(packages, backend.name):
        return (f"{backend.name}:*",)
    owners = {function.name.partition(".")[0] for function in backend.functions if "." in function.name}
    return tuple(f"{backend.name}:{owner}.*" for owner in sorted(owners) if is_any_own(packages, owner))


def is_any_own(packages: Iterable[str], name: str) -> bool:
    """Whether any of the packages belongs to a framework or a module of this name."""
    return any(is_own(package, {name}) for package in packages)


def _has_framework(backend: str, environments: Sequence[Environment]) -> bool:
    return all(is_any_own(environment.packages, backend) for environment in environments)


def _nothing(packages: Iterable[str], environments: Sequence[Environment]) -> str:
    frameworks = [spec.name for spec in registry.available() if spec.name != _EVERYWHERE]
    lacking = [name for name in frameworks if not _has_framework(name, environments)]
    named = ", ".join(sorted(packages))
    if not named:
        return "the environments have the same packages; name a backend with --backend to compare them all the same"
    if len(lacking) == len(frameworks):
        having = "; ".join(f"{environment.label} has {_frameworks(environment)}" for environment in environments)
        return (
            f"none of {', '.join(frameworks)} is in all of the environments ({having}), so there is no function to "
            'call; add the framework to each of them, e.g. "keras==3.5.0 tensorflow-cpu"'
        )
    return (
        f"no cross-entropy function that Logitmus knows belongs to what differs ({named}); name a backend with "
        "--backend, or audit a function of your own with --check FILE.py:FUNCTION"
    )


def _frameworks(environment: Environment) -> str:
    """The frameworks of an environment, in words."""
    names = [spec.name for spec in registry.available() if spec.name != _EVERYWHERE]
    return " and ".join(name for name in names if is_any_own(environment.packages, name)) or "none"
