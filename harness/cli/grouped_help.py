"""The list of verbs in `logitmus --help`, and the options in the help of a verb, in groups. Light: loaded by `--help`.

Typer itself draws groups only with Rich, whose import would double the time that `--help` takes. It also leaves the
conversion of options to Pydantic, whose messages ("Input should be a valid integer, unable to parse ...") are replaced.
"""

from __future__ import annotations

from typing import Any

import typer
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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the command line; an invalid value is named with what is allowed."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _explained(error)
            raise

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


def _explained(error: Any) -> str:
    """The message of an invalid value, in our words where it is Pydantic's."""
    find = getattr(error.__cause__, "errors", None)
    if find is None:
        return str(error.message)
    first = find()[0]
    given, limits = first["input"], first.get("ctx", {})
    match first["type"]:
        case "greater_than_equal" | "less_than_equal" if str(given).lower() == "nan":
            return f"{given} is not a number"
        case "greater_than_equal":
            return f"{given} is too small; use {limits['ge']:.9g} or more"
        case "less_than_equal":
            return f"{given} is too large; use {limits['le']:.9g} or less"
        case "int_parsing" | "int_from_float" | "int_type" | "int_parsing_size":
            return f"{given!r} is not a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            return f"{given!r} is not a number"
        case _:
            return str(first["msg"]).removeprefix("Value error, ")
