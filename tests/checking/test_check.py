"""Checking a user's own function: the findings that count against it, those that do not, and the report."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import logitmus
from logitmus.cases.suite import SuiteError
from logitmus.checking import reference
from logitmus.checking.check import check
from logitmus.cli import app
from logitmus.core.convention import PORTABLE
from logitmus.core.finding import Grade, Kind, Severity, Verdict
from logitmus.core.floats import float_array
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Offer
from logitmus.execution.registry import RegistryError
from logitmus.results.expectations import ExpectationsError
from logitmus.storage.store import Store
from logitmus.worker.user_code import TargetError

# The textbook's own subject stands for a flagship, so that no framework is started; few problems are enough.
SETTINGS = {"framework": "numpy", "like": "numpy:textbook", "dtypes": ["float32"], "profile": "quick"}
COMMAND = ["--framework", "numpy", "--like", "numpy:textbook", "--dtype", "float32", "--profile", "quick"]

LOSSES = '''
import os
import time

import numpy as np


def rows_of(logits, labels):
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    d = logits - logits.max(axis=-1, keepdims=True)
    log_p = d - np.log(np.exp(d).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None].astype(int), axis=-1)[..., 0]


def right(logits, labels, reduction="none"):
    rows = rows_of(logits, labels)
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


def mean_alone(logits, labels):
    return rows_of(logits, labels).mean()


def rows_alone(logits, labels):
    return rows_of(logits, labels)


def with_gradient(logits, labels, reduction="none"):
    """In float64, with the gradient of what it returns."""
    rows = rows_of(logits.astype(np.float64), labels)
    d = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    p = np.exp(d) / np.exp(d).sum(axis=-1, keepdims=True)
    at = labels[..., None].astype(int)
    np.put_along_axis(p, at, np.take_along_axis(p, at, -1) - 1, -1)
    scale = 1 / max(rows.size, 1) if reduction == "mean" else 1
    loss = {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()
    return np.asarray(loss).astype(logits.dtype), (p * scale).astype(logits.dtype)


def unshifted(logits, labels, reduction="none"):
    rows_of(logits, labels)
    chosen = np.take_along_axis(logits, labels[..., None].astype(int), axis=-1)[..., 0]
    rows = np.log(np.exp(logits).sum(axis=-1)) - chosen
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


def hidden_by_a_mean(logits, labels):
    """The row with the largest loss is wrong by a quarter."""
    rows = rows_of(logits, labels)
    if rows.size:
        rows = rows + np.where(rows == rows.max(), rows / 4, 0).astype(rows.dtype)
    return rows.mean()


def aborts(logits, labels, reduction="none"):
    if logits.shape[-1] == 33:
        os.abort()
    if np.isneginf(logits).any():
        os.abort()
    return right(logits, labels, reduction)


def hangs(logits, labels, reduction="none"):
    if np.isneginf(logits).any():
        time.sleep(600)
    return right(logits, labels, reduction)


def always_raises(logits, labels):
    raise ValueError("not today")


def prints(logits, labels, reduction="none"):
    print("a line on the standard output")
    os.write(1, b"and one past Python")
    return right(logits, labels, reduction)


def three_arguments(logits, labels, vocabulary):
    return rows_of(logits, labels)
'''


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    path = tmp_path / "losses.py"
    path.write_text(LOSSES)
    return path


def causes(result) -> set[str]:
    return {finding.cause for finding in result.findings}


# --- what is held against a function -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["right", "rows_alone", "mean_alone", "prints", "with_gradient"])
def test_nothing_is_held_against_a_function_that_is_right(losses: Path, name: str) -> None:
    result = check(f"{losses}:{name}", **SETTINGS)
    assert result.conforms, str(result)
    assert result.grades["float32"] in (Grade.A, Grade.B_PLUS)
    assert result.reference_grades == {"float32": Grade.B_PLUS}
    assert not result.not_asked
    assert result.problems >= 60


def test_findings_are_grouped_by_cause_and_shown_on_one_problem(losses: Path) -> None:
    result = check(f"{losses}:unshifted", **SETTINGS)
    assert not result.conforms
    assert "spurious_overflow" in causes(result)
    assert len({group.finding.key for group in result.groups}) == len(result.groups)
    report = str(result)
    assert report.startswith(f"{losses}:unshifted does not conform to numpy:textbook@cpu: ")
    (overflow,) = [group for group in result.groups if group.finding.cause == "spurious_overflow"]
    for word in (overflow.finding.summary, overflow.finding.id, overflow.finding.expected, "inf"):
        assert word in report


def test_a_mean_hides_no_row(losses: Path) -> None:
    result = check(f"{losses}:hidden_by_a_mean", **SETTINGS)
    assert not result.conforms
    assert {group.problem.rows for group in result.groups} == {1}


def test_findings_that_the_reference_shares_are_excused(losses: Path) -> None:
    """The textbook loses masked classes with class weights of 0 and the like; so does its copy."""
    alone = check(f"{losses}:right", **SETTINGS, compare=False)
    assert not alone.reference_grades
    beside = check(f"{losses}:right", **SETTINGS)
    assert beside.conforms
    assert {g.finding.cause for g in alone.groups} <= {g.finding.cause for g in beside.excused}


def test_a_crash_is_a_finding_and_not_the_end(losses: Path) -> None:
    result = check(f"{losses}:aborts", **SETTINGS)
    assert causes(result) == {"crashed:SIGABRT"}
    assert result.findings[0].kind is Kind.CRASH
    assert result.problems >= 60


def test_hangs_end_in_seconds(losses: Path) -> None:
    limits = replace(reference.LIMITS, compile_seconds=1.0, call_seconds=0.5, lost_seconds=2.0)
    result = check(f"{losses}:hangs", **SETTINGS, limits=limits, compare=False)
    assert causes(result) == {"timeout"}
    assert any("gave up after" in reason for reason in result.not_asked)
    assert result.seconds < 30


def test_a_function_that_always_raises_has_one_fault(losses: Path) -> None:
    result = check(f"{losses}:always_raises", **SETTINGS)
    assert causes(result) == {"raised:ValueError"}
    assert "not today" in str(result)
    assert not result.grades


def test_the_first_finding_is_enough(losses: Path) -> None:
    settings = {**SETTINGS, "profile": "default"}
    quick = check(f"{losses}:unshifted", **settings, fail_fast=True)
    assert quick.stopped
    assert quick.problems < 200
    assert check(f"{losses}:right", **settings, fail_fast=True).problems > quick.problems


# --- grades --------------------------------------------------------------------------------------------------------


def test_the_grade_that_is_required() -> None:
    def formed_and_subtracted(logits, labels):
        x = logits.astype(np.float64).astype(logits.dtype)
        m = x.max(axis=-1)
        total = m + np.log(np.exp(x - m[..., None]).sum(axis=-1))
        return total - np.take_along_axis(x, labels[..., None].astype(int), axis=-1)[..., 0]

    def kept(result) -> set[str]:
        return {finding.cause for finding in result.findings if finding.kind is Kind.ACCURACY}

    assert "separate_logsumexp" in kept(check(formed_and_subtracted, **SETTINGS))
    assert "separate_logsumexp" in kept(check(formed_and_subtracted, **SETTINGS, require="B"))
    assert "separate_logsumexp" not in kept(check(formed_and_subtracted, **SETTINGS, require="C"))


def test_a_wrong_gradient_is_graded_f() -> None:
    def negated(logits, labels, reduction="none"):
        d = logits - logits.max(axis=-1, keepdims=True)
        p = np.exp(d) / np.exp(d).sum(axis=-1, keepdims=True)
        at = labels[..., None].astype(int)
        rows = -np.log(np.take_along_axis(p, at, axis=-1))[..., 0]
        hot = np.zeros_like(p)
        np.put_along_axis(hot, at, 1, axis=-1)
        return rows, hot - p

    result = check(negated, **{**SETTINGS, "like": "torch:cross_entropy"}, compare=False)
    assert "gradient:negated" in causes(result)
    assert result.grades["float32"] is Grade.F


def test_a_grade_that_is_missed_is_named(losses: Path) -> None:
    result = check(f"{losses}:right", **SETTINGS, require="A")
    assert not result.conforms
    assert result.short == ("float32",)
    assert "grade A is not reached in float32" in str(result)


# --- in this process, and in a worker ------------------------------------------------------------------------------


def test_a_closure_is_asked_in_this_process() -> None:
    shapes = []

    def counted(logits, labels):
        shapes.append(logits.shape)
        d = logits - logits.max(axis=-1, keepdims=True)
        rows = np.log(np.exp(d).sum(axis=-1)) - np.take_along_axis(d, labels[..., None].astype(int), -1)[..., 0]
        return rows if not (labels < 0).any() else np.full(labels.shape, np.nan, logits.dtype)

    result = check(counted, **SETTINGS)
    assert len(shapes) >= result.problems >= 60
    assert causes(result) == {"accepted:invalid"}


def test_a_function_in_a_module_is_asked_in_a_worker(losses: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(losses.parent)
    import losses as mine

    monkeypatch.setitem(sys.modules, "losses", mine)
    result = logitmus.check(mine.aborts, **SETTINGS)
    assert causes(result) == {"crashed:SIGABRT"}


def test_isolating_a_lambda_is_an_error() -> None:
    with pytest.raises(TargetError, match="no worker can import"):
        check(lambda logits, labels: logits.sum(), **SETTINGS, isolated=True)


def test_assert_conforms(losses: Path) -> None:
    assert logitmus.assert_conforms(f"{losses}:right", **SETTINGS).conforms
    with pytest.raises(AssertionError, match="does not conform to numpy:textbook@cpu") as raised:
        logitmus.assert_conforms(f"{losses}:unshifted", **SETTINGS)
    assert "expected" in str(raised.value)


# --- what a function is held to, and asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "like", "held_to"),
    [
        ("torch", "", "torch:cross_entropy@cpu"),
        ("torch@/some/python", "", "torch:cross_entropy@cpu"),
        ("numpy", "", "torch:cross_entropy@cpu"),
        ("jax", "", "jax:optax.softmax_cross_entropy_with_integer_labels@cpu"),
        ("jax", "optax.softmax_cross_entropy", "jax:optax.softmax_cross_entropy@cpu"),
        ("numpy", "torch:nn.CrossEntropyLoss", "torch:nn.CrossEntropyLoss@cpu"),
        ("torch", "cross_entropy.probabilities", "torch:cross_entropy.probabilities@cpu"),
    ],
)
def test_the_reference_of_a_function(framework: str, like: str, held_to: str) -> None:
    (model,) = reference.references(framework, like).values()
    assert model.id == held_to


def test_both_kinds_of_targets_have_a_model() -> None:
    both = reference.references("tensorflow", "", ("labels", "probabilities"))
    assert {kind: model.function for kind, model in both.items()} == {
        "labels": "nn.sparse_softmax_cross_entropy_with_logits",
        "probabilities": "nn.softmax_cross_entropy_with_logits",
    }


def test_a_model_that_there_is_not() -> None:
    with pytest.raises(RegistryError, match=r"--like cross_entrop: .*did you mean 'cross_entropy'\?"):
        reference.references("torch", "cross_entrop")


def held(**offer):
    (model,) = reference.references("torch").values()
    mine = replace(model, function="mine", convention=PORTABLE, offer=replace(model.offer, **offer))
    return reference.with_reference(mine, model, "mean"), model


def test_options_without_an_argument_are_not_exercised() -> None:
    subject, model = held(reductions=(), options=frozenset())
    assert subject.convention == model.convention.but(class_axis="last")
    assert subject.held_to == "torch:cross_entropy@cpu"
    problems = list(reference.problems([subject], profile="quick"))
    assert {problem.reduction for problem in problems} == {"mean"}
    assert not any(problem.options for problem in problems)
    # Its default for the ignored label, for which it has no argument, is not tested.
    assert not any((problem.targets == -100).any() for problem in problems)


def test_quick_problems_come_first() -> None:
    subject, _ = held()
    quick = [problem.id for problem in reference.problems([subject], profile="quick")]
    every = [problem.id for problem in reference.problems([subject])]
    assert every[: len(quick)] == quick
    assert len(set(every)) == len(every) > 3 * len(quick)


@pytest.mark.parametrize(
    ("loss", "reduction"),
    [
        (lambda rows: -rows, "none"),
        (lambda rows: -rows.sum(), "sum"),
        (lambda rows: -rows.mean(), "mean"),
        (lambda rows: 36 * rows.sum() / len(rows), "mean"),  # of another magnitude than a cross-entropy
        (lambda rows: rows.sum() * np.nan, "mean"),
        (lambda rows: 0 * rows.sum(), "mean"),
    ],
)
def test_the_reduction_shows_in_two_answers(loss, reduction: str) -> None:
    once, twice = reference.reduction_probes(TargetKind.LABELS, "float64")
    picked = (problem.logits[np.arange(problem.rows), problem.targets] for problem in (once, twice))
    assert reference.reduction_of(*(np.asarray(loss(rows)) for rows in picked)) == reduction


# --- the judge -----------------------------------------------------------------------------------------------------


def test_the_limit_where_the_other_has_nan_is_a_note() -> None:
    from logitmus.core.observation import Answered
    from logitmus.judging.judge import Judge

    subject, _ = held()
    problem = Problem(logits=float_array([[0.0, np.inf, 1.0]], "float32"), targets=np.array([1]))
    answered = Answered(np.zeros(1, np.float32), np.zeros((1, 3), np.float32))
    judgement = Judge().judge(problem, subject, answered)
    assert judgement.verdict is Verdict.PASS
    (finding,) = judgement.findings
    assert (finding.severity, finding.cause) == (Severity.NOTE, "convention:infinite_logits=limit")


def test_a_refusal_where_the_other_answers_is_a_note() -> None:
    from logitmus.core.observation import Raised
    from logitmus.judging.judge import Judge

    (model,) = reference.references("jax").values()
    mine = replace(model, function="mine", held_to=model.id, offer=Offer(targets="labels"))
    problem = Problem(logits=float_array(np.zeros((1, 3)), "float32"), targets=np.array([7]))
    (finding,) = Judge().judge(problem, mine, Raised("ValueError", "no class 7")).findings
    assert (finding.kind, finding.severity) == (Kind.CONVENTION, Severity.NOTE)


# --- the command ---------------------------------------------------------------------------------------------------


def command(*arguments: str):
    return CliRunner().invoke(app, ["check", *arguments])


def test_exit_0_where_it_conforms(losses: Path, tmp_path: Path) -> None:
    json_file, page, run_file = tmp_path / "r.json", tmp_path / "r.html", tmp_path / "r.logitmus"
    outputs = ["--json", str(json_file), "--html", str(page), "--out", str(run_file)]
    ran = command(f"{losses}:right", *COMMAND, *outputs)
    assert ran.exit_code == 0, ran.output
    assert "conforms to numpy:textbook@cpu" in ran.output.replace("\n", " ")
    assert "not exercised, for it has no such argument: weight, ignore_index" in ran.output.replace("\n", " ")
    report = json.loads(json_file.read_text())
    assert report["conforms"]
    assert report["held_to"] == {"labels": "numpy:textbook@cpu"}
    assert page.read_text().startswith("<!doctype html>")
    with Store.open(run_file) as store:
        assert "numpy:losses.right@cpu" in store.subjects()


def test_exit_1_where_it_does_not(losses: Path) -> None:
    ran = command(f"{losses}:unshifted", *COMMAND, "--fail-fast", "--json", "-")
    assert ran.exit_code == 1
    report = json.loads(ran.stdout)
    assert not report["conforms"]
    assert report["stopped_at_first"]
    assert {finding["cause"] for finding in report["findings"]} >= {"spurious_overflow"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{losses}:rihgt", "-f", "numpy"], "did you mean 'right'?"),
        (["{losses}:three_arguments", "-f", "numpy"], "needs vocabulary too"),
        (["nowhere.py:f", "-f", "numpy"], "there is no file nowhere.py"),
        (["{losses}", "-f", "numpy"], "names no function"),
        (["{losses}:right", "-f", "nunpy"], "did you mean 'numpy'?"),
        (["{losses}:right", "-f", "numpy", "--like", "cross_entrop"], "did you mean 'cross_entropy'?"),
        (["{losses}:right", "-f", "numpy", "--dtype", "float31"], "did you mean 'float32'?"),
        (["{losses}:right", "-f", "numpy", "--class-axis", "2"], "use last or 1"),
        (["{losses}:right", "-f", "numpy", "--device", "cuda"], "unknown device 'cuda'; available: cpu"),
        (["{losses}:right", "-f", "numpy", "--option", "weights=w"], "use OURS=THEIRS"),
    ],
)
def test_exit_2_for_wrong_arguments(losses: Path, arguments: list[str], message: str) -> None:
    ran = command(*(argument.format(losses=losses) for argument in arguments))
    assert ran.exit_code != 0
    assert message in str(ran.exception) + ran.output


def test_a_function_that_raises_on_every_call_gets_a_hint_at_its_framework(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.py"
    foreign.write_text("def f(logits, targets):\n    return -logits.log_softmax(-1)[targets]\n", encoding="utf-8")
    hint = "it raises on every call with arrays of numpy: is it another framework's (-f)?"
    settings = {"framework": "numpy", "profile": "quick", "dtypes": ["float32"]}
    assert hint in check(f"{foreign}:f", **settings).remarks
    foreign.write_text(
        "import numpy as np\n"
        "def f(logits, targets):\n"
        "    if logits.shape[-1] != 10:\n"
        "        raise ValueError('ten classes')\n"
        "    return np.zeros(targets.shape, logits.dtype)\n",
        encoding="utf-8",
    )
    assert hint not in check(f"{foreign}:f", **settings).remarks


def test_the_program_explains_itself(losses: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from logitmus.cli import main

    monkeypatch.setattr(sys, "argv", ["logitmus", "check", f"{losses}:rihgt", "--framework", "numpy"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("logitmus: ")


# --- with a framework ----------------------------------------------------------------------------------------------


@pytest.mark.frameworks
def test_pytorch_s_own_function_conforms_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch.nn.functional as F\n"
        "def loss(logits, targets, *, weight=None, ignore_index=-100, label_smoothing=0.0, reduction='mean'):\n"
        "    return F.cross_entropy(logits, targets, weight, None, ignore_index, None, reduction, label_smoothing)\n"
    )
    result = check(f"{path}:loss", "torch", targets=("labels", "probabilities"))
    assert result.conforms, str(result)
    # PyTorch's own mean over 65,520 rows of float16 is 0: docs/findings.md
    expected = {**dict.fromkeys(("float64", "float32", "bfloat16"), Grade.B_PLUS), "float16": Grade.F}
    assert result.grades == expected


@pytest.mark.frameworks
def test_one_small_fault_is_reported_once_and_under_no_mechanism_that_merely_allows_for_it(tmp_path: Path) -> None:
    """It lies inside budget C where logits are large, and forward mode repeats what the plain call does."""
    file = tmp_path / "scaled.py"
    loss = "torch.nn.functional.cross_entropy(1.001 * logits, targets, reduction='none')"
    file.write_text(f"import torch\ndef scaled(logits, targets):\n    return {loss}\n")
    found = check(f"{file}:scaled", "torch", dtypes=["float32"], profile="quick")
    counts = {group.finding.cause: group.count for group in found.groups}
    assert counts.keys() <= {"other_formula", "lost", "unexplained"}
    assert counts["other_formula"] > 10 * counts.get("unexplained", 0)
    assert "the cross-entropy of logits times about 1.001" in str(found)


def test_a_function_may_answer_where_there_are_no_classes(losses: Path) -> None:
    """Such a question has no exact answer, and every label is out of range: nothing can be fitted to the results."""
    losses.write_text(
        "import numpy as np\n\n"
        "def one_hot(logits, labels):\n"
        "    hot = np.arange(logits.shape[-1]) == labels[..., None]\n"
        "    largest = logits.max(-1, keepdims=True, initial=-np.inf)\n"
        "    return np.log(np.exp(logits - largest).sum(-1)) + largest[..., 0] - (logits * hot).sum(-1)\n"
    )
    assert "separate_logsumexp" in causes(check(f"{losses}:one_hot", **SETTINGS))


@pytest.mark.parametrize("dtypes", ["float8", ["float32", "float8"]])
def test_a_dtype_that_there_is_not_is_named(losses: Path, dtypes) -> None:
    with pytest.raises(SuiteError, match="unknown dtype 'float8'"):
        check(f"{losses}:right", **{**SETTINGS, "dtypes": dtypes})


@pytest.mark.parametrize(("place", "message"), [("no/a.html", "does not exist"), ("", "is a folder")])
def test_a_file_that_cannot_be_written_is_an_error_before_any_call(
    losses: Path, tmp_path: Path, place: str, message: str
) -> None:
    result = CliRunner().invoke(app, ["check", f"{losses}:right", *COMMAND, "--html", str(tmp_path / place)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_accepted_causes_do_not_count_against_a_function(losses: Path, tmp_path: Path) -> None:
    file = tmp_path / "logitmus.toml"
    accept = '[[expect]]\nsubject = "{}"\ncause = "spurious_overflow"\nreason = "ours are small"\n'
    file.write_text(accept.format("numpy:*unshifted@cpu"))
    alone = check(f"{losses}:unshifted", **SETTINGS)
    accepted = check(f"{losses}:unshifted", **SETTINGS, expect=file)
    assert causes(alone) - causes(accepted) == {"spurious_overflow"}
    assert "accepted: ours are small" in str(accepted)
    file.write_text(accept.format("torch:*"))
    assert causes(check(f"{losses}:unshifted", **SETTINGS, expect=file)) == causes(alone)
    file.write_text("[[expect]]\nsubject = 1\n")
    with pytest.raises(ExpectationsError, match=r"logitmus\.toml"):
        check(f"{losses}:right", **SETTINGS, expect=file)


def test_a_grade_that_is_not_reached_is_shown_on_a_problem(losses: Path) -> None:
    """The textbook has grade B+, which no finding reports."""
    found = check(f"{losses}:right", **SETTINGS, require="A")
    assert found.short == ("float32",)
    assert not found.groups
    assert "not A in float32, e.g. float32[" in str(found)
    assert "not A in" not in str(check(f"{losses}:right", **SETTINGS))
