"""The names that `import logitmus` promises, and the examples of their documentation."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module
from inspect import getmodule

import pytest

import logitmus

FUNCTIONS = ["explain", "identify", "reference"]


@pytest.mark.parametrize("name", [name for name in logitmus.__all__ if name != "__version__"])
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(logitmus, name)
    assert callable(value)
    assert value.__doc__


@pytest.mark.parametrize("name", [*FUNCTIONS, "suite"])
def test_the_examples_are_true(name: str) -> None:
    value = import_module("logitmus.cases.suite").suite if name == "suite" else getattr(logitmus, name)
    module = getmodule(value)
    assert module is not None
    found = [test for test in doctest.DocTestFinder(recurse=False).find(value, name, module=module) if test.examples]
    assert found
    assert all(doctest.DocTestRunner().run(test).failed == 0 for test in found)


def test_names_stay_functions_whatever_else_is_imported() -> None:
    """A module of the package that is called like a public function would take its place."""
    program = (
        "import pkgutil, importlib, logitmus\n"
        "for module in pkgutil.iter_modules(logitmus.__path__):\n"
        "    if module.name not in ('__main__', 'bootstrap'):\n"
        "        importlib.import_module('logitmus.' + module.name)\n"
        f"print([type(getattr(logitmus, name)).__name__ for name in {FUNCTIONS}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["function"] * len(FUNCTIONS))
