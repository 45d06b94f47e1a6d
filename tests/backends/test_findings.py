"""docs/findings.md: every script prints the output in the document, with the versions that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from warm_python import KERAS_ON_JAX, WarmPython

DOCUMENT = Path(__file__).parents[2] / "docs" / "findings.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
VERSIONS = dict(re.findall(r"(torch|tensorflow|keras|jax|optax) (\d+\.\d+\.\d+)", TEXT.partition("\n## ")[0]))
STARTUP = re.compile(
    r"[WIE]0000 |20\d\d-|WARNING: All log messages|To enable the following"
)  # what TensorFlow writes to stderr
FINDINGS = re.findall(r"^## (.+?)$.+?^```python\n(.+?)^```\n.*?^```text\n(.+?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def installed(framework: str) -> str:
    """The version without a local part, or "" without the framework."""
    for name in (framework, f"{framework}-cpu"):
        try:
            return metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return ""


def test_every_entry_has_a_script_and_its_output() -> None:
    assert len(FINDINGS) == TEXT.count("\n## ") > 0
    assert set(VERSIONS) == {"torch", "tensorflow", "keras", "jax", "optax"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Callable[[str], WarmPython]]:
    """A process for each framework, which the scripts share."""
    processes: dict[str, WarmPython] = {}
    yield lambda framework: processes.get(framework) or processes.setdefault(framework, WarmPython(framework))
    for process in processes.values():
        process.close()


@pytest.mark.frameworks
@pytest.mark.parametrize(("script", "output"), [finding[1:] for finding in FINDINGS], ids=[f[0] for f in FINDINGS])
def test_a_script_prints_the_output_in_the_document(
    script: str, output: str, tmp_path: Path, warm: Callable[[str], WarmPython]
) -> None:
    imported = set(re.findall(r"^import (\w+)", script, re.MULTILINE)) & set(VERSIONS)
    for framework in imported:
        if installed(framework) != VERSIONS[framework]:
            pytest.skip(f"measured with {framework} {VERSIONS[framework]}; installed: {installed(framework) or 'none'}")
    framework = next(name for name in ("torch", "tensorflow", "jax") if name in imported)
    file = tmp_path / "finding.py"
    file.write_text("import warnings\nwarnings.simplefilter('ignore')\n" + script, encoding="utf-8")
    status, printed = warm(KERAS_ON_JAX if {"jax", "keras"} <= imported else framework).run(file)
    assert status == 0, printed[-2000:]
    assert "".join(line for line in printed.splitlines(keepends=True) if not STARTUP.match(line)) == output
