"""Accepted findings: what they cover, when they end, and the report of unused expectations."""

from __future__ import annotations

import datetime

import pytest

from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.results.expectations import Acceptance, ExpectationsError, load

TODAY = datetime.date(2026, 6, 1)


def finding(subject="torch:cross_entropy@cpu", cause="convention:mean_denominator=rows", **more) -> Finding:
    fields = {"kind": Kind.CONVENTION, "severity": Severity.DIFFERENCE, "problem": "p", "family": "f", **more}
    return Finding(subject=subject, cause=Cause(cause), dtype="float32", part="loss", summary="", **fields)


def written(tmp_path, text):
    path = tmp_path / "logitmus.toml"
    path.write_text(text)
    return path


EXPECT = '[[expect]]\nsubject = "torch:*"\ncause = "convention:*"\nreason = "we know"\n'


def judged(tmp_path, text, *findings):
    acceptance = Acceptance(load(written(tmp_path, text)), today=TODAY)
    return acceptance, [acceptance.add(finding) is not None for finding in findings]


def test_an_expectation_covers_by_glob(tmp_path):
    acceptance, accepted = judged(
        tmp_path, EXPECT, finding(), finding(subject="jax:f@cpu"), finding(cause="unexplained")
    )
    assert accepted == [True, False, False]
    assert acceptance.accepted == 1
    assert acceptance.unaccepted(Severity.DIFFERENCE) == 2
    assert acceptance.stale(["torch:f@cpu"]) == ()


def test_a_finding_with_an_accepted_alternative_is_accepted(tmp_path):
    other = finding(cause="convention:divisor=one", alternatives=(Cause("convention:mean_denominator=rows"),))
    text = EXPECT.replace("convention:*", "convention:mean_denominator=*")
    _, accepted = judged(tmp_path, text, other, finding(cause=other.cause))
    assert accepted == [True, False]


def test_a_kind_narrows_it(tmp_path):
    _, accepted = judged(tmp_path, EXPECT + 'kind = "convention"\n', finding(), finding(kind=Kind.CLAIM))
    assert accepted == [True, False]


@pytest.mark.parametrize(("until", "holds"), [("2026-06-01", True), ("2026-05-31", False)])
def test_it_holds_to_its_last_day(tmp_path, until, holds):
    acceptance, accepted = judged(tmp_path, EXPECT + f"until = {until}\n", finding())
    assert accepted == [holds]
    assert bool(acceptance.expired) is not holds
    assert acceptance.stale(["torch:f@cpu"]) == ()


def test_one_that_nothing_matches_is_stale(tmp_path):
    acceptance, _ = judged(tmp_path, EXPECT + EXPECT.replace("torch", "tensorflow"), finding())
    assert [str(e) for e in acceptance.unmatched] == ["tensorflow:* · convention:*"]
    assert acceptance.stale(["tensorflow:g@cpu", "torch:f@cpu"]) == acceptance.unmatched


def test_an_expectation_whose_subjects_were_not_tested_is_not_stale(tmp_path):
    acceptance, _ = judged(tmp_path, EXPECT + EXPECT.replace("torch", "tensorflow"), finding())
    assert acceptance.stale(["torch:f@cpu"]) == ()


def test_severities_below_the_limit_do_not_count(tmp_path):
    acceptance, _ = judged(tmp_path, "", finding(severity=Severity.NOTE), finding(severity=Severity.HAZARD, cause="x"))
    assert [acceptance.unaccepted(severity) for severity in Severity] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[expect", "not a TOML file"),
        ('[[expect]]\nsubject = "a"\ncause = "b"\n', "missing required field `reason`.*takes subject, cause, reason"),
        (EXPECT + 'untill = "x"\n', "unknown field `untill`"),
        (EXPECT + 'kind = "acuracy"\n', "Invalid enum value 'acuracy'"),
        (EXPECT + "until = 7\n", "Expected `date.*got `int`"),
        (EXPECT.replace("we know", " "), r"number 1: reason is empty"),
        ("[expectations]\n", "unknown field `expectations`"),
    ],
)
def test_a_wrong_file_is_an_error_with_its_path_and_reason(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ExpectationsError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ExpectationsError, match="cannot be read"):
        load(tmp_path / "none.toml")
