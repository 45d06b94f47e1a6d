"""The help of every command, as snapshot files (see test_golden.py)."""

from __future__ import annotations

import pytest
from golden import Golden
from syrupy.assertion import SnapshotAssertion
from typer.testing import CliRunner

from logitmus.cli import VERBS, app
from logitmus.cli.env import app as env

NAMES = [verb.__name__.rstrip("_") for verbs in VERBS.values() for verb in verbs]
NAMES += ["env", *(f"env {command.name}" for command in env.registered_commands)]


@pytest.mark.parametrize("name", ["logitmus", *NAMES])
def test_help(name: str, snapshot: SnapshotAssertion) -> None:
    args = ["--help"] if name == "logitmus" else [*name.split(), "--help"]
    environment = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner(env=environment).invoke(app, args, prog_name="logitmus")
    assert result.exit_code == 0
    assert result.output == snapshot.use_extension(Golden)
