"""The real frameworks answer the seed question: one fresh interpreter for each, so that none meets another."""

import json
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json, sys, warnings
from dataclasses import replace
import numpy as np
warnings.simplefilter("ignore")
from importlib import import_module
from logitmus.present import canonical, present
from logitmus.problem import Problem, float_array

name, variant = sys.argv[1:]
backend = import_module(f"logitmus.backends.{name}_backend").BACKEND
backend.start(variant)
assert "cpu" in backend.devices()
functions = {f.name: f for f in backend.functions}

def ask(subject, dtype, **changes):
    # Two rows, so that reductions have something to do; the second is the seed question's other side, label 0.
    soft = subject.offer.targets == "probabilities"
    x = [[0, 0, 0, 1], [0, 0, 0, 1]]
    if subject.convention.inputs == "probabilities":
        x = [[0.125, 0.25, 0.125, 0.5]] * 2
    targets = float_array(np.eye(4)[[3, 0]], dtype) if soft else np.array([3, 0], "int64")
    problem = Problem(logits=float_array(x, dtype), targets=targets, **changes)
    assert subject.why_not(problem) is None, (subject.id, subject.why_not(problem))
    inputs = present(problem, subject)
    before = [inputs.logits.tobytes(), inputs.targets.tobytes()]
    outputs = canonical(
        backend.evaluate(functions[subject.function], subject.mode, subject.device, inputs), problem, subject
    )
    assert before == [inputs.logits.tobytes(), inputs.targets.tobytes()], subject.id
    return problem, outputs

for subject in backend.subjects(("cpu",)):
    if subject.variant != variant:
        continue
    for dtype in subject.offer.dtypes:
        cotangent = float_array([1, -2], dtype)
        problem, outputs = ask(subject, dtype, cotangent=cotangent)
        reductions = [r for r in subject.offer.reductions if r != "none"] if dtype in ("float64", "bfloat16") else []
        reduced = {r: float(ask(subject, dtype, reduction=r)[1].loss) for r in reductions}
        default = subject.convention.default_reduction
        asked, unasked = (ask(subject, dtype, reduction=r)[1] for r in (default, "default"))
        assert unasked.loss.tobytes() == asked.loss.tobytes(), (subject.id, "default reduction")
        assert unasked.loss.shape == asked.loss.shape, (subject.id, "default reduction")
        assert unasked.grad_logits.tobytes() == asked.grad_logits.tobytes(), (subject.id, "default reduction")
        print(json.dumps({
            "subject": subject.id, "inputs": subject.convention.inputs, "dtype": dtype,
            "result": subject.precision[dtype].result,
            "narrow": subject.convention.result_dtype == "at_most_float32",
            "gradients": sorted(subject.offer.gradients), "reduced": reduced,
            "loss": [outputs.loss.dtype.name, outputs.loss.astype("float64").tolist()],
            "logits": [outputs.grad_logits.dtype.name, outputs.grad_logits.astype("float64").tolist()],
            "targets": None if outputs.grad_targets is None
            else [outputs.grad_targets.dtype.name, outputs.grad_targets.astype("float64").tolist()],
        }))
"""

# By hand: -log softmax of [0, 0, 0, 1] is log(3 + e) - x, and -log p of [1/8, 1/4, 1/8, 1/2].
LOGITS = np.log(3 + np.e) - np.array([0, 0, 0, 1])
PROBABILITIES = -np.log([0.125, 0.25, 0.125, 0.5])
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
RUNS = [("numpy", ""), ("torch", ""), ("tensorflow", ""), ("jax", ""), ("jax", "x64")]


def answers(name, variant):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, variant], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def near(seen, exact, roundoff):
    """Within 16 roundings at magnitude 3: enough to tell 0.7437 from 0, and the row, the class and the sign."""
    return np.shape(seen) == np.shape(exact) and bool((abs(np.asarray(seen) - exact) <= 48 * roundoff).all())


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "variant"), RUNS)
def test_every_subject_answers_the_seed_question_in_every_dtype(name, variant):
    found = answers(name, variant)
    assert found
    for one in found:
        exact = PROBABILITIES if one["inputs"] == "probabilities" else LOGITS
        own = "float32" if one["narrow"] and one["dtype"] == "float64" else one["dtype"]
        roundoff = max(ROUNDOFF[one["result"]], ROUNDOFF[own])
        dtype, loss = one["loss"]
        assert dtype == one["result"], one
        assert near(loss, exact[[3, 0]], roundoff), one
        for reduction, value in one["reduced"].items():
            assert near(value, getattr(np, reduction)(exact[[3, 0]]), roundoff), (reduction, one)

        dtype, gradient = one["logits"]
        p = np.exp(-exact)
        expected = np.array([p - np.eye(4)[3], -2 * (p - np.eye(4)[0])])
        if one["inputs"] == "probabilities":  # normalised before the logarithm: s = 1, so 1 - onehot / p
            expected = np.array([1 - np.eye(4)[3] / p, -2 * (1 - np.eye(4)[0] / p)])
        assert dtype == own, one
        assert near(gradient, expected, 4 * roundoff), one

        assert (one["targets"] is not None) == ("targets" in one["gradients"]), one
        if one["targets"] is not None:
            assert one["targets"][0] == own, one
            assert near(one["targets"][1], [exact, -2 * exact], 2 * roundoff), one
