"""The rules that make mutants, and that a mutant is its original with a single change."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from logitmus.cases.planted.mutants import ORIGINALS, all_mutants, alternatives, mutants


def changed(source: str, rule: str) -> list[str]:
    """What a rule makes of a statement, at its top or of its expression."""
    statement = ast.parse(source).body[0]
    node = statement.value if isinstance(statement, ast.Expr) else statement
    return [ast.unparse(ast.fix_missing_locations(other)) for name, other in alternatives(node) if name == rule]


@pytest.mark.parametrize(
    ("rule", "source", "expected"),
    [
        ("operator", "a + b", ["a - b"]),
        ("operator", "a / b", ["a * b"]),
        ("operator", "a | b", []),
        ("operator", "-a", ["a"]),
        ("operator", "not a", ["a"]),
        ("operator", "a and b", ["a or b"]),
        ("constant", "0", ["1", "-1"]),
        ("constant", "1", ["0", "2"]),
        ("constant", "32", ["0", "1", "33", "31"]),
        ("constant", "0.5", ["0.0", "1.0", "1.5", "-0.5"]),
        ("constant", "True", ["False"]),
        ("constant", "'sum'", []),
        ("comparison", "0 < a <= b", ["0 <= a <= b", "0 < a < b"]),
        ("comparison", "a == b", ["a != b"]),
        ("comparison", "a is None", []),
        ("branches", "a if c else b", ["b if c else a"]),
        ("branches", "np.where(c, a, b)", ["np.where(c, b, a)"]),
        ("branches", "np.where(c)", []),
        ("branches", "if c:\n    a()", ["if not c:\n    a()"]),
        ("cast", "x.astype(np.float32)", ["x"]),
        ("cast", "np.asarray(x, d)", ["x"]),
        ("cast", "x.dtype.type(2)", ["2"]),
        ("cast", "x.sum(1)", []),
        ("argument", "x.sum(axis=-1, keepdims=True)", ["x.sum(keepdims=True)", "x.sum(axis=-1)"]),
        ("argument", "f(**options)", []),
        ("extremum", "x.max", ["x.min"]),
        ("extremum", "np.minimum", ["np.maximum"]),
        ("statement", "a = 1", ["pass"]),
        ("statement", "a += 1", ["pass"]),
        ("statement", "for a in b:\n    c()", ["pass"]),
        ("statement", "return a", []),
    ],
)
def test_mutants_of_each_rule(rule: str, source: str, expected: list[str]) -> None:
    assert changed(source, rule) == expected


def test_every_original_has_mutants_of_several_rules_and_no_two_are_the_same() -> None:
    for original in ORIGINALS:
        own = [mutant for mutant in all_mutants() if mutant.original is original]
        assert len({mutant.rule for mutant in own}) >= 4
        assert len({mutant.name for mutant in own}) == len(own)
        assert all(mutant.before != mutant.after for mutant in own)


def test_a_mutant_computes_its_changed_line() -> None:
    mutant = next(mutant for mutant in all_mutants() if mutant.after == "return (np.log(total) + d, e / total)")
    assert mutant.before == "return (np.log(total) - d, e / total)"
    logits, targets = np.array([[0.0, 1.0]]), np.array([0])
    loss, _ = mutant.planted.function(logits, targets, reduction="none")
    right, _ = mutant.original.planted.function(logits, targets, reduction="none")
    assert right == pytest.approx([np.log1p(np.exp(-1)) + 1])
    assert loss == pytest.approx([np.log1p(np.exp(-1)) - 1])


def test_making_mutants_changes_no_original() -> None:
    logits, targets = np.array([[0.0, 1.0]]), np.array([1])
    before = ORIGINALS[0].planted.function(logits, targets)
    first = [(mutant.name, mutant.after) for mutant in mutants(ORIGINALS[0])]
    assert first == [(mutant.name, mutant.after) for mutant in mutants(ORIGINALS[0])]
    np.testing.assert_array_equal(ORIGINALS[0].planted.function(logits, targets)[0], before[0])


def test_a_while_loop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(_: Any) -> str:
        return "def loss(x, t):\n    while x:\n        x = x - 1\n    return x\n"

    monkeypatch.setattr("inspect.getsource", source)
    original: Any = SimpleNamespace(module=SimpleNamespace(__file__="a.py"), function="loss", planted=None)
    with pytest.raises(ValueError, match="loss has a while loop"):
        next(mutants(original))
