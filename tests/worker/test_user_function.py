"""A user's own function: its signature, how it is named, loaded and called, and what becomes of its results."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logitmus.backends.numpy_backend import BACKEND as NUMPY
from logitmus.core.backend import Backend, Inputs, Outputs
from logitmus.core.convention import PORTABLE
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, Crashed, Garbled, NotRun, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem, Reduction
from logitmus.execution import registry
from logitmus.execution.ask_backend import inquire
from logitmus.execution.in_process import ask_here
from logitmus.execution.limits import Limits
from logitmus.worker.user_code import Target, TargetError, parse
from logitmus.worker.user_function import adopt

SUPPORT = Path(__file__).parent.parent / "support"

ROWS = np.array([[0, 0, 0, 1], [2, 0, 0, 0]], np.float32)
LABELS = Problem(logits=ROWS, targets=np.array([3, 1]))
SOFT = Problem(logits=ROWS, targets=np.eye(4, dtype=np.float32)[[3, 1]])
DEFAULT = LABELS.but(reduction="default")
EXACT = np.log(np.exp(ROWS.astype(np.float64)).sum(axis=1)) - [1, 0]
ALL = {"weight", "ignore_index", "label_smoothing"}


def right(logits: Array, targets: Array) -> Array:
    """By hand, in float64."""
    x = logits.astype(np.float64)
    dense = targets if targets.dtype.kind == "f" else np.eye(x.shape[-1])[targets]
    return np.asarray((np.log(np.exp(x).sum(axis=-1)) - (dense * x).sum(axis=-1)).astype(logits.dtype))


def here(function: Callable[..., Any], *problems: Problem, **how: Any) -> list[Outcome]:
    """Its outcomes for labels (or probabilities, as the problems have them), in this process."""
    results = ask_here(function, "numpy", problems or [DEFAULT], **how)
    return [outcome for problem, subject, outcome in results if subject.offer.targets == problem.target_kind]


def offers(function: Callable[..., Any], **names: str) -> tuple[set[str], bool]:
    """The options that it is taken to offer, and whether it can be asked for a reduction."""
    offer = adopt(function, NUMPY, name="f", names=names).functions[0].offer
    return set(offer.options), bool(offer.reductions)


def passed(function: Callable[..., Any], problem: Problem, **names: str) -> Any:
    """The arguments of a call; the function returns its arguments."""
    seen: list[Any] = []

    def taking(call: Callable[..., Any]) -> Callable[..., object]:
        return lambda inputs: seen.append(call(inputs.logits, inputs.targets, inputs.given)) or Outputs(loss=EXACT)

    pattern = Backend(
        name="numpy", distributions=(), functions=NUMPY.functions, evaluate=lambda f, _m, _d, i: f.call(i), adopt=taking
    )  # type: ignore[arg-type, return-value]
    adopted = adopt(function, pattern, name="f", names=names)
    adopted.evaluate(adopted.functions[0], "", "cpu", inputs_of(problem))
    return seen[0]


def inputs_of(problem: Problem) -> Inputs:
    names = ("logits", "targets", "weight", "ignore_index", "label_smoothing", "reduction", "cotangent")
    return Inputs(**{name: getattr(problem, name) for name in names})


# --- signatures -----------------------------------------------------------------------------------------------


def test_options_are_those_that_the_signature_names() -> None:
    assert offers(lambda logits, targets: 0) == (set(), False)
    assert offers(lambda logits, targets, weight=None, reduction="mean": 0) == ({"weight"}, True)
    assert offers(lambda x, y, *, ignore_index=-100, label_smoothing=0.0: 0) == (
        {"ignore_index", "label_smoothing"},
        False,
    )
    assert offers(lambda logits, targets, **options: 0) == (ALL, True)
    assert offers(lambda logits, targets, *more: 0) == (set(), False)
    assert offers(lambda logits, targets, class_weights=None: 0, weight="class_weights") == ({"weight"}, False)
    assert offers(lambda logits, targets, weight=None: 0, weight="") == (set(), False)


def test_any_callable_will_do() -> None:
    class Loss:
        def __call__(self, logits: Array, targets: Array, weight: Array | None = None) -> Array:
            return right(logits, targets)

        def method(self, logits: Array, targets: Array, reduction: str = "mean") -> Array:
            return right(logits, targets)

        @staticmethod
        def static(logits: Array, targets: Array) -> Array:
            return right(logits, targets)

    class Module:
        """As PyTorch's: called through a wrapper without a signature."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.forward(*args, **kwargs)

        def forward(self, logits: Array, targets: Array, ignore_index: int = -100) -> Array:
            return right(logits, targets)

    def several(logits: Array, targets: Array, weight: Array | None = None, reduction: str = "none") -> Array:
        return right(logits, targets)

    assert offers(Loss()) == ({"weight"}, False)
    assert offers(Loss().method) == (set(), True)
    assert offers(Loss.static) == (set(), False)
    assert offers(Module()) == ({"ignore_index"}, False)
    assert offers(functools.partial(several, reduction="sum")) == ({"weight"}, True)
    for function in (Loss(), Loss().method, Loss.static, Module(), functools.partial(several, weight=None)):
        (outcome,) = here(function)
        assert isinstance(outcome, Answered)
        assert outcome.loss == pytest.approx(EXACT)


def test_without_a_signature_only_named_arguments_are_passed() -> None:
    def silent(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert offers(silent) == (set(), False)
    assert offers(silent, reduction="reduce", weight="w") == ({"weight"}, True)
    (logits, targets), more = passed(silent, LABELS.but(reduction="sum"), reduction="reduce")
    assert (logits.tolist(), targets.tolist(), more) == (ROWS.tolist(), [3, 1], {"reduce": "sum"})


def test_arguments_come_under_its_own_names_and_only_those_that_are_given() -> None:
    def mine(x: Any, y: Any, w: Any = 5, eps: float = 0.25, reduction: str = "its own") -> Any:
        return x.tolist(), y.tolist(), w, eps, reduction

    assert passed(mine, DEFAULT, weight="w", label_smoothing="eps")[2:] == (5, 0.25, "its own")
    weight = np.arange(4, dtype=np.float32)
    given = passed(mine, LABELS.but(weight=weight, label_smoothing=0.1), weight="w", label_smoothing="eps")
    assert given[0] == ROWS.tolist()
    assert (given[1], given[2].tolist(), *given[3:]) == ([3, 1], [0, 1, 2, 3], 0.1, "none")


def test_positional_only_parameters_are_filled_up_with_their_defaults() -> None:
    def rigid(logits: Any, targets: Any, weight: Any = "w", ignore_index: Any = "i", /, *, reduction: Any = "r") -> Any:
        return weight, ignore_index, reduction

    assert passed(rigid, DEFAULT) == ("w", "i", "r")
    assert passed(rigid, LABELS.but(ignore_index=3)) == ("w", 3, "none")


@pytest.mark.parametrize(
    "function",
    [
        lambda y_true, y_pred: (y_pred, y_true),
        lambda labels, logits: (logits, labels),
        lambda *, labels, logits: (logits, labels),
        lambda logits, labels: (logits, labels),
        lambda x, y: (x, y),
        lambda weight, logits, targets: (logits, targets),
    ],
)
def test_targets_come_first_where_they_are_called_so(function: Callable[..., Any]) -> None:
    logits, targets = passed(function, DEFAULT)
    assert (logits.tolist(), targets.tolist()) == (ROWS.tolist(), [3, 1])


def test_logits_and_targets_can_be_named() -> None:
    logits, targets = passed(lambda gold, guess: (guess, gold), DEFAULT, targets="gold")
    assert (logits.tolist(), targets.tolist()) == (ROWS.tolist(), [3, 1])


def test_required_options_get_neutral_values_or_the_problem_is_not_run() -> None:
    def strict(logits: Array, targets: Array, weight: Array | None, label_smoothing: float, reduction: str) -> Array:
        assert weight is None
        assert label_smoothing == 0
        assert reduction == "none"
        return right(logits, targets)

    answered, not_run = here(strict, LABELS, DEFAULT)
    assert isinstance(answered, Answered)
    assert not_run == NotRun("has no default for reduction")


@pytest.mark.parametrize(
    ("function", "names", "message"),
    [
        (lambda: 0, {}, "f takes nothing; a loss takes logits and targets"),
        (lambda logits: 0, {}, "f takes logits; a loss takes logits and targets"),
        (lambda self, logits, targets: 0, {}, "a method without its object"),
        (lambda logits, targets, temperature: 0, {}, "f needs temperature too"),
        (lambda logits, targets, class_weights=None: 0, {"weight": "class_wights"}, "did you mean 'class_weights'?"),
        (lambda logits, targets: 0, {"wait": "w"}, "no option is called 'wait'; use logits, targets, weight"),
    ],
)
def test_unsupported_signatures_are_errors(
    function: Callable[..., Any], names: Mapping[str, str], message: str
) -> None:
    with pytest.raises(TargetError) as refused:
        adopt(function, NUMPY, name="f", names=names)
    assert message in str(refused.value)


# --- what comes back ------------------------------------------------------------------------------------------


def test_both_kinds_of_targets_are_subjects_of_their_own() -> None:
    labels, soft = adopt(right, NUMPY, name="mine.right").subjects(("cpu",))
    assert (labels.id, soft.id) == ("numpy:mine.right@cpu", "numpy:mine.right.probabilities@cpu")
    assert (labels.offer.targets, soft.offer.targets) == ("labels", "probabilities")
    assert labels.convention == PORTABLE
    for problem in (DEFAULT, SOFT.but(reduction="default")):
        (outcome,) = here(right, problem)
        assert isinstance(outcome, Answered)
        assert outcome.loss == pytest.approx(EXACT)
        assert outcome.grad_logits is None


def with_gradients(logits: Array, targets: Array, reduction: str = "none") -> tuple[Any, ...]:
    x = logits.astype(np.float64)
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    q = targets if targets.dtype.kind == "f" else np.eye(4)[targets]
    n = {"none": 1, "sum": 1, "mean": len(x)}[reduction]
    loss = right(logits, targets)
    result = loss if reduction == "none" else np.float32(loss.sum() / n)
    gradients = [(g / n).astype(np.float32) for g in (p - q, -np.log(p))]
    return result, *gradients[: 1 if targets.dtype.kind == "i" else 2]


@pytest.mark.parametrize("problem", [LABELS, SOFT], ids=["labels", "probabilities"])
@pytest.mark.parametrize(("reduction", "upstream"), [("none", [1, -2]), ("sum", -2), ("mean", 0.5), ("default", None)])
def test_gradients_that_are_returned_are_pulled_back(problem: Problem, reduction: Reduction, upstream: Any) -> None:
    cotangent = None if upstream is None else np.array(upstream, np.float32)
    (outcome,) = here(with_gradients, problem.but(reduction=reduction, cotangent=cotangent))
    assert isinstance(outcome, Answered)
    p = np.exp(ROWS.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    scale = np.ones((2, 1)) if upstream is None else np.reshape(upstream, (-1, 1)) * np.ones((2, 1))
    scale = scale / (2 if reduction == "mean" else 1)
    assert outcome.grad_logits == pytest.approx(scale * (p - np.eye(4)[[3, 1]]), rel=1e-6)
    if problem is SOFT:
        assert outcome.grad_targets == pytest.approx(-scale * np.log(p), rel=1e-6)


def test_classes_on_axis_1() -> None:
    def axis_1(logits: Array, targets: Array) -> tuple[Array, Array]:
        assert logits.shape == (2, 4, 3)
        loss = right(np.moveaxis(logits, 1, -1), targets)
        return loss, np.stack([np.full((2, 3), k, np.float32) for k in range(4)], axis=1)

    spatial = Problem(
        logits=np.zeros((2, 3, 4), np.float32),
        targets=np.zeros((2, 3), np.int64),
        cotangent=np.arange(6, dtype=np.float32).reshape(2, 3),
    )
    spatial = spatial.but(reduction="none")

    def reducing(logits: Array, targets: Array, reduction: str = "none") -> tuple[Array, Array]:
        return axis_1(logits, targets)

    (outcome,) = here(reducing, spatial, convention=PORTABLE.but(class_axis="1"))
    assert isinstance(outcome, Answered)
    assert outcome.grad_logits is not None
    assert outcome.grad_logits[1, 2].tolist() == [0, 5, 10, 15]


def test_invalid_results_are_garbled_and_exceptions_are_raised() -> None:
    def refuses(logits: Array, targets: Array) -> Array:
        raise IndexError("label 3")

    (nothing,) = here(lambda logits, targets: None)
    assert nothing == Garbled("loss: a value of type NoneType; an array of the framework's own was due")
    (words,) = here(lambda logits, targets: np.array(["a"]))
    assert isinstance(words, Garbled)
    (four,) = here(lambda logits, targets: (1.0, None, None, None))
    assert isinstance(four, Garbled)
    (short,) = here(lambda logits, targets: (right(logits, targets), np.zeros(3, np.float32)))
    assert short == Garbled("grad_logits: shape (3,), classes last; its problem's logits have (2, 4)")
    assert here(refuses) == [Raised("IndexError", "label 3")]
    (number,) = here(lambda logits, targets: float(right(logits, targets).sum()))
    assert isinstance(number, Answered)
    assert (number.loss.shape, number.loss.dtype) == ((), np.float64)


def test_calls_in_this_process_are_observed_as_in_a_worker() -> None:
    def writes(logits: Array, targets: Array) -> Array:
        import warnings

        warnings.warn("imprecise", stacklevel=1)
        logits[...] = 0
        return right(logits, targets)

    (outcome,) = here(writes)
    assert isinstance(outcome, Answered)
    assert outcome.written == ("logits",)
    assert outcome.warnings == ("imprecise",)
    assert here(right, LABELS) == [NotRun("does not offer reduction='none'")]


def test_a_callable_is_asked_in_this_process_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(registry.RegistryError, match="unknown backend 'nump'; did you mean 'numpy'"):
        next(ask_here(right, "nump", [DEFAULT]))
    with pytest.raises(registry.RegistryError, match="no device 'tpu' here; there is cpu"):
        next(ask_here(right, "numpy", [DEFAULT], device="tpu"))
    with pytest.raises(registry.RegistryError, match="is evaluated in this process"):
        next(ask_here(right, "cmd:cat", [DEFAULT]))


# --- names and files ------------------------------------------------------------------------------------------

SOURCE = '''
import numpy as np
from helper import right  # a file beside this one

number = 3


def loss(logits, targets, reduction="none", class_weights=None):
    """Named in a file."""
    return right(logits, targets)


def aborts(logits, targets):
    import os

    os.abort()


def hangs(logits, targets):
    while True:
        pass


def prints(logits, targets):
    print("loss!", flush=True)
    return right(logits, targets)


class Losses:
    def __call__(self, logits, targets):
        return right(logits, targets)

    @staticmethod
    def plain(logits, targets):
        return right(logits, targets)


made = Losses()
'''
HELPER = """
import numpy as np


def right(logits, targets):
    x = logits.astype(np.float64)
    q = targets if targets.dtype.kind == "f" else np.eye(x.shape[-1])[targets]
    return (np.log(np.exp(x).sum(axis=-1)) - (q * x).sum(axis=-1)).astype(logits.dtype)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER, encoding="utf-8")
    path = tmp_path / "losses.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def outcomes(target: str, *problems: Problem, options: tuple[str, ...] = (), **how: Any) -> list[Outcome]:
    spec = registry.adopting("numpy", target, options)
    problems = problems or (DEFAULT,)
    got = list(inquire(spec, problems, targets=("labels",), **how))
    order = {problem.id: n for n, problem in enumerate(problems)}
    return [outcome for _, _, outcome in sorted(got, key=lambda result: order[result[0].id])]


def test_the_forms_of_a_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(f"{file}:loss") == Target(str(file), "losses", "loss")
    assert parse("my.losses:Losses.plain") == Target("", "my.losses", "Losses.plain")
    assert parse("my.losses:Losses.plain").name == "losses.Losses.plain"
    monkeypatch.chdir(file.parent)
    assert parse("losses.py:loss") == parse("./losses.py:loss") == parse(f"{file}:loss")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("losses.py", "'losses.py' names no function; use FILE.py:FUNCTION"),
        ("losses.py:", "names no function"),
        (":loss", "names no function"),
        ("losses.py:loss()", "names no function"),
        ("lossses.py:loss", "there is no file lossses.py; did you mean 'losses.py'?"),
        ("no/such.py:loss", "there is no file no/such.py"),
        ("my-losses:loss", "'my-losses' is no module's name"),
    ],
)
def test_a_name_that_means_nothing(text: str, message: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises(TargetError) as refused:
        parse(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("los", "has no 'los'; did you mean 'loss'?"),
        ("Losses.plane", "has no 'Losses.plane'; did you mean 'plain'?"),
        ("nothing_alike", "has no 'nothing_alike'; choose from: Losses, aborts, "),
        ("number", "is an int, and cannot be called"),
        ("Losses", "is a class; name a function, or an object made of it"),
    ],
)
def test_a_function_that_is_not_there(attribute: str, message: str, file: Path) -> None:
    with pytest.raises(TargetError) as refused:
        outcomes(f"{file}:{attribute}")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (line 2)"),
        ("def f(:\n", "cannot be imported: SyntaxError: "),
        ("import no_such_thing\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_thing' (line 1)"),
        ("from . import other\n", "name it package.module:FUNCTION"),
        ("import sys\nsys.exit(0)\n", "it ended the program (line 2); put what it does as a script under if __name__"),
        ("import argparse\nargparse.ArgumentParser().parse_args()\n1 / 0", "division by zero (line 3)"),
    ],
)
def test_a_file_that_cannot_be_imported(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(source, encoding="utf-8")
    with pytest.raises(TargetError) as refused:
        outcomes(f"{tmp_path / 'broken.py'}:f")
    assert message in str(refused.value)


def test_a_module_is_found_from_the_current_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    (outcome,) = outcomes("losses:made")
    assert isinstance(outcome, Answered)
    with pytest.raises(TargetError, match="there is no module 'losess' here, and none is installed"):
        outcomes("losess:loss")


def test_a_file_may_have_the_name_of_a_module_that_is_in_use(file: Path) -> None:
    renamed = file.rename(file.with_name("json.py"))
    (outcome,) = outcomes(f"{renamed}:loss")
    assert isinstance(outcome, Answered)


def test_a_file_is_imported_as_python_would_run_it(file: Path) -> None:
    answered, summed = outcomes(f"{file}:loss", DEFAULT, LABELS.but(reduction="sum"))
    assert isinstance(answered, Answered)
    assert answered.loss == pytest.approx(EXACT)
    assert isinstance(summed, Answered), "its reduction is its own business"
    (printed,) = outcomes(f"{file}:prints")
    assert isinstance(printed, Answered)


def test_a_function_that_crashes_or_hangs_is_an_outcome(file: Path) -> None:
    (crashed,) = outcomes(f"{file}:aborts")
    assert isinstance(crashed, Crashed)
    assert crashed.status == "SIGABRT"
    (hung,) = outcomes(f"{file}:hangs", limits=Limits(compile_seconds=1.0, call_seconds=1.0))
    assert isinstance(hung, TimedOut)


def test_its_own_names_reach_the_worker(file: Path) -> None:
    weighted = DEFAULT.but(weight=np.ones(4, np.float32))
    assert outcomes(f"{file}:loss", weighted) == [NotRun("does not offer weight")]
    (outcome,) = outcomes(f"{file}:loss", weighted, options=("weight=class_weights",))
    assert isinstance(outcome, Answered)
    with pytest.raises(TargetError, match="loss has no parameter 'wights' for weight"):
        outcomes(f"{file}:loss", options=("weight=wights",))


@pytest.mark.parametrize(
    ("framework", "options", "axis", "message"),
    [
        ("pytorch", (), "last", "unknown backend 'pytorch'; did you mean 'torch'?"),
        ("cmd:cat", (), "last", "a program of its own takes no functions"),
        ("numpy", ("weight",), "last", "--option weight: use OURS=THEIRS, e.g. weight=class_weights"),
        ("numpy", ("wait=w",), "last", "where OURS is one of logits, targets, weight"),
        ("numpy", ("weight=a b",), "last", "use OURS=THEIRS"),
        ("numpy", (), "2", "--class-axis 2: use last or 1"),
    ],
)
def test_wrong_adoptions_are_errors(
    framework: str, options: tuple[str, ...], axis: str, message: str, file: Path
) -> None:
    with pytest.raises(registry.RegistryError) as refused:
        registry.adopting(framework, f"{file}:loss", options, axis)
    assert message in str(refused.value)


def test_a_backend_that_takes_no_functions_refuses_them(file: Path) -> None:
    spec = registry.BackendSpec(name="mini", target="mini_backend:BACKEND", path=str(SUPPORT), function=f"{file}:loss")
    with pytest.raises(TargetError, match="the backend mini takes no functions of your own"):
        list(inquire(spec, [DEFAULT]))


# --- in the frameworks ----------------------------------------------------------------------------------------

FRAMEWORKS = {
    "torch": """
import torch
module = torch.nn.CrossEntropyLoss()
bare = torch.nn.functional.cross_entropy
def own(logits, targets, class_weights=None, reduction="none"):
    log_p = torch.log_softmax(logits, -1)
    loss = -(targets * log_p).sum(-1) if targets.is_floating_point() else -log_p.gather(-1, targets[..., None])[..., 0]
    if class_weights is not None:
        loss = loss * class_weights[targets]
    return loss if reduction == "none" else getattr(loss, reduction)()
def scalar(logits, targets, reduction="none"):
    return own(logits, targets).sum()
def detached(logits, targets):
    return own(logits, targets).detach()
def number(logits, targets):
    return own(logits, targets).sum().item()
""",
    "tensorflow": """
import keras, tensorflow as tf
module = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
bare = tf.nn.softmax_cross_entropy_with_logits
def own(logits, targets, class_weights=None, reduction="none"):
    log_p = tf.nn.log_softmax(logits)
    dense = targets if targets.dtype.is_floating else tf.one_hot(targets, 4, dtype=logits.dtype)
    loss = -tf.reduce_sum(dense * log_p, -1)
    if class_weights is not None:
        loss = loss * tf.gather(class_weights, targets)
    return {"none": lambda x: x, "sum": tf.reduce_sum, "mean": tf.reduce_mean}[reduction](loss)
def scalar(logits, targets, reduction="none"):
    return tf.reduce_sum(own(logits, targets))
def detached(logits, targets):
    return tf.stop_gradient(own(logits, targets))
def number(logits, targets):
    return float(tf.reduce_sum(own(logits, targets)))
""",
    "jax": """
import jax, optax, jax.numpy as jnp
module = jax.jit(optax.softmax_cross_entropy_with_integer_labels)
bare = optax.softmax_cross_entropy
def own(logits, targets, class_weights=None, reduction="none"):
    log_p = jax.nn.log_softmax(logits)
    dense = targets if jnp.issubdtype(targets.dtype, jnp.floating) else jax.nn.one_hot(targets, 4, dtype=logits.dtype)
    loss = -(dense * log_p).sum(-1)
    if class_weights is not None:
        loss = loss * class_weights[targets]
    return loss if reduction == "none" else getattr(loss, reduction)()
def scalar(logits, targets, reduction="none"):
    return own(logits, targets).sum()
def detached(logits, targets):
    return jax.lax.stop_gradient(own(logits, targets))
def number(logits, targets):
    return 1.0
""",
}


@pytest.mark.frameworks
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_in_the_frameworks(framework: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FRAMEWORKS[framework], encoding="utf-8")
    weight = np.array([1, 2, 3, 4], np.float32)
    cotangent = np.array([1, -2], np.float32)
    problems = {
        "labels": LABELS.but(cotangent=cotangent),
        "soft": SOFT.but(cotangent=cotangent),
        "mean": LABELS.but(reduction="mean", cotangent=np.array(3, np.float32)),
        "weighted": LABELS.but(weight=weight),
        "default": DEFAULT,
        "soft default": SOFT.but(reduction="default"),
    }
    p = np.exp(ROWS.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    gradient = p - np.eye(4)[[3, 1]]

    def ask(name: str) -> dict[str, Any]:
        spec = registry.adopting(framework, f"{file}:{name}", ("weight=class_weights",) if name == "own" else ())
        names = {problem.id: name for name, problem in problems.items()}
        return {
            names[problem.id]: outcome
            for problem, subject, outcome in inquire(spec, problems.values())
            if subject.offer.targets == problem.target_kind
        }

    own = ask("own")
    assert own["labels"].loss == pytest.approx(EXACT, rel=1e-6)
    assert own["labels"].grad_logits == pytest.approx(cotangent[:, None] * gradient, rel=1e-5)
    assert own["soft"].grad_logits == pytest.approx(cotangent[:, None] * gradient, rel=1e-5)
    assert own["soft"].grad_targets == pytest.approx(-cotangent[:, None] * np.log(p), rel=1e-5)
    assert own["mean"].loss == pytest.approx(EXACT.mean(), rel=1e-6)
    assert own["mean"].grad_logits == pytest.approx(1.5 * gradient, rel=1e-5)
    assert own["weighted"].loss == pytest.approx(EXACT * [4, 2], rel=1e-6)
    assert own["default"].loss == pytest.approx(EXACT, rel=1e-6)

    scalar = ask("scalar")["labels"]  # not the shape of the cotangent: observed as it is, without a gradient
    assert (scalar.loss.shape, scalar.grad_logits) == ((), None)
    detached = ask("detached")["default"]
    assert detached.loss == pytest.approx(EXACT, rel=1e-6)
    assert detached.grad_logits is None or not detached.grad_logits.any()
    assert isinstance(ask("number")["default"], Garbled)

    module = ask("module")["default"]
    assert module.loss == pytest.approx(EXACT if framework == "jax" else EXACT.mean(), rel=1e-6)
    bare = ask("bare")["soft default"]
    assert bare.loss == pytest.approx(EXACT.mean() if framework == "torch" else EXACT, rel=1e-6)


IN_THIS_PROCESS = """
import sys
import numpy as np
from logitmus.execution.in_process import ask_here
from logitmus.core.problem import Problem
{setup}
logits = np.array([[0, 0, 0, 1], [2, 0, 0, 0]], np.float64)
problem = Problem(logits=logits, targets=np.array([3, 1]), reduction="default")
for _, subject, outcome in ask_here(function, {framework!r}, [problem]):
    if subject.offer.targets == "labels":
        print(subject.id, outcome.loss.dtype, *outcome.loss.reshape(-1).tolist(), outcome.grad_logits.shape)
"""
SETUPS = {
    "torch": "import torch; scale = 2.0; module = torch.nn.CrossEntropyLoss(reduction='none'); "
    "function = lambda x, y: scale * module(x, y)",
    "tensorflow": "import tensorflow as tf; scale = 2.0; function = lambda labels, logits: scale * "
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)",
    # Its switches are the caller's: 64 bits stay 64 bits.
    "jax": "import jax, optax; jax.config.update('jax_enable_x64', True); scale = 2.0; function = lambda x, y: scale * "
    "optax.softmax_cross_entropy_with_integer_labels(x, y)",
}


@pytest.mark.frameworks
@pytest.mark.parametrize("framework", SETUPS)
def test_closures_in_the_frameworks(framework: str) -> None:
    code = IN_THIS_PROCESS.format(setup=SETUPS[framework], framework=framework)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    subject, dtype, *losses, rows, classes = ran.stdout.split()
    assert (subject, dtype) == (f"{framework}:<lambda>@cpu", "float64")
    assert [float(loss) for loss in losses] == pytest.approx(2 * EXACT, rel=1e-12)
    assert (rows, classes) == ("(2,", "4)")
