"""What does the user type? One module per command, each of which parses its options, calls the library and prints.

`logitmus --help` loads none of the engine: a command imports what it needs when it is called.
"""

from __future__ import annotations

import atexit
import gc
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import typer

from logitmus import __version__
from logitmus.cli.accept import accept
from logitmus.cli.audit import audit
from logitmus.cli.backends import backends
from logitmus.cli.bisect import bisect
from logitmus.cli.check import check
from logitmus.cli.compare import compare
from logitmus.cli.conventions import conventions
from logitmus.cli.early_start import EarlyStart
from logitmus.cli.env import SHORT_HELP as ENV_HELP
from logitmus.cli.env import app as env
from logitmus.cli.exits import Exit
from logitmus.cli.explain import explain
from logitmus.cli.families import families
from logitmus.cli.grouped_help import GroupedOptions
from logitmus.cli.identify import identify
from logitmus.cli.judge import judge
from logitmus.cli.merge import merge
from logitmus.cli.port import port
from logitmus.cli.report import report
from logitmus.cli.repro import repro
from logitmus.cli.run import run
from logitmus.cli.selftest import selftest
from logitmus.cli.workflow_commands import without_commands
from logitmus.core.errors import LogitmusError
from logitmus.engine.malloc import keep_freed_memory

# Short helps of at most 50 characters: longer ones would wrap in a terminal of 80 columns.
VERBS: Final[Mapping[str, Mapping[Callable[..., None], str]]] = {
    "Test": {
        check: "Test a loss function of your own",
        run: "Test the installed frameworks",
        selftest: "Measure how many planted bugs are detected",
    },
    "Inspect": {
        explain: "Find the convention that gives a number",
        identify: "Measure the convention of a loss function",
        conventions: "Compare documented and measured conventions",
        port: "Show how to replace a loss by another",
        backends: "List the backends and their devices",
        families: "List the families of test problems",
    },
    "Upgrade": {
        audit: "Show what an upgrade changes",
        compare: "Show what changed between stored runs",
        bisect: "Find the release that changed a result",
    },
    "Report": {
        report: "Write reports from a run file",
        repro: "Write a script that reproduces a finding",
        judge: "Re-evaluate a run file without any framework",
        accept: "Accept findings of a run, with a reason",
        merge: "Merge run files",
    },
}

app = typer.Typer(
    cls=EarlyStart,
    help="Tests cross-entropy implementations against exact results.",
    epilog="Exit codes: 0 no unaccepted findings, 1 unaccepted findings, 2 usage error, 3 a requested backend could "
    "not run, 70 internal error (no verdict), 130 interrupted (can be resumed).",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, verbs in VERBS.items():
    for verb, short_help in verbs.items():
        app.command(cls=GroupedOptions, short_help=short_help, rich_help_panel=panel)(verb)
app.add_typer(env, name="env", short_help=ENV_HELP, rich_help_panel="Upgrade")


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"logitmus {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; report errors that the user can fix in one line, without a traceback."""
    keep_freed_memory()
    atexit.register(gc.freeze)  # else the interpreter looks for cycles in all that is left, a tenth of a second
    signal.signal(signal.SIGTERM, _interrupt)  # how CI cancels a job: as Ctrl-C, which loses nothing
    with without_commands():
        try:
            app()
        except Exception as error:
            code = _exit_code(error)
            if code == Exit.INTERNAL_ERROR:  # CI must not take an internal error for a verdict
                traceback.print_exc()
                sys.stderr.write("logitmus: internal error; this is a bug in Logitmus, not a result of the test\n")
            else:
                sys.stderr.write(f"logitmus: {error}\n")
            sys.exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _exit_code(error: Exception) -> Exit:
    """The exit code for an error that no command handled."""
    if isinstance(error, LogitmusError):
        return error.exit_code
    return Exit.USAGE if isinstance(error, OSError) else Exit.INTERNAL_ERROR
