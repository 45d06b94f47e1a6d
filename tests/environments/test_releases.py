"""The releases of a package, as pip lists them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from logitmus.environments.errors import EnvironmentsError
from logitmus.environments.releases import Release, between, releases

KNOWN = tuple(map(Release, ["0.9", "0.10.0", "1.0", "2.0"]))


def test_the_releases_of_an_index(index: Path) -> None:
    assert releases("lossy") == (Release("1.0"), Release("2.0"))
    assert releases("lossy", pre=True)[-1] == Release("2.1rc1")
    with pytest.raises(EnvironmentsError, match=r"could not list the releases of nothing:\n.*No matching distribution"):
        releases("nothing")


def test_a_missing_pip_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"{sys.executable}: No module named pip"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(EnvironmentsError, match=r"Install pip \(python -m ensurepip\)"):
        releases("lossy")


def test_releases_between_two_are_in_the_order_of_versions() -> None:
    assert [one.version for one in between(KNOWN, "0.9", "1.0")] == ["0.9", "0.10.0", "1.0"]
    assert between(KNOWN[::-1], "0.10", "1.0.0") == KNOWN[1:3]
    for first, last, message in [
        ("0.9.1", "1.0", "there is no release '0.9.1'; did you mean '0.9'?"),
        ("0.9", "latest", "there is no release 'latest'; choose from: 0.9, 0.10.0, 1.0, 2.0"),
        ("2.0", "1.0", "2.0 is later than 1.0"),
    ]:
        with pytest.raises(EnvironmentsError) as refused:
            between(KNOWN, first, last)
        assert message in str(refused.value)
