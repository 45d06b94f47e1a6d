"""A run of the convention probes over functions that keep, break or hide what they declare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes import FakePool, specs, subject
from perfect import perfect, probes

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.observation import Outcome
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Offer, Subject
from logitmus.engine.judge_batches import NoJudge
from logitmus.engine.run import run
from logitmus.storage.store import Store

EVERYTHING = Offer(
    targets="labels",
    options=frozenset({"weight", "ignore_index", "label_smoothing"}),
    reductions=("none", "sum", "mean"),
    gradients=frozenset({"logits"}),
)
TRUTH = PORTABLE.but(default_reduction="mean", mean_denominator="rows", ignore_default="-100")
DOCS = {
    "": "https://example.org/loss",
    "mean_denominator": "https://example.org/mean",
    "log_base": "javascript:alert(1)",
}
EVIL = "\x1b[31m<script>alert(1)</script>"


def made(name: str, declared: Convention, **more: object) -> Subject:
    return replace(subject(name, **{"offer": EVERYTHING, "docs": DOCS, **more}), convention=declared)


SUBJECTS = {
    subject.id: subject
    for subject in (
        made("honest", TRUTH),
        made("honest", TRUTH, mode="jit"),
        made("liar", TRUTH.but(mean_denominator="weights")),
        made(f"plain{EVIL}", PORTABLE, offer=replace(EVERYTHING, options=frozenset(), reductions=("none",))),
    )
}
HONEST, JIT, LIAR = "fake:honest@cpu", "fake:honest+jit@cpu", "fake:liar@cpu"


def answer(problem: Problem, name: str) -> Outcome:
    truth = TRUTH if "honest" in name or "liar" in name else PORTABLE
    return perfect(problem, truth, SUBJECTS[name])


def record_probes(path: Path) -> Path:
    """A run of the probes."""
    with Store.create(path, settings=RunSettings(seed=0)) as store:
        pool = FakePool({"fake": list(SUBJECTS.values())}, answer=answer)
        for _ in run(probes("labels"), specs("fake"), store, pool=pool, judge=NoJudge()):
            pass
    return path
