"""Look up a subject by its id or a shortened id: `torch:cross_entropy`, `keras.losses.CategoricalCrossentropy`."""

from __future__ import annotations

from collections.abc import Sequence

from logitmus.core.errors import closest
from logitmus.core.subject import Subject, SubjectId
from logitmus.execution.registry import RegistryError

_FEW = 6


def chosen(text: str, subjects: Sequence[Subject]) -> Subject:
    """The subject with this id, or with this shortened id if it is unambiguous.

    The backend, the start of a dotted name, the mode and the device may be omitted; the default is the plain mode on
    the CPU (or the first device).

    Raises:
        RegistryError: an unknown or ambiguous name; the message lists candidates.
    """
    wanted = SubjectId.parse(text)
    fitting = _fitting(wanted.qualified_name, subjects)
    if not fitting:
        raise RegistryError(f"unknown function {text!r}{_closest(wanted.qualified_name, subjects)}")
    exact = [s for s in fitting if sorted(s.modes) == sorted(wanted.modes) and wanted.device in ("", s.device)]
    if not exact:
        others = ", ".join(sorted(subject.id for subject in fitting))
        raise RegistryError(f"{text!r} is not available in this mode or on this device, only {others}")
    names = list(dict.fromkeys(s.qualified_name for s in exact))
    if len(names) > 1:
        raise RegistryError(f"{text!r} is ambiguous: {', '.join(names[:_FEW])}; use a full name")
    return min(exact, key=lambda subject: subject.device != "cpu")


def siblings(subject: Subject, subjects: Sequence[Subject]) -> list[Subject]:
    """The subject, and other ways to call the same function: NAME and NAME.SUFFIX, in every variant."""
    return [
        other
        for other in subjects
        if (other.backend, other.mode, other.device) == (subject.backend, subject.mode, subject.device)
        and (_is_under(other.function, subject.function) or _is_under(subject.function, other.function))
    ]


def _is_under(name: str, base: str) -> bool:
    return name == base or name.startswith(f"{base}.")


def _fitting(function: str, subjects: Sequence[Subject]) -> list[Subject]:
    """The matches of the strictest rule that has any: the full name, the name without backend, the end of the name."""
    wanted = function.lower()
    for rule in (_whole, _without_backend, _end):
        found = [subject for subject in subjects if rule(subject, wanted)]
        if found:
            return found
    return []


def _whole(subject: Subject, wanted: str) -> bool:
    return subject.qualified_name.lower() == wanted


def _without_backend(subject: Subject, wanted: str) -> bool:
    return subject.function.lower() == wanted


def _end(subject: Subject, wanted: str) -> bool:
    backend, colon, function = wanted.rpartition(":")
    return (not colon or subject.backend.lower() == backend) and subject.function.lower().endswith(f".{function}")


def _closest(function: str, subjects: Sequence[Subject]) -> str:
    names = {s.qualified_name: None for s in subjects}
    plain = {SubjectId.parse(name).function.lower(): name for name in names} | {name.lower(): name for name in names}
    wanted = function.lower()
    close = closest(wanted, plain, count=3, cutoff=0.5)
    end = wanted.rpartition(":")[2]
    inside = [name for name in plain if end in name] if len(end) > 2 else []
    found = list(dict.fromkeys(plain[name] for name in (*close, *inside)))[:_FEW]
    return f"; did you mean {', '.join(found)}?" if found else f"; there is {', '.join(list(names)[:_FEW])}, ..."
