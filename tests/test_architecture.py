"""The direction of dependencies, and what may be imported where."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "logitmus": "harness",
    "logitmus.backends": "backends",
    "logitmus.cases": "cases",
    "logitmus.reports": "reports",
}
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "optax")

# A module may import those of its own level and of the levels below it.
LEVELS = [
    ["problem", "convention", "target", "allocator"],
    ["shrink", "rounding", "softmax", "enclosure", "observation", "finding"],
    ["backend", "question", "manner", "occasions"],
    ["adopted", "declaration"],
    ["present", "wire", "environment", "arb_tier", "events", "cases"],
    ["oracle", "misreadings", "detection", "worker", "bootstrap", "messages", "registry", "backends", "planting"],
    ["launch"],
    [
        "budget",
        "verdict",
        "explanation",
        "declared",
        "naming",
        "translation",
        "remedies",
        "process",
        "workers",
        "local",
    ],
    ["assess", "drive", "record", "phrases", "run_file"],
    ["contradiction", "criterion", "integrity", "mechanisms", "pool", "store", "stack", "contract", "separation"],
    ["case", "diagnosis", "merge", "inquiry", "trial", "stage"],
    ["gradient_faults", "second_derivative"],
    ["judge", "worlds", "card", "reading", "judging"],
    ["judge_process", "asking", "relations"],
    ["examination", "exploration"],
    ["symptoms", "notes"],
    ["elimination"],
    ["measurement"],
    ["run", "expectations", "identification", "interview", "differences", "port", "claims"],
    ["compare", "reproduction"],
    ["reports", "casting", "tally", "checking", "selftest"],
    ["cli", "__main__", "pytest_plugin"],
]
LEVEL = {name: n for n, names in enumerate(LEVELS) for name in names}
WORKER_SIDE = [
    "problem",
    "convention",
    "backend",
    "observation",
    "present",
    "manner",
    "wire",
    "environment",
    "target",
    "adopted",
    "declaration",
    "worker",
    "bootstrap",
]
WORKER_MAY = {"numpy", "numpy.typing", "ml_dtypes"} | {f"logitmus.{name}" for name in WORKER_SIDE}


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


def level_of(module: str) -> str | None:
    """`logitmus.cases.suite` -> cases; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def test_every_module_has_a_level() -> None:
    missing = {level_of(name) for name in modules() if level_of(name)} - set(LEVEL)
    assert not missing, f"not in LEVELS: {sorted(map(str, missing))}"


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    mine = level_of(module)
    if mine is None:
        return
    for name in imports(modules()[module]):
        theirs = level_of(name) if name.startswith("logitmus.") else None
        if theirs in LEVEL:
            assert LEVEL[theirs] <= LEVEL[mine], f"{module} imports {name}: {theirs} stands above {mine}"


def test_no_imports_go_in_circles() -> None:
    known = modules()
    TopologicalSorter({name: imports(path) & set(known) for name, path in known.items()}).prepare()


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("logitmus.cases")])
def test_cases_know_problems_only(module: str) -> None:
    wrong = {n for n in imports(modules()[module]) if n.startswith("logitmus.")}
    wrong = {n for n in wrong if level_of(n) not in ("cases", "problem")}
    assert not wrong, f"{module} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("logitmus.backends.")])
def test_a_backend_knows_the_declarations_only(module: str) -> None:
    wrong = {n for n in imports(modules()[module]) if n.startswith("logitmus.")}
    wrong = {n for n in wrong if level_of(n) not in ("backend", "problem", "convention")}
    assert not wrong, f"{module} imports {sorted(wrong)}"


@pytest.mark.parametrize("name", WORKER_SIDE)
def test_the_worker_side_is_light(name: str) -> None:
    named = imports(ROOT / "harness" / f"{name}.py")
    heavy = {n for n in named - WORKER_MAY if n.split(".")[0] not in sys.stdlib_module_names}
    assert not heavy, f"{name} imports {sorted(heavy)}"


@pytest.mark.parametrize("module", modules())
def test_a_module_can_be_read_at_one_sitting(module: str) -> None:
    lines = len(modules()[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{module} has {lines} lines"


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
    names = [name for name in modules() if name.startswith("logitmus.backends.")]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n).BACKEND\n"
    seen = fresh(code + f"print([f for f in {FRAMEWORKS!r} if f in sys.modules])")
    assert seen == "[]"
