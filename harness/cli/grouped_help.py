"""The list of verbs in `logitmus --help`, in groups. Light: loaded by `--help`.

Typer itself draws groups only with Rich, whose import would double the time that `--help` takes.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class GroupedVerbs(TyperGroup):
    """Lists each verb under the panel that it was registered with, followed by its short help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section per panel, in the order of registration."""
        panels: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.list_commands(ctx)), default=0)
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            panels.setdefault(command.rich_help_panel, []).append((name.ljust(width), command.short_help))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)
