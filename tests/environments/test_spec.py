"""What a person may request of an environment, and what an unusable request is answered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from logitmus.environments.errors import EnvironmentsError
from logitmus.environments.spec import parse, valid_name


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("optax==0.2.3", ["optax"]),
        ("jax==0.6.0 optax==0.2.4", ["jax", "optax"]),
        ("jax[cuda12]==0.6.0", ["jax"]),
        ("jax >= 0.4, < 0.7", ["jax"]),
        ('jax==0.6.0; python_version < "3.13"', ["jax"]),
        ("Tensor_Flow.CPU", ["tensor-flow-cpu"]),
        ("lossy @ file:///wheels/lossy-1.0-py3-none-any.whl", ["lossy"]),
    ],
)
def test_requirements(text: str, names: list[str]) -> None:
    spec = parse(text)
    assert str(spec) == text
    assert [requirement.name for requirement in spec.requirements]
    assert list(spec.named_packages) == names
    assert spec.installs
    assert spec.interpreter is None


def test_files_may_stand_beside_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# ours\n--extra-index-url https://example.org/simple\nTorch==2.5.0  # pinned\nnumpy==2.0 --hash=sha256:ab\n\n"
    )
    spec = parse("-r requirements.txt optax")
    assert spec.files == (tmp_path / "requirements.txt",)
    assert spec.named_packages == ("numpy", "optax", "torch")
    assert str(spec) == "-r requirements.txt optax"
    assert parse("optax", "--requirement=requirements.txt").named_packages == spec.named_packages


def test_several_texts_are_one_request() -> None:
    assert parse("jax >= 0.4", "optax==0.2.3 chex").named_packages == ("chex", "jax", "optax")


def test_an_interpreter_or_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "odd@name" / "bin").mkdir(parents=True)
    (tmp_path / "odd@name" / "bin" / "python").symlink_to(sys.executable)
    program = tmp_path / "venv" / "bin" / "python"
    for text in ("venv", "./venv", "venv/", str(tmp_path / "venv"), "venv/bin/python", str(program)):
        assert parse(text).interpreter == program, text
        assert not parse(text).installs
    assert parse("odd@name").interpreter == tmp_path / "odd@name" / "bin" / "python"
    assert parse("current").interpreter == Path(sys.executable)
    assert str(parse("./venv")) == "./venv"


def test_a_folder_that_is_no_environment_does_not_hide_a_package(tmp_path: Path) -> None:
    (tmp_path / "optax").mkdir()
    assert parse("optax").named_packages == ("optax",)


def test_a_name() -> None:
    spec = parse("env:old-2.12")
    assert (spec.name, spec.installs, str(spec)) == ("old-2.12", False, "env:old-2.12")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs at least one package"),
        ("optax=0.2.3", "Did you mean optax==0.2.3?"),
        ("optax==", "is not a requirement"),
        ("jax==0.6.0 =optax", "'=optax' is not a requirement"),
        ("'jax", "No closing quotation"),
        ("-r", "-r names no file"),
        ("-r missing.txt", "-r missing.txt: there is no such file"),
        ("--index-url x", "--index-url is no option of an environment. Only -r FILE is"),
        ("./missing", "./missing does not exist"),
        ("./folder", "./folder is a folder without bin/python"),
        ("./text.txt", "is not a program that can be run"),
        ("./lossy-1.0-py3-none-any.whl", 'Request it by name: "NAME @ file:///'),
        ("https://example.org/lossy.whl", 'Use "NAME @ https://example.org/lossy.whl"'),
        ("env:", "'' cannot name an environment"),
        ("env:a/b", "'a/b' cannot name an environment"),
        ("current optax", "current is an environment of its own"),
    ],
)
def test_wrong_requests(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(EnvironmentsError) as refused:
        parse(text)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "ä", "a b"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(EnvironmentsError, match="cannot name an environment"):
        valid_name(name)
