"""Expectations: what they cover and when they end; which are stale and which were not tested; mistakes in the file."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest
from implementations import subject

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendReady, Examined, Judged, RunStarted
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import SubjectId
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Conditions, Expectation, ExpectationsError, default_file, load
from logitmus.results.expectations_mistakes import CONDITIONS, FIELDS

TODAY = datetime.date(2026, 6, 1)
PROBLEM = Problem(logits=np.zeros((1, 3), np.float32), targets=np.array([2]))


def finding(subject="torch:cross_entropy@cpu", cause="convention:mean_denominator=rows", **more) -> Finding:
    fields = {"kind": Kind.CONVENTION, "severity": Severity.DIFFERENCE, "problem": "p", "family": "f"}
    fields = {**fields, "dtype": "float32", "part": "loss", "summary": "", **more}
    return Finding(subject=subject, cause=Cause(cause), **fields)


def written(tmp_path, text):
    path = tmp_path / "logitmus.toml"
    path.write_text(text)
    return path


EXPECT = '[[expect]]\nsubject = "torch:*"\ncause = "convention:*"\nreason = "we know"\n'


def judged(tmp_path, text, *findings):
    acceptance = Acceptance(load(written(tmp_path, text)), today=TODAY)
    return acceptance, [acceptance.add(finding) is not None for finding in findings]


def after_run(
    acceptance, *subjects, family="f", dtype="float32", problem=PROBLEM, profile="default", families=(), **env
):
    """Tell it of a run with these subjects and problems."""
    acceptance.observe(RunStarted(1, ("torch",), {}, RunSettings(profile=profile, families=families)))
    for identity in subjects:
        named = SubjectId.parse(identity)
        ready = replace(
            subject(PORTABLE), backend=named.backend, function=named.function, mode="+".join(named.modes),
            device=named.device,
        )  # fmt: skip
        acceptance.observe(BackendReady(named.backend, (ready,), env, 1))
        judgement = Judgement(subject=identity, problem=problem.id, family="f", dtype="float32", verdict=Verdict.PASS)
        acceptance.observe(Judged(problem, judgement))
    return acceptance


def why(acceptance):
    return [unused.why for unused in acceptance.unused()]


def test_an_expectation_covers_by_glob(tmp_path):
    acceptance, accepted = judged(
        tmp_path, EXPECT, finding(), finding(subject="jax:f@cpu"), finding(cause="unexplained")
    )
    assert accepted == [True, False, False]
    assert acceptance.accepted == 1
    assert list(acceptance.unused()) == []


def test_a_finding_with_an_accepted_alternative_is_accepted(tmp_path):
    other = finding(cause="convention:divisor=one", alternatives=(Cause("convention:mean_denominator=rows"),))
    text = EXPECT.replace("convention:*", "convention:mean_denominator=*")
    _, accepted = judged(tmp_path, text, other, finding(cause=other.cause))
    assert accepted == [True, False]


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ('kind = "convention"', {}, {"kind": Kind.CLAIM}),
        ('family = "class-*"', {"family": "class-weights"}, {"family": "ties"}),
        ('family = ["ties", "f"]', {"family": "ties"}, {"family": "g"}),
        ('problem = "ab"', {"problem": "abc"}, {"problem": "b"}),
        ('when.device = "cuda*"', {"subject": "torch:f@cuda:1"}, {}),
        ('when.dtype = ["float16", "float32"]', {"dtype": "float16"}, {"dtype": "float64"}),
        ('when.mode = "eager"', {}, {"subject": "torch:f+compile@cpu"}),
        ('when.mode = "*x64"', {"subject": "torch:f+jit+x64@cpu"}, {}),
    ],
)
def test_a_field_narrows_it(tmp_path, line, inside, outside):
    _, accepted = judged(tmp_path, f"{EXPECT}{line}\n", finding(**inside), finding(**outside))
    assert accepted == [True, False]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('packages.torch = ">=2.10,<3"', True),
        ('packages.torch = "<2.10"', False),
        ('packages.PyTorch_Extras = ">0"', False),
        ('platform = "linux*x86*"', True),
        ('platform = "darwin*"', False),
    ],
)
def test_packages_and_platform_of_the_backend_decide_whether_it_holds(tmp_path, condition, holds):
    acceptance = Acceptance(load(written(tmp_path, f"{EXPECT}when.{condition}\n")), today=TODAY)
    environment = {"packages": {"torch": "2.13.0+cpu"}, "platform": "Linux-6.1-x86_64-with-glibc2.36"}
    after_run(acceptance, "torch:cross_entropy@cpu", **environment)
    assert (acceptance.add(finding()) is not None) is holds
    assert why(acceptance) == ([] if holds else ["its conditions do not hold here"])


@pytest.mark.parametrize(("until", "holds"), [("2026-06-01", True), ("2026-05-31", False)])
def test_it_holds_to_its_last_day(tmp_path, until, holds):
    acceptance, accepted = judged(tmp_path, EXPECT + f"until = {until}\n", finding())
    assert accepted == [holds]
    assert bool(acceptance.expired) is not holds
    assert list(acceptance.unused()) == []


@pytest.mark.parametrize(
    ("more", "run", "reason"),
    [
        ("", {}, "matches nothing"),
        ("", {"subjects": ["jax:f@cpu"]}, "no subject of this run matches"),
        ('family = "spatial"', {}, "none of its problems was used"),
        ('family = "ignored-row"', {}, "no family is called 'ignored-row'; did you mean 'ignored-rows'?"),
        ('when.dtype = "float64"', {}, "none of its problems was used"),
        ("", {"families": ("f",)}, "matches no finding on the selected problems"),
        ('family = "f"\nwhen.dtype = "float32"', {"families": ("f",)}, "matches nothing"),
        ("", {"profile": "quick"}, "the profile quick may be too small to show it"),
        ('profile = "quick"', {"profile": "quick"}, "matches nothing"),
        ("", {"profile": "full"}, "matches nothing"),
    ],
)
def test_an_expectation_is_stale_only_if_the_run_could_have_shown_it(tmp_path, more, run, reason):
    acceptance = Acceptance(load(written(tmp_path, f"{EXPECT}{more}\n")), today=TODAY)
    subjects = run.pop("subjects", ["torch:f@cpu"])
    after_run(acceptance, *subjects, **run)
    assert why(acceptance) == [reason]
    assert bool(acceptance.stale) is (reason == "matches nothing")


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("torch:*", "matches no finding of the selected subjects"),
        ("torch:f@cpu", "matches nothing"),
        ("torch:f*", "matches nothing"),  # the very glob that selected the subjects
    ],
)
def test_a_glob_is_not_stale_if_only_some_subjects_were_selected(tmp_path, subject, reason):
    acceptance = Acceptance(load(written(tmp_path, EXPECT.replace("torch:*", subject))), today=TODAY)
    after_run(acceptance, "torch:f@cpu")
    acceptance.observe(RunStarted(1, ("torch",), {}, RunSettings(subjects=("torch:f*",))))
    assert why(acceptance) == [reason]


def test_an_expectation_of_a_problem_is_stale_where_this_problem_was_used(tmp_path):
    text = EXPECT + f'problem = "{PROBLEM.id}"\n'
    used = after_run(Acceptance(load(written(tmp_path, text)), today=TODAY), "torch:f@cpu")
    other = after_run(
        Acceptance(used.expectations, today=TODAY), "torch:f@cpu", problem=PROBLEM.but(targets=np.array([0]))
    )
    assert (why(used), why(other)) == (["matches nothing"], ["none of its problems was used"])
    unknown = Acceptance(load(written(tmp_path, f'{EXPECT}problem = "{"0" * 20}"\n')), today=TODAY)
    assert why(after_run(unknown, "torch:f@cpu")) == ["none of its problems was used"]  # no error: of another version


def test_the_reduced_input_of_a_finding_is_no_problem_of_an_expectation(tmp_path):
    """Reports show it beside the finding, so it is an easy mistake."""
    reduced = PROBLEM.but(targets=np.array([0]))
    acceptance = Acceptance(load(written(tmp_path, f'{EXPECT}problem = "{reduced.id}"\n')), today=TODAY)
    after_run(acceptance, "torch:f@cpu")
    acceptance.observe(Examined(finding(problem=PROBLEM.id), finding(problem=reduced.id), reduced))
    assert why(acceptance) == [f"its problem is a reduced input; the finding is of the problem {PROBLEM.id}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[expect", "not a TOML file"),
        (
            '[[expect]]\nsubject = "a"\ncause = "lost"\n',
            "line 1: reason is missing; every entry needs subject, cause and re",
        ),
        (
            EXPECT + 'untill = "x"\n',
            r"line 5: unknown field 'untill'; did you mean 'until'\? \[\[expect\]\] takes subject, ",
        ),
        (EXPECT + 'ticket = "x"\n', r"line 5: unknown field 'ticket'; \[\[expect\]\] takes subject, cause, .*, when$"),
        (EXPECT + 'kind = "acuracy"\n', "line 5: unknown kind 'acuracy'; did you mean 'accuracy'"),
        (EXPECT + "until = 7\n", "line 5: until is 7; write a date such as 2027-01-31, without quotes$"),
        (EXPECT + 'until = "tomorrow"\n', "line 5: until is 'tomorrow'; write a date such as "),
        (EXPECT + "until = 2027-01-31T00:00:00\n", "line 5: until is 2027-01-31 00:00:00 .*; write a date such as "),
        (EXPECT + "link = 7\n", "line 5: link is 7; write an address in quotes$"),
        (
            EXPECT.replace('"torch:*"', '["a", 3]'),
            r"line 2: subject is a list, \['a', 3\]; write a pattern in quotes, or ",
        ),
        (EXPECT + "profile = 3\n", "line 5: profile is 3; write one of quick, default, full, in quotes$"),
        (EXPECT + 'when = "cpu"\n', "line 5: when is 'cpu'; write conditions, such as when.device = \"cpu\"$"),
        (
            EXPECT + 'when.packages = "jax"\n',
            "line 5: when.packages is 'jax'; write a range for each package, such as ",
        ),
        (
            EXPECT + "when.packages.jax = 2\n",
            "line 5: when.packages.jax is 2; write a range for each package, such as ",
        ),
        (EXPECT + 'when.device = ""\n', "line 5: when.device is empty"),
        (EXPECT + "when.dtype = []\n", "line 5: when.dtype is empty"),
        (
            EXPECT.replace("[[expect]]", "[expect]"),
            r"line 1: expect is one table; write \[\[expect\]\], in double brackets,",
        ),
        ("\nbut = 3\n", r"line 2: but is 3; write a table \[but\] of NAME = VALUE$"),
        ("[but]\na = 1\nfactor = [1]\n", r"line 3: but.factor is a list, \[1\]; write text in quotes, or a number$"),
        (EXPECT + 'profile = "small"\n', "line 5: unknown profile 'small'; choose from: quick, default, full"),
        (EXPECT + EXPECT.replace("we know", " "), r"line 8: reason is empty"),
        (EXPECT + "family = []\n", r"line 5: family is empty"),
        (
            EXPECT.replace("convention:*", "convension:*"),
            "line 3: unknown cause .convension.; .*.convention.",
        ),
        (EXPECT.replace(':*"\nr', ':inptus=*"\nr'), "line 3: unknown field of a convention 'inptus'; .*'inputs'"),
        (
            EXPECT + 'problem = "0f3g"\n',
            "line 5: '0f3g' cannot be the id of a problem; write the 20 characters of the id",
        ),
        (EXPECT + f'problem = "{PROBLEM.id}0"\n', "line 5: .* cannot be the id of a problem"),
        (EXPECT + f'problem = "{PROBLEM.id.upper()}"\n', "line 5: .*; write the 20 characters .*, each 0-9 or a-f"),
        (EXPECT + 'when.dtype = "float61"\n', "line 5: unknown dtype 'float61'; did you mean .float64."),
        (
            EXPECT + 'when.devise = "cpu"\n',
            "line 5: unknown field 'devise'; did you mean 'device'.*`when` takes packages,",
        ),
        (EXPECT + 'when.packages.jax = "new"\n', "line 5: invalid version range 'new' of jax; write .*'>=2.1,<3'"),
        (EXPECT + 'when.packages.jax = ">=3,<2"\n', "line 5: no version of jax is in the range '>=3,<2'"),
        (
            "[expectations]\n",
            r"line 1: unknown table or field 'expectations'; use \[\[expect\]\] for accepted findings, or ",
        ),
    ],
)
def test_a_wrong_file_is_an_error_with_its_path_and_reason(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ExpectationsError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("versions", [">2,<3", "==2.13.*", "~=2.1", "!=2.0", "<0.5", "==2.13.0"])
def test_a_range_that_holds_a_version_is_not_refused(tmp_path, versions):
    assert load(written(tmp_path, f'{EXPECT}when.packages.jax = "{versions}"\n'))


def test_expectations_may_be_in_pyproject(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "a"\n')
    assert default_file(tmp_path) is None
    project.write_text('[project]\nname = "a"\n\n' + EXPECT.replace("[[expect]]", "[[tool.logitmus.expect]]"))
    assert default_file(tmp_path) == project
    assert [str(expectation) for expectation in load(project)] == ["torch:* · convention:*"]
    project.write_text(project.read_text() + "untill = 7\n")
    with pytest.raises(ExpectationsError, match=r"pyproject.toml, line 8: .* \[\[tool.logitmus.expect\]\] takes"):
        load(project)
    for text, message in (
        ("[tool]\nlogitmus = 3\n", r"line 2: tool.logitmus is 3; write tables, such as \[\[tool.logitmus.expect\]\]"),
        ("[tool.logitmus]\nbut = 3\n", r"line 2: tool.logitmus.but is 3; write a table \[tool.logitmus.but\]"),
    ):
        project.write_text(text)
        with pytest.raises(ExpectationsError, match=message):
            load(project)
    project.write_text("tool = 3\n")
    assert default_file(tmp_path) is None  # for other tools to complain about
    written(tmp_path, EXPECT)
    assert default_file(tmp_path) == tmp_path / "logitmus.toml"


def test_every_field_is_described_where_it_is_wrong():
    assert tuple(FIELDS) == Expectation.__struct_fields__
    assert tuple(CONDITIONS) == Conditions.__struct_fields__


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ExpectationsError, match="cannot be read"):
        load(tmp_path / "none.toml")
