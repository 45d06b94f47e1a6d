"""The wheel, installed alone, imports and shows its help; nothing that it needs at run time is left out."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "harness": "logitmus",
    "backends": "logitmus/backends",
    "cases": "logitmus/cases",
    "reports": "logitmus/reports",
}
pytestmark = pytest.mark.frameworks  # slow: it makes an environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Built from a copy: setuptools writes into the source, and would pack what an older build/ still holds.
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in PACKAGES:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True)
    return next(out.glob("*.whl"))


def test_it_holds_everything(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == expected


def test_it_works_alone_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel), "-c", str(ROOT / "constraints.txt")]
    subprocess.run(install, check=True)
    here = tmp_path / "elsewhere"
    here.mkdir()
    where = [str(python), "-c", "import logitmus; print(logitmus.__file__)"]
    imported = subprocess.run(where, cwd=here, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "env") in imported
    shown = subprocess.run(
        [str(python.with_name("logitmus")), "--help"], cwd=here, capture_output=True, text=True, check=True
    )
    assert "Usage: logitmus" in shown.stdout
    run = [
        str(python.with_name("logitmus")),
        "run",
        "--backend",
        "numpy",
        "--family",
        "seed-question",
        "--fail-on",
        "never",
    ]
    report = here / "report.html"
    ran = subprocess.run([*run, "--html", str(report)], cwd=here, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Logitmus" in report.read_text(encoding="utf-8")
