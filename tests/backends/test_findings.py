"""docs/findings.md: every script prints the output in the document, with the versions that it names."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "findings.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
VERSIONS = dict(re.findall(r"(torch|tensorflow|keras|jax|optax) (\d+\.\d+\.\d+)", TEXT.partition("\n## ")[0]))
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


@pytest.mark.frameworks
@pytest.mark.parametrize(("script", "output"), [finding[1:] for finding in FINDINGS], ids=[f[0] for f in FINDINGS])
def test_a_script_prints_the_output_in_the_document(script: str, output: str) -> None:
    for framework in set(re.findall(r"^import (\w+)", script, re.MULTILINE)) & set(VERSIONS):
        if installed(framework) != VERSIONS[framework]:
            pytest.skip(f"measured with {framework} {VERSIONS[framework]}; installed: {installed(framework) or 'none'}")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout == output
