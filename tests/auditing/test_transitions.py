"""What a step between two runs says: each kind of transition from results that differ in that way, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes import FakePool, problem, specs, subject

from logitmus.auditing.classification import Side, classify
from logitmus.auditing.comparison import step
from logitmus.auditing.headline import headline
from logitmus.auditing.transitions import Change
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.observation import Answered, NotRun, Raised
from logitmus.core.subject import Offer
from logitmus.engine.judge_batches import NoJudge
from logitmus.engine.run import run
from logitmus.storage.store import Store

PROBLEMS = [problem(seed) for seed in range(6)]


def right(asked, _name):
    """The exact loss and gradient, rounded."""
    logits = asked.logits.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(-1)
    rows = np.arange(len(logits))
    loss = np.log(total) - shifted[rows, asked.targets]
    gradient = exponentials / total[:, None]
    gradient[rows, asked.targets] -= 1
    return Answered(loss.astype(asked.logits.dtype), gradient.astype(asked.logits.dtype))


def changed(loss=None, gradient=None, **more):
    """The right result with its loss or gradient replaced by a function of them."""

    def answer(asked, name):
        outcome = right(asked, name)
        return Answered(
            outcome.loss if loss is None else loss(outcome.loss),
            outcome.grad_logits if gradient is None else gradient(outcome.grad_logits),
            **more,
        )

    return answer


def doubled(values):
    return 2 * values


def next_up(values):
    return np.nextafter(values, np.float32(np.inf))


@pytest.fixture
def stepped(tmp_path):
    number = itertools.count()

    def build(old=right, new=right, *, functions=(("f",), ("f",)), problems=PROBLEMS, options=(), docs=None, **more):
        stores = []
        for answers, named in zip((old, new), functions, strict=True):
            path = tmp_path / f"{next(number)}.logitmus"
            stores.append(Store.create(path))
            offer = Offer(targets="labels", options=frozenset(options))
            pool = FakePool({"fake": [subject(name, offer=offer, docs=docs or {}) for name in named]}, answer=answers)
            pool.environment = {"packages": {"fake": str(len(stores))}}
            list(run(problems, specs("fake"), stores[-1], pool=pool, judge=NoJudge()))
        result = step(*stores, **more)
        for store in stores:
            store.close()
        return result

    return build


def kinds(result):
    return [transition.change for transition in result.transitions]


def test_the_same_results_have_no_transition(stepped):
    result = stepped()
    assert kinds(result) == []
    assert result.title == "fake 1 to 2"
    assert headline(result) == "fake 1 to 2: the bits of all 6 results are the same"


def test_a_result_that_becomes_wrong_and_one_that_becomes_right(stepped):
    (found,) = stepped(right, changed(doubled)).transitions
    assert (found.change, found.worse, found.results) == (Change.NEWLY_WRONG, True, 6)
    assert found.example.before != found.example.after
    assert found.example.finding
    (found,) = stepped(changed(doubled), right).transitions
    assert (found.change, found.worse) == (Change.FIXED, False)
    assert found.act.startswith("No.")


def test_a_result_that_stays_wrong_in_the_same_way_says_nothing(stepped):
    assert kinds(stepped(changed(doubled), changed(doubled))) == []


def test_a_result_that_is_wrong_in_another_way(stepped):
    (found,) = stepped(changed(doubled), changed(gradient=np.zeros_like)).transitions
    assert found.change is Change.WRONG_OTHERWISE
    assert "; before: " in found.what


def test_values_that_move_within_their_budgets_are_counted(stepped):
    result = stepped(right, changed(next_up))
    (found,) = result.transitions
    assert (found.change, found.worse) == (Change.BITS, False)
    assert (result.moved.changed, result.moved.compared) == (6, 6)
    assert 0 < result.moved.ulps <= 1
    assert 0 < result.moved.share <= 1
    assert "values moved by at most 1 ulp in 100% of 6 results, within their error budgets" in headline(result)


def test_a_small_loss_moves_by_few_ulps(stepped):
    """In ulps of itself, a loss of 1e-7 that moves by a unit roundoff would move by thousands."""
    confident = problem(1).but(logits=np.float32([[16, 0, 0]] * 4), targets=np.zeros(4, np.int64))
    by = [changed(lambda loss, step=step: loss + np.float32(step * 2.0**-24)) for step in (1, 2)]
    result = stepped(*by, problems=[confident])
    assert kinds(result) == [Change.BITS]
    assert result.moved.ulps <= 1


def test_an_exception_that_appears_or_becomes_another(stepped):
    (found,) = stepped(right, lambda *_: Raised("ValueError", "no")).transitions
    # Every call fails: that is one fact, and not a finding for each problem.
    assert (found.change, found.worse) == (Change.GONE, True)
    invalid = [problem(seed, targets=np.array([0, 1, 2, 7])) for seed in range(4)]

    def raising(name, message="no"):
        return lambda asked, subject: Raised(name, message) if asked.targets.max() > 2 else right(asked, subject)

    problems = [*PROBLEMS, *invalid]
    (found,) = stepped(raising("IndexError"), raising("ValueError"), problems=problems).transitions
    assert (found.change, found.what) == (Change.ERRORS, "raises ValueError where it raised IndexError")
    assert "no longer raises IndexError" in found.act
    (found,) = stepped(raising("IndexError"), raising("IndexError", "other"), problems=problems).transitions
    assert found.change is Change.MESSAGE
    assert found.example.before.endswith("no")
    same = [
        raising("IndexError", f'at 0x7f00000{n}1234\n File "/a/{n}.py", line {n}, in call\n [[node_{n}]]')
        for n in (1, 23)
    ]
    assert kinds(stepped(*same, problems=problems)) == []


def test_an_invalid_label_that_goes_unnoticed_now_is_newly_wrong(stepped):
    invalid = [problem(seed, targets=np.array([0, 1, 2, -1])) for seed in range(4)]

    def raising(asked, name):
        return Raised("IndexError", "no") if asked.targets.min() < 0 else right(asked, name)

    problems = [*PROBLEMS, *invalid]
    (found,) = stepped(raising, right, problems=problems).transitions
    assert (found.change, found.severity, found.worse) == (Change.NEWLY_WRONG, Severity.HAZARD, True)
    assert found.example.before == "raises IndexError: no"
    (found,) = stepped(right, raising, problems=problems).transitions
    assert (found.change, found.worse) == (Change.FIXED, False)


def test_a_documented_choice_that_is_broken_is_worse(stepped):
    """Ignored rows leak NaN, which the documentation of the function excludes."""
    ignoring = [problem(seed, targets=np.array([0, 1, -100, 2]), ignore_index=-100) for seed in range(4)]
    ignoring = [
        asked.but(logits=np.where(np.arange(4)[:, None] == 2, np.float32("nan"), asked.logits)) for asked in ignoring
    ]

    def masked(asked, name, ignored=0.0):
        kept = asked.but(logits=np.nan_to_num(asked.logits), targets=np.maximum(asked.targets, 0), ignore_index=None)
        outcome = right(kept, name)
        row = (asked.targets == -100)[:, None]
        loss = np.where(row[:, 0], np.float32(ignored), outcome.loss)
        return Answered(loss, np.where(row, np.float32(ignored), outcome.grad_logits))

    def leaking(asked, name):
        return masked(asked, name, np.nan)

    more = {"problems": [*ignoring], "options": ("ignore_index",), "docs": {"ignored_row": "https://example.org"}}
    (found,) = stepped(masked, leaking, **more).transitions
    assert (found.change, found.field, found.worse) == (Change.CONVENTION, "ignored_row", True)
    (found,) = stepped(leaking, masked, **more).transitions
    assert (found.change, found.field, found.worse) == (Change.CONVENTION, "ignored_row", False)
    assert found.act == "Yes, if you rely on it."


def test_the_dtype_of_a_result(stepped):
    found = stepped(right, changed(lambda loss: loss.astype(np.float64))).transitions[0]
    assert found.change is Change.FORM
    assert (found.before, found.after) == (
        "loss is float32, gradient is float32",
        "loss is float64, gradient is float32",
    )


def test_a_warning_that_appears(stepped):
    result = stepped(right, changed(warnings=("f is deprecated",)))
    (found,) = result.transitions
    assert (found.change, found.what) == (Change.WARNING, "f is deprecated")
    assert found.act.startswith("Yes, before a later upgrade")
    assert kinds(stepped(changed(warnings=("x at 0x7f0000001234",)), changed(warnings=("x at 0x7f00000ffff4",)))) == []


def test_an_example_shows_the_row_that_differs_and_its_exact_value(stepped):
    def one_row(values):
        return np.concatenate([values[:2], next_up(values[2:3]), values[3:]])

    (found,) = stepped(right, changed(one_row), problems=PROBLEMS[:1]).transitions
    row = PROBLEMS[0].logits[2].astype(np.float64)
    exact = np.log(np.exp(row).sum()) - row[PROBLEMS[0].targets[2]]
    low, high = map(float, found.example.expected.strip("[]").split(", "))
    assert low <= exact * (1 + 1e-14)
    assert high >= exact * (1 - 1e-14)
    assert high - low < 1e-12
    assert found.example.place == "loss, row 2"
    assert found.example.finding == ""


def test_functions_and_options_that_only_one_version_has(stepped):
    (found,) = stepped(functions=(("f",), ("f", "g"))).transitions
    assert (found.change, found.worse, found.what) == (Change.NEW, False, "only the later run has g on cpu")
    (found,) = stepped(functions=(("f", "g"), ("f",))).transitions
    assert (found.change, found.worse) == (Change.GONE, True)

    def absent(*_):
        return Raised("AttributeError", "module 'fake' has no attribute 'f'")

    (found,) = stepped(absent, right).transitions
    assert found.change is Change.NEW
    assert "has no attribute" in found.what
    neither = stepped(absent, absent)
    assert kinds(neither) == []
    assert neither.failing == (
        "fake: f on cpu: every call fails in both: AttributeError: module 'fake' has no attribute 'f'",
    )
    assert "nothing was compared, because every call fails in both" in headline(neither)


def test_an_option_that_is_gone(stepped):
    smoothed = [problem(seed, label_smoothing=0.1) for seed in range(4)]

    def refusing(asked, name):
        if asked.label_smoothing:
            return Raised("TypeError", "f() got an unexpected keyword argument 'label_smoothing'")
        return right(asked, name)

    def smoothing(asked, name):
        outcome = right(asked, name)
        if not asked.label_smoothing:
            return outcome
        logits = asked.logits.astype(np.float64)
        losses = np.log(np.exp(logits).sum(-1, keepdims=True)) - logits
        loss = 0.9 * outcome.loss + 0.1 * losses.mean(-1)
        gradient = outcome.grad_logits.astype(np.float64)
        rows = np.arange(len(logits))
        gradient[rows, asked.targets] += 0.1
        return Answered(loss.astype(np.float32), (gradient - 0.1 / 3).astype(np.float32))

    problems = [*PROBLEMS, *smoothed]
    (found,) = stepped(smoothing, refusing, problems=problems, options=("label_smoothing",)).transitions
    assert (found.change, found.field) == (Change.GONE, "label_smoothing")
    assert "the option label_smoothing of f" in found.what


def test_calls_that_were_not_made_are_no_transition(stepped):
    result = stepped(right, lambda *_: NotRun("gave up", given_up=True))
    assert kinds(result) == []
    assert (result.comparison.pairs, result.comparison.not_made, result.lost) == (0, 6, 6)
    assert "nothing was compared" in headline(result)


def test_an_accepted_finding_does_not_count(stepped):
    result = stepped(right, changed(doubled), reason=lambda finding: f"known: {finding.kind}")
    (found,) = result.transitions
    assert found.accepted.startswith("known: ")
    assert result.counted == ()
    assert "1 accepted" in headline(result)


@pytest.mark.parametrize(
    ("severity", "change", "worse"),
    [(Severity.DIFFERENCE, Change.CONVENTION, False), (Severity.BUG, Change.NEWLY_WRONG, True)],
)
def test_a_convention_that_is_not_certain_is_no_move_within_the_budgets(severity, change, worse):
    """Twice the loss, which two choices explain: neither may be named as the only one, and it is not rounding."""
    asked, of = PROBLEMS[0], subject()
    about = {"subject": of.id, "problem": asked.id, "family": "tests", "dtype": "float32"}
    found = Finding(
        **about,
        kind=Kind.CONVENTION,
        severity=severity,
        part="loss",
        cause=Cause.convention("mean_denominator", "kept"),
        summary="another mean",
        alternatives=(Cause.convention("mean_denominator", "rows"),),
    )
    before = Side(right(asked, ""), Judgement(**about, verdict=Verdict.PASS), of)
    after = Side(changed(doubled)(asked, ""), Judgement(**about, verdict=Verdict.FINDING, findings=(found,)), of)
    (shown,) = classify(asked, before, after)
    assert (shown.change, shown.worse) == (change, worse)
    (back,) = classify(asked, after, before)
    assert (back.change, back.worse) == (Change.FIXED if worse else Change.CONVENTION, False)
