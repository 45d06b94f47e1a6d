"""JAX and XLA keep what they compile for later workers, and neither results nor warnings depend on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logitmus.core.floats import little_endian_bytes
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.launch import CACHE
from logitmus.execution.pool import Pool, Ready
from logitmus.execution.session import Observed

JAX = "jax:optax.softmax_cross_entropy_with_integer_labels+jit@cpu"
XLA = "tensorflow:nn.sparse_softmax_cross_entropy_with_logits+xla@cpu"
PROBLEM = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))

pytestmark = pytest.mark.frameworks


def ask(subject: str) -> Outcome:
    with Pool([registry.parse(subject.partition(":")[0])]) as pool:
        (ready,) = pool.describe()
        assert isinstance(ready, Ready)
        assert not any("cache" in value for value in ready.environment["variables"].values())
        (observed,) = [event for event in pool.ask([(PROBLEM, subject)]) if isinstance(event, Observed)]
    return observed.observation.outcome


def same(a: Outcome, b: Outcome) -> bool:
    assert isinstance(a, Answered)
    assert isinstance(b, Answered)
    assert a.grad_logits is not None
    assert b.grad_logits is not None
    parts = ((a.loss, b.loss), (a.grad_logits, b.grad_logits))
    return a.warnings == b.warnings and all(little_endian_bytes(x) == little_endian_bytes(y) for x, y in parts)


@pytest.mark.parametrize(("subject", "files"), [(JAX, "*-cache"), (XLA, "*.pb")], ids=["jax", "tensorflow"])
def test_a_second_worker_compiles_nothing_and_damaged_files_do_no_harm(
    subject: str, files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob(files)}

    monkeypatch.setenv(CACHE, "")
    alone = ask(subject)
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert same(ask(subject), alone)
    compiled = kept()
    assert compiled
    assert same(ask(subject), alone)
    assert kept() == compiled
    for path, code in compiled.items():
        path.write_bytes(code[: len(code) // 2])
    assert same(ask(subject), alone)


@pytest.mark.parametrize("subject", [JAX, XLA], ids=["jax", "tensorflow"])
def test_without_a_folder_it_compiles_anew(subject: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file" / "folder"))  # cannot be created
    assert isinstance(ask(subject), Answered)
