"""Fast tests first: those that start the frameworks or a browser come last, and of these the longest first."""

from __future__ import annotations

import pytest

_SLOW = ("long", "frameworks", "browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_when)
    if "packages" not in config.getoption("markexpr"):  # what is found there depends on what happens to be installed
        left_out = [item for item in items if item.get_closest_marker("packages")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _when(item: pytest.Item) -> tuple[bool, bool]:
    """Side by side, what takes minutes must not be what all others have ended before."""
    marked = [name for name in _SLOW if item.get_closest_marker(name)]
    return bool(marked), "long" not in marked
