"""What does the user type? One module per command, each of which parses, calls and prints.

`logitmus --help` loads none of the engine: a command imports what it needs when it is called.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from logitmus import __version__
from logitmus.cli.backends import backends
from logitmus.cli.check import check
from logitmus.cli.compare import compare
from logitmus.cli.conventions import conventions
from logitmus.cli.exits import Exit
from logitmus.cli.explain import explain
from logitmus.cli.families import families
from logitmus.cli.identify import identify
from logitmus.cli.judge import judge
from logitmus.cli.merge import merge
from logitmus.cli.port import port
from logitmus.cli.report import report
from logitmus.cli.repro import repro
from logitmus.cli.run import run
from logitmus.cli.selftest import selftest
from logitmus.engine.malloc import keep_freed_memory

app = typer.Typer(
    help="Every framework's cross-entropy, the same adversarial questions, exact answers.",
    epilog="Exit codes: 0 nothing unaccepted, 1 unaccepted findings, 2 usage, 3 a backend that was asked for could "
    "not run, 70 a fault of Logitmus itself, 130 interrupted (the file can be resumed).",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    run,
    check,
    judge,
    report,
    repro,
    compare,
    merge,
    explain,
    identify,
    conventions,
    port,
    backends,
    families,
    selftest,
):
    app.command()(verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"logitmus {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


def main() -> None:
    """The entry point: what a person can mend is told in one line, without a traceback."""
    keep_freed_memory()
    try:
        app()
    except Exception as error:
        if not _is_explained(error):  # no verdict: CI must not take it for one
            traceback.print_exc()
            sys.stderr.write("logitmus: this is a fault of Logitmus itself, and says nothing of what was asked\n")
            sys.exit(Exit.FAULT)
        sys.stderr.write(f"logitmus: {error}\n")
        sys.exit(Exit.USAGE)


def _is_explained(error: Exception) -> bool:
    """Whether its message says what was seen and what to do."""
    from logitmus.cases.suite import SuiteError
    from logitmus.checking.selftest import SelftestError
    from logitmus.conventions.claims import ClaimsError
    from logitmus.conventions.explain import ExplainError
    from logitmus.execution.registry import RegistryError
    from logitmus.results.expectations import ExpectationsError
    from logitmus.results.reproduction import ReproError
    from logitmus.storage.store import StoreError
    from logitmus.worker.user_code import TargetError

    wrong = RegistryError | TargetError | SuiteError | ExpectationsError | ExplainError | ClaimsError
    return isinstance(error, wrong | ReproError | SelftestError | StoreError | OSError)
