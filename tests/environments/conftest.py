"""A cache of environments in a temporary folder, and an index of packages that exist only here."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheels import build_needed, build_wheel, use_index

from logitmus.environments.environments import ROOT_VARIABLE, Environments


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index: `lossy` 1.0 and 2.0, which needs `helper`."""
    folder = tmp_path_factory.mktemp("wheels")
    build_needed(folder)
    build_wheel(folder, "helper", "0.1", {"helper.py": ""})
    for version in ("1.0", "2.0", "2.1rc1"):
        build_wheel(folder, "lossy", version, {"lossy.py": f"VERSION = {version!r}"}, requires=["helper"])
    return folder


@pytest.fixture(scope="session")
def installer_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("installer-cache")


@pytest.fixture
def index(wheels: Path, installer_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installers see the wheels of these tests and nothing else."""
    use_index(monkeypatch, wheels, installer_cache)
    return wheels


@pytest.fixture
def environments(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "environments"))
    return Environments()
