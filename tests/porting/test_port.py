"""`logitmus port`: names, differences, remedies that are proven and tried, and the output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logitmus.cases.port_examples import examples, plain_call
from logitmus.cli import main
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.observation import Answered
from logitmus.core.problem import TargetKind
from logitmus.core.subject import Offer, Precision, Subject
from logitmus.execution import registry
from logitmus.execution.registry import RegistryError
from logitmus.porting import subject_lookup
from logitmus.porting.differences import Difference, Example, Search
from logitmus.porting.evaluation import Evaluation, as_declared, predicted
from logitmus.porting.port import Port, port
from logitmus.porting.translation import Turn, as_it_stands
from logitmus.reports.terminal import port as report

TORCH, OPTAX = "torch:cross_entropy", "optax.softmax_cross_entropy_with_integer_labels"
KERAS = "keras.losses.SparseCategoricalCrossentropy"
MINE = '''
"""Like the textbook, but with a mean over all rows, an ignored label of -1, and a temper."""
import numpy as np

from logitmus.core.backend import Backend, Function, Outputs
from logitmus.core.subject import Offer
from logitmus.backends import numpy_backend
from logitmus.core.convention import Convention

TEXTBOOK = numpy_backend.BACKEND.functions[0]


def mean(inputs):
    kept = inputs.targets != -1
    rows = TEXTBOOK.call(type(inputs)(**{**inputs.__dict__, "targets": np.where(kept, inputs.targets, 0)})).loss
    return Outputs(loss=(rows * kept).sum() / np.float32(len(kept)))


BACKEND = Backend(
    name="mine",
    distributions=(),
    evaluate=lambda function, mode, device, inputs: function.call(inputs),
    functions=(
        Function(
            name="mean",
            call=mean,
            offer=Offer(targets="labels", reductions=(), spatial=False, single_row=False, gradients=frozenset()),
            convention=Convention(default_reduction="mean", ignore_default="-1", mean_denominator="kept"),
        ),
    ),
)
'''


def declared(source: str, target: str) -> Port:
    return port(source, target, declared=True)


def named(found: Port) -> dict[str, Difference]:
    return {difference.name: difference for difference in found.differences}


def subjects() -> tuple[Subject, ...]:
    return as_declared(registry.available(), ["cpu", "cuda"]).subjects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch:cross_entropy@cpu", "torch:cross_entropy@cpu"),
        ("torch:cross_entropy", "torch:cross_entropy@cpu"),
        ("torch:cross_entropy@cuda", "torch:cross_entropy@cuda"),
        ("cross_entropy", "torch:cross_entropy@cpu"),
        ("CrossEntropyLoss", "torch:nn.CrossEntropyLoss@cpu"),
        ("keras.losses.CategoricalCrossentropy", "tensorflow:keras.losses.CategoricalCrossentropy@cpu"),
        ("categoricalcrossentropy", "tensorflow:keras.losses.CategoricalCrossentropy@cpu"),
        ("optax.softmax_cross_entropy+jit", "jax:optax.softmax_cross_entropy+jit@cpu"),
        ("jax:optax.softmax_cross_entropy+x64+jit", "jax:optax.softmax_cross_entropy+jit+x64@cpu"),
    ],
)
def test_a_name_may_be_shortened(text: str, expected: str) -> None:
    assert subject_lookup.chosen(text, subjects()).id == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch:cros_entropy", "did you mean .*torch:cross_entropy"),
        ("SparseCategoricalCrossEntropie", "did you mean .*SparseCategoricalCrossentropy"),
        ("probabilities", "is ambiguous: .*; use a full name"),
        ("torch:cross_entropy@tpu", "not available in this mode or on this device, only .*@cuda"),
        ("torch:cross_entropy+jit", "not available in this mode"),
        ("?", "there is "),
    ],
)
def test_a_name_that_means_nothing_or_several_things_is_an_error_with_candidates(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        subject_lookup.chosen(text, subjects())


def test_nothing_differs_from_itself() -> None:
    found = declared(TORCH, TORCH)
    assert found.differences == ()
    assert found.plain.verdict == "agrees"
    assert found.after == (found.before,)


def test_an_argument_that_makes_another_function_of_it() -> None:
    found = declared(TORCH, KERAS)
    assert found.named.function == KERAS
    assert found.target.function == f"{KERAS}.from_logits"
    assert named(found)["inputs"].remedy == ("from_logits=True",)
    assert found.after == (f"loss = {KERAS}(from_logits=True, ignore_class=-100)(targets, logits)",)
    back = declared(f"{KERAS}", f"{KERAS}.from_logits")
    assert named(back)["inputs"].remedy == ("from_logits=False",)


def test_remedies_name_the_arguments_of_the_target() -> None:
    found = named(declared(TORCH, KERAS))
    assert found["ignore_default"].remedy == ("ignore_class=-100",)
    assert found["class_axis"].remedy == ("logits = tf.experimental.numpy.moveaxis(logits, 1, -1)",)
    assert found["weight"].remedy[0] == 'reduction="none"'
    assert found["weight"].verdict == "agrees"
    assert named(declared(OPTAX, TORCH))["default_reduction"].remedy == ('reduction="none"',)
    assert named(declared("nn.softmax_cross_entropy_with_logits", "keras.losses.CategoricalCrossentropy.from_logits"))[
        "default_reduction"
    ].remedy == ('reduction="none"',)


def test_labels_are_encoded_and_encoded_labels_decoded() -> None:
    there = declared(TORCH, "optax.softmax_cross_entropy")
    assert named(there)["targets"].remedy == ("targets = jax.nn.one_hot(targets, K)",)
    assert there.plain.verdict == "agrees"
    assert named(there)["label_smoothing"].verdict == "agrees"
    back = declared("optax.softmax_cross_entropy", f"{KERAS}.from_logits")
    assert "targets = targets.argmax(-1)" in named(back)["targets"].remedy
    assert any("soft targets are not supported" in words for words in named(back)["targets"].remedy)
    both = declared("optax.softmax_cross_entropy", TORCH)
    assert both.target.function == "cross_entropy.probabilities"


def test_a_process_wide_setting_is_a_remedy_and_its_subject_is_tried() -> None:
    found = declared(TORCH, OPTAX)
    wide = named(found)["wide_inputs"]
    assert wide.remedy == ('jax.config.update("jax_enable_x64", True)',)
    assert wide.example is not None
    assert wide.example.way is not None
    assert wide.example.way.subject.variant == "x64"
    assert wide.verdict == "agrees"


def test_every_example_shows_its_difference_and_the_source_answers_as_itself() -> None:
    for source, target in ((TORCH, OPTAX), (OPTAX, TORCH), (KERAS, TORCH), ("numpy:textbook", KERAS)):
        found = declared(source, target)
        shown = [difference for difference in found.differences if difference.example is not None]
        assert shown
        for difference in shown:
            example = difference.example
            assert example is not None
            assert comparable(example.source) != comparable(example.as_it_stands) or difference.name in (
                "targets",
                "soft_target_gradient",
            )
            if difference.verdict == "agrees":
                assert example.translated is not None
                assert example.way is not None


def comparable(outcome: object) -> object:
    return outcome.loss.tolist() if isinstance(outcome, Answered) else type(outcome).__name__


def test_a_difference_without_a_remedy_is_reported_as_not_tried() -> None:
    found = named(declared("nn.softmax_cross_entropy_with_logits", "optax.softmax_cross_entropy"))
    plain = found["soft_target_gradient"]
    assert plain.verdict == "not tried"
    assert plain.example is not None
    assert plain.example.part == "grad_logits"
    assert "no argument for this" in plain.remedy[0]


def test_examples_ask_something_and_each_once() -> None:
    for kind in ("labels", "probabilities"):
        problems = [*examples(kind), plain_call(kind)]
        assert all(problem.target_kind == kind for problem in problems)
        assert all(problem.logits.size <= 8 for problem in problems)
        nonempty = [problem for problem in problems if problem.rows]
        assert len({problem.id for problem in nonempty}) >= len(nonempty) - 1  # the plain call is among them


def made_up(function: str, **convention: str) -> Subject:
    return Subject(
        backend="made",
        function=function,
        mode="",
        device="cpu",
        offer=Offer(targets="labels", reductions=("none", "sum", "mean"), options=frozenset({"ignore_index"})),
        convention=PORTABLE.but(**convention),
        precision=dict.fromkeys(
            ("float64", "float32", "bfloat16", "float16"), Precision("float32", "float32", "float32")
        ),
    )


def searched(source: Subject, target: Subject, put: Callable[[Subject, Any], Any] = predicted) -> list[Difference]:
    evaluation = Evaluation((source, target), lambda calls: [put(*call) for call in calls], measured=True)
    backend = registry.backend_of(registry.parse("torch"))
    assert backend is not None
    turn = Turn(target, backend.functions[0].usage)
    return Search(evaluation, source, target, target, (turn,)).all()


def test_a_remedy_that_does_not_work_differs() -> None:
    """The target declares a mean over the kept rows, but its rows are wrong when no reduction is requested."""
    source, target = made_up("a", mean_denominator="rows"), made_up("b", mean_denominator="kept")

    def lying(subject: Subject, problem: Any) -> Any:
        outcome = predicted(subject, problem)
        if subject.function == "b" and problem.reduction in ("none", "default") and isinstance(outcome, Answered):
            return Answered(np.nextafter(outcome.loss, np.float32(9)) + np.float32(2**-16))
        return outcome

    honest = {difference.name: difference for difference in searched(source, target)}
    assert honest["mean_denominator"].verdict == "agrees"
    assert "divide the sum of the rows by the number of all rows" in honest["mean_denominator"].remedy
    assert {found.name: found for found in searched(source, target, lying)}["mean_denominator"].verdict == "differs"


def test_the_classes_are_where_the_other_looks_for_them() -> None:
    (spatial,) = (example for example in examples("labels") if example.logits.ndim == 3)
    naive = as_it_stands(spatial, made_up("a", class_axis="1"), made_up("b"))
    assert naive.logits.tolist() == np.swapaxes(spatial.logits, 1, 2).tolist()
    assert as_it_stands(spatial, made_up("a"), made_up("b")) is spatial


@pytest.mark.parametrize("field", FIELDS)
def test_every_choice_of_every_field_can_be_ported_to_every_other(field: str) -> None:
    """Only this field differs, and every difference has a remedy."""
    plain = made_up("plain")
    for value in FIELDS[field].values:
        other = made_up("other", **{field: value})
        for source, target in ((plain, other), (other, plain)):
            found = [difference for difference in searched(source, target) if difference.name != "plain"]
            assert {difference.name for difference in found} <= {field}
            assert all(difference.remedy and all(difference.remedy) for difference in found)
            if value == getattr(PORTABLE, field):
                assert found == []


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs `logitmus port ARGS` beside mine.py; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["logitmus", "port", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return code, out, err

    return call


def test_measurements_take_precedence_over_declarations(cli: Any) -> None:
    code, out, err = cli("mine:mean", "numpy:textbook", "--backend", "mine:BACKEND", "--backend", "numpy", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["schema"], found["from"], found["to"]) == (1, "mine:mean@cpu", "numpy:textbook@cpu")
    assert found["measured"] is True
    differences = {difference["name"]: difference for difference in found["differences"]}
    ignoring = differences["ignore_default"]
    assert (ignoring["from"], ignoring["to"], ignoring["verdict"]) == ("-1", "none", "agrees")
    assert "divide the sum of the rows by the number of all rows" in ignoring["remedy"], "declared is: of the kept rows"
    assert differences["default_reduction"]["verdict"] == "agrees"
    assert ignoring["example"]["from"] == ignoring["example"]["then"]
    assert ignoring["example"]["to"] == "raises IndexError"


def test_a_person_reads_it(cli: Any) -> None:
    code, out, err = cli(TORCH, KERAS, "--declared")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "torch:cross_entropy@cpu -> tensorflow:keras.losses.SparseCategoricalCrossentropy@cpu" in text
    assert "before loss = torch.nn.functional.cross_entropy(logits, targets)" in text
    assert f"after loss = {KERAS}(from_logits=True, ignore_class=-100)(targets, logits)" in text
    assert "logits [[0, 0, 0, 1]], targets [3], reduction none source [0.7436684]" in text
    assert "nothing was run" in text


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((TORCH,), 2, "Missing argument 'TO'"),
        ((TORCH, "keras.losses.Sparse", "--declared"), 2, "unknown function 'keras.losses.Sparse'; did you mean"),
        ((TORCH, "probabilities"), 2, "'probabilities' is ambiguous"),
        (("numpy:textbook", "numpy:textbook@tpu"), 2, "not available in this mode or on this device"),
        (("numpy:textbook", "none:f", "--backend", "numpy", "--backend", "none:BACKEND"), 3, "none: "),
        (("numpy:textbook", TORCH, "--backend", "nump"), 2, "unknown backend 'nump'"),
    ],
)
def test_a_port_that_fails_has_a_message_and_an_exit_status(
    cli: Any, args: tuple[str, ...], code: int, message: str
) -> None:
    ended, out, err = cli(*args)
    assert ended == code
    assert out == ""
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


@pytest.mark.frameworks
def test_torch_to_keras() -> None:
    found = port(TORCH, KERAS)
    differences = named(found)
    for name in ("inputs", "class_axis", "ignore_default", "weight"):
        assert differences[name].verdict == "agrees", name
    assert found.plain.verdict == "agrees"
    assert run_keras(found.after) == run_torch(found.before)


@pytest.mark.frameworks
def test_keras_to_torch_and_torch_to_optax() -> None:
    found = named(port(f"{KERAS}.from_logits", TORCH))
    assert found["class_axis"].verdict == "agrees"
    assert found["class_axis"].remedy == ("logits = logits.movedim(-1, 1)",)
    back = named(port(TORCH, OPTAX))
    for name in ("default_reduction", "ignore_default", "ignore_index", "weight", "wide_inputs", "class_axis"):
        assert back[name].verdict == "agrees", name
    assert back["label_negative"].verdict == "not tried"


@pytest.mark.frameworks
def test_optax_to_torch_takes_its_probabilities() -> None:
    found = port("optax.softmax_cross_entropy", TORCH)
    assert found.measured
    assert found.target.function == "cross_entropy.probabilities"
    assert named(found)["default_reduction"].verdict == "agrees"
    assert found.after == ('loss = torch.nn.functional.cross_entropy(logits, targets, reduction="none")',)


def test_probabilities_are_clipped_as_the_source_clips_them() -> None:
    found = declared(KERAS, TORCH)
    assert found.after == ("loss = torch.nn.functional.cross_entropy(logits.clamp(1e-7, 1 - 1e-7).log(), targets)",)
    assert declared("keras.losses.CategoricalCrossentropy", "torch:cross_entropy.probabilities").after == (
        "loss = torch.nn.functional.cross_entropy("
        "(logits / logits.sum(dim=1, keepdim=True)).clamp(1e-7, 1 - 1e-7).log(), targets)",
    )


@pytest.mark.frameworks
def test_the_code_for_clipped_probabilities_agrees_at_a_probability_of_0() -> None:
    found = declared(KERAS, TORCH)
    arrays = ([[0.0, 0.5, 0.5]], [0])
    assert run_torch(*found.after, arrays=arrays) == pytest.approx(16.118095)
    assert run_keras((found.before,), arrays=arrays) == pytest.approx(16.118095)


Arrays = tuple[list[list[float]], list[int]]
PLAIN_CALL: Arrays = (plain_call("labels").logits.tolist(), plain_call("labels").targets.tolist())


def run_keras(code: tuple[str, ...], *, arrays: Arrays = PLAIN_CALL) -> float:
    """The loss of these arrays by the printed code."""
    (line,) = code
    return _run(
        arrays,
        "import os; os.environ['KERAS_BACKEND'] = 'tensorflow'; import keras, tensorflow as tf",
        "logits, targets = tf.constant(x), tf.constant(t)",
        line,
    )


def run_torch(line: str, *, arrays: Arrays = PLAIN_CALL) -> float:
    return _run(arrays, "import torch", "logits, targets = torch.tensor(x), torch.tensor(t)", line)


def _run(arrays: Arrays, *lines: str) -> float:
    import subprocess

    logits, targets = arrays
    head = ("import numpy as np", f"x, t = np.array({logits}, np.float32), np.array({targets})")
    code = "\n".join([*head, *lines, "print(f'{float(loss):.6f}')"])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


@pytest.mark.parametrize("spec", registry.available(), ids=lambda spec: spec.name)
def test_the_declared_usage_covers_every_offered_option(spec: registry.BackendSpec) -> None:
    backend = registry.backend_of(spec)
    assert backend is not None
    for function in backend.functions:
        usage = function.usage
        if not usage.call:
            continue
        assert "{logits}" in usage.call
        assert "{targets}" in usage.call
        assert function.offer.options <= set(usage.arguments), function.name
        assert all(choice.partition("=")[0] in {*FIELDS, "reduction"} for choice in usage.arguments if "=" in choice)
        if len(function.offer.reductions) > 1:
            named_reductions = {f"reduction={reduction}" for reduction in function.offer.reductions}
            assert "reduction" in usage.arguments or named_reductions <= set(usage.arguments), function.name
            assert "{more}" in usage.call


def test_within_the_budget_is_not_called_equal() -> None:
    """The distance of two results that agree is shown, and a source that breaks its own declaration is named."""
    example = plain_call(TargetKind.LABELS)

    def shown(source: list[float], translated: list[float]) -> str:
        outcomes = [
            Answered(np.array(numbers, np.float32), np.zeros((1, 2), np.float32))
            for numbers in (source, source, translated)
        ]
        found = Example(
            problem=example,
            part="loss",
            source=outcomes[0],
            as_it_stands=outcomes[1],
            way=None,
            translated=outcomes[2],
            verdict="agrees",
        )
        return report.shown(found)[-1][1]

    assert shown([0.5, np.nan], [0.5, np.nan]) == "[0.5, nan]  OK"
    assert shown([1.1920929e-07], [3.576278e-07]) == "[3.576278e-07]  OK, 2.4e-07 apart"
    assert shown([], [0.0]).endswith("OK for what the source declares; the source itself returned the shape (0,)")
