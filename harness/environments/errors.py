"""The errors of this package: an environment that is not possible, or that does not exist."""

from __future__ import annotations

from logitmus.core.errors import LogitmusError


class EnvironmentsError(LogitmusError, ValueError):
    """A wrong request, a failed resolution or installation, an unknown or damaged environment."""


class InstallerError(EnvironmentsError):
    """A program that resolves, installs or lists packages failed; the message quotes it, line by line."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message
