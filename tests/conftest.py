"""Fast tests first: those that start the frameworks or a browser come last, and of these the longest first."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial

import pytest

from logitmus.execution.launch import CACHE

_SLOW = ("long", "frameworks", "browser", "registry")
# Run by `pytest -m MARK` only: what happens to be installed, and minutes of work before a release.
_ON_REQUEST = ("packages", "release")


def pytest_configure(config: pytest.Config) -> None:
    """Share compiled code among all tests, and with nothing else; the processes of xdist inherit the folder."""
    if CACHE not in os.environ:
        os.environ[CACHE] = folder = tempfile.mkdtemp(prefix="logitmus-compiled-")
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_when)
    deselected = [mark for mark in _ON_REQUEST if mark not in config.getoption("markexpr")]
    left_out = [item for item in items if any(map(item.get_closest_marker, deselected))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _when(item: pytest.Item) -> tuple[bool, bool]:
    """Side by side, what takes minutes must not be what all others have ended before."""
    marked = [name for name in _SLOW if item.get_closest_marker(name)]
    return bool(marked), "long" not in marked
