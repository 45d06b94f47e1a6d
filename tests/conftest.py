"""Fast tests first: those that start the frameworks or a browser come last, and of these the longest first."""

from __future__ import annotations

import pytest

_SLOW = ("long", "frameworks", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_when)


def _when(item: pytest.Item) -> tuple[bool, bool]:
    """Side by side, what takes minutes must not be what all others have ended before."""
    marked = [name for name in _SLOW if item.get_closest_marker(name)]
    return bool(marked), "long" not in marked
