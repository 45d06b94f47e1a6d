"""The command line: help, exit codes, error messages, and a run from start to report."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import FakeJudge, FakePool, problem, specs, subject

from logitmus.cli import VERBS, app, main
from logitmus.core.events import BackendFailed
from logitmus.core.run_settings import RunSettings
from logitmus.engine.run import run
from logitmus.storage.store import Store, StoreError

SUPPORT = Path(__file__).parent.parent / "support"
MINI = ["--backend", "mini_backend:BACKEND", "--profile", "quick", "--family", "seed-question", "--dtype", "float32"]

LONG = [
    "--backend",
    "mini_backend:SLOW",
    "--profile",
    "full",
    "--dtype",
    "float32",
    "--family",
    "co*",
    "--family",
    "ordinary",
]


@pytest.fixture
def cli(capfd, monkeypatch, tmp_path):
    """Runs `logitmus ARGS` in an empty folder; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["logitmus", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture
def mini(tmp_path):
    """A user's own backend, in the folder where `cli` runs."""
    shutil.copy(SUPPORT / "mini_backend.py", tmp_path)


@pytest.fixture
def old_run(tmp_path):
    def make(name: str, **more) -> Path:
        path = tmp_path / name
        with Store.create(path, settings=RunSettings(seed=0)) as store:
            pool = FakePool({"fake": [subject()]}, **more)
            list(run([problem(seed) for seed in range(3)], specs("fake"), store, pool=pool, judge=FakeJudge()))
        return path

    return make


def test_help_lists_every_verb_in_its_group_and_the_exit_codes(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert "130 interrupted" in " ".join(out.split())
    groups = {panel: out[out.index(f"{panel}:\n") :].split("\n\n")[0].splitlines()[1:] for panel in VERBS}
    for panel, verbs in VERBS.items():
        nested = [group.name for group in app.registered_groups if group.rich_help_panel == panel]
        assert [line.split()[0] for line in groups[panel]] == [*(verb.__name__ for verb in verbs), *nested]
    assert {command.callback for command in app.registered_commands} == {verb for of in VERBS.values() for verb in of}


def test_no_short_help_is_cut_or_wrapped_at_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = cli("--help")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for verbs in VERBS.values():
        for verb, short_help in verbs.items():
            assert len(short_help) <= 50
            assert f"{verb.__name__} {short_help}" in lines


def test_an_internal_error_has_its_own_exit_code(cli, monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("logitmus.cli.app", broken)
    code, _, err = cli("check")
    assert code == 70
    assert "ZeroDivisionError: ours" in err
    assert err.endswith("internal error; this is a bug in Logitmus, not a result of the test\n")


def test_help_loads_no_engine():
    program = (
        "import sys, logitmus.cli; print(*sorted({'numpy', 'rich.progress', 'sqlite3', 'msgspec'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "--backend", "troch"], "unknown backend 'troch'; did you mean 'torch'?"),
        (["run", "--backend", "cmd:./nothing"], "is not a program that can be run"),
        (["run", "--family", "seed-questoin"], "did you mean 'seed-question'?"),
        (["run", "--dtype", "float31"], "did you mean 'float32'?"),
        (["run", "--profile", "quik"], "'--profile': 'quik' is not one of 'quick', 'default', 'full'"),
        (["run", "--repeat", "0"], "'--repeat': 0 is too small; use 1 or more"),
        (["run", "--jobs", "two"], "'--jobs': 'two' is not a whole number"),
        (["run", "--seed", "1.5"], "'--seed': '1.5' is not a whole number"),
        (["run", "--call-seconds", "long"], "'--call-seconds': 'long' is not a number"),
        (["run", "--memory", "1e9"], "'--memory': 1e9 is too large; use 1000000 or less"),
        (["run", "--memory", "nan"], "'--memory': nan is not a number"),
        (["accept", "x.logitmus", "--until", "2027-13-01"], "'2027-13-01' is not a date; write year, month and day"),
        (["run", "--resume"], "needs --out FILE"),
        (["run", "--resume", "--out", "nothing.logitmus"], "nothing.logitmus: cannot be read (No such file"),
        (["run", "--backend", "numpy", "--out", "none/x.logitmus"], "none/x.logitmus: cannot be written"),
        (["run", "--expect", "none.toml"], "none.toml: cannot be read"),
        (["judge", "nothing.logitmus"], "nothing.logitmus: cannot be read (No such file"),
        (["report", __file__], "not the file of a run"),
        (["compare", "a", "b"], "a: cannot be read"),
        (["families", "nothing*"], "unknown family 'nothing*'"),
        (["backends", "troch"], "did you mean 'torch'?"),
        (["conventions", "nothing.logitmus"], "nothing.logitmus: cannot be read (No such file"),
        (["conventions", __file__], "not the file of a run"),
        (["conventions", "--field", "inptus"], "unknown field 'inptus'; did you mean 'inputs'?"),
        (["conventions", "--backend", "troch"], "did you mean 'torch'?"),
        (["conventions", "x.logitmus", "--backend", "numpy"], "cannot be used with RUN"),
    ],
)
def test_a_usage_error_has_a_message_and_exits_with_2(cli, args, message, tmp_path):
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert not re.search("Traceback|Value error|Input should", err)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused(cli, tmp_path):
    path = tmp_path / "mine.logitmus"
    path.write_text("precious")
    code, _, err = cli("run", *MINI[2:], "--out", path)
    assert code == 2
    assert "exists already. Continue a run with --resume, or name another file" in err
    assert path.read_text() == "precious"


def test_a_run_from_start_to_reports(cli, mini, tmp_path):
    code, out, err = cli("run", *MINI, "--out", "x.logitmus", "--json", "x.json", "--html", "x.html")
    assert code in (0, 1)
    assert out
    assert "wrote x.logitmus: " in err
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}  # Python's own, of the backend's module
    assert left == {"x.logitmus", "x.json", "x.html", "mini_backend.py"}
    with Store.open(tmp_path / "x.logitmus") as store:
        assert store.settings.families == ("seed-question",)
        assert len(store) > 0
    again, judged, _ = cli("judge", "x.logitmus")
    assert again == code
    assert judged
    code, _, _ = cli("report", "x.logitmus", "--junit", "x.xml")
    assert code == 0
    assert (tmp_path / "x.xml").exists()


def test_a_resumed_run_keeps_its_settings(cli, mini):
    cli("run", *MINI, "--out", "x.logitmus", "--seed", "5")
    code, _, err = cli("run", "--resume", "--out", "x.logitmus")
    assert code in (0, 1)
    assert "wrote x.logitmus: " in err
    code, _, err = cli("run", "--resume", "--out", "x.logitmus", "--seed", "6")
    assert code == 2
    assert "was started with seed = 5, not 6" in err


def test_a_backend_that_was_asked_for_and_cannot_run_exits_with_3(cli, mini):
    code, _, _ = cli("run", *MINI, "--backend", "absent=mini_backend:ABSENT", "--out", "x.logitmus")
    assert code == 3


def zeros(problem, _):
    import numpy as np

    from logitmus.core.observation import Answered

    return Answered(np.zeros(4, np.float32), np.zeros((4, 3), np.float32))


def test_findings_decide_the_exit_code_unless_accepted_or_too_slight(cli, old_run, tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    path = old_run("wrong", answer=zeros)
    assert cli("judge", path)[0] == 1
    assert cli("judge", path, "--fail-on", "never", "--junit", "never.xml")[0] == 0
    assert "<failure" not in (tmp_path / "never.xml").read_text()
    assert cli("report", path)[0] == 0
    expect = tmp_path / "logitmus.toml"
    expect.write_text('[[expect]]\nsubject = "fake:*"\ncause = "*"\nreason = "a fake"\n')
    code, _, err = cli("judge", path, "--junit", "accepted.xml")
    assert code == 0
    assert "accepted by expectations" in err
    xml = (tmp_path / "accepted.xml").read_text()
    assert "<failure" not in xml
    assert "(accepted: a fake)" in xml
    more = '[[expect]]\nsubject = "{}"\ncause = "negative_zero"\nreason = "long ago"\n'
    expect.write_text(expect.read_text() + more.format("gone:*") + more.format("fake:*"))
    code, _, err = cli("judge", path)
    assert code == 0
    assert "expectation not tested (no subject of this run matches): gone:*" in err
    assert "stale expectation (matches nothing): fake:*" in err
    assert (
        cli("judge", path, "--strict", "--junit", "stale.xml", "--markdown", "stale.md", "--html", "stale.html")[0] == 1
    )
    assert "stale expectation" in (tmp_path / "stale.md").read_text()
    assert "stale expectation (matches nothing): fake:*" in (tmp_path / "stale.html").read_text()
    assert '<failure message="stale expectation (matches nothing): fake:*' in (tmp_path / "stale.xml").read_text()
    monkeypatch.setenv("CI", "true")
    assert cli("judge", path)[0] == 1
    assert cli("judge", path, "--no-strict")[0] == 0


def test_accept_writes_what_makes_the_next_run_pass(cli, old_run, tmp_path):
    path = old_run("wrong", answer=zeros)
    file = tmp_path / "logitmus.toml"
    code, out, err = cli("accept", path, "--reason", "a fake", "--dry-run")
    assert (code, file.exists()) == (0, False)
    assert '+reason = "a fake"' in out
    assert "would write logitmus.toml: " in err
    code, again, err = cli("accept", path, "--reason", "a fake", "--until", "2999-01-01")
    assert code == 0
    assert "wrote logitmus.toml: " in err
    assert "until = 2999-01-01" in again
    assert cli("judge", path, "--strict")[0] == 0
    assert "nothing to accept" in cli("accept", path, "--reason", "a fake")[2]
    file.write_text(file.read_text() + '\n[[expect]]\nsubject = "fake:*"\ncause = "negative_zero"\nreason = "old"\n')
    code, out, err = cli("accept", path, "--prune")
    assert (code, "negative_zero" in file.read_text()) == (0, False)
    assert '-cause = "negative_zero"' in out
    assert "wrote logitmus.toml: 0 added, 0 changed, 1 removed" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'needs a reason: give --reason "..."'),
        (["--reason", "x", "--finding", "zz"], "this run has no finding 'zz' that counts and is not accepted yet"),
        (["--reason", "x", "--fail-on", "never"], "use bug, hazard, difference or note"),
        (["--reason", "x", "--until", "tomorrow"], "tomorrow"),
        (["--reason", "x", "--file", "no/folder.toml"], "no/folder.toml: the folder no does not exist"),
    ],
)
def test_accept_refuses_what_it_cannot_do(cli, old_run, tmp_path, arguments, message):
    path = old_run("wrong", answer=zeros)
    before = set(tmp_path.iterdir())
    code, _, err = cli("accept", path, *arguments)
    assert code == 2
    assert message in err
    assert set(tmp_path.iterdir()) == before


def test_a_run_without_calls_and_a_comparison_without_common_calls_fail(cli, mini, old_run, tmp_path):
    code, _, err = cli("run", *MINI, "--subject", "nobody*", "--out", "nothing.logitmus")
    assert code == 2
    assert "nothing was tested" in err
    assert cli("run", *MINI, "--out", "mine.logitmus", "--fail-on", "never")[0] == 0
    code, _, err = cli("compare", "mine.logitmus", old_run("other"))
    assert code == 2
    assert "they have no call in common" in err


def test_a_run_without_results_leaves_no_file_and_touches_no_other(cli, mini, old_run, tmp_path):
    before = old_run("x.logitmus").read_bytes()
    nothing = (*MINI, "--subject", "mini_backend:other*")
    assert cli("run", *nothing, "--out", "new.logitmus")[::2] == (
        2,
        "logitmus: nothing was tested: no subject is selected by --subject, --device and --profile; "
        "`logitmus backends --subjects` lists them\n",
    )
    assert cli("run", *nothing)[0] == 2  # a file with a name of its own
    assert cli("run", *nothing, "--out", "x.logitmus")[0] == 2
    (tmp_path / "cut.logitmus").write_bytes(before[:5000])
    code, _, err = cli("run", *MINI, "--out", "new.logitmus", "--against", "cut.logitmus")
    assert code == 2
    assert "cut.logitmus: damaged" in err
    assert cli("run", "--resume", "--out", "x.logitmus", "--expect", "none.toml")[0] == 2
    assert {path.name for path in tmp_path.glob("*.logitmus*")} == {"x.logitmus", "cut.logitmus"}
    assert (tmp_path / "x.logitmus").read_bytes() == before
    assert cli("run", *nothing, "--shard", "1/2", "--out", "new.logitmus")[0] == 0  # `merge` needs all shards
    assert (tmp_path / "new.logitmus").exists()


@pytest.mark.parametrize(
    ("statement", "distributions"),
    [
        ("import no_such_library", ("no-such-library",)),
        ("sys.path.insert(0, 'site-packages'); import installed", ("numpy",)),
    ],
)
def test_a_backend_whose_library_is_missing_could_not_run(cli, tmp_path, statement, distributions):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages/installed.py").write_text("import no_such_library\n")
    (tmp_path / "lacking.py").write_text(
        "import sys\n"
        "from logitmus.backend import Backend, Function, Offer\n"
        "from logitmus.core.convention import Convention\n"
        "def evaluate(function, mode, device, inputs):\n"
        f"    {statement}\n"
        "ONE = Function(name='f', call=evaluate, offer=Offer(targets='labels'), convention=Convention(), docs={})\n"
        f"BACKEND = Backend(name='lacking', distributions={distributions}, evaluate=evaluate, functions=(ONE,))\n"
    )
    code, _, err = cli("run", "--backend", "lacking:BACKEND", *MINI[2:], "--out", "lacking.logitmus")
    assert code == 3
    assert "needs a module that is not installed: No module named 'no_such_library'" in err


def test_calls_that_were_given_up_are_never_a_score(cli, mini, old_run, tmp_path):
    from logitmus.core.observation import NotRun

    def lost_later(asked, name):
        return right(asked, name) if asked.id == problem().id else NotRun("gave up after 20 workers", given_up=True)

    paths = {}
    for name, backends in (("named", ("fake",)), ("default", ())):
        paths[name] = tmp_path / name
        with Store.create(paths[name], settings=RunSettings(backends=backends)) as store:
            pool = FakePool({"fake": [subject()]}, answer=lost_later)
            list(run([problem(seed) for seed in range(3)], specs("fake"), store, pool=pool, judge=FakeJudge()))
    code, out, _ = cli("judge", paths["named"], "--junit", "lost.xml", "--markdown", "lost.md")
    assert code == 3
    sentence = "1 call; 2 calls not made: workers were lost"
    assert sentence in out
    assert sentence in (tmp_path / "lost.md").read_text()
    assert '<error message="2 calls not made: the workers were lost"' in (tmp_path / "lost.xml").read_text()
    assert (
        cli("judge", paths["default"])[0] == 0
    )  # as where a backend that nobody named cannot start; the headline says it
    whole = old_run("whole", answer=right)
    code, out, _ = cli("judge", paths["default"], "--against", whole)
    assert code == 3
    assert "nothing new in the calls that could be compared" in out
    assert "not compared: 2 calls that whole has and this run did not make" in out
    code, out, err = cli("compare", whole, paths["default"])
    assert code == 3
    assert "2 calls of a later run were not made: workers were lost" in err


def test_an_interrupted_run_is_never_judged_as_complete(cli, old_run, tmp_path):
    path = old_run("cut")
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM observations WHERE problem = (SELECT max(problem) FROM observations)")
    code, out, _ = cli("judge", path)
    assert code == 130
    assert "interrupted" in out


def test_compare_exits_with_1_where_a_result_is_worse(cli, old_run, tmp_path):
    good, bad = old_run("good", answer=right), old_run("bad")
    assert cli("compare", good, bad)[0] == 1
    assert cli("compare", bad, good)[0] == 0
    assert cli("compare", bad, good, "--fail-on", "changed")[0] == 1
    assert cli("compare", good, bad, "--fail-on", "never")[0] == 0
    code, out, _ = cli("compare", good, good, good, "--json", "-", "--html", "x.html", "--markdown", "x.md")
    assert code == 0
    assert json.loads(out)["changed"] is False
    assert "nothing changed" in (tmp_path / "x.html").read_text()
    assert "nothing changed" in (tmp_path / "x.md").read_text()


def test_a_folder_of_runs_gets_a_page_for_each_and_an_index(cli, old_run, tmp_path):
    (tmp_path / "runs").mkdir()
    for name, answer in (("good", right), ("bad", zeros), ("index", right)):
        old_run(name, answer=answer).rename(tmp_path / "runs" / f"{name}.logitmus")
    (tmp_path / "runs" / "<b>.logitmus").write_text("junk")
    code, _, err = cli("report", "runs")
    assert code == 0
    assert "wrote runs/index.html" in err
    page = (tmp_path / "runs" / "index.html").read_text()
    assert 'href="./good.html">No wrong result' in page
    assert 'href="./index.logitmus.html">No wrong result' in page
    assert re.search('href="./bad.html">[0-9]+ things? can bite you', page)
    assert "&lt;b&gt;.logitmus" in page
    assert "<b>" not in page
    assert re.search("20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC", page)
    assert {path.name for path in (tmp_path / "runs").glob("*.html")} == {
        "index.html",
        "index.logitmus.html",
        "good.html",
        "bad.html",
    }
    assert cli("report", "runs", "--json", "x.json")[0] == 2
    (tmp_path / "empty").mkdir()
    code, _, err = cli("report", "empty")
    assert code == 2
    assert "empty holds no run files" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("good",), "names one run; give two or more"),
        (("good", "--axis", "device"), "the runs have only one device (cpu)"),
        (("good", "nowhere"), "nowhere: cannot be read"),
        (("good", "good", "--json", "good"), "good is also the run file 1"),
        (("good", "good", "--html", "a", "--markdown", "a"), "a is also --html"),
    ],
)
def test_compare_refuses_what_cannot_be_compared(cli, old_run, arguments, message):
    old_run("good", answer=right)
    code, _, err = cli("compare", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def right(problem, _):
    from mini_backend import loss

    from logitmus.core.observation import Answered

    value, gradient = loss(problem.logits, problem.targets)
    return Answered(value.astype("f4"), gradient.astype("f4"))


def test_against_an_earlier_run_only_what_is_new_counts(cli, old_run, tmp_path):
    good, bad, again = old_run("good", answer=right), old_run("bad"), old_run("again")
    assert cli("judge", bad)[0] == 1
    code, out, _ = cli("judge", bad, "--against", again, "--junit", "known.xml", "--markdown", "known.md")
    assert code == 0
    assert "Against again (the same versions of the frameworks): nothing new" in out
    assert re.search("known since +again", out)
    assert "<failure" not in (tmp_path / "known.xml").read_text()
    assert '<skipped message="known since again"/>' in (tmp_path / "known.xml").read_text()
    assert "nothing new" in (tmp_path / "known.md").read_text()
    code, out, _ = cli(
        "judge",
        bad,
        "--against",
        good,
        "--fail-on",
        "new",
        "--json",
        "new.json",
        "--html",
        "new.html",
        "--junit",
        "new.xml",
    )
    assert code == 1
    assert "new bug" in out
    read = json.loads((tmp_path / "new.json").read_text())
    assert read["against"]["run"] == str(good)
    assert {change["severity"] for change in read["against"]["new"]} == {"bug"}
    assert all(finding["new"] == finding["count"] for finding in read["findings"])
    assert "<failure" in (tmp_path / "new.xml").read_text()
    assert "Against good" in (tmp_path / "new.html").read_text()
    # `compare` finds the same.
    _, out, _ = cli("compare", good, bad, "--json", "-")
    mine = {(c["cause"], len(c["problems"])) for c in read["against"]["new"]}
    (step,) = json.loads(out)["steps"]
    assert mine == {(t["cause"], t["results"]) for t in step["transitions"] if t["change"] == "newly wrong"}


def test_an_accepted_finding_stays_accepted_though_it_is_new(cli, old_run, tmp_path):
    good, bad = old_run("good", answer=right), old_run("bad")
    assert cli("accept", bad, "--reason", "ours")[0] == 0
    assert cli("judge", bad, "--against", good)[0] == 0
    (tmp_path / "logitmus.toml").write_text('[[expect]]\nsubject = "fake:*"\ncause = "lost"\nreason = "once"\n')
    assert cli("judge", bad, "--against", bad.rename("same"))[0] != 0  # the file is gone: a usage error, no verdict
    shutil.copy("same", "bad")
    assert cli("judge", "bad", "--against", "same", "--strict")[0] == 1  # stale, as without --against
    assert cli("judge", "bad", "--against", "same", "--no-strict")[0] == 0


def test_against_refuses_what_cannot_be_compared(cli, mini, old_run, tmp_path):
    path = old_run("old")
    for arguments, message in (
        (["--fail-on", "new"], "'new' needs --against RUN"),
        (["--against", path], "is this run itself"),
        (["--against", "none.logitmus"], "none.logitmus"),
    ):
        code, _, err = cli("judge", path, *arguments)
        assert code == 2
        assert message in err
    code, _, err = cli("run", *MINI, "--out", "mine.logitmus", "--against", path)
    assert code == 2
    assert "no call in common" in err


def test_a_backend_of_the_earlier_run_that_cannot_run_now_is_never_nothing_new(cli, mini, old_run, tmp_path):
    with Store.create(tmp_path / "both") as store:
        pool = FakePool({"one": [subject("f", "one")], "two": [subject("f", "two")]}, answer=right)
        list(run([problem()], specs("one", "two"), store, pool=pool, judge=FakeJudge()))
    for settings, code in (
        (RunSettings(), 3),
        (RunSettings(backends=("one", "two")), 3),
        (RunSettings(backends=("one",)), 0),
    ):
        later = tmp_path / f"later-{code}-{len(settings.backends)}"
        names = settings.backends or ("one", "two")
        with Store.create(later, settings=settings) as store:
            failed = BackendFailed("two", "no such library")
            pool = FakePool({"one": [subject("f", "one")], "two": failed}, answer=right)
            list(run([problem()], specs(*names), store, pool=pool, judge=FakeJudge()))
        found, out, err = cli("judge", later, "--against", tmp_path / "both")
        assert found == code, settings
        assert "not compared: two" in out
        assert "nothing new in the calls that could be compared" in out
        assert ("has results of two" in err) == (code == 3)


def test_a_run_is_compared_as_it_goes(cli, mini, tmp_path):
    assert cli("run", *MINI, "--out", "first.logitmus")[0] == 0
    code, out, _ = cli("run", *MINI, "--out", "second.logitmus", "--against", "first.logitmus", "--fail-on", "new")
    assert code == 0
    assert "Against first.logitmus (the same versions of the frameworks): nothing new, the bits of all" in out


def test_merge_refuses_to_overwrite(cli, old_run, tmp_path):
    first = old_run("first")
    code, _, err = cli("merge", first, first, "--out", tmp_path / "all")
    assert (code, err) == (0, f"wrote {tmp_path / 'all'}: 3 results of 2 runs\n")
    assert cli("merge", first, "--out", first)[0] == 2


def test_merge_reports_an_interrupted_shard(cli, old_run, tmp_path):
    whole, part = old_run("whole"), old_run("part")
    with Store.open(part, write=True) as store:
        store.add_problems([problem(9), problem(10)])
    code, _, err = cli("merge", whole, part, "--out", tmp_path / "all")
    assert code == 0
    assert f"{part} was interrupted: 2 calls missing" in err
    assert f"{whole} was" not in err
    _, _, err = cli("merge", tmp_path / "all", whole, "--out", tmp_path / "again")  # a union is no run of its own
    assert "interrupted" not in err


def test_a_shard_of_the_real_suite_merges_to_the_json_of_the_whole_run(cli, tmp_path):
    selection = ("--backend", "numpy", "--family", "seed-question", "--family", "many-rows", "--fail-on", "never")
    whole, merged = tmp_path / "whole.json", tmp_path / "merged.json"
    cli("run", *selection, "--out", tmp_path / "w.logitmus", "--json", whole)
    parts = []
    for part in ("1/2", "2/2"):
        parts.append(tmp_path / f"{part[0]}.logitmus")
        code, out, _ = cli("run", *selection, "--shard", part, "--out", parts[-1])
        assert code == 0
        assert f"shard {part}: " in out
    assert cli("merge", *parts, "--out", tmp_path / "m.logitmus")[0] == 0
    resumed = ("run", "--resume", "--out", tmp_path / "m.logitmus", "--fail-on", "never", "--json", merged)
    assert cli(*resumed)[0] == 0
    assert whole.read_bytes() == merged.read_bytes()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_refused(cli, shard):
    code, _, err = cli("run", "--shard", shard)
    assert code == 2
    assert "not a shard" in err


def test_conventions_of_a_backend_and_of_the_file_that_it_left(cli, tmp_path):
    code, out, _ = cli("conventions", "--backend", "numpy", "--out", "x.logitmus", "--json")
    assert code == 0
    measured = json.loads(out)
    assert {card["subject"] for card in measured["subjects"]} == {
        "numpy:textbook@cpu",
        "numpy:textbook.probabilities@cpu",
    }
    agreements = [field["agreement"] for card in measured["subjects"] for field in card["fields"]]
    assert "contradicts" not in agreements
    assert agreements.count("agrees") > 20
    code, again, err = cli("conventions", "x.logitmus", "--json", "--html", "x.html")
    assert (code, json.loads(again), err) == (0, measured, "wrote x.html\n")
    assert "numpy" in (tmp_path / "x.html").read_text()
    code, out, _ = cli("conventions", "x.logitmus", "--subject", "*probabilities*", "--field", "inputs")
    assert code == 0
    assert "textbook.probabilities" in out
    assert "textbook on cpu" not in out
    code, _, err = cli("conventions", "x.logitmus", "--subject", "torch:*")
    assert code == 2
    assert "no subject matches 'torch:*'" in err
    code, _, _ = cli("report", "x.logitmus")
    assert code == 0
    assert 'class="conventions"' in (tmp_path / "x.html").read_text()


def test_conventions_need_the_probes(cli, old_run):
    code, out, err = cli("conventions", old_run("other"))
    assert (code, out) == (2, "")
    assert "holds no problems of the family convention-probes. Make a run that does: logitmus conventions --out" in err


def test_conventions_of_a_backend_that_cannot_run(cli, mini):
    code, out, err = cli("conventions", "--backend", "absent=mini_backend:ABSENT")
    assert (code, out) == (3, "")
    assert "no module named mini" in err


def test_families_as_json(cli):
    code, out, _ = cli("families", "seed*", "--json")
    assert code == 0
    (family,) = json.loads(out)["families"]
    assert family["name"] == "seed-question"
    assert family["problems"] > 0


def test_backends_as_json(cli, mini):
    code, out, _ = cli("backends", "mini_backend:BACKEND", "--json")
    assert code == 0
    (backend,) = json.loads(out)["backends"]
    assert (backend["runs"], backend["devices"]) == (True, ["cpu"])
    assert cli("backends", "mini_backend:ABSENT")[0] == 3


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen]:
    """A slow run, in the file "x", that has its first answers."""
    command = [sys.executable, "-m", "logitmus", "run", *LONG, "--out", "x"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, **streams) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and not answered(folder / "x"):
            time.sleep(0.02)
        yield process


def answered(path: Path) -> int:
    try:
        with Store.open(path, check=False) as store:
            return len(store)
    except StoreError:  # not there yet
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C; how CI cancels a job
def test_an_interrupt_keeps_the_results_and_shows_how_to_resume(mini, tmp_path, number):
    with started(tmp_path) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Resume with: logitmus run --resume --out x" in err
    assert "Traceback" not in err
    assert answered(tmp_path / "x") > 0


def test_a_killed_run_resumes_to_the_undisturbed_one(cli, mini, tmp_path):
    with started(tmp_path) as process:
        process.kill()
        process.communicate(timeout=60)
    kept = answered(tmp_path / "x")
    code, _, _ = cli("run", "--resume", "--out", "x")
    assert code in (0, 1)
    cli("run", *LONG, "--out", "undisturbed")
    assert 0 < kept < answered(tmp_path / "undisturbed") == answered(tmp_path / "x")
    with Store.open(tmp_path / "x") as left, Store.open(tmp_path / "undisturbed") as right:
        assert left.problem_ids() == right.problem_ids()
        assert all(left.raw_outcomes(p) == right.raw_outcomes(p) for p in left.problem_ids())


def test_repeat_names_what_is_not_reproducible_in_every_report(cli, mini, tmp_path):
    one = ("--family", "seed-question", "--dtype", "float32", "--fail-on", "never", "--repeat", "2")
    code, out, err = cli("run", "--backend", "mini_backend:FLAKY", *one, "--out", "x", "--markdown", "x.md")
    assert code == 0
    assert re.search(r"calls repeated: \d+ results not reproducible", out)
    assert "not reproducible: mini_backend:cross_entropy@cpu" in err
    assert "not reproducible: mini" in (tmp_path / "x.md").read_text()
    _, out, err = cli("judge", "x", "--json", "x.json")
    assert "not reproducible: mini_backend:cross_entropy@cpu" in err
    assert {of["changed"] > 0 for of in json.loads((tmp_path / "x.json").read_text())["repeated"]} == {True}
    code, out, err = cli("run", "--backend", "mini_backend:BACKEND", *one)
    assert "calls repeated: no result differs" in out


def test_a_run_that_was_cut_off_while_it_repeated_calls_is_not_complete(cli, mini, tmp_path):
    code, _, _ = cli("run", *MINI, "--repeat", "2", "--out", "whole", "--json", "whole.json")
    shutil.copy("whole", "cut")
    with sqlite3.connect("cut") as file:
        (calls,) = file.execute("SELECT count(*) FROM repeats").fetchone()
        cut = file.execute("DELETE FROM repeats WHERE new_process").rowcount
    missing = f"{cut} of {calls} repeated calls missing"
    judged, out, err = cli("judge", "cut", "--markdown", "cut.md", "--junit", "cut.xml")
    assert judged == 130
    assert f"{calls - cut} calls repeated: no result differs; {cut} repeated calls missing" in out
    assert f"{missing}, so other results may differ, too; `logitmus run --resume` makes them" in err
    for report in ("cut.md", "cut.xml"):
        assert missing in (tmp_path / report).read_text(encoding="utf-8")
    assert missing in cli("report", "cut", "--json", "cut.json")[2]
    assert json.loads((tmp_path / "cut.json").read_text(encoding="utf-8"))["interrupted"] is True
    assert f"cut was interrupted: {cut} repeated calls missing" in cli("judge", "whole", "--against", "cut")[2]
    assert f"cut was interrupted: {cut} calls missing" in cli("merge", "whole", "cut", "--out", "all")[2]
    assert cli("run", "--resume", "--out", "cut", "--json", "cut.json")[0] == code
    assert (tmp_path / "cut.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert cli("judge", "cut")[0] == code


def test_what_a_function_declares_and_keeps_fails_no_job(cli, tmp_path):
    one = ("--backend", "numpy", "--family", "non-finite", "--dtype", "float32", "--subject", "numpy:textbook@cpu")
    code, out, _ = cli("run", *one, "--out", "x")
    assert (code, "no findings, 1 characteristic" in out) == (0, True)
    code, out, err = cli("accept", "x", "--reason", "never written")
    assert (code, "nothing to accept" in err) == (0, True)


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (("judge", "x", "--html", "x"), "x is also the run file"),
        (("report", "x", "--json", "./x"), "x is also the run file"),
        (("judge", "x", "--against", "y", "--markdown", "y"), "y is also the earlier run"),
        (("judge", "x", "--markdown", "logitmus.toml"), "logitmus.toml is also the file of expectations"),
        (("judge", "x", "--html", "a", "--sarif", "a"), "a is also --html"),
        (("report", "x", "--json", "-", "--markdown", "-"), "- is also"),
        (("compare", "x", "y", "--markdown", "y"), "y is also the run file 2"),
        (("repro", "x", "0", "-o", "x"), "x is also the run file"),
    ],
)
def test_no_report_overwrites_what_a_command_uses(cli, tmp_path, command, seen):
    for name in ("x", "y"):
        cli("run", "--backend", "numpy", "--family", "seed-question", "--dtype", "float32", "--out", name)
    (tmp_path / "logitmus.toml").touch()
    before = (tmp_path / "x").read_bytes(), (tmp_path / "y").read_bytes()
    code, _, err = cli(*command)
    assert code == 2
    assert seen in " ".join(err.split())
    assert before == ((tmp_path / "x").read_bytes(), (tmp_path / "y").read_bytes())


def test_a_report_that_cannot_be_written_is_named_and_hides_no_verdict(cli, tmp_path):
    cli("run", "--backend", "numpy", "--family", "seed-question", "--dtype", "float32", "--out", "x")
    code, out, err = cli("judge", "x", "--html", "/dev/full")
    assert code == 2
    assert "/dev/full: cannot be written (No space left on device)" in err
    assert "no findings over" in out
