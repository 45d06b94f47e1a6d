"""Errors: one root, and one way to suggest a name."""

import importlib
import inspect
import pkgutil

import pytest

import logitmus
from logitmus.core.backend import NotAskedError
from logitmus.core.errors import Exit, LogitmusError, suggest
from logitmus.execution.supervisor import StoppedError
from logitmus.execution.worker_process import WorkerLost

CONTROL_FLOW = (NotAskedError, StoppedError, WorkerLost)  # raised and handled inside; never shown


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("inptus", ["inputs", "log_base"], "did you mean 'inputs'?"),
        ("zzz", ["inputs", "log_base"], "choose from: inputs, log_base"),
        ("zzz", [], "there are none"),
    ],
)
def test_suggest_gives_the_closest_name_or_lists_them(name: str, known: list[str], text: str) -> None:
    assert suggest(name, known) == text


def test_a_list_of_suggestions_can_be_cut() -> None:
    assert suggest("zzz", ["a", "b", "c"], most=2) == "choose from: a, b, ..."


def test_the_hint_follows_the_message() -> None:
    assert str(LogitmusError("no such file.", "Name another")) == "no such file. Name another"
    assert str(LogitmusError("no such file")) == "no such file"
    assert LogitmusError.exit_code == Exit.USAGE


def test_every_error_has_the_one_root() -> None:
    without = set()
    for module in pkgutil.walk_packages(logitmus.__path__, "logitmus."):
        if not module.name.startswith(("logitmus.backends", "logitmus.cases.planted", "logitmus.__main__")):
            for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(value, Exception) and value.__module__.startswith("logitmus."):
                    without |= {value} if not issubclass(value, LogitmusError) else set()
    assert without == set(CONTROL_FLOW)
