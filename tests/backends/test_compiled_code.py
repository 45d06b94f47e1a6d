"""JAX keeps what it compiles for later workers, and neither results nor warnings depend on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logitmus.core.floats import little_endian_bytes
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.launch import CACHE
from logitmus.execution.pool import Pool
from logitmus.execution.session import Observed

SUBJECT = "jax:optax.softmax_cross_entropy_with_integer_labels+jit@cpu"
PROBLEM = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))

pytestmark = pytest.mark.frameworks


def ask() -> Outcome:
    with Pool([registry.parse("jax")]) as pool:
        (observed,) = [event for event in pool.ask([(PROBLEM, SUBJECT)]) if isinstance(event, Observed)]
    return observed.observation.outcome


def same(a: Outcome, b: Outcome) -> bool:
    assert isinstance(a, Answered)
    assert isinstance(b, Answered)
    assert a.grad_logits is not None
    assert b.grad_logits is not None
    parts = ((a.loss, b.loss), (a.grad_logits, b.grad_logits))
    return a.warnings == b.warnings and all(little_endian_bytes(x) == little_endian_bytes(y) for x, y in parts)


def test_a_second_worker_compiles_nothing_and_damaged_files_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*-cache")}

    monkeypatch.setenv(CACHE, "")
    alone = ask()
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert same(ask(), alone)
    compiled = kept()
    assert compiled
    assert same(ask(), alone)
    assert kept() == compiled
    for path, code in compiled.items():
        path.write_bytes(code[: len(code) // 2])
    assert same(ask(), alone)


def test_without_a_folder_it_compiles_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file" / "folder"))  # cannot be created
    assert isinstance(ask(), Answered)
