from collections.abc import Iterator
from typing import Any

import pytest
from page_in_browser import launched


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser that all tests share; the pages of a test are closed when it ends."""
    yield chromium
    for context in chromium.contexts:
        context.close()
