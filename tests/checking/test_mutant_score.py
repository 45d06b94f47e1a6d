"""Which mutants are left out, and how many of the others are found."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from logitmus.cases.planted.mutants import Mutant, all_mutants
from logitmus.checking import mutant_score, reference
from logitmus.checking.mutant_score import MutantScore, Selection, equal, select
from logitmus.cli import main
from logitmus.core.observation import Answered, Raised
from logitmus.core.problem import Problem, TargetKind
from logitmus.judging.bench import Bench
from logitmus.reports.terminal import mutants as report
from logitmus.results.detection_power import Result


def mutant(after: str) -> Mutant:
    return next(mutant for mutant in all_mutants() if mutant.after == after)


NO_CHANGE = mutant("return (rows.sum(), gradient)")
WRONG_SIGN = mutant("return (np.log(total) + d, e / total)")
RAISES = mutant("return np.take_along_axis(values, labels[..., None].astype(np.int64), axis=-1)[..., 1]")
PROBLEMS = [
    Problem(logits=np.array([[0.0, 1.0, n]]), targets=np.array([1]), reduction=reduction)
    for n in range(mutant_score.PROBLEMS_TO_RAISE)
    for reduction in ("none", "sum")
]

SUMMED = next(problem for problem in PROBLEMS if problem.reduction == "sum")
SUBJECT = reference.references("torch", targets=(TargetKind.LABELS,))[TargetKind.LABELS]


def test_a_mutant_that_changes_nothing_and_a_mutant_that_always_raises_are_left_out() -> None:
    selection = select([NO_CHANGE, WRONG_SIGN, RAISES], PROBLEMS)
    assert selection == Selection(differ=(WRONG_SIGN,), equivalent=(NO_CHANGE,), always_raise=(RAISES,))


@pytest.mark.parametrize(
    ("result", "other", "same"),
    [
        (Answered(np.array(1.0)), Answered(np.array(1.0 + 1e-15)), True),
        (Answered(np.array(1.0)), Answered(np.array(1.0 + 1e-12)), False),
        (Answered(np.array(1e-17)), Answered(np.array(0.0)), True),
        (Answered(np.array(np.nan)), Answered(np.array(np.nan)), True),
        (Answered(np.array(np.inf)), Answered(np.array(-np.inf)), False),
        (Answered(np.array(1.0)), Answered(np.array([1.0])), False),
        (Answered(np.array(1.0)), Answered(np.array(1.0, np.float32)), False),
        (Answered(np.array(1.0)), Answered(np.array(1.0), grad_logits=np.zeros((1, 2))), False),
        (Answered(np.array(1.0)), Raised("ValueError", "no"), False),
        (Raised("ValueError", "no"), Raised("IndexError", "no"), True),
    ],
)
def test_results_are_equal_within_rounding(result: Answered | Raised, other: Answered | Raised, same: bool) -> None:
    assert equal(result, other, Bench(SUMMED), SUBJECT) is same
    assert equal(other, result, Bench(SUMMED), SUBJECT) is same


def test_rounding_grows_with_class_weights_but_hides_no_infinity() -> None:
    heavy = Bench(SUMMED.but(weight=np.array([1.0, 1e20, 1.0])))
    assert equal(Answered(np.array(1e3)), Answered(np.array(0.0)), heavy, SUBJECT)
    assert not equal(Answered(np.array(1e3)), Answered(np.array(0.0)), Bench(SUMMED), SUBJECT)
    assert not equal(Answered(np.array(1e3)), Answered(np.array(np.inf)), heavy, SUBJECT)


SCORE = MutantScore(
    selection=Selection(differ=(WRONG_SIGN, RAISES), equivalent=(NO_CHANGE,), always_raise=()),
    results={
        WRONG_SIGN.name: Result(planted=WRONG_SIGN.planted, causes=("unexplained",), profile="quick", family="ties"),
        RAISES.name: Result(planted=RAISES.planted),
    },
    seconds=1.0,
    problems=2,
    calls=3,
)


def test_the_report_shows_the_score_and_the_lines_of_missed_mutants() -> None:
    console = Console(file=io.StringIO(), width=150)
    report.render(SCORE, console, every=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Found 1 of 2 mutants" in text
    assert f"NOT FOUND  {RAISES.name}" in text
    assert f"before: {RAISES.before}" in text
    assert f"after:  {RAISES.after}" in text
    assert WRONG_SIGN.name not in text
    assert not SCORE.complete


def test_the_command_checks_chosen_mutants(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = [mutant.planted.name for mutant in (NO_CHANGE, WRONG_SIGN)]
    monkeypatch.setattr(mutant_score, "small_problems", lambda: PROBLEMS)
    monkeypatch.setattr(sys, "argv", ["logitmus", "selftest", "--mutants", "--quick", *names, "--json", "-"])
    with pytest.raises(SystemExit) as ended:
        main()
    score = json.loads(capfd.readouterr().out)
    assert not ended.value.code
    assert (score["found"], score["checked"], score["equivalent"]) == (1, 1, [NO_CHANGE.name])
    assert score["mutants"][0]["after"] == WRONG_SIGN.after


def test_the_list_shows_the_changed_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = WRONG_SIGN.planted.name
    monkeypatch.setattr(sys, "argv", ["logitmus", "selftest", "--mutants", "--list", name])
    with pytest.raises(SystemExit):
        main()
    assert capfd.readouterr().out == f"numpy:{name}  operator  {WRONG_SIGN.place}  {WRONG_SIGN.after}\n"


@pytest.mark.release
def test_almost_every_mutant_is_found() -> None:
    score = mutant_score.measure()
    assert not score.remarks
    assert len(score.checked) == len(score.selection.differ) > 200
    assert score.found >= 0.98 * len(score.checked)
