"""The report options: the same on `run`, `check`, `judge` and `report`, checked first, and loaded only if requested."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import FakeJudge, FakePool, problem, specs, subject
from typer.testing import CliRunner, Result

from logitmus.cli import app
from logitmus.cli.check import check
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
    assert options(run) == options(judge) == options(report) == options(check) == [*FILES, "github", "line"]


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


RIGHT = """import numpy as np


def right(logits, labels, reduction="none"):
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise IndexError("no such class")
    d = logits - logits.max(axis=-1, keepdims=True)
    rows = np.log(np.exp(d).sum(-1)) - np.take_along_axis(d, labels[..., None].astype(int), -1)[..., 0]
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()
"""
QUICK = ("-f", "numpy", "--like", "textbook", "--profile", "quick")


def every_format() -> list[str]:
    return [part for name in FILES for part in (f"--{name}", f"out.{'json' if name == 'badge' else name}")]


def test_a_checked_function_has_the_findings_that_count_at_its_definition(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FUNCTION)
    formats = every_format()
    formats[formats.index("--badge") + 1] = "badge.json"
    checked = cli("check", "mine.py:loss", *QUICK, *formats, "--github", "--line")
    assert checked.exit_code == 1, checked.output
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in formats[1::2]}
    for name in texts:
        assert f"wrote {name}" in checked.stderr
    found = json.loads(texts["out.json"])["findings"]
    findings = [finding["id"] for finding in found]
    assert findings
    results = json.loads(texts["out.sarif"])["runs"][0]["results"]
    assert [result["properties"]["finding"] for result in results] == findings
    physical = {"artifactLocation": {"uri": "mine.py"}, "region": {"startLine": 4}}
    assert [result["locations"][0]["physicalLocation"] for result in results] == [physical] * len(findings)
    place = {"path": "mine.py", "lines": {"begin": 4}}
    assert [issue["location"] for issue in json.loads(texts["out.gitlab"])] == [place] * len(findings)
    line, *annotations = checked.stdout.splitlines()
    assert len(annotations) == len(findings)
    assert all(",file=mine.py,line=4::" in annotation for annotation in annotations)
    counts = ", ".join(
        f"{count} {severity}{'s' * (count > 1)}"
        for severity, count in Counter(finding["severity"] for finding in found).items()
    )
    assert line.startswith(f"{counts} over mine.py:loss against numpy:textbook@cpu; ")
    assert json.loads(texts["badge.json"])["message"] == counts
    rows = re.findall(r"^\| (?:🔴|🟣|🟡) \w+ \| `(\w+)`", texts["out.markdown"], re.MULTILINE)
    assert rows == findings
    assert "**mine.py:loss does not conform to numpy:textbook@" in texts["out.markdown"]
    suites = ElementTree.fromstring(texts["out.junit"]).findall("testsuite")  # noqa: S314
    assert [suite.get("name") for suite in suites] == ["numpy:mine.loss@cpu", "notices"]  # not the reference
    failing = re.findall(r"^finding: (\w+)", "".join(suites[0].itertext()), re.MULTILINE)
    assert set(failing) == set(findings)
    assert {"name": "numpy", "value": np.__version__} in [each.attrib for each in suites[0].iter("property")]
    (notice,) = suites[1]
    assert notice.find("skipped") is not None  # what it does not take: no failure


def test_a_function_that_conforms_has_no_failure_in_any_report(cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RIGHT)
    formats = every_format()
    formats[formats.index("--badge") + 1] = "badge.json"
    checked = cli("check", "mine.py:right", *QUICK, *formats, "--github", "--line")
    assert checked.exit_code == 0, checked.output
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in formats[1::2]}
    assert checked.stdout.startswith("no findings over mine.py:right against numpy:textbook@cpu; ")
    assert checked.stdout.count("\n") == 1
    assert json.loads(texts["badge.json"])["message"] == "no findings"
    assert "<failure" not in texts["out.junit"]
    assert 'errors="0"' in texts["out.junit"]
    assert "**mine.py:right conforms to numpy:textbook@" in texts["out.markdown"]
    assert json.loads(texts["out.gitlab"]) == []


def test_a_grade_that_is_not_reached_and_an_accepted_finding_are_in_the_reports(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(RIGHT)
    given = ("--dtype", "float32", "--require", "A", "--junit", "x.xml", "--badge", "b.json", "--markdown", "x.md")
    checked = cli("check", "mine.py:right", *QUICK, *given, "--line")
    assert checked.exit_code == 1
    assert "; 1 unreached grade [" in checked.stdout
    badge = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert (badge["message"], badge["color"]) == ("no findings; 1 unreached grade", "yellow")
    for name in ("x.xml", "x.md"):
        assert "grade A is not reached in float32" in (tmp_path / name).read_text(encoding="utf-8")
    assert (tmp_path / "x.xml").read_text(encoding="utf-8").count("<failure") == 1
    (tmp_path / "mine.py").write_text(FUNCTION)
    (tmp_path / "logitmus.toml").write_text(ACCEPTED.replace("fake:*", "numpy:mine.loss@*"))
    checked = cli("check", "mine.py:loss", *QUICK, *given[:2], *given[4:], "--sarif", "x.sarif", "--line")
    assert checked.exit_code == 0, checked.output
    assert re.match(r"no findings over mine.py:loss .*; \d+ accepted findings ", checked.stdout)
    assert "<failure" not in (tmp_path / "x.xml").read_text(encoding="utf-8")
    assert "accepted: a fake" in (tmp_path / "x.xml").read_text(encoding="utf-8")
    assert "accepted: a fake" in (tmp_path / "x.md").read_text(encoding="utf-8")
    results = json.loads((tmp_path / "x.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    assert results
    assert all(result["suppressions"] for result in results)


def test_no_report_of_a_check_overwrites_what_it_uses(cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FUNCTION)
    for given in (("--markdown", "mine.py"), ("--out", "x", "--junit", "x"), ("--json", "-", "--line")):
        assert cli("check", "mine.py:loss", *QUICK, *given).exit_code == 2
    assert (tmp_path / "mine.py").read_text() == FUNCTION
