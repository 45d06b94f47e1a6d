"""A damaged run file is a usage error in one line, whatever bit is wrong: never a traceback."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from fakes import FakePool, specs, subject
from typer.testing import CliRunner

from logitmus.cases.suite import suite
from logitmus.cli import app
from logitmus.core.errors import LogitmusError
from logitmus.engine.run import run
from logitmus.storage.store import Store, StoreError

FLIPS = 120
FAMILIES = ("seed-question", "label-range", "class-weights")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "intact.logitmus"
    problems = [problem for problem in suite("quick") if problem.family in FAMILIES][:10]
    pool = FakePool({"fake": [subject("f"), subject("g", mode="compiled")]})
    with Store.create(path, environment={"python": "3"}) as store:
        for _ in run(problems, specs("fake"), store, pool=pool):
            pass
    return path


def test_no_flipped_bit_ends_in_a_traceback(intact: Path, tmp_path: Path) -> None:
    bits, damaged = intact.read_bytes(), tmp_path / "damaged.logitmus"
    used = [position for position, byte in enumerate(bits) if byte and position >= 16]
    chance = random.Random(7)
    refused = 0
    out = str(tmp_path / "out.json")
    commands = (
        ["report", str(damaged), "--json", out],
        ["judge", str(damaged)],
        ["compare", str(intact), str(damaged)],
    )
    for command in commands * (FLIPS // len(commands)):
        flipped = bytearray(bits)
        position = chance.choice(used)
        flipped[position] ^= 1 << chance.randrange(8)
        damaged.write_bytes(flipped)
        outcome = CliRunner().invoke(app, command)
        if isinstance(outcome.exception, LogitmusError):
            refused += 1
            assert str(damaged) in str(outcome.exception), position
            assert outcome.exception.exit_code == 2, position
        else:
            assert outcome.exception is None or isinstance(outcome.exception, SystemExit), position
    assert refused > FLIPS / 6  # the test damages what matters


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meta SET value = '[1]' WHERE name = 'settings'",
        "UPDATE meta SET value = '{' WHERE name = 'environment'",
        "UPDATE subjects SET id = 'fake:other@cpu' WHERE number = 1",
        "UPDATE subjects SET value = '{}' WHERE number = 1",
        "UPDATE subjects SET value = replace(value, 'float16', 'float17') WHERE number = 1",
        "UPDATE backends SET ready = '3'",
        "UPDATE problems SET id = '00' WHERE position = 1",
        "UPDATE observations SET subject = 99 WHERE problem = 1 AND subject = 1",
        "UPDATE observations SET outcome = 'Vanished' WHERE problem = 1",
    ],
)
def test_records_of_another_kind_are_damage(intact: Path, tmp_path: Path, change: str) -> None:
    """What SQLite and JSON accept, but no run writes there."""
    path = tmp_path / "changed.logitmus"
    path.write_bytes(intact.read_bytes())
    with sqlite3.connect(path) as connection:
        assert connection.execute(change).rowcount > 0
    connection.close()
    outcome = CliRunner().invoke(app, ["report", str(path), "--json", str(tmp_path / "out.json")])
    assert isinstance(outcome.exception, StoreError)
    assert f"{path}: damaged: " in str(outcome.exception)
