"""The list of verbs in `logitmus --help`, and the options in the help of a verb, in groups. Light: loaded by `--help`.

Typer itself draws groups only with Rich, whose import would double the time that `--help` takes.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


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


class GroupedOptions(TyperCommand):
    """Lists the options of a verb under their panels; those without a panel come first, under "Options"."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the options without a panel, and a section per panel."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            usual = f"{parameter.param_type_name.capitalize()}s"
            if record is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
