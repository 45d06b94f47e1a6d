"""`logitmus accept`: the entries that a run leads to, and how they get into the file."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest
from implementations import subject

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendReady, Examined, Judged, RunStarted, Settled
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import SubjectId
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Expectation, ExpectationsError, load
from logitmus.results.expectations_file import ExpectationsFile
from logitmus.results.proposals import proposals, with_reason

TODAY = datetime.date(2026, 6, 1)
A, B, C = "torch:f@cpu", "torch:g@cpu", "torch:f+jit@cpu"
OTHER = "jax:f@cpu"


def events(found, tested=(A, B, C, OTHER), **settings):
    """A run of these subjects on two families in two dtypes; `found`: (subject, family, dtype) to cause."""
    yield RunStarted(1, (), {}, RunSettings(**settings))
    for identity in tested:
        named = SubjectId.parse(identity)
        parts = {"backend": named.backend, "function": named.function, "mode": "+".join(named.modes)}
        ready = replace(subject(PORTABLE), device=named.device, **parts)
        yield BackendReady(named.backend, (ready,), {}, 1)
    for family in ("ties", "one-class"):
        for dtype in ("float32", "float16"):
            problem = Problem(logits=np.zeros((1, 3), dtype), targets=np.array([2]), family=family)
            for identity in tested:
                cause = found.get((identity, family, dtype))
                findings = (finding(identity, cause, problem),) if cause else ()
                verdict = Verdict.FINDING if findings else Verdict.PASS
                yield Judged(
                    problem,
                    Judgement(
                        subject=identity,
                        problem=problem.id,
                        family=family,
                        dtype=dtype,
                        verdict=verdict,
                        findings=findings,
                    ),
                )


def finding(identity, cause, problem):
    return Finding(
        kind=Kind.SPECIAL,
        severity=Severity.BUG,
        subject=identity,
        problem=problem.id,
        family=problem.family,
        dtype=problem.dtype,
        part="loss",
        cause=Cause(cause),
        summary=cause,
    )


def test_a_finding_is_known_by_the_id_under_which_reports_show_it():
    run = list(events({(A, "ties", "float32"): "negative_zero", (OTHER, "ties", "float32"): "unexplained"}))
    (known, other) = [event for event in run if isinstance(event, Judged) and event.judgement.findings]
    small = Problem(logits=np.zeros((1, 1)), targets=np.array([0]), family="ties")
    (found,) = known.judgement.findings
    shown = [finding(A, cause, small) for cause in ("unexplained", "ties")]
    run += [Examined(found, shown[0], small), Settled(found, None, shown[1], small)]
    ids = {str(p.expectation.subject): p.findings for p in proposals(run, Acceptance(()), Severity.BUG)}
    assert ids == {A: {found.id, shown[0].id, shown[1].id}, OTHER: {other.judgement.findings[0].id}}


def test_what_a_run_settles_on_another_cause_needs_no_entry_of_its_own(tmp_path):
    """One line of a report, one entry: though some of its results have the cause as an alternative only."""
    run = list(events(everywhere(A, B, C, families=["ties"], cause="separate_logsumexp")))
    problem = Problem(logits=np.ones((1, 3), np.float16), targets=np.array([2]), family="ties")
    coarse = replace(
        finding(A, "effective_precision:storage=float16,arithmetic=float16", problem),
        kind=Kind.CLAIM,
        severity=Severity.DIFFERENCE,
        alternatives=(Cause("separate_logsumexp"),),
    )
    place = {"subject": A, "problem": problem.id, "family": "ties", "dtype": "float16"}
    run.append(Judged(problem, Judgement(**place, verdict=Verdict.FINDING, findings=(coarse,))))
    (separate, other) = proposals(run, Acceptance(()), Severity.DIFFERENCE)
    assert (separate.expectation.cause, other.expectation.cause) == ("separate_logsumexp", coarse.cause)
    run.append(Settled(coarse, Cause("separate_logsumexp"), None, problem))
    (proposal,) = proposals(run, Acceptance(()), Severity.DIFFERENCE)
    assert (proposal.results, proposal.severity) == (7, Severity.BUG)
    assert proposal.expectation.cause == "separate_logsumexp"
    assert coarse.id in proposal.findings
    file = ExpectationsFile(tmp_path / "logitmus.toml")
    file.accept(with_reason(proposal, "known"), TODAY)
    file.path.write_text(file.after)
    again = Acceptance(load(file.path), today=TODAY)
    assert proposals(run, again, Severity.DIFFERENCE) == []
    chosen = [
        proposals(run, Acceptance(()), Severity.DIFFERENCE, lambda f, cause=cause: f.cause == cause)
        for cause in ("separate_logsumexp", coarse.cause)
    ]
    assert [[p.results for p in found] for found in chosen] == [[7], []]


def proposed(found, *, accepted=(), **run):
    return [p.expectation for p in proposals(events(found, **run), Acceptance(accepted, today=TODAY), Severity.BUG)]


def everywhere(*subjects, families=("ties", "one-class"), dtypes=("float32", "float16"), cause="lost"):
    return {(subject, family, dtype): cause for subject in subjects for family in families for dtype in dtypes}


@pytest.mark.parametrize(
    ("shown", "glob"),
    [
        ((A,), A),
        ((A, B, C), "torch:*"),
        ((A, C), "torch:f[+@]*"),
        ((B, C), (C, B)),
    ],
)
def test_the_subject_is_the_most_general_glob_that_the_run_shows(shown, glob):
    (expectation,) = proposed(everywhere(*shown))
    assert expectation.subject == glob


@pytest.mark.parametrize(
    ("settings", "glob"),
    [
        ({"subjects": ("torch:f*",)}, "torch:f*"),
        ({"devices": ("cpu",)}, "torch:*@cpu"),
        ({"check": "torch:f"}, (C, A)),
    ],
)
def test_a_run_of_selected_subjects_proposes_nothing_wider(settings, glob):
    (expectation,) = proposed(everywhere(A, C), tested=(A, C), **settings)
    assert expectation.subject == glob


def test_all_functions_of_a_mode_have_a_glob():
    more = "torch:g+jit@cpu"
    (expectation,) = proposed(everywhere(C, more), tested=(A, B, C, more))
    assert expectation.subject == "torch:*+jit@*"


def test_families_and_dtypes_are_named_where_only_some_show_it():
    (expectation,) = proposed(everywhere(A, B, C, families=["ties"], dtypes=["float16"]))
    assert (expectation.family, expectation.when.dtype) == ("ties", "float16")
    (expectation,) = proposed(everywhere(A))
    assert expectation.when.dtype is None


def test_backends_and_causes_have_entries_of_their_own():
    found_in_both = everywhere(A, dtypes=["float16"], cause="spurious_overflow")
    found = {**everywhere(A, B, C), **everywhere(OTHER), **found_in_both}
    assert {(e.subject, e.cause, e.when.dtype) for e in proposed(found)} == {
        (OTHER, "lost", None),
        (A, "spurious_overflow", "float16"),
        ("torch:*", "lost", None),
    }


def test_a_quick_run_marks_its_entries_so_that_a_quick_run_may_find_them_stale():
    assert [e.profile for e in proposed(everywhere(A), profile="quick")] == ["quick"]


def test_what_is_accepted_already_is_not_proposed():
    assert proposed(everywhere(A), accepted=[Expectation(subject="torch:*", cause="lost", reason="r")]) == []


@pytest.mark.parametrize("shown", [(A,), (A, B, C), (A, C), (B, C)])
@pytest.mark.parametrize("families", [["ties"], ["ties", "one-class"]])
@pytest.mark.parametrize("dtypes", [["float16"], ["float32", "float16"]])
def test_the_written_entries_accept_the_run_and_nothing_else_in_it(tmp_path, shown, families, dtypes):
    path = tmp_path / "logitmus.toml"
    found = everywhere(*shown, families=families, dtypes=dtypes)
    file = ExpectationsFile(path)
    for proposal in proposals(events(found), Acceptance(()), Severity.BUG):
        file.accept(with_reason(proposal, "known"), TODAY)
    path.write_text(file.after)
    again = Acceptance(load(path), today=TODAY)
    assert proposals(events(found), again, Severity.BUG) == []
    assert not again.stale
    more = Acceptance(load(path), today=TODAY)
    left = proposals(events(everywhere(A, B, C, OTHER)), more, Severity.BUG)
    assert sum(proposal.results for proposal in left) == 16 - len(found)


COMMENTED = """# ours
[but]
factor = 2

[[expect]]  # the first
subject = "torch:f@cpu"
cause = "lost"
kind = "special"
reason = "known"  # since May
until = 2026-05-31
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "logitmus.toml"
    path.write_text(COMMENTED)
    return path


def test_comments_and_order_stay(path):
    file = ExpectationsFile(path)
    file.accept(Expectation(subject="jax:*", cause="lost", reason="r"), TODAY)
    assert file.after.startswith(COMMENTED)
    assert file.after.removeprefix(COMMENTED) == '\n[[expect]]\nsubject = "jax:*"\ncause = "lost"\nreason = "r"\n'
    assert (file.added, file.changed, file.removed) == (1, 0, 0)


def test_an_expired_entry_of_the_class_is_renewed(path):
    file = ExpectationsFile(path)
    file.accept(
        Expectation(subject="torch:f@cpu", cause="lost", kind=Kind.SPECIAL, reason="still", link="https://a.b/7"), TODAY
    )
    assert (file.added, file.changed) == (0, 1)
    assert "until" not in file.after
    assert 'reason = "still"' in file.after
    assert file.after.startswith("# ours")


def test_an_entry_with_the_same_reason_is_widened(path):
    path.write_text(COMMENTED.replace("until = 2026-05-31\n", ""))
    file = ExpectationsFile(path)
    file.accept(Expectation(subject=("torch:g@cpu",), cause="lost", kind=Kind.SPECIAL, reason="known"), TODAY)
    assert file.expectations[0].subject == ("torch:f@cpu", "torch:g@cpu")
    assert "# since May" in file.after
    file.accept(Expectation(subject="torch:h@cpu", cause="lost", kind=Kind.SPECIAL, reason="another"), TODAY)
    assert (file.added, file.changed) == (1, 1)


def test_an_entry_is_removed(path):
    file = ExpectationsFile(path)
    file.accept(Expectation(subject="jax:*", cause="lost", reason="r"), TODAY)
    file.remove([file.expectations[0]])
    assert (file.removed, len(file.expectations)) == (1, 1)
    path.write_text(file.after)
    assert [e.subject for e in load(path)] == ["jax:*"]


@pytest.mark.parametrize("prefix", ["", "tool.logitmus."])
@pytest.mark.parametrize("removed", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_an_entry_is_removed_with_its_comments_and_no_others(tmp_path, removed, prefix):
    path = tmp_path / ("pyproject.toml" if prefix else "logitmus.toml")
    entries = [
        f'# why {name}\n[[{prefix}expect]]\nsubject = "{name}:*"  # {name}\ncause = "lost"\nreason = "r"\n'
        f'[{prefix}expect.when]\ndtype = "float16"\n# in {name}\n\n'
        for name in "abc"
    ]
    head, tail = "# the head of the file\n\n", "# other things\n[tool.other]\nx = [\n  1,\n]\n" if prefix else ""
    path.write_text(head + "".join(entries) + tail)
    file = ExpectationsFile(path)
    file.remove([file.expectations[number] for number in removed])
    left = "".join(entry for number, entry in enumerate(entries) if number not in removed)
    assert file.after == head + left + tail


def test_entries_in_pyproject_stay_there(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "a"  # a\n\n[tool.other]\nx = 1\n')
    file = ExpectationsFile(path)
    file.accept(Expectation(subject="jax:*", cause="lost", reason="r"), TODAY)
    assert "[[tool.logitmus.expect]]" in file.after
    assert file.after.startswith(path.read_text().rstrip())
    path.write_text(file.after)
    assert [e.subject for e in load(path)] == ["jax:*"]


def test_inline_tables_are_refused(tmp_path):
    path = tmp_path / "logitmus.toml"
    path.write_text('expect = [{subject = "jax:*", cause = "lost", reason = "r"}]\n')
    with pytest.raises(ExpectationsError, match=r"write each expectation as a table with the header \[\[expect\]\]"):
        ExpectationsFile(path).accept(Expectation(subject="torch:*", cause="lost", reason="r"), TODAY)
