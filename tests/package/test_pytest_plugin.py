"""The pytest plugin, in pytest runs of its own: the fixture, the marker, the summary, with xdist and without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# The textbook's own subject: no framework is started for it.
LOSSES = """
import numpy as np
import pytest

SETTINGS = dict(framework="numpy", like="numpy:textbook", dtypes=["float32"], profile="quick")


def shifted(logits, labels, reduction="none"):
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    d = logits - logits.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    rows = -np.take_along_axis(log_p, labels[..., None].astype(int), axis=-1)[..., 0]
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


def in_bits(logits, labels, reduction="none"):
    return shifted(logits, labels, reduction) / np.float32(np.log(2))
"""
TESTS = """
def test_right(logitmus):
    result = logitmus.assert_conforms(shifted, **SETTINGS)
    assert result.grades["float32"] == "B+"


@pytest.mark.logitmus(**SETTINGS)
def test_wrong(logitmus):
    logitmus.assert_conforms(in_bits)
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_the_summary_lists_the_checks(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.makepyfile(LOSSES + TESTS)
    ran = pytester.runpytest_subprocess("--strict-markers", *arguments)
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.re_match_lines(
        [
            r"=+ logitmus: 1 of 2 conform =+",
            r"shifted conforms to numpy:textbook@cpu: B\+ in float32 \(test_.*::test_right, \d+ s\)",
            r"in_bits does not conform to numpy:textbook@cpu: .*in float32 \(test_.*::test_wrong, \d+ s\)",
            r"  difference: numpy:textbook@cpu has log_base = e \(nats\); measured: bits",
        ]
    )


def test_the_message_suffices_by_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOSSES + TESTS)
    ran = pytester.runpytest_subprocess("-k", "wrong")
    ran.stdout.re_match_lines(
        [
            r"E +AssertionError: in_bits does not conform to numpy:textbook@cpu: \d.*",
            r"E +minimal input: .*float32\[.*logits \[.*",
            r"E +expected: .*",
            r"E +got: .*",
        ]
    )


def test_a_test_without_a_check_leaves_no_section(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(logitmus): pass")
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(passed=1)
    ran.stdout.no_fnmatch_line("*logitmus:*conform*")


def test_a_framework_is_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOSSES + "def test_it(logitmus): logitmus.check(shifted)")
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*TypeError: which framework?*"])


def test_the_plugin_imports_nothing_heavy_until_it_is_used() -> None:
    heavy = ["numpy", "hypothesis", "msgspec", "logitmus.engine.run"]
    code = f"import sys, pytest, logitmus.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert ran.stdout.strip() == "[]"
