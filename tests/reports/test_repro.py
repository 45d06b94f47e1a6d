"""`logitmus repro`: scripts are written and really run; 1 while still reproduces, 0 once it is gone, 2 if unknown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from typer.testing import CliRunner
from warm_python import MODULES, WarmPython

from logitmus.checking import check
from logitmus.cli import app
from logitmus.core.events import BackendReady, Examined, Judged
from logitmus.core.finding import Finding
from logitmus.core.floats import float_array
from logitmus.core.observation import Answered, Crashed, Garbled, Observation, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.run_settings import CheckedFunction, RunSettings
from logitmus.core.subject import Subject
from logitmus.engine.run import judge_run
from logitmus.execution import registry
from logitmus.reports.html import report
from logitmus.reports.html.file_facts import FileFacts
from logitmus.reports.script.script import script
from logitmus.results.reproduction import ReproError, reproduction
from logitmus.results.summary import Summary
from logitmus.storage.store import Store
from logitmus.worker.environment import packages

THERE, GONE, UNKNOWN = 1, 0, 2
NAN = float("nan")


class Scripts:
    """Runs scripts in processes that have a framework already, a process for each framework."""

    def __init__(self) -> None:
        self._warm: dict[str, WarmPython] = {}

    def run(self, text: str, folder: Path, framework: str = "numpy", *, fresh: bool = False) -> tuple[int, str]:
        """The exit status of a script, and its output; `fresh`: as a user runs it, in a process of its own."""
        file = folder / "repro.py"
        file.write_text(text, encoding="utf-8")
        if fresh:
            done = subprocess.run(
                [sys.executable, file], capture_output=True, text=True, check=False, timeout=200, cwd=folder
            )
            status, output = done.returncode, done.stdout + done.stderr
        else:
            if framework not in self._warm:
                self._warm[framework] = WarmPython(framework)
            status, output = self._warm[framework].run(file)
        assert status != UNKNOWN or "inconclusive" in output, output
        return status, output

    def close(self) -> None:
        """End the processes."""
        for process in self._warm.values():
            process.close()


@pytest.fixture(scope="session")
def scripts() -> Iterator[Scripts]:
    """Scripts of all tests share the processes."""
    scripts = Scripts()
    yield scripts
    scripts.close()


def declared(name: str) -> Subject:
    """A built-in subject, by its id; no framework is needed."""
    backends = [registry.backend_of(spec) for spec in registry.available()]
    return next(s for b in backends if b for s in b.subjects(["cpu", "cuda"]) if s.id == name)


def recorded(
    path: Path,
    problem: Problem,
    subject: Subject,
    outcome: Outcome,
    *,
    backend: str = "",
    backends: tuple[str, ...] = (),
    function: CheckedFunction | None = None,
) -> list[Finding]:
    """A run's file of this one observation, and its findings."""
    with Store.create(path, settings=RunSettings(backends=backends, function=function)) as store:
        store.add_problems([problem])
        store.add_backend(BackendReady(backend or subject.backend, (subject,), {"packages": packages()}, 1))
        store.add(Observation(subject.id, problem.id, outcome), seconds=0.0, first=True)
        store.commit()
        return [f for e in judge_run(store) if isinstance(e, Judged) for f in e.judgement.findings]


def written(path: Path, identity: str) -> str:
    with Store.open(path) as store:
        return script(reproduction(store, identity))


def labels(logits: object, target: int, dtype: str = "float32", **more: object) -> Problem:
    rows = float_array(np.atleast_2d(np.asarray(logits, np.float64)), dtype)
    return Problem(logits=rows, targets=np.array([target] * len(rows)), **more)  # type: ignore[arg-type]


def probabilities(logits: object, targets: object, dtype: str = "float32", **more: object) -> Problem:
    return Problem(
        logits=float_array(np.atleast_2d(np.asarray(logits, np.float64)), dtype),
        targets=float_array(np.atleast_2d(np.asarray(targets, np.float64)), dtype),
        **more,  # type: ignore[arg-type]
    )


def answered(loss: object, problem: Problem, gradient: object = None, dtype: str = "float32") -> Answered:
    whole = float_array(np.zeros(problem.logits.shape) if gradient is None else gradient, dtype)
    both = (whole, whole) if problem.target_kind == "probabilities" else (whole, None)
    return Answered(float_array(loss, dtype), *both)


# --- what the frameworks do -------------------------------------------------------------------------------------

OVERFLOWING = probabilities([3e38, -3e38, 0, 1], [1, 0, 0, 0])
TWO_ROWS = labels([[0, 0, 0, 1], [0, 0, 0, 1]], 3)

# (subject, problem, the loss on record, the exit status of its script): 1 for a loss that the framework itself gives,
# 0 for a loss that it never gave.
REAL = [
    ("torch:cross_entropy.probabilities@cpu", OVERFLOWING, [NAN], THERE),
    ("torch:nn.CrossEntropyLoss@cpu", TWO_ROWS.but(reduction="mean"), 0.8, GONE),
    ("torch:log_softmax-nll_loss@cpu", TWO_ROWS.but(layout="sliced"), [0.8, 0.8], GONE),
    ("torch:cross_entropy@cpu", labels([0, 0, 0, 1], 3, "bfloat16", layout="transposed"), [0.8], GONE),
    (
        "torch:cross_entropy@cpu",
        labels([0, 1], 1, label_smoothing=0.1, weight=float_array([1, 2], "float32"), ignore_index=5),
        [9.0],
        GONE,
    ),
    ("numpy:textbook@cpu", labels([0, 0, 0, 1], 3), [0.8], GONE),
    ("numpy:textbook.probabilities@cpu", OVERFLOWING, [NAN], THERE),
    ("numpy:keras.losses.SparseCategoricalCrossentropy-on_numpy@cpu", labels([3e38, -3e38], 0), [NAN], THERE),
    ("tensorflow:nn.softmax_cross_entropy_with_logits@cpu", OVERFLOWING, [NAN], THERE),
    ("tensorflow:nn.sparse_softmax_cross_entropy_with_logits+xla@cpu", TWO_ROWS, [0.8, 0.8], GONE),
    ("tensorflow:keras.losses.CategoricalCrossentropy.from_logits@cpu", OVERFLOWING, [NAN], THERE),
    (
        "tensorflow:keras.losses.SparseCategoricalCrossentropy.from_logits@cpu",
        TWO_ROWS.but(reduction="mean", ignore_index=1),
        0.8,
        GONE,
    ),
    ("jax:optax.softmax_cross_entropy+jit@cpu", OVERFLOWING, [NAN], THERE),
    ("jax:optax.softmax_cross_entropy_with_integer_labels@cpu", labels([1e6, 1e6, 1e6, 1e6 + 1], 3), [0.75], THERE),
    ("jax:optax.smooth_labels-softmax_cross_entropy@cpu", probabilities([0, 0, 0, 1], [0, 0, 0, 1]), [0.8], GONE),
    ("jax:nn.log_softmax-take_along_axis+x64@cpu", labels([0, 0, 0, 1], 3, "float64"), [0.8], GONE),
]


# The first of each framework runs as a user runs it.
FRESH = [next(case[0] for case in REAL if case[0].startswith(framework)) for framework in MODULES]


def test_the_html_report_holds_the_script(tmp_path: Path, scripts: Scripts) -> None:
    problem, path = labels([0.0, 0.0, 0.0, 1.0], 3), tmp_path / "run.logitmus"
    subject = declared("numpy:textbook@cpu")
    recorded(path, problem, subject, answered([0.8], problem))
    summary = Summary()
    with Store.open(path) as store:
        for event in judge_run(store):
            summary.add(event)
        facts = FileFacts.of(store, summary)
        page = report.render(summary, facts)
    assert facts.scripts.keys() == {group.finding.id for group in summary.groups()} != set()
    for identity, text in facts.scripts.items():
        assert text == written(path, identity)
        assert str(escape(text)) in page
        assert scripts.run(text, tmp_path)[0] == GONE  # the textbook is right


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "problem", "loss", "expected"), REAL, ids=[f"{case[0]}={case[3]}" for case in REAL])
def test_frameworks(name: str, problem: Problem, loss: object, expected: int, tmp_path: Path, scripts: Scripts) -> None:
    subject = declared(name)
    dtype = subject.precision[problem.dtype].result
    found = recorded(tmp_path / "a.logitmus", problem, subject, Answered(float_array(loss, dtype)))
    finding = next(finding for finding in found if finding.part == "loss" and finding.kind.value != "contract")
    status, output = scripts.run(
        written(tmp_path / "a.logitmus", finding.id), tmp_path, subject.backend, fresh=name in FRESH
    )
    assert status == expected, output
    assert "note:" not in output  # the very versions
    assert ("still reproduces" if expected else "does not reproduce any more") in output


# With each switch: a gradient that the framework gives only with the switch, and a loss that it never gives.
SWITCHED = [
    ("tensorflow:nn.softmax_cross_entropy_with_logits+deterministic@cpu", [[0.0]], THERE),
    ("tensorflow:nn.softmax_cross_entropy_with_logits+threads-2@cpu", [[0.0]], GONE),
    *(
        (f"torch:cross_entropy.probabilities+{switch}@cpu", [[0.5]], GONE)
        for switch in ("threads-2", "deterministic", "flush-subnormals", "autocast", "autocast-float16")
    ),
]


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "gradient", "expected"), SWITCHED, ids=[case[0] for case in SWITCHED])
def test_a_script_sets_the_switch_first(
    name: str, gradient: object, expected: int, tmp_path: Path, scripts: Scripts
) -> None:
    """The targets sum to 0: TensorFlow's gradient is softmax - q = 1, and with determinism 0 softmax - q = 0."""
    problem, subject = probabilities([5.0], [0.0]), declared(name)
    found = recorded(tmp_path / "a.logitmus", problem, subject, answered([0.0], problem, gradient))
    finding = next(finding for finding in found if finding.part == "grad_logits")
    text = written(tmp_path / "a.logitmus", finding.id)
    assert text.index("the setting that changes the result") < text.index("LOGITS")
    status, output = scripts.run(text, tmp_path, subject.backend)
    assert status == expected, output


def test_another_version_is_noted_and_a_missing_framework_is_inconclusive(tmp_path: Path, scripts: Scripts) -> None:
    problem = labels([0, 0, 0, 1], 3)
    found = recorded(tmp_path / "a.logitmus", problem, declared("numpy:textbook@cpu"), answered([0.8], problem))
    text = written(tmp_path / "a.logitmus", found[0].id)
    status, output = scripts.run(text.replace(f"'{np.__version__}'", "'1.0.0'"), tmp_path)
    assert status == GONE
    assert f"note: found with numpy 1.0.0; this is {np.__version__}" in output
    found = recorded(tmp_path / "b.logitmus", problem, declared("torch:cross_entropy@cpu"), answered([0.8], problem))
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    status, output = scripts.run(written(tmp_path / "b.logitmus", found[0].id), tmp_path)
    assert (status, "inconclusive: ModuleNotFoundError: No module named 'torch'" in output) == (UNKNOWN, True)


def test_a_function_that_the_framework_no_longer_has_is_inconclusive(tmp_path: Path, scripts: Scripts) -> None:
    problem = labels([0, 0, 0, 1], 3)
    found = recorded(tmp_path / "a.logitmus", problem, declared("torch:cross_entropy@cpu"), answered([0.8], problem))
    (tmp_path / "torch.py").write_text("class nn:\n    class functional: pass\n")
    status, output = scripts.run(written(tmp_path / "a.logitmus", found[0].id), tmp_path)
    assert (status, "has no attribute 'cross_entropy'" in output) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Raised("RuntimeError", "no"), "raised:RuntimeError"),
        (Crashed("SIGSEGV"), "crashed:SIGSEGV"),
        (TimedOut(5.0), "timeout"),
        (Garbled("loss: a value of type str"), "garbled"),
        (answered(0.7, labels([0, 0, 0, 1], 3)), "shape:loss"),
        (replace(answered([0.7436683], labels([0, 0, 0, 1], 3)), grad_logits=None), "no_gradient"),
        (replace(answered([0.7436683], labels([0, 0, 0, 1], 3)), written=("logits",)), "wrote_into:logits"),
        (answered([0.8], labels([0, 0, 0, 1], 3)), "unexplained"),
        (answered([NAN], labels([0, 0, 0, 1], 3)), "lost"),
        (answered([0.7436683], labels([0, 0, 0, 1], 3), [[NAN, 0.17, 0.17, -0.52]]), "lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_outcomes_that_do_not_recur_are_gone(outcome: Outcome, cause: str, tmp_path: Path, scripts: Scripts) -> None:
    problem = labels([0, 0, 0, 1], 3)
    found = recorded(tmp_path / "a.logitmus", problem, declared("numpy:textbook@cpu"), outcome)
    finding = next(finding for finding in found if finding.cause == cause)
    status, output = scripts.run(written(tmp_path / "a.logitmus", finding.id), tmp_path)
    assert status == GONE, output


# --- a function of a user's own: there, gone once it is mended, unknown without it -------------------------------

RIGHT = """
import os, sys, time
import numpy as np

def rows_of(x, y):
    if y.size and not 0 <= y.min() <= y.max() < x.shape[-1]:
        raise IndexError("no such class")
    d = x - x.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, y[..., None].astype(int), axis=-1)[..., 0]

def loss(logits, targets, reduction="none"):
    rows = rows_of(logits, targets)
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()
"""
# What a finding is called, and a line that earns it.
FAULTS = {
    "spurious_overflow": "    rows = np.where(logits.max(-1) < 80, rows, np.inf)",
    "wrote_into:logits": "    logits -= 1",
    "raised:ValueError": "    if logits.shape[-1] == 1: raise ValueError('one class')",
    "crashed": "    if logits.shape[-1] == 1: os.abort()",
    "timeout": "    if logits.shape[-1] == 1: time.sleep(1000)",
    "shape:loss": "    rows = rows[..., None]",
    "depends_on:chance": "    rows = rows * (1 + 1e-3 * np.random.rand())",
    "unexplained": "    rows = rows * (1 + np.sin(5 * rows) / 2)",
    "other_formula": "    rows = rows + 1",
    "parameter:factor=2": "    rows = 2 * rows",
    "accepted": "    targets = targets.clip(0, logits.shape[-1] - 1)",
}


def faulty(fault: str) -> str:
    """With the fault where it begins, if it is about the targets; else before it returns."""
    place = "    rows = rows_of" if "targets =" in fault else "    return {"
    head, tail = RIGHT.rsplit(place, 1)
    return f"{head}{fault}\n{place}{tail}"


@pytest.mark.parametrize("cause", FAULTS)
def test_a_user_function(cause: str, tmp_path: Path, scripts: Scripts) -> None:
    file, run = tmp_path / "losses.py", tmp_path / "a.logitmus"
    file.write_text(faulty(FAULTS[cause]))
    limits = replace(check.reference.LIMITS, compile_seconds=1.5, call_seconds=1.0, give_up_after=2)
    result = check.check(
        f"{file}:loss",
        "numpy",
        like="numpy:textbook",
        strict=True,
        dtypes=["float32"],
        profile="quick",
        out=run,
        limits=limits,
    )
    with Store.open(run) as store:
        examined = [event for event in judge_run(store) if isinstance(event, Examined)]
    finding = next(event.finding for event in examined if event.finding.cause.startswith(cause))
    assert not result.conforms
    text = written(run, finding.id)
    status, output = scripts.run(text, tmp_path)
    assert status == THERE, output
    file.write_text(RIGHT)
    status, output = scripts.run(text, tmp_path)
    assert status == GONE, output
    file.write_text("")
    status, output = scripts.run(text, tmp_path)
    assert (status, "has no attribute 'loss'" in output) == (UNKNOWN, True)
    file.unlink()
    assert scripts.run(text, tmp_path)[0] == UNKNOWN


# --- differentiated otherwise -----------------------------------------------------------------------------------

MASKED = [[0, 0, -np.inf, 1], [1, 2, 3, 4]]
SOFT = probabilities(MASKED, [[0.25, 0.25, 0, 0.5], [0.25] * 4], manner="forward_mode")
HARD = labels(MASKED, 3, manner="forward_mode")
PIXELS = HARD.but(logits=HARD.logits[:, None].repeat(3, 1), targets=HARD.targets[:, None].repeat(3, 1))
TWICE = HARD.but(manner="backward_twice", cotangent=float_array([0.75, -2], "float32"))

# (subject, problem, the exit status of its script): on record is NaN in the place of every derivative.
DERIVED = [
    ("jax:optax.safe_softmax_cross_entropy@cpu", SOFT, THERE),
    ("jax:optax.softmax_cross_entropy_with_integer_labels+jit@cpu", HARD, GONE),
    ("tensorflow:nn.softmax_cross_entropy_with_logits+xla@cpu", SOFT, THERE),
    ("tensorflow:nn.sparse_softmax_cross_entropy_with_logits+xla@cpu", TWICE, GONE),
    ("torch:cross_entropy@cpu", PIXELS.but(layout="sliced", weight=float_array([1, 2, 1, 0.5], "float32")), GONE),
    ("torch:cross_entropy@cpu", HARD.but(logits=float_array(MASKED, "bfloat16"), layout="transposed"), GONE),
    ("torch:cross_entropy.probabilities@cpu", SOFT, GONE),
    ("torch:cross_entropy@cpu", TWICE, GONE),
]


def changed(problem: Problem, subject: Subject) -> Answered:
    """A right loss beside a gradient that is not the plain call's."""
    logits = problem.logits.astype(np.float64)
    minus_log_p = np.log(np.exp(logits).sum(-1, keepdims=True)) - logits
    p = problem.targets.astype(np.float64)
    if problem.target_kind == "labels":
        p = np.eye(problem.classes)[problem.targets] * (1 if problem.weight is None else problem.weight)
    loss = np.multiply(p, minus_log_p, where=p > 0, out=np.zeros_like(p)).sum(-1)
    gradient = float_array(np.full(logits.shape, NAN), problem.dtype)
    by_targets = gradient if problem.target_kind == "probabilities" else None
    dtype = subject.precision[problem.dtype].result
    return Answered(float_array(loss, dtype), gradient, by_targets, changed=("grad_logits",))


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "problem", "expected"), DERIVED, ids=[f"{s}-{p.manner}={n}" for s, p, n in DERIVED])
def test_derivatives_of_frameworks(
    name: str, problem: Problem, expected: int, tmp_path: Path, scripts: Scripts
) -> None:
    subject = declared(name)
    found = recorded(tmp_path / "a.logitmus", problem, subject, changed(problem, subject))
    finding = next(finding for finding in found if finding.cause == f"changes:{problem.manner}")
    status, output = scripts.run(written(tmp_path / "a.logitmus", finding.id), tmp_path, subject.backend)
    assert status == expected, output
    assert ("still reproduces" if expected else "does not reproduce any more") in output


@pytest.mark.frameworks
@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Raised("RuntimeError", "no", answered_before=True), "raises:forward_mode"),
        (Raised("RuntimeError", "no"), "raised:RuntimeError"),
        (Crashed("SIGSEGV"), "crashed:SIGSEGV"),
        (Garbled("loss: a value of type str"), "garbled"),
        (replace(changed(HARD, declared("torch:cross_entropy@cpu")), written=("logits",)), "wrote_into:logits"),
        (replace(changed(HARD, declared("torch:cross_entropy@cpu")), grad_logits=None), "no_gradient"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_outcomes_of_derivatives_that_do_not_recur_are_gone(
    outcome: Outcome, cause: str, tmp_path: Path, scripts: Scripts
) -> None:
    found = recorded(tmp_path / "a.logitmus", HARD, declared("torch:cross_entropy@cpu"), outcome)
    finding = next(finding for finding in found if finding.cause == cause)
    status, output = scripts.run(written(tmp_path / "a.logitmus", finding.id), tmp_path, "torch")
    assert status == GONE, output


# A function of a user's own whose gradient is made in forward, and saved; FAULTY is what its backward does with it.
SAVED = {
    "torch": """
import torch

class Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        log_p = logits.log_softmax(-1)
        ctx.gradient = log_p.exp() - torch.nn.functional.one_hot(labels, 4)
        return -log_p.gather(-1, labels[:, None])[:, 0]

    @staticmethod
    def backward(ctx, upstream):
        return FAULTY(ctx.gradient, upstream[:, None]), None

    @staticmethod
    def jvp(ctx, direction, _):
        return FAULTY((ctx.gradient * direction).sum(-1), torch.tensor(1.0))

def loss(logits, targets, reduction):
    return Fused.apply(logits, targets)
""",
    "tensorflow": """
import tensorflow as tf

def loss(logits, targets):
    @tf.custom_gradient
    def fused(logits):
        gradient = tf.Variable(tf.nn.softmax(logits) - tf.one_hot(targets, 4))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits), lambda up: FAULTY(gradient, up[:, None])
    return fused(logits)
""",
    "jax": """
import jax, numpy as np

@jax.custom_vjp
def loss(logits, targets):
    return -jax.nn.log_softmax(logits)[jax.numpy.arange(len(targets)), targets]

CALLS = []

def scaled(saved, upstream):
    CALLS.append(1)
    return FAULTY(saved, upstream[:, None]), None

loss.defvjp(
    lambda x, t: (loss(x, t), jax.nn.softmax(x) - jax.nn.one_hot(t, 4)),
    scaled,
)
""",
}
RAISES = "torch.no_such_function"
OF_TENSORFLOW = "tensorflow:nn.sparse_softmax_cross_entropy_with_logits@cpu"
OF_JAX = "jax:optax.softmax_cross_entropy_with_integer_labels@cpu"
# (the subject that it stands for, the problem, the fault, the right code)
SAVED_FAULTS = [
    ("torch:cross_entropy@cpu", TWICE, "torch.Tensor.mul_", "torch.mul"),
    ("torch:cross_entropy@cpu", HARD, "(lambda one, two: one * two * torch.inf * 0)", "torch.mul"),
    ("torch:cross_entropy@cpu", HARD, RAISES, "torch.mul"),
    ("torch:cross_entropy@cpu", TWICE, RAISES, "torch.mul"),
    (OF_TENSORFLOW, TWICE, "(lambda one, two: one.assign(one * two) * 1)", "tf.multiply"),
    (OF_JAX, TWICE, "(lambda one, two: one * two ** len(CALLS))", "jax.numpy.multiply"),
]


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "problem", "fault", "right"), SAVED_FAULTS)
def test_derivatives_of_a_user_function(
    name: str, problem: Problem, fault: str, right: str, tmp_path: Path, scripts: Scripts
) -> None:
    framework = name.partition(":")[0]
    file, run, subject = tmp_path / "losses.py", tmp_path / "a.logitmus", declared(name)
    checked = CheckedFunction(framework=framework, target=f"{file}:loss")
    outcome = changed(problem, subject) if fault != RAISES else Raised("RuntimeError", "no", answered_before=True)
    file.write_text(SAVED[framework].replace("FAULTY", fault))
    found = recorded(run, problem, subject, outcome, backend="own", function=checked)
    text = written(run, next(finding.id for finding in found if finding.cause.endswith(problem.manner)))
    status, output = scripts.run(text, tmp_path, framework)
    assert status == THERE, output
    file.write_text(SAVED[framework].replace("FAULTY", right))
    status, output = scripts.run(text, tmp_path, framework)
    assert status == GONE, output


def test_no_script_differentiates_numpy(tmp_path: Path) -> None:
    subject = declared("numpy:textbook@cpu")
    found = recorded(tmp_path / "a.logitmus", HARD, subject, changed(HARD, subject))
    with pytest.raises(ReproError, match="numpy scripts do not support the call mode forward_mode"):
        written(tmp_path / "a.logitmus", found[0].id)


def test_the_command(tmp_path: Path) -> None:
    problem = labels([[0, 0, 0, 1], [0, 0, 1, 1]], 3)
    run = tmp_path / "a.logitmus"
    wrong = answered([0.8, NAN], problem)
    found = recorded(run, problem, declared("numpy:textbook@cpu"), wrong)
    finding = next(finding for finding in found if finding.cause == "lost")
    calling = CliRunner()
    printed = calling.invoke(app, ["repro", str(run), finding.id[:5]])
    assert printed.exit_code == 0
    compile(printed.stdout, "repro.py", "exec")
    kept = calling.invoke(app, ["repro", str(run), finding.id, "-o", str(tmp_path / "r.py")])
    assert kept.exit_code == 0
    assert (tmp_path / "r.py").read_text() == printed.stdout
    assert finding.id in kept.stderr


def test_findings_that_cannot_be_meant(tmp_path: Path) -> None:
    problem = labels([[0, 0, 0, 1], [0, 0, 1, 1]], 3)
    run = tmp_path / "a.logitmus"
    found = recorded(run, problem, declared("numpy:textbook@cpu"), answered([0.8, NAN], problem))
    assert len(found) > 1
    with pytest.raises(ReproError, match=f"(?s)unknown finding 'zz'; this run has.*{found[0].id}.*{found[0].summary}"):
        written(run, "zz")
    with pytest.raises(ReproError, match=f"(?s){len({f.id for f in found})} findings begin with ''.*{found[0].id}"):
        written(run, "")


def test_a_backend_of_another_ones_making_has_no_script(tmp_path: Path) -> None:
    problem = labels([0, 0, 0, 1], 3)
    other = replace(declared("numpy:textbook@cpu"), backend="else")
    found = recorded(tmp_path / "a.logitmus", problem, other, answered([0.8], problem))
    with pytest.raises(ReproError, match="only its backend knows how to call"):
        written(tmp_path / "a.logitmus", found[0].id)


def test_a_backend_under_a_name_of_the_users(tmp_path: Path, scripts: Scripts) -> None:
    problem = labels([0, 0, 0, 1], 3)
    other = replace(declared("numpy:textbook@cpu"), backend="old")
    found = recorded(
        tmp_path / "a.logitmus", problem, other, answered([0.8], problem), backends=("old=numpy@/some/python",)
    )
    assert scripts.run(written(tmp_path / "a.logitmus", found[0].id), tmp_path)[0] == GONE


# --- what comes from a file is data -----------------------------------------------------------------------------

EVIL = (
    "\"\"\"\n'''\r\nraise SystemExit(77)\x0c\u2028raise SystemExit(77)\\\n{{ 7 * 7 }}{% for %} # -*- coding: rot13 -*-"
)


@pytest.mark.parametrize("outcome", [Raised(EVIL, EVIL), Garbled(EVIL), Crashed(EVIL, EVIL)])
def test_text_from_a_file_is_never_code(outcome: Outcome, tmp_path: Path, scripts: Scripts) -> None:
    problem = labels([0, 0, 0, 1], 3)
    found = recorded(tmp_path / "a.logitmus", problem, declared("numpy:textbook@cpu"), outcome)
    text = written(tmp_path / "a.logitmus", found[0].id)
    assert text.isascii()
    assert scripts.run(text, tmp_path)[0] == GONE


@pytest.mark.parametrize("target", ["/a/b.py:f(); raise SystemExit(77)", "os;x:f", "/a/b.py:class", "/a/b.py:f.__x y"])
def test_a_function_with_no_name_is_refused(target: str, tmp_path: Path) -> None:
    problem = labels([0, 0, 0, 1], 3)
    subject = declared("numpy:textbook@cpu")
    with Store.create(
        tmp_path / "a.logitmus", settings=RunSettings(function=CheckedFunction(framework="numpy", target=target))
    ) as store:
        store.add_problems([problem])
        store.add_backend(BackendReady("numpy:own", (subject,), {}, 1))
        store.add(Observation(subject.id, problem.id, answered([0.8], problem)), seconds=0.0, first=True)
        store.commit()
        with pytest.raises(ReproError, match="is not a function name"):
            reproduction(
                store, next(f.id for e in judge_run(store) if isinstance(e, Judged) for f in e.judgement.findings)
            )
