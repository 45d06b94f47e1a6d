"""The wheel, installed alone, imports and shows its help; nothing that it needs at run time is left out."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.frameworks  # slow: it makes an environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True)
    return next(out.glob("*.whl"))


def test_it_holds_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in (
        ("harness", "logitmus"),
        ("backends", "logitmus/backends"),
        ("cases", "logitmus/cases"),
        ("reports", "logitmus/reports"),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".json", ".html", ".css", ".js", ".typed"):
                assert f"{package}/{path.relative_to(ROOT / folder)}" in names, path
    assert not [n for n in names if n.split("/")[0] != "logitmus" and ".dist-info/" not in n]


def test_it_works_alone_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel), "-c", str(ROOT / "constraints.txt")]
    subprocess.run(install, check=True)
    here = tmp_path / "elsewhere"
    here.mkdir()
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
