"""Runs of small functions, stored without a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fakes import subject
from implementations import Rows, observe

from logitmus.core.events import BackendReady
from logitmus.core.observation import Observation
from logitmus.core.problem import Problem
from logitmus.storage.store import Store


def stored(folder: Path, functions: Mapping[str, Rows], problems: Iterable[Problem], backend: str = "fake") -> Store:
    """An open run of these functions on plain problems (labels, no reduction)."""
    problems = list(problems)
    subjects = {name: subject(name, backend=backend) for name in functions}
    store = Store.create(folder / "run.logitmus")
    store.add_problems(problems)
    store.add_backend(BackendReady(backend, tuple(subjects.values()), {}, len(problems)))
    for problem in problems:
        for name, function in functions.items():
            store.add(Observation(subjects[name].id, problem.id, observe(function, problem)))
    store.commit()
    return store
