"""The report options: the same on `run`, `judge` and `report`, checked first, and loaded only if requested."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeJudge, FakePool, problem, specs, subject
from typer.testing import CliRunner, Result

from logitmus.cli import app
from logitmus.cli.judge import judge
from logitmus.cli.report import report
from logitmus.cli.run import run
from logitmus.core.observation import Answered
from logitmus.core.run_settings import RunSettings
from logitmus.engine.run import run as run_problems
from logitmus.storage.store import Store

SUPPORT = Path(__file__).parent.parent / "support"
FILES = ("html", "json", "junit", "markdown", "sarif", "gitlab", "badge")
ACCEPTED = '[[expect]]\nsubject = "fake:*"\ncause = "*"\nreason = "a fake"\n'


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs `logitmus ARGS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return lambda *args: CliRunner().invoke(app, [*map(str, args)])


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """The file of a run with findings."""
    with Store.create(tmp_path / "wrong.logitmus", settings=RunSettings(seed=0)) as store:
        zeros = Answered(np.zeros(4, np.float32), np.zeros((4, 3), np.float32))
        pool = FakePool({"fake": [subject()]}, answer=lambda *_: zeros)
        list(run_problems([problem(seed) for seed in range(3)], specs("fake"), store, pool=pool, judge=FakeJudge()))
    return tmp_path / "wrong.logitmus"


def options(verb: Callable[..., None]) -> list[str]:
    return [name for name in inspect.signature(verb).parameters if name in (*FILES, "github", "line")]


def test_the_options_are_the_same_everywhere() -> None:
    assert options(run) == options(judge) == options(report) == [*FILES, "github", "line"]


@pytest.mark.parametrize("verb", ["judge", "report"])
def test_every_file_is_written_and_named(cli: Callable[..., Result], wrong: Path, tmp_path: Path, verb: str) -> None:
    given = [part for name in FILES for part in (f"--{name}", f"out.{'svg' if name == 'badge' else name}")]
    result = cli(verb, wrong, *given, "--github", "--line")
    assert result.exit_code == (1 if verb == "judge" else 0)
    for name in given[1::2]:
        assert (tmp_path / name).stat().st_size > 0
        assert f"wrote {name}" in result.stderr
    line, *annotations = result.stdout.splitlines()
    assert line.endswith("]")
    assert annotations
    assert all(annotation.startswith("::") for annotation in annotations)


def test_a_run_writes_what_judging_its_file_writes(cli: Callable[..., Result], tmp_path: Path) -> None:
    shutil.copy(SUPPORT / "mini_backend.py", tmp_path)
    problems = ("--backend", "mini_backend:BACKEND", "--profile", "quick", "--family", "seed-question")
    names = [name for name in FILES if name != "html"]  # HTML shows how long it took

    def given(prefix: str) -> list[str]:
        return [part for n in names for part in (f"--{n}", f"{prefix}.{'svg' if n == 'badge' else n}")]

    ran = cli("run", *problems, "--dtype", "float32", "--out", "x.logitmus", *given("ran"), "--line")
    assert ran.exit_code in (0, 1), ran.output
    judged = cli("judge", "x.logitmus", *given("judged"), "--line")
    assert judged.stdout == ran.stdout
    for name in given("ran")[1::2]:
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("ran.", "judged.")).read_bytes(), name


def test_report_marks_accepted_findings_in_every_format(
    cli: Callable[..., Result], wrong: Path, tmp_path: Path
) -> None:
    assert cli("report", wrong, "--json", "all.json", "--markdown", "all.md").exit_code == 0
    found = len(json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["findings"])
    assert found
    assert "a fake" not in (tmp_path / "all.md").read_text(encoding="utf-8")
    (tmp_path / "known.toml").write_text(ACCEPTED)
    given = [part for name in FILES for part in (f"--{name}", f"out.{'json' if name == 'badge' else name}")]
    given[given.index("--badge") + 1] = "badge.json"
    result = cli("report", wrong, "--expect", "known.toml", *given, "--github", "--line")
    assert result.exit_code == 0
    assert result.stdout.startswith("no findings over ")
    assert f"; {found} accepted finding" in result.stdout
    assert "::" not in result.stdout
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in given[1::2]}
    assert all(finding["accepted_because"] == ["a fake"] for finding in json.loads(texts["out.json"])["findings"])
    results = json.loads(texts["out.sarif"])["runs"][0]["results"]
    assert [r["suppressions"][0]["justification"] for r in results] == ["a fake"] * found
    assert {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results} == {"known.toml"}
    assert json.loads(texts["out.gitlab"]) == []
    assert json.loads(texts["badge.json"])["message"] == "no findings"
    assert "(accepted: a fake)" in texts["out.junit"]
    assert "<failure" not in texts["out.junit"]
    for name in ("out.markdown", "out.html"):
        assert "a fake" in texts[name]
    (tmp_path / "known.toml").rename(tmp_path / "logitmus.toml")
    assert cli("report", wrong, "--markdown", "default.md").exit_code == 0
    assert "a fake" in (tmp_path / "default.md").read_text(encoding="utf-8")


def test_report_writes_html_only_if_nothing_else_is_requested(
    cli: Callable[..., Result], wrong: Path, tmp_path: Path
) -> None:
    assert cli("report", wrong, "--line").stdout.count("\n") == 1
    assert not (tmp_path / "wrong.html").exists()
    assert cli("report", wrong).stdout == ""
    assert (tmp_path / "wrong.html").exists()


def test_json_schema_is_printed_without_a_run(cli: Callable[..., Result]) -> None:
    result = cli("report", "--json-schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["schema"]["const"] == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--badge", "badge.png"), "badge.png: a badge is a .svg file, or a .json file for shields.io"),
        (("--sarif", "none/x.sarif"), "none/x.sarif: the folder none does not exist"),
        (("--json", "-", "--line"), "--line would be printed into the JSON on standard output"),
        (("--json", "-", "--github", "--line"), "--github and --line would be printed into the JSON"),
        (("--expect", "none.toml"), "none.toml: cannot be read"),
    ],
)
@pytest.mark.parametrize("verb", ["judge", "report"])
def test_a_usage_error_is_found_before_the_work(
    cli: Callable[..., Result], wrong: Path, tmp_path: Path, verb: str, given: tuple[str, ...], message: str
) -> None:
    before = set(tmp_path.iterdir())
    result = cli(verb, wrong, *given)
    text = f"{' '.join(result.output.split())} {result.exception}"
    assert result.exit_code != 0
    assert message in text
    assert set(tmp_path.iterdir()) == before


def test_a_format_is_imported_only_if_it_is_requested(wrong: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from logitmus.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sorted(n for n in sys.modules if n.startswith('logitmus.reports.') and n.count('.') == 2))"
    )
    command = [sys.executable, "-c", program, "report", str(wrong), "--gitlab", "x.json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"logitmus.reports.gitlab", "logitmus.reports.terminal"}


FUNCTION = """import numpy as np


def loss(logits, targets):
    e = np.exp(logits)
    return -np.log(e[np.arange(len(targets)), targets] / e.sum(1))
"""


def test_a_checked_function_has_the_findings_that_count_at_its_definition(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FUNCTION)
    formats = ("--sarif", "x.sarif", "--gitlab", "x.gitlab", "--json", "x.json", "--github")
    checked = cli("check", "mine.py:loss", "-f", "numpy", "--like", "textbook", "--profile", "quick", *formats)
    assert checked.exit_code == 1, checked.output
    read = {name: json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in formats[1:6:2]}
    findings = [finding["id"] for finding in read["x.json"]["findings"]]
    assert findings
    results = read["x.sarif"]["runs"][0]["results"]
    assert [result["properties"]["finding"] for result in results] == findings
    physical = {"artifactLocation": {"uri": "mine.py"}, "region": {"startLine": 4}}
    assert [result["locations"][0]["physicalLocation"] for result in results] == [physical] * len(findings)
    place = {"path": "mine.py", "lines": {"begin": 4}}
    assert [issue["location"] for issue in read["x.gitlab"]] == [place] * len(findings)
    assert checked.stdout.count(",file=mine.py,line=4::") == len(findings)
    for name in ("sarif", "gitlab"):
        assert f"wrote x.{name}" in checked.stderr
