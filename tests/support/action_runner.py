"""Runs the shell steps of a composite GitHub action as a runner does: environment, step outputs, job summary.

Steps that use other actions are not run; what they would be given is recorded. Only the expressions that action.yml
needs are known: values of contexts, `==`, `!=`, `&&` and `always()`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_VALUE = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_FUNCTION = re.compile(r"\$\{\{\s*hashFiles\(.*?\)\s*\}\}")


@dataclass
class ActionRun:
    """One use of an action; `run` fills the results.

    Attributes:
        code: the exit status of the step that failed; 0: none did.
        outputs: those of the action. summary: the job summary. log: what the steps printed.
        used: the other actions, with their arguments, in order.
    """

    action: Path
    workspace: Path
    temporary: Path
    event: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def run(self, **inputs: str) -> ActionRun:
        """Run all steps with these inputs; underscores in names stand for hyphens."""
        described = yaml.safe_load(self.action.read_text())
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        unknown = given.keys() - described["inputs"].keys()
        assert not unknown, unknown
        missing = {name for name, of in described["inputs"].items() if of.get("required") and name not in given}
        assert not missing, missing
        values = {name: of.get("default", "") for name, of in described["inputs"].items()} | given
        self._context = {f"inputs.{name}": value for name, value in values.items()}
        self._context |= {
            "github.action_path": str(self.action.parent),
            "runner.temp": str(self.temporary),
            "runner.os": "Linux",
            "runner.arch": "X64",
            "github.run_id": "1",
            "github.run_attempt": "1",
            **self.event,
        }
        for step in described["runs"]["steps"]:
            if self._is_due(step.get("if", "")):
                self._do(step)
        self.outputs = {name: self._filled(of["value"]) for name, of in described["outputs"].items()}
        return self

    def _is_due(self, condition: str) -> bool:
        if self.code and "always()" not in condition:
            return False
        return all(self._holds(part.strip()) for part in condition.split("&&") if part.strip() not in ("", "always()"))

    def _holds(self, comparison: str) -> bool:
        left, operator, right = re.split(r"\s*(==|!=)\s*", comparison)
        values = [side.strip("'") if side.startswith("'") else self._context.get(side, "") for side in (left, right)]
        return (values[0] == values[1]) is (operator == "==")

    def _filled(self, text: str) -> str:
        return _VALUE.sub(lambda found: self._context.get(found[1], ""), _FUNCTION.sub("hash", str(text)))

    def _do(self, step: Mapping[str, Any]) -> None:
        if "uses" in step:
            self.used.append((step["uses"], {name: self._filled(of) for name, of in step.get("with", {}).items()}))
            return
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input in the text of a script could become code"
        files = {name: self.temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for path in files.values():
            path.write_text("")
        environment = {
            **os.environ,
            **{name: str(path) for name, path in files.items()},
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            **{name: self._filled(value) for name, value in step.get("env", {}).items()},
        }
        script = self.temporary / "step.sh"
        script.write_text(step["run"])
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        done = subprocess.run(command, env=environment, cwd=self.workspace, capture_output=True, text=True, check=False)
        self.log += done.stdout + done.stderr
        self.code = self.code or done.returncode
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            self._context[f"steps.{step.get('id', '')}.outputs.{name}"] = value
