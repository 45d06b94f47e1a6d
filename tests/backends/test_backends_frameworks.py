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
from logitmus.worker.layout import canonical, present
from logitmus.core.floats import float_array
from logitmus.core.problem import Problem

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
    if subject.variant != variant or subject.mode == "compile":  # which has tests of its own: every call is compiled
        continue
    # Each dtype is compiled: of functions that only the full profile has, one is enough.
    few = [dtype for dtype in subject.offer.dtypes if dtype == "float32"]
    for dtype in few if few and subject.least_profile == "full" else subject.offer.dtypes:
        cotangent = float_array([1, -2], dtype)
        problem, outputs = ask(subject, dtype, cotangent=cotangent)
        reductions = [r for r in subject.offer.reductions if r != "none"] if dtype in ("float64", "bfloat16") else []
        reduced = {r: float(ask(subject, dtype, reduction=r)[1].loss) for r in reductions}
        # No dtype has a default of its own, and each call is compiled.
        if dtype == "float32" or subject.offer.dtypes == ("float64",):
            default = subject.convention.default_reduction
            explicit, implicit = (ask(subject, dtype, reduction=r)[1] for r in (default, "default"))
            assert implicit.loss.tobytes() == explicit.loss.tobytes(), (subject.id, "default reduction")
            assert implicit.loss.shape == explicit.loss.shape, (subject.id, "default reduction")
            if subject.offer.gradients:
                assert implicit.grad_logits.tobytes() == explicit.grad_logits.tobytes(), (subject.id, "its gradient")
        print(json.dumps({
            "subject": subject.id, "inputs": subject.convention.inputs, "dtype": dtype,
            "result": subject.precision[dtype].result,
            "narrow": subject.convention.result_dtype == "at_most_float32",
            "gradients": sorted(subject.offer.gradients), "reduced": reduced,
            "loss": [outputs.loss.dtype.name, outputs.loss.astype("float64").tolist()],
            "logits": None if outputs.grad_logits is None
            else [outputs.grad_logits.dtype.name, outputs.grad_logits.astype("float64").tolist()],
            "targets": None if outputs.grad_targets is None
            else [outputs.grad_targets.dtype.name, outputs.grad_targets.astype("float64").tolist()],
        }))
"""

# By hand: -log softmax of [0, 0, 0, 1] is log(3 + e) - x, and -log p of [1/8, 1/4, 1/8, 1/2].
LOGITS = np.log(3 + np.e) - np.array([0, 0, 0, 1])
PROBABILITIES = -np.log([0.125, 0.25, 0.125, 0.5])
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
RUNS = [("numpy", ""), ("torch", ""), ("tensorflow", ""), ("jax", ""), ("jax", "x64")]


def answers(name, variant, script=SCRIPT):
    done = subprocess.run(
        [sys.executable, "-c", script, name, variant], capture_output=True, text=True, check=False, timeout=300
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
    for answer in found:
        exact = PROBABILITIES if answer["inputs"] == "probabilities" else LOGITS
        own = "float32" if answer["narrow"] and answer["dtype"] == "float64" else answer["dtype"]
        roundoff = max(ROUNDOFF[answer["result"]], ROUNDOFF[own])
        dtype, loss = answer["loss"]
        assert dtype == answer["result"], answer
        assert near(loss, exact[[3, 0]], roundoff), answer
        for reduction, value in answer["reduced"].items():
            assert near(value, getattr(np, reduction)(exact[[3, 0]]), roundoff), (reduction, answer)

        assert (answer["logits"] is not None) == ("logits" in answer["gradients"]), answer
        if answer["logits"] is None:
            continue
        dtype, gradient = answer["logits"]
        p = np.exp(-exact)
        expected = np.array([p - np.eye(4)[3], -2 * (p - np.eye(4)[0])])
        if answer["inputs"] == "probabilities":  # normalised before the logarithm: s = 1, so 1 - onehot / p
            expected = np.array([1 - np.eye(4)[3] / p, -2 * (1 - np.eye(4)[0] / p)])
        assert dtype == own, answer
        assert near(gradient, expected, 4 * roundoff), answer

        assert (answer["targets"] is not None) == ("targets" in answer["gradients"]), answer
        if answer["targets"] is not None:
            assert answer["targets"][0] == own, answer
            assert near(answer["targets"][1], [exact, -2 * exact], 2 * roundoff), answer


# --- the gradient taken twice, by forward mode, and differentiated ----------------------------------------------------

ASKED = """
import json, sys, warnings
from importlib import import_module
import numpy as np
from logitmus.worker.user_function import adopt
from logitmus.judging.judge import Judge
from logitmus.core.observation import Answered
from logitmus.core.floats import float_array
from logitmus.core.problem import Problem
from logitmus.worker.main import observe

def ask(backend, subject, manner, dtype, **changes):
    x = [[0, 0, 0, 1], [3, -1, 2, 0]]
    if subject.convention.inputs == "probabilities":
        x = [[0.125, 0.25, 0.125, 0.5], [0.25, 0.5, 0.125, 0.125]]
    targets = float_array(np.eye(4)[[3, 0]], dtype) if subject.offer.targets == "probabilities" else np.array([3, 0])
    upstream = None if manner == "forward_mode" else float_array([0.75, -2], dtype)
    problem = Problem(
        **{"logits": float_array(x, dtype), "targets": targets, "cotangent": upstream, "manner": manner, **changes}
    )
    if manner == "second_order" and subject.why_not(problem):
        return  # it takes probabilities
    assert subject.why_not(problem) is None, (subject.id, subject.why_not(problem))
    function = next(f for f in backend.functions if f.name == subject.function)
    with warnings.catch_warnings(record=True) as caught:
        outcome, _ = observe(problem, subject, function, backend, caught)
    judgement = Judge().judge(problem, subject, outcome)
    print(json.dumps({
        "subject": subject.id, "manner": manner, "dtype": dtype, "outcome": type(outcome).__name__,
        "verdict": judgement.verdict.value, "reason": getattr(outcome, "reason", ""),
        "changed": getattr(outcome, "changed", ()), "causes": [f.cause for f in judgement.findings],
        "second": getattr(outcome, "second_logits", np.zeros(0)).astype("float64").tolist()
        if manner == "second_order" and isinstance(outcome, Answered) else [], "error": getattr(outcome, "message", ""),
    }))

name, variant = sys.argv[1:]
backend = import_module(f"logitmus.backends.{name}_backend").BACKEND
backend.start(variant)
"""
OWN = """
for subject in backend.subjects(("cpu",)):
    manners = {"backward_twice", "forward_mode", "second_order"} & {*subject.offer.manners}
    for manner in sorted(manners) if subject.variant == variant else ():
        half = {"bfloat16"} if subject.least_profile != "full" and manner == "backward_twice" else set()
        for dtype in {"float32", *half} & {*subject.offer.dtypes} or {"float64"}:
            ask(backend, subject, manner, dtype)
"""
PLANTED_IN_TORCH = """
import torch

def fused(scale, jvp=None):
    # As fused kernels do it: the gradient is made in forward, and saved.
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits, labels):
            log_p = logits.log_softmax(-1)
            ctx.gradient = log_p.exp() - torch.nn.functional.one_hot(labels, 4)
            return -log_p.gather(-1, labels[:, None])[:, 0]

        @staticmethod
        def backward(ctx, upstream):
            return scale(ctx.gradient, upstream[:, None]), None

    if jvp:
        Fused.jvp = staticmethod(lambda ctx, direction, _: jvp((ctx.gradient * direction).sum(-1)))
    def loss(logits, labels, *, reduction):
        return Fused.apply(logits, labels)
    return loss

planted = {
    "right": fused(torch.mul, lambda along: along),
    "in_place": fused(torch.Tensor.mul_),
    "nan": fused(torch.mul, lambda along: along * torch.inf * 0),
}
for name, function in planted.items():
    backend_of_it = adopt(function, backend, name=name)
    subject = backend_of_it.subjects(("cpu",))[0]
    for manner in ("backward_twice", "forward_mode"):
        ask(backend_of_it, subject, manner, "float32")
ask(backend, backend.subjects(("cpu",))[0], "forward_mode", "float32", layout="expanded", logits=np.ones((2, 4), "f"))
"""
# By hand, for the logits and the upstream gradient that `ask` has: u p_t (e_t - p).
P = np.exp([[0, 0, 0, 1], [3, -1, 2, 0]])
P /= P.sum(axis=1, keepdims=True)
SECOND = np.array([[0.75], [-2]]) * P[[0, 1], [3, 0]][:, None] * (np.eye(4)[[3, 0]] - P)

SECOND_ORDER = {
    "torch": """
import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

def fused(backward):
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits, labels):
            log_p = logits.log_softmax(-1)
            ctx.saved = log_p.exp() - functional.one_hot(labels, 4)
            ctx.save_for_backward(logits, labels)
            return -log_p.gather(-1, labels[:, None])[:, 0]
    Fused.backward = staticmethod(backward)
    return lambda logits, labels, *, reduction: Fused.apply(logits, labels)

def saved(ctx, upstream):
    return upstream[:, None] * ctx.saved, None

def recomputed(ctx, upstream):
    logits, labels = ctx.saved_tensors
    return upstream[:, None] * (logits.softmax(-1) - functional.one_hot(labels, 4)), None

def half_saved(ctx, upstream):
    logits, labels = ctx.saved_tensors
    p = logits.softmax(-1)
    return upstream[:, None] * (p.detach() * (2 - p / p.detach()) - functional.one_hot(labels, 4)), None

def singular(logits, labels, *, reduction):
    nothing = logits - logits.detach()  # its power 1.5 has the first derivative 0, and no second one
    return functional.cross_entropy(logits, labels, reduction="none") + nothing.pow(1.5).sum(-1)

planted = {
    "recomputed": fused(recomputed), "saved": fused(saved), "refused": fused(once_differentiable(saved)),
    "turned": fused(half_saved), "singular": singular,
}
""",
    "jax": """
import jax

def fused(stop):
    @jax.custom_vjp
    def loss(logits, labels):
        return -jax.nn.log_softmax(logits)[jax.numpy.arange(2), labels]
    loss.defvjp(
        lambda x, t: (loss(x, t), stop(jax.nn.softmax(x) - jax.nn.one_hot(t, 4))),
        lambda saved, upstream: (upstream[:, None] * saved, None),
    )
    return lambda logits, labels, *, reduction: loss(logits, labels)

planted = {"recomputed": fused(lambda g: g), "saved": fused(jax.lax.stop_gradient)}
""",
    "tensorflow": """
import tensorflow as tf

def fused(saved):
    def loss(labels, logits, *, reduction):
        @tf.custom_gradient
        def of(logits):
            gradient = tf.nn.softmax(saved(logits)) - tf.one_hot(labels, 4)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            return losses, lambda upstream: upstream[:, None] * gradient
        return of(logits)
    return loss

def prevented(logits):
    return tf.raw_ops.PreventGradient(input=logits, message="nobody wrote it")

planted = {"recomputed": fused(tf.identity), "saved": fused(tf.stop_gradient), "refused": fused(prevented)}
""",
}
ASK_SECOND_ORDER = """
for name, function in planted.items():
    own = adopt(function, backend, name=name)
    ask(own, own.subjects(("cpu",))[0], "second_order", "float32")
"""
EXPECTED = {
    "recomputed": ("Answered", []),
    "saved": ("Answered", ["second_derivative:zero"]),
    "refused": ("Raised", ["raises:second_order"]),
    "turned": ("Answered", ["second_derivative:wrong_sign"]),
    "singular": ("Answered", ["second_derivative:not_finite"]),
}
REVERSE_ONLY = {
    "jax": """
import jax
@jax.custom_vjp
def fused(logits, labels):
    return -jax.nn.log_softmax(logits)[jax.numpy.arange(2), labels]
fused.defvjp(
    lambda x, t: (fused(x, t), (x, t)),
    lambda saved, upstream: (upstream[:, None] * (jax.nn.softmax(saved[0]) - jax.nn.one_hot(saved[1], 4)), None),
)
def loss(logits, labels, *, reduction):
    return fused(logits, labels)
""",
    "tensorflow": """
import tensorflow as tf
@tf.custom_gradient
def taken_once(losses):
    return losses, lambda upstream: tf.raw_ops.PreventGradient(input=upstream, message="nobody wrote it")
def loss(labels, logits, *, reduction):
    return taken_once(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
""",
}


def manners(script, name, variant=""):
    return answers(name, variant, ASKED + script)


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "variant"), RUNS[1:])
def test_every_subject_gives_its_gradient_twice_and_by_forward_mode_and_differentiates_it(name, variant):
    """Judged as any answer is, against the exact one; the second gradient has the bits of the first."""
    found = manners(OWN, name, variant)
    assert {result["manner"] for result in found} == {"backward_twice", "forward_mode", "second_order"}
    for result in found:
        if result["manner"] == "second_order":
            assert near(
                result["second"], SECOND, ROUNDOFF["float32" if result["dtype"] == "float64" else result["dtype"]]
            ), result
        assert result["outcome"] == "Answered", result
        # No number is wrong: nothing is found but that a subject takes probabilities, or is coarse in half precision.
        assert all(cause.startswith(("convention:", "effective_precision:")) for cause in result["causes"]), result
        assert result["manner"] != "backward_twice" or not result["changed"], result


@pytest.mark.frameworks
def test_faults_that_only_a_second_gradient_or_forward_mode_shows_are_found():
    found = manners(PLANTED_IN_TORCH, "torch")
    verdicts = [
        (result["subject"].partition("@")[0], result["manner"], result["outcome"], result["verdict"])
        for result in found
    ]
    assert verdicts == [
        ("torch:right", "backward_twice", "Answered", "pass"),
        ("torch:right", "forward_mode", "Answered", "pass"),
        ("torch:in_place", "backward_twice", "Answered", "finding"),
        ("torch:in_place", "forward_mode", "NotRun", "not run"),
        ("torch:nan", "backward_twice", "Answered", "pass"),
        ("torch:nan", "forward_mode", "Answered", "finding"),
        ("torch:cross_entropy", "forward_mode", "NotRun", "not run"),
    ]
    twice, no_jvp, forward, shared = found[2], found[3], found[5], found[6]
    for result in (twice, forward):
        assert result["changed"] == ["grad_logits"]
        assert result["causes"] == [f"changes:{result['manner']}"]
    assert "has no forward-mode derivative: You must implement the jvp" in no_jvp["reason"]
    assert "no dual numbers" in shared["reason"]


@pytest.mark.frameworks
@pytest.mark.parametrize("name", REVERSE_ONLY)
def test_a_function_need_have_no_forward_mode(name):
    own = 'own = adopt(loss, backend, name="loss")\nask(own, own.subjects(("cpu",))[0], "forward_mode", "float32")'
    (result,) = manners(REVERSE_ONLY[name] + own, name)
    assert result["outcome"] == "NotRun", result
    assert result["reason"].startswith("has no forward-mode derivative: "), result


@pytest.mark.frameworks
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_faults_that_only_the_second_derivative_shows_are_found(name):
    found = manners(SECOND_ORDER[name] + ASK_SECOND_ORDER, name)
    outcomes = {
        result["subject"].partition(":")[2].partition("@")[0]: (result["outcome"], result["causes"]) for result in found
    }
    assert outcomes == {planted: EXPECTED[planted] for planted in outcomes}, found
    assert {"recomputed", "saved"} <= set(outcomes)
