"""The installers by name. Light: loaded by `--help`."""

from __future__ import annotations

from enum import StrEnum


class InstallerChoice(StrEnum):
    """The program that resolves and installs."""

    UV = "uv"
    PIP = "pip"
