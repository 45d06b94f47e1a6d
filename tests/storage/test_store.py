"""The store: what goes in comes out bit for bit, whatever kills the writer, and a bad file is an error."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fakes import problem, subject

from logitmus.core.events import BackendFailed, BackendReady
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import (
    Answered,
    Crashed,
    Garbled,
    NotRun,
    Observation,
    OutOfMemory,
    Raised,
    TimedOut,
)
from logitmus.core.run_settings import CheckedFunction, Examination, Exploration, RunSettings
from logitmus.storage.merge import merge
from logitmus.storage.store import Store, StoreError


def same(left: object, right: object) -> bool:
    """Equal, arrays by dtype, shape and bits."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    if isinstance(left, Answered) and isinstance(right, Answered):
        names = ("loss", "grad_logits", "grad_targets", "second_logits", "written", "warnings")
        return all(same(getattr(left, name), getattr(right, name)) for name in names)
    return left == right


NAN_PAYLOADS = np.array([0x7FC00001, 0xFFC00123, 0x80000000, 1], np.uint32).view(np.float32)
OUTCOMES = [
    Answered(NAN_PAYLOADS),
    Answered(np.array(3, ml_dtypes.bfloat16), np.zeros((0, 3)), np.ones((2, 2), np.float16), ("logits",), ("careful",)),
    Answered(np.arange(6, dtype=np.int64).reshape(2, 3).T),
    Answered(np.ones(1), np.ones((1, 2)), second_logits=NAN_PAYLOADS[:2].reshape(1, 2)),
    Raised("ValueError", "no\x00 'quotes' \N{SNOWMAN}"),
    Crashed("SIGSEGV", "last words"),
    TimedOut(20.0),
    OutOfMemory(1 << 33),
    Garbled("not JSON"),
    NotRun("no device"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a run.logitmus"


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_outcomes_come_back_bit_for_bit(path, outcome):
    with Store.create(path) as store:
        store.add_problems([problem()])
        store.add_backend(BackendReady("fake", (subject(),), {}, 1))
        store.add(Observation(subject().id, problem().id, outcome))
    with Store.open(path) as store:
        assert same(store.outcomes(problem().id)[subject().id], outcome)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_problems_come_back_in_order_with_their_ids(path, dtype):
    options = {"weight": np.ones(3, FLOAT_DTYPES[dtype]), "label_smoothing": 0.1, "ignore_index": -100}
    problems = [problem(3, dtype), problem(1, dtype, **options), problem(2, dtype, reduction="mean", layout="sliced")]
    with Store.create(path) as store:
        store.add_problems(problems)
        store.add_problems(problems[1:])
    with Store.open(path) as store:
        again = list(store.problems())
    assert [p.id for p in again] == [p.id for p in problems]
    assert [(p.family, p.idea, p.dtype) for p in again] == [("tests", "any", dtype)] * 3


@pytest.mark.parametrize(
    ("kept", "settings"),
    [
        ({}, RunSettings()),
        (
            {"seed": 3, "dtypes": ["float32"], "examine": {"calls": 24}, "explore": {"minutes": 5}, "of_another": [1]},
            RunSettings(seed=3, dtypes=("float32",), examine=Examination(calls=24), explore=Exploration(minutes=5.0)),
        ),
        (
            {"check": "f", "function": {"framework": "numpy", "target": "a.py:f", "options": {"weight": "w"}}},
            RunSettings(
                check="f", function=CheckedFunction(framework="numpy", target="a.py:f", options={"weight": "w"})
            ),
        ),
    ],
)
def test_settings_of_other_versions_are_read(path, kept, settings):
    Store.create(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'settings'", (json.dumps(kept).encode(),))
    with Store.open(path) as store:
        assert store.settings == settings
        assert set(kept) - set(store.settings.as_dict()) <= {"of_another"}


def test_settings_of_no_version_are_damage(path):
    Store.create(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'settings'", (b'{"seed": "x"}',))
    with Store.open(path) as store, pytest.raises(StoreError, match="seed"):
        _ = store.settings


def test_subjects_settings_and_environments_come_back(path):
    ready = BackendReady("fake", (subject("f"), subject("g", flushes_subnormals=True)), {"packages": {"x": "1"}}, 0)
    failed = BackendFailed("absent", "not installed", "pip install it")
    with Store.create(path, environment={"python": "3"}, settings=RunSettings(seed=7)) as store:
        store.add_backend(ready)
        store.add_backend(failed)
    with Store.open(path) as store:
        assert store.backends() == [failed, ready]
        assert (store.environment, store.settings) == ({"python": "3"}, RunSettings(seed=7))


def test_a_backend_that_fails_later_keeps_its_subjects(path):
    with Store.create(path) as store:
        store.add_backend(BackendReady("fake", (subject(),), {}, 0))
        store.add_backend(BackendFailed("fake", "gave up"))
        assert [type(event) for event in store.backends()] == [BackendReady, BackendFailed]
        assert list(store.subjects()) == [subject().id]


def test_equal_bits_are_stored_once(path):
    loss = np.random.default_rng(0).normal(size=10_000)
    with Store.create(path) as store:
        subjects = tuple(subject(f"f{n}") for n in range(20))
        store.add_problems([problem()])
        store.add_backend(BackendReady("fake", subjects, {}, 0))
        for tested in subjects:
            store.add(Observation(tested.id, problem().id, Answered(loss)))
    assert path.stat().st_size < 3 * loss.nbytes


def test_a_closed_run_is_one_file_that_opens_where_nothing_can_be_written(path):
    with Store.create(path) as store:
        store.add_problems([problem()])
    assert list(path.parent.iterdir()) == [path]


WRITER = """
import sys
from contextlib import closing
from pathlib import Path
from test_store import *
store = Store.create(Path(sys.argv[1]))
store.add_problems([problem(seed) for seed in range(1000)])
store.add_backend(BackendReady("fake", (subject(),), {}, 0))
for seed, identity in enumerate(store.problem_ids()):
    store.add(Observation(subject().id, identity, Answered(np.full(4, seed))))
    if seed == 600:
        print("now", flush=True)
        sys.stdin.read()
"""


def test_a_killed_writer_leaves_its_committed_results(path):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent / "support")])}
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout.readline() == b"now\n"
        writer.send_signal(signal.SIGKILL)
    with Store.open(path) as store:  # readable as it was left
        kept = len(store)
    assert 500 <= kept <= 601
    with Store.open(path, write=True) as store:
        identities = store.problem_ids()
        for seed, identity in list(enumerate(identities))[:kept]:
            assert same(store.outcomes(identity)[subject().id], Answered(np.full(4, seed)))
        for seed, identity in list(enumerate(identities))[kept:]:
            store.add(Observation(subject().id, identity, Answered(np.full(4, seed))))
    with Store.open(path) as store:
        assert len(store) == 1000


def test_missing_foreign_newer_and_damaged_files_say_so(path):
    with pytest.raises(StoreError, match=r"cannot be read \(No such file"):
        Store.open(path)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="empty: no run is in it"):
        Store.open(path)
    path.write_text('{"a": "JSON file"}')
    with pytest.raises(StoreError, match=r"not the file of a run.*`logitmus run`"):
        Store.open(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (name)")
    other.close()
    with pytest.raises(StoreError, match="SQLite file of another program"):
        Store.open(path)


def _filled(path: Path) -> None:
    with Store.create(path) as store:
        store.add_problems([problem(seed) for seed in range(50)])
        store.add_backend(BackendReady("fake", (subject(),), {}, 0))
        for identity in store.problem_ids():
            store.add(Observation(subject().id, identity, Answered(np.random.default_rng(1).normal(size=5000))))


def test_a_newer_format_is_refused(path):
    _filled(path)
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match=r"format 99; this logitmus reads format 1. Use a newer logitmus"):
        Store.open(path)


def test_a_truncated_file_is_damaged(path):
    _filled(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match="damaged"):
        Store.open(path)


def test_a_flipped_bit_in_an_array_is_found_when_it_is_read(path):
    _filled(path)
    bits = bytearray(path.read_bytes())
    needle = np.random.default_rng(1).normal(size=5000).tobytes()[8:40]
    bits[bytes(bits).index(needle)] ^= 1
    path.write_bytes(bits)
    with Store.open(path) as store, pytest.raises(StoreError, match=r"damaged: array .* is not what its name says"):
        store.outcomes(store.problem_ids()[0])


def test_an_existing_file_is_not_overwritten(path):
    path.write_text("precious")
    with pytest.raises(StoreError, match=r"exists already.*--resume"):
        Store.create(path)
    assert path.read_text() == "precious"


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        Store.create(tmp_path / "none" / "x.logitmus")


def _shard(path: Path, seeds: range, value: float = 1.0, **declared) -> Path:
    with Store.create(path, settings=RunSettings(seed=0)) as store:
        store.add_problems([problem(seed) for seed in range(4)])
        store.add_backend(BackendReady("fake", (subject(**declared),), {}, 0))
        for seed in seeds:
            store.add(Observation(subject().id, problem(seed).id, Answered(np.array(value))))
    return path


def test_shards_merge_to_their_union(tmp_path):
    out = tmp_path / "all"
    assert merge([_shard(tmp_path / "a", range(3)), _shard(tmp_path / "b", range(2, 4))], out) == 4
    with Store.open(out) as store:
        assert len(store.problem_ids()) == 4
        assert all(list(store.raw_outcomes(identity)) == [subject().id] for identity in store.problem_ids())


@pytest.mark.parametrize(
    ("other", "seen"),
    [({"value": 2.0}, "answered problem .* differently"), ({"flushes_subnormals": True}, "declares .* differently")],
)
def test_shards_that_contradict_each_other_do_not_merge(tmp_path, other, seen):
    shards = [_shard(tmp_path / "a", range(3)), _shard(tmp_path / "b", range(2, 4), **other)]
    with pytest.raises(StoreError, match=seen):
        merge(shards, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_an_answer_in_a_shard_replaces_a_missing_answer_in_another(tmp_path):
    shards = [_shard(tmp_path / "a", range(4)), _shard(tmp_path / "b", range(0))]
    with Store.open(shards[1], write=True) as store:
        store.add(Observation(subject().id, problem(0).id, NotRun("gave up")))
        assert len(store) == 0
    for order in (shards, shards[::-1]):
        out = tmp_path / f"all-{order[0].name}"
        assert merge(order, out) == 4
