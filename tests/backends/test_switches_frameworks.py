"""The switches of the backends are set where a call is made with them, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from logitmus.backends.torch_backend import BACKEND
from logitmus.core.floats import float_array
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.pool import Observed, Pool, Ready
from logitmus.worker.main import observe

pytestmark = pytest.mark.frameworks


def seen(switch: str, look: Callable[[Any], object]) -> object:
    """What a function sees of the process in a call with the switch."""
    import numpy as np
    import torch

    found: list[object] = []

    def call(logits: Any, *_: object) -> Any:
        found.append(look(torch))
        return logits.sum()

    function = replace(BACKEND.functions[0], call=call)
    problem = Problem(logits=float_array([[0, 1]], "float32"), targets=np.array([0]), reduction="sum")
    subject = next(s for s in BACKEND.subjects(["cpu"]) if s.variant == switch and s.function == "cross_entropy")
    observe(problem, subject, function, BACKEND, [])
    return found[0]


def _autocast(torch: Any) -> str:
    return str(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else "off"


@pytest.mark.parametrize(
    ("switch", "look", "expected"),
    [
        ("threads-2", lambda torch: torch.get_num_threads(), 2),
        ("deterministic", lambda torch: torch.are_deterministic_algorithms_enabled(), True),
        ("flush-subnormals", lambda torch: (torch.tensor(1e-38) / 8).item(), 0.0),
        ("autocast", _autocast, "torch.bfloat16"),
        ("autocast-float16", _autocast, "torch.float16"),
    ],
)
def test_a_switch_of_torch_is_set_in_the_call_alone(
    switch: str, look: Callable[[Any], object], expected: object
) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        before = look(torch)
        assert before != expected
        assert seen(switch, look) == expected
        assert look(torch) == before == seen("", look)
    finally:
        torch.set_num_threads(threads)


def test_determinism_is_set_in_tensorflow() -> None:
    """With determinism, TensorFlow differentiates another formula: 0 softmax - q in place of softmax - q."""
    problem = Problem(logits=float_array([[5]], "float32"), targets=float_array([[0]], "float32"))
    name = "tensorflow:nn.softmax_cross_entropy_with_logits{}@cpu"
    with Pool([registry.parse("tensorflow")]) as pool:
        assert all(isinstance(answer, Ready) for answer in pool.describe())
        asked = pool.ask([(problem, name.format(switch)) for switch in ("", "+deterministic", "+threads-2")])
        gradients = {
            event.observation.subject: event.observation.outcome.grad_logits.item()  # type: ignore[union-attr]
            for event in asked
            if isinstance(event, Observed)
        }
    assert gradients == {name.format(""): 1.0, name.format("+deterministic"): 0.0, name.format("+threads-2"): 1.0}
