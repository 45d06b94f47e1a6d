"""Starting the workers of `logitmus run` before its options are converted.

A framework takes seconds to import. Typer takes 0.2 s more before it calls the command, because it converts options
with Pydantic; the names of the backends are known without that, as plain strings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import typer

from logitmus.cli.choices import chosen_backends
from logitmus.cli.grouped_help import GroupedVerbs
from logitmus.core.errors import LogitmusError

if TYPE_CHECKING:
    from logitmus.execution.launch import Process

_STARTED: Final = "logitmus.started"  # a key in `Context.meta`
_UsageError: Any = typer.BadParameter.__base__  # of Click, which newer releases of Typer contain
_CHANGES_THEM: Final = ("resume", "jobs", "help")  # options that decide what is started, and when


class EarlyStart(GroupedVerbs):
    """The verbs. For `run`, the workers start before anything else, and end with the context."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Start the workers, if the arguments are of `run` and valid as far as that; then parse them."""
        options = self._options_of_run(ctx, args)
        if options is not None and not any(options.get(name) for name in _CHANGES_THEM):
            from logitmus.execution.launch import launched

            try:
                specs = chosen_backends(options.get("backend") or ())
            except LogitmusError:  # the command reports it
                specs = ()
            ctx.meta[_STARTED] = ctx.with_resource(launched(specs[: os.cpu_count()]))
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()
            raise

    def _options_of_run(self, ctx: Any, args: list[str]) -> Mapping[str, Any] | None:
        """The options of `run` as strings; None for another verb, or for arguments that have an error."""
        try:
            _, rest, _ = self.make_parser(ctx).parse_args(list(args))
            command: Any = self.get_command(ctx, "run") if rest[:1] == ["run"] else None
            return None if command is None else command.make_parser(ctx).parse_args(rest[1:])[0]
        except _UsageError:
            return None


def started(context: typer.Context) -> Mapping[str, Process]:
    """The processes that were started early, by the labels of their backends."""
    return context.meta.get(_STARTED, {})
