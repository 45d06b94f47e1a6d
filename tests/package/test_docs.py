"""What the documentation tells people to paste is valid: YAML, options of the commands, pinned actions, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from logitmus.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"^(?:\s*(?:\$|-|- run:|-?\s*>)?\s*)(logitmus [a-z].*)$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The arguments of every `logitmus` command in a code block: indented, or fenced."""
    text = page.read_text()
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    code = ["".join(fenced), *(line for line in outside.splitlines() if line.startswith("    "))]
    joined = re.sub(r"\n\s+(--)", r" \1", "\n".join(code))
    return [shlex.split(found, comments=True)[1:] for found in COMMAND.findall(joined)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_only_options_that_exist(page):
    verbs = typer.main.get_command(app).commands
    for arguments in commands(page):
        verb = verbs.get(arguments[0])
        if arguments[0] == "env":  # a command of commands
            verb = verb.commands.get(arguments[1])
        assert verb is not None, arguments
        known = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
        options = [argument for argument in arguments if re.match(r"--?[a-z]", argument) and " " not in argument]
        used = {argument.partition("=")[0] for argument in options}
        assert used <= known | {"-h", "--help"}, arguments


def test_the_commands_are_found():
    assert ["judge", "RUN"] in commands(ROOT / "docs" / "cli.md")
    merging = [found for found in commands(ROOT / "docs" / "ci.md") if found[0] == "merge"]
    assert merging == [["merge", "shard-*.logitmus", "--out", "run.logitmus"]]


def test_the_pipelines_are_yaml_and_pin_other_actions():
    pipelines = blocks(ROOT / "docs" / "ci.md", "yaml")
    assert len(pipelines) > 4
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    for pipeline in pipelines:
        assert yaml.safe_load(pipeline)
        for used in re.findall(r"uses:\s*(\S+)", pipeline):
            assert used == "OWNER/logitmus@COMMIT" or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used), used
    whole = yaml.safe_load(pipelines[0])["jobs"]["losses"]["steps"][-1]
    assert whole["with"].keys() <= inputs.keys()


def test_the_action_is_documented():
    described = yaml.safe_load((ROOT / "action.yml").read_text())
    page = (ROOT / "docs" / "ci.md").read_text()
    for name, given in described["inputs"].items():
        default = "required" if given.get("required") else f"`{given['default']}`" if given["default"] else ""
        assert re.search(rf"^\| `{name}` \| {re.escape(default)} ?\|", page, re.MULTILINE), name
    assert all(f"`{name}`" in page for name in described["outputs"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http", "mailto:")):
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", of).lower().replace(" ", "-") for of in headings}, target
