"""What `--backend` means, and that what cannot be meant gets an answer that helps."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from logitmus.execution import registry


def test_the_frameworks_are_registered_and_none_is_imported() -> None:
    specs = {spec.name: spec for spec in registry.available()}
    assert {"numpy", "torch", "tensorflow", "jax"} <= set(specs)
    assert specs["torch"].target == "logitmus.backends.torch_backend:BACKEND"
    assert specs["torch"].distribution == "logitmus"
    assert registry.parse("torch") == specs["torch"]


def test_two_distributions_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [metadata.EntryPoint("mlx", target, registry.GROUP) for target in ("one:BACKEND", "two:BACKEND")]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    with pytest.raises(registry.RegistryError, match="'mlx' is registered by "):
        registry.available.__wrapped__()


def test_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = registry.parse(f"torch@{sys.executable}")
    assert (elsewhere.name, elsewhere.python) == ("torch", sys.executable)
    named = registry.parse(f"old-2.12=torch@{sys.executable}")
    assert (named.name, named.target, named.python) == ("old-2.12", elsewhere.target, sys.executable)
    own = registry.parse("my.losses:BACKEND")
    assert (own.name, own.target, own.path) == ("losses", "my.losses:BACKEND", str(tmp_path))
    program = registry.parse(f"cmd:{sys.executable} 'a b.py' --x=1")
    assert program.command == (sys.executable, "a b.py", "--x=1")
    assert program.label == f"cmd:{sys.executable} 'a b.py' --x=1"
    assert registry.parse(f"mine=cmd:{sys.executable}").label == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tourch", "did you mean 'torch'?"),
        ("caffe", "unknown backend 'caffe'; choose from: "),
        ("torch@/no/such/python", "'/no/such/python' is not a program that can be run"),
        ("torch@", "nothing is not a program"),
        ("cmd:", "names no program"),
        ("cmd:./no_such_program", "'./no_such_program' is not a program that can be run"),
        ("cmd:'open", "No closing quotation"),
        ("", "unknown backend ''"),
    ],
)
def test_wrong_specs_are_errors(text: str, message: str) -> None:
    with pytest.raises(registry.RegistryError) as refused:
        registry.parse(text)
    assert message in str(refused.value)


def test_a_command_is_never_given_to_a_shell(tmp_path: Path) -> None:
    spec = registry.parse(f"cmd:{sys.executable} ; touch {tmp_path}/made")
    assert spec.command == (sys.executable, ";", "touch", f"{tmp_path}/made")


def test_two_backends_of_the_same_name_need_distinct_names() -> None:
    here, there = registry.parse("torch"), registry.parse(f"torch@{sys.executable}")
    assert registry.distinct([here, here]) == (here,)
    with pytest.raises(registry.RegistryError, match="two backends are called 'torch'; name one of them"):
        registry.distinct([here, there])
