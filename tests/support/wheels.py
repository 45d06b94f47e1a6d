"""Wheels of packages that exist only in tests, written by hand: no build tool, no network."""

from __future__ import annotations

import sysconfig
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest


def build_wheel(
    folder: Path, name: str, version: str, modules: Mapping[str, str], requires: Iterable[str] = ()
) -> Path:
    """A pure Python wheel in a folder.

    Args:
        modules: the source of each module by its path, e.g. {"losses.py": "..."}.
        requires: the requirements of the package.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {
        **modules,
        f"{info}/METADATA": "\n".join(headers) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def build_needed(folder: Path) -> None:
    """NumPy and ml_dtypes as empty packages: every environment gets them, and these tests do not import them."""
    build_wheel(folder, "numpy", "2.0", {"numpy.py": ""})
    build_wheel(folder, "ml_dtypes", "0.5", {"ml_dtypes.py": ""}, requires=["numpy"])


def build_forwarding(folder: Path) -> None:
    """NumPy and ml_dtypes as packages that lead to those of this interpreter, so that workers run without a download.

    A .pth file adds the site-packages of this interpreter behind those of the environment: everything that is installed
    here can be imported there, too, under the versions that are installed here.
    """
    for number, name in enumerate(("numpy", "ml_dtypes")):
        path = "" if number else "\n".join(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
        build_wheel(folder, name, "0.0.1", {f"forwarding_{name}.pth": f"{path}\n"})


def use_index(monkeypatch: pytest.MonkeyPatch, folder: Path, cache: Path) -> None:
    """Let uv and pip see the wheels in a folder and nothing else, and leave the user's own caches alone.

    Args:
        cache: a folder for what uv and pip keep; shared between tests, it saves time.
    """
    for variable, value in {
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": folder,
        "UV_CACHE_DIR": cache / "uv",
        "UV_NO_CONFIG": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": folder,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }.items():
        monkeypatch.setenv(variable, str(value))
