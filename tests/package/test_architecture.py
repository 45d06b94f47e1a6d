"""The direction of dependencies, and what may be imported where."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "logitmus": "harness",
    "logitmus.backends": "backends",
    "logitmus.cases": "cases",
    "logitmus.reports": "reports",
}
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "optax")

# A module may import those of its own level and of the levels below it.

# What a foreign interpreter loads: `core` and `worker`, which need nothing beyond NumPy and ml_dtypes.
WORKER_SIDE = ("logitmus.core.", "logitmus.worker.")
WORKER_MAY = {"numpy", "numpy.typing", "ml_dtypes"}


# A backend imports no other, but these.
SHARED_BY_BACKENDS = tuple(
    f"logitmus.backends.{name}"
    for name in ("compiled_code", "keras_losses", "tensorflow_keras", "torch_compile", "torch_linear")
)


@cache
def modules() -> dict[str, Path]:
    """Every module by its import name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """The modules that a file names in import statements, those inside functions included."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import; write it in full"
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules())
            named.update(inside or {str(node.module)})
    return named


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("logitmus.cases")])
def test_cases_import_core_only(module: str) -> None:
    wrong = {n for n in imports(modules()[module]) if n.startswith("logitmus.")}
    wrong = {n for n in wrong if not n.startswith(("logitmus.cases", "logitmus.core"))}
    assert not wrong, f"{module} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("logitmus.backends.")])
def test_a_backend_imports_core_only_and_what_backends_share(module: str) -> None:
    wrong = {n for n in imports(modules()[module]) if n.startswith("logitmus.")}
    wrong = {n for n in wrong if not n.startswith(("logitmus.core.", *SHARED_BY_BACKENDS))}
    assert not wrong, f"{module} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith(WORKER_SIDE)])
def test_the_worker_side_is_light(module: str) -> None:
    named = {name for name in imports(modules()[module]) if not name.startswith(WORKER_SIDE)}
    heavy = {n for n in named - WORKER_MAY if n.split(".")[0] not in sys.stdlib_module_names}
    assert not heavy, f"{module} imports {sorted(heavy)}"


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_harness_imports_no_framework() -> None:
    names = [name for name in modules() if not name.startswith("logitmus.backends.") and not name.endswith("__main__")]
    names = [name for name in names if name != "logitmus.worker.bootstrap"]  # a script, run by path
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\n"
    seen = fresh(code + f"print([f for f in {FRAMEWORKS!r} if f in sys.modules])")
    assert seen == "[]"


def test_the_package_is_light() -> None:
    assert fresh("import sys, logitmus; print('numpy' in sys.modules)") == "False"


def test_describing_a_backend_imports_no_framework() -> None:
    names = [name for name in modules() if name.startswith("logitmus.backends.") and name not in SHARED_BY_BACKENDS]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n).BACKEND\n"
    seen = fresh(code + f"print([f for f in {FRAMEWORKS!r} if f in sys.modules])")
    assert seen == "[]"
