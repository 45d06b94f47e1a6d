"""Measured beside declared conventions: a false declaration is contradicted, a true declaration agrees."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakePool, specs
from perfect import probes
from probe_run import HONEST, JIT, LIAR, SUBJECTS, TRUTH, answer, record_probes
from rich.console import Console

from logitmus.conventions import claims as module
from logitmus.conventions.claims import FAMILY, Claims, ClaimsError, claims, known_field, selected
from logitmus.core.convention import FIELDS
from logitmus.core.events import Judged
from logitmus.core.finding import Kind
from logitmus.engine.judge_batches import NoJudge
from logitmus.engine.run import judge_run, run
from logitmus.reports.html import conventions_page
from logitmus.reports.terminal import conventions
from logitmus.storage.store import Store, StoreError


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_probes(tmp_path_factory.mktemp("claims") / "probed.logitmus")


@pytest.fixture
def store(probed: Path) -> Iterator[Store]:
    with Store.open(probed) as opened:
        yield opened


@pytest.fixture(scope="module")
def found(probed: Path) -> list[Claims]:
    with Store.open(probed) as opened:
        return list(claims(opened))


def by_id(found: list[Claims]) -> dict[str, Claims]:
    return {result.subject.id: result for result in found}


def printed(found: list[Claims], field: str = "") -> str:
    console = Console(file=io.StringIO(), width=100)
    if field:
        conventions.render_field(found, field, console)
    else:
        conventions.render(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


# --- what is measured ----------------------------------------------------------------------------------------------


def test_a_true_declaration_holds(found: list[Claims]) -> None:
    honest = by_id(found)[HONEST]
    assert [c.field for c in honest.fields.values() if c.agreement == "contradicts"] == []
    for name in ("inputs", "default_reduction", "mean_denominator", "ignore_default", "smoothing_weights"):
        assert (honest[name].agreement, honest[name].measured.values) == ("agrees", (getattr(TRUTH, name),)), name
    assert (honest["probability_clip"].agreement, bool(honest["probability_clip"].measured.why)) == (
        "undetermined",
        True,
    )


def test_a_false_declaration_is_contradicted_by_problems_of_the_run(store: Store, found: list[Claims]) -> None:
    liar = by_id(found)[LIAR]
    (wrong,) = [claim for claim in liar.fields.values() if claim.agreement == "contradicts"]
    assert (wrong.field, wrong.declared, wrong.measured.values) == ("mean_denominator", "weights", ("rows",))
    assert wrong.docs == "https://example.org/mean"
    assert wrong.measured.evidence
    assert set(wrong.measured.evidence) <= set(store.problem_ids())


def test_a_contradicted_field_is_a_finding_of_the_judge(store: Store) -> None:
    judged = [event.judgement for event in judge_run(store) if isinstance(event, Judged)]
    findings = {(f.subject, f.cause): f.kind for judgement in judged for f in judgement.findings}
    assert findings[LIAR, "convention:mean_denominator=rows"] is Kind.CLAIM
    assert not [cause for subject, cause in findings if subject == HONEST and findings[subject, cause] is Kind.CLAIM]


def test_a_value_that_was_ruled_out_contradicts_though_several_are_left(found: list[Claims]) -> None:
    claim = by_id(found)[HONEST]["mean_denominator"]
    left = replace(claim.measured, state="undetermined", values=("rows", "kept"))
    assert replace(claim, measured=left).agreement == "undetermined"
    assert replace(claim, measured=left, declared="weights").agreement == "contradicts"
    assert replace(claim, measured=replace(left, state="contradicted")).agreement == "contradicts"


def test_the_same_bits_are_measured_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = module.measure
    monkeypatch.setattr(module, "measure", lambda *args, **more: calls.append(args) or real(*args, **more))
    both = by_id(list(claims(store, [HONEST, JIT, LIAR])))
    assert len(calls) == 1
    assert {name: result.card.subject for name, result in both.items()} == {name: name for name in (HONEST, JIT, LIAR)}
    assert both[JIT].card.fields == both[HONEST].card.fields


def test_a_field_that_was_not_tested_is_undetermined_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "half"
    with Store.create(path) as half:
        pool = FakePool({"fake": [SUBJECTS[HONEST]]}, answer=answer, interrupt=20)
        list(run(probes("labels"), specs("fake"), half, pool=pool, judge=NoJudge()))
        (result,) = claims(half)
    assert not [claim.field for claim in result.fields.values() if claim.agreement == "contradicts"]
    assert result["smoothing_weights"].measured.why == "was not tested: the run was interrupted"


def test_mistakes_are_reported(tmp_path: Path, store: Store) -> None:
    with Store.create(tmp_path / "empty") as empty, pytest.raises(StoreError, match=f"family {FAMILY}. Make a run"):
        list(claims(empty))
    with pytest.raises(ClaimsError, match="did you mean 'mean_denominator'"):
        known_field("mean_denomniator")
    with pytest.raises(ClaimsError, match="no subject matches 'fake:onest'; did you mean 'fake:honest@cpu'"):
        selected(store.subjects(), ["fake:onest"])
    with pytest.raises(ClaimsError, match="no backend ran"):
        selected([], [])
    assert selected(store.subjects(), ["*honest*"]) == [JIT, HONEST]


# --- how they are shown ----------------------------------------------------------------------------------------------


def test_the_table_marks_contradicted_fields_and_counts_the_others(found: list[Claims]) -> None:
    shown = printed(found)
    for name, field in FIELDS.items():
        assert f"{name}: {field.decides}" in " ".join(shown.split())
    (line,) = [line for line in shown.splitlines() if line.lstrip().startswith("!!") and "liar" in line]
    assert "(documented: weights)" in line
    evidence = by_id(found)[HONEST]["mean_denominator"].measured.evidence[0]
    assert evidence in shown
    assert "fake: all 4" in shown  # a value that all share is shown once
    assert "plays no part: takes no mean" in shown
    assert "4 subjects, 24 fields each: 64 confirmed, 1 contradicted, 31 undetermined" in shown
    assert "\x1b" not in shown


def test_one_field_in_full_has_formulas_links_and_all_evidence(found: list[Claims]) -> None:
    shown = " ".join(printed(found, "mean_denominator").split())
    for text in (
        "[W = N]",
        "no function",
        "https://example.org/mean",
        "!! functions fake: liar on cpu documented weights",
    ):
        assert text in shown
    for problem in by_id(found)[HONEST]["mean_denominator"].measured.evidence:
        assert problem in shown


def test_json_holds_everything(found: list[Claims]) -> None:
    data = json.loads(json.dumps(conventions.as_dict(found)))
    assert data["schema"] == conventions.SCHEMA
    assert list(data["fields"]) == list(FIELDS)
    assert data["fields"]["mean_denominator"]["values"]["rows"]["formula"] == "W = N"
    liar = {entry["subject"]: entry for entry in data["subjects"]}[LIAR]
    claim = {entry["field"]: entry for entry in liar["fields"]}["mean_denominator"]
    assert (claim["declared"], claim["state"], claim["values"]) == ("weights", "measured", ["rows"])
    assert (claim["agreement"], claim["docs"]) == ("contradicts", "https://example.org/mean")
    assert {entry["field"]: entry["docs"] for entry in liar["fields"]}["log_base"] is None  # no link but https
    (only,) = {len(entry["fields"]) for entry in conventions.as_dict(found, ["inputs"])["subjects"]}
    assert only == 1


def test_subjects_that_are_alike_share_a_column(found: list[Claims]) -> None:
    columns = conventions_page.columns(found)
    assert [column.functions for column in columns][:2] == [(("honest", "eager, jit"),), (("liar", ""),)]
    at = list(FIELDS).index("mean_denominator")
    assert [column.cells[at].tone for column in columns] == ["difference", "bug", "open"]


def test_the_page_escapes_and_links_to_https_only(found: list[Claims]) -> None:
    page = conventions_page.render(found)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "javascript:" not in page
    assert 'href="https://example.org/mean"' in page
    assert "\x1b" not in page
    assert 'http-equiv="Content-Security-Policy"' in page
