"""From a function to its card: in a worker and in this process, on the command line, and the messages for mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logitmus.cli import main
from logitmus.conventions.card import Card
from logitmus.conventions.identify import identify
from logitmus.core.floats import Array
from logitmus.execution.registry import RegistryError

SOURCE = '''
import numpy as np


def bits(y_true, y_pred):
    """Labels first, in bits."""
    d = y_pred - y_pred.max(axis=-1, keepdims=True)
    return (np.log(np.exp(d).sum(axis=-1)) - np.take_along_axis(d, y_true[..., None], -1)[..., 0]) / np.log(2).astype(
        y_pred.dtype
    )


def axis_1(logits, targets, reduction="mean", class_weights=None):
    if targets.dtype.kind == "f":
        raise TypeError("labels only")
    last = np.moveaxis(logits, min(1, logits.ndim - 1), -1)
    rows = bits(targets, last) * np.log(2).astype(logits.dtype)
    weight = np.ones_like(rows) if class_weights is None else class_weights[targets]
    if reduction == "none":
        return rows * weight
    return (rows * weight).sum() / (weight.sum() if reduction == "mean" else 1)


def zero(logits, targets):
    return np.zeros(logits.shape[:-1], logits.dtype)


def refuses(logits, targets):
    raise NotImplementedError("not yet")
'''
COUNT = 24  # fields of a convention, at least


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "losses.py").write_text(SOURCE, encoding="utf-8")
    return "losses.py"


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: str
) -> Callable[..., tuple[int, str, str]]:
    """Runs `logitmus identify ARGS` beside the file; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["logitmus", "identify", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return code, out, err

    return call


def measured(card: Card) -> dict[str, str]:
    return {name: field.values[0] for name, field in card.fields.items() if field.state == "measured"}


def test_a_function_in_a_file(file: str) -> None:
    labels, soft = identify(f"{file}:bits", "numpy")
    assert measured(labels) == measured(labels) | {
        "inputs": "logits",
        "log_base": "2",
        "class_axis": "last",
        "default_reduction": "none",
        "label_out_of_range": "error",
        "result_dtype": "as_input",
    }
    assert labels.subject == "numpy:losses.bits@cpu"
    assert labels.targets == "labels"
    assert measured(soft) == {}, "it takes no probabilities"
    assert any("raises on every call: IndexError" in remark for remark in soft.remarks)


def test_the_class_axis_is_measured_unless_it_is_named(file: str) -> None:
    (found,) = identify(f"{file}:axis_1", "numpy", targets=["labels"], options={"weight": "class_weights"})
    assert measured(found) == measured(found) | {
        "class_axis": "1",
        "default_reduction": "mean",
        "mean_denominator": "weights",
        "log_base": "e",
    }
    (named,) = identify(f"{file}:axis_1", "numpy", targets=["labels"], class_axis="1")
    assert measured(named)["class_axis"] == "1"
    assert named["mean_denominator"].state == "undetermined", "the name of its weights is not given"
    (wrong,) = identify(f"{file}:axis_1", "numpy", targets=["labels"], class_axis="last")
    assert wrong["class_axis"].state != "measured"


def test_a_closure_is_asked_here_with_the_same_result(file: str) -> None:
    scale = np.log(2)

    def bits(y_true: Array, y_pred: Array) -> Array:
        d = y_pred - y_pred.max(axis=-1, keepdims=True)
        loss = np.log(np.exp(d).sum(axis=-1)) - np.take_along_axis(d, y_true[..., None], -1)[..., 0]
        return np.asarray(loss / scale.astype(y_pred.dtype))

    (here,) = identify(bits, "numpy", targets=["labels"])
    (there,) = identify(f"{file}:bits", "numpy", targets=["labels"])
    assert here.subject == "numpy:test_a_closure_is_asked_here_with_the_same_result.bits@cpu"
    assert here.fields == there.fields
    assert (here.remarks, here.mechanisms, here.calls) == (there.remarks, there.mechanisms, there.calls)


def test_kinds_of_targets_are_checked() -> None:
    with pytest.raises(RegistryError, match="no kind of targets is called 'label'; use labels or probabilities"):
        identify("losses.py:bits", "numpy", targets=["label"])


# --- the command line -----------------------------------------------------------------------------------------


def test_a_card_for_a_person(cli: Any) -> None:
    code, out, err = cli("losses.py:bits", "-f", "numpy")
    assert "numpy:losses.bits@cpu with labels (" in out
    assert [line.split()[:3] for line in out.splitlines() if "log_base" in line] == [["~", "log_base", "2"]]
    assert [line.split()[:2] for line in out.splitlines() if " inputs " in line] == [["inputs", "logits"]]
    assert "smoothing: does not offer label_smoothing" in out
    assert "numpy:losses.bits.probabilities@cpu with probabilities (" in out
    assert "raises on every call: IndexError" in out
    assert err == ""
    assert code in (0, 1)


def test_why_shows_the_evidence(cli: Any) -> None:
    _, out, _ = cli("losses.py:bits", "-f", "numpy", "--targets", "labels", "--why")
    (line,) = (line for line in out.splitlines() if "log_base" in line)
    assert "distinguished by: " in line
    assert "probabilities@cpu" not in out


def test_json(cli: Any) -> None:
    _, out, _ = cli("losses.py:axis_1", "-f", "numpy", "--json", "--option", "weight=class_weights")
    found = json.loads(out)
    assert found["schema"] == 1
    labels, soft = found["cards"]
    assert (labels["targets"], soft["targets"]) == ("labels", "probabilities")
    assert labels["convention"]["class_axis"] == "1"
    fields = {field["field"]: field for field in labels["fields"]}
    assert len(fields) >= COUNT
    assert fields["default_reduction"]["state"] == "measured"
    assert fields["default_reduction"]["evidence"]
    assert fields["smoothing"]["state"] == "undetermined"


@pytest.mark.parametrize("name", ["zero", "refuses"])
def test_a_function_that_is_no_cross_entropy_exits_with_1(cli: Any, name: str) -> None:
    code, out, err = cli(f"losses.py:{name}", "-f", "numpy", "--targets", "labels")
    assert code == 1
    assert f"numpy:losses.{name}@cpu with labels" in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("losses.py:bits",), 2, "Missing option '--framework'"),
        (("losses.py", "-f", "numpy"), 2, "'losses.py' names no function; use FILE.py:FUNCTION"),
        (("loses.py:bits", "-f", "numpy"), 2, "there is no file loses.py; did you mean 'losses.py'?"),
        (("losses.py:bits", "-f", "numy"), 2, "unknown backend 'numy'; did you mean 'numpy'?"),
        (("losses.py:bits", "-f", "numpy", "--option", "w=weight"), 2, "--option w=weight: use OURS=THEIRS"),
        (("losses.py:bits", "-f", "numpy", "--class-axis", "0"), 2, "--class-axis 0: use last or 1"),
        (("losses.py:bits", "-f", "numpy", "--device", "tpu"), 2, "there is no device 'tpu' here; there is cpu"),
        (("losses.py:bits", "-f", "numpy", "--targets", "one-hot"), 2, "Invalid value for '--targets'"),
        (("losses.py:bit", "-f", "numpy"), 2, "losses.py has no 'bit'; did you mean 'bits'?"),
        (("losses:bits", "-f", "numpy@/no/such"), 2, "'/no/such' is not a program that can be run"),
        (("losse:bits", "-f", "numpy"), 2, "there is no module 'losse' here"),
    ],
)
def test_wrong_arguments_exit_with_2(cli: Any, args: tuple[str, ...], code: int, message: str) -> None:
    ended, out, err = cli(*args)
    assert ended == code
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
