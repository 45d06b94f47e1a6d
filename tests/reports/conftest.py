from collections.abc import Iterator
from typing import Any

import pytest
from page_in_browser import launched


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium
