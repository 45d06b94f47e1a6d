"""Checks: parameters of a function that must not matter (`--same`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from logitmus.checking.check import check
from logitmus.checking.result import fields
from logitmus.cli import app
from logitmus.execution.registry import RegistryError
from logitmus.worker.user_code import TargetError
from logitmus.worker.user_function import value_of

SETTINGS: dict[str, Any] = {
    "framework": "numpy",
    "like": "numpy:textbook",
    "profile": "quick",
    "dtypes": ["float32"],
    "compare": False,
}

LOSSES = """
import numpy as np


def right(logits, labels):
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    d = logits - logits.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None].astype(int), axis=-1)[..., 0]


def chunked(logits, labels, chunk=4, fast=False):
    if logits.ndim != 2:
        return right(logits, labels)
    rows = len(logits) - len(logits) % chunk if chunk == 3 else len(logits)
    losses = np.zeros(len(logits), logits.dtype)
    for start in range(0, rows, chunk):
        losses[start : start + chunk] = right(logits[start : start + chunk], labels[start : start + chunk])
    return losses


def averages_on_request(logits, labels, average=False):
    return right(logits, labels).mean() if average else right(logits, labels)


def only_the_default_is_wrong(logits, labels, chunk=4):
    return right(logits, labels) * (2 if chunk == 4 else 1)
"""


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("losses") / "losses.py"
    path.write_text(LOSSES)
    return path


def test_settings_that_do_not_matter_conform(losses: Path) -> None:
    alone = check(f"{losses}:chunked", **SETTINGS)
    result = check(f"{losses}:chunked", same={"chunk": [1, 2, 7], "fast": [True]}, **SETTINGS)
    assert result.conforms, str(result)
    assert result.problems == 5 * alone.problems
    assert "called as it is and with chunk=1, chunk=2, chunk=7, fast=True; all are judged alike" in str(result)


def test_a_finding_names_the_settings_that_have_it(losses: Path) -> None:
    result = check(f"{losses}:chunked", same={"chunk": [2, 3]}, **SETTINGS)
    assert result.groups
    assert {dict(fields(result, group))["affects"] for group in result.groups} == {"chunk=3"}


def test_the_default_is_a_setting_too(losses: Path) -> None:
    result = check(f"{losses}:only_the_default_is_wrong", same={"chunk": [2, 3]}, **SETTINGS)
    assert result.groups
    assert {dict(fields(result, group))["affects"] for group in result.groups} == {"the default"}


def test_a_setting_that_always_raises_is_no_limit(losses: Path) -> None:
    result = check(f"{losses}:chunked", same={"chunk": [0]}, **SETTINGS)
    assert not result.conforms
    raised = [group for group in result.groups if group.finding.cause == "raised:ValueError"]
    assert raised
    assert all(dict(fields(result, group))["affects"] == "chunk=0" for group in raised)
    assert not result.limits


def test_a_setting_with_another_reduction_is_wrong(losses: Path) -> None:
    result = check(f"{losses}:averages_on_request", same={"average": [True]}, **SETTINGS)
    assert {group.finding.cause for group in result.groups} >= {"shape:loss"}
    assert {dict(fields(result, group))["affects"] for group in result.groups} == {"average=True"}


def test_a_closure_has_settings_too() -> None:
    def shifted(logits: Any, labels: Any, by: float = 0.0) -> Any:
        d = logits - logits.max(axis=-1, keepdims=True)
        return np.log(np.exp(d).sum(-1)) - np.take_along_axis(d, labels[..., None].astype(int), -1)[..., 0] + by

    result = check(shifted, same={"by": [0.5]}, **SETTINGS)
    accuracy = [group for group in result.groups if group.finding.kind == "accuracy"]
    assert accuracy
    assert all(dict(fields(result, group))["affects"] == "by=0.5" for group in accuracy)


def test_the_command_line_and_the_script_of_a_finding(losses: Path, tmp_path: Path) -> None:
    run, script = tmp_path / "run.logitmus", tmp_path / "repro.py"
    how = ["--framework", "numpy", "--profile", "quick", "--dtype", "float32", "--same", "chunk=3", "--out", str(run)]
    checked = CliRunner().invoke(app, ["check", f"{losses}:chunked", *how, "--json", "-"])
    assert checked.exit_code == 1
    report = json.loads(checked.stdout)
    (identity,) = {found["id"] for found in report["findings"] if found["cause"] == "unexplained"}
    assert CliRunner().invoke(app, ["repro", str(run), identity, "-o", str(script)]).exit_code == 0
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.returncode, "chunk=3" in script.read_text()) == (1, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("same", "error", "message"),
    [
        ({"chnuk": [1]}, TargetError, "has no parameter 'chnuk'; did you mean 'chunk'?"),
        ({"labels": [1]}, TargetError, "which the problems give; it is no setting"),
        ({"chunk": ["1+2"]}, RegistryError, "--same chunk=1+2: use NAME=VALUE,VALUE,..."),
        ({"a b": [1]}, RegistryError, "--same a b=1: use NAME=VALUE,VALUE,..."),
    ],
)
def test_settings_that_cannot_be_tried(
    losses: Path, same: dict[str, list[object]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        check(f"{losses}:chunked", same=same, **SETTINGS)
    assert message in str(raised.value)


def test_the_command_line_wants_a_name_and_values(losses: Path) -> None:
    result = CliRunner().invoke(app, ["check", f"{losses}:chunked", "--framework", "numpy", "--same", "chunk"])
    assert result.exit_code == 2
    assert "use NAME=VALUE,VALUE,..., e.g. chunk=1,2,7" in result.stderr.replace("\n", " ")


def test_values() -> None:
    values = [value_of(text) for text in ("7", "-1", "0.5", "1e-3", "True", "False", "fast", "inf", "v2")]
    assert values == [7, -1, 0.5, 1e-3, True, False, "fast", "inf", "v2"]
    assert isinstance(values[0], int)
