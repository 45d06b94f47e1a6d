"""Every finding id that a report shows is an id that `logitmus repro` accepts, also of a finding that was settled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from logitmus.cli import app
from logitmus.core.convention import Convention
from logitmus.core.events import BackendReady, Judged, Settled
from logitmus.core.observation import Answered, Observation
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.run import judge_run
from logitmus.execution import registry
from logitmus.oracle.answer import reference
from logitmus.storage.store import Store
from logitmus.worker.environment import packages


def subject() -> Subject:
    """PyTorch's function, as declared: its mean divides by the weights of the kept rows."""
    spec = next(spec for spec in registry.available() if spec.name == "torch")
    subjects = registry.backend_of(spec).subjects(["cpu"])  # type: ignore[union-attr]
    return next(subject for subject in subjects if subject.id == "torch:cross_entropy@cpu")


def ambiguous() -> Problem:
    """A weighted mean without an ignored row: the number of rows and of kept rows are the same."""
    return Problem(
        logits=np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.5], [0.25, 0.5]], np.float32),
        targets=np.array([0, 1, 1, 0]),
        weight=np.array([0.5, 3.0], np.float32),
        reduction="mean",
        family="drawn",
    )


def probe() -> Problem:
    """A mean without weights: with a row ignored, only a division by the number of rows contradicts the declaration."""
    return Problem(
        logits=np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.5]], np.float32),
        targets=np.array([0, 1, -100]),
        reduction="mean",
        ignore_index=-100,
        family="convention-probes",
    )


def exact(problem: Problem, convention: Convention) -> Answered:
    """The correctly rounded result under a convention."""
    answer = reference(problem, convention)
    gradient = answer.grad_logits.rounded(problem.dtype).reshape(problem.logits.shape)
    return Answered(answer.loss.rounded(problem.dtype).reshape(()), gradient)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run in which a probe settles that the mean divides by the number of kept rows."""
    path, tested = tmp_path_factory.mktemp("settled") / "run.logitmus", subject()
    conventions = {ambiguous(): tested.convention.but(mean_denominator="kept"), probe(): tested.convention}
    with Store.create(path) as store:
        store.add_problems(conventions)
        store.add_backend(BackendReady(tested.backend, (tested,), {"packages": packages()}, len(conventions)))
        for problem, convention in conventions.items():
            observation = Observation(tested.id, problem.id, exact(problem, convention))
            store.add(observation, seconds=0.0, first=True)
        store.commit()
    return path


def test_the_engine_settles_the_cause(run: Path) -> None:
    with Store.open(run) as store:
        events = list(judge_run(store))
    judged = {finding.id for event in events if isinstance(event, Judged) for finding in event.judgement.findings}
    (settled,) = [event for event in events if isinstance(event, Settled)]
    assert settled.of.alternatives == ("convention:mean_denominator=kept",)
    assert settled.finding is not None
    assert settled.finding.cause == "convention:mean_denominator=kept"
    assert settled.finding.alternatives == ()
    assert settled.finding.id not in judged  # the cause is part of the id


def shown_ids(run: Path, folder: Path) -> dict[str, set[str]]:
    """The finding ids in each output of `logitmus judge`."""
    files = {name: folder / f"report.{name}" for name in ("json", "html", "md", "xml")}
    outputs = [f"--{option}={files[name]}" for option, name in (("json", "json"), ("html", "html"))]
    outputs += [f"--markdown={files['md']}", f"--junit={files['xml']}"]
    result = CliRunner().invoke(app, ["judge", str(run), *outputs])
    assert result.exit_code == 1, result.output  # there are findings
    texts = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    texts["terminal"] = result.output
    ids = {name: set(re.findall(r"repro \S+ ([0-9a-f]{8})\b", " ".join(text.split()))) for name, text in texts.items()}
    ids["xml"] |= set(re.findall(r"finding ([0-9a-f]{8})\b", texts["xml"]))
    ids["json"] = {group["id"] for group in json.loads(texts["json"])["findings"]}
    return ids


def test_repro_accepts_every_id_that_a_report_shows(run: Path, tmp_path: Path) -> None:
    ids = shown_ids(run, tmp_path)
    assert all(ids.values()), ids
    for identity in set.union(*ids.values()):
        script = tmp_path / f"{identity}.py"
        result = CliRunner().invoke(app, ["repro", str(run), identity, "-o", str(script)])
        assert result.exit_code == 0, (identity, result.output)
        assert script.stat().st_size
