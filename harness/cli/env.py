"""`logitmus env`: list, create and remove isolated Python environments."""

from __future__ import annotations

import json as json_module
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from logitmus.cli.grouped_help import GroupedOptions, GroupedVerbs
from logitmus.cli.options import JsonFlag
from logitmus.environments.choices import InstallerChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logitmus.environments.environments import Removed, Stored

SHORT_HELP: Final = "Manage isolated Python environments"
_PACKAGES: Final = 4  # that a row of the table names

PythonOption = Annotated[
    str,
    typer.Option(
        "--python",
        metavar="VERSION",
        help="Python of the environment: a version, e.g. 3.12, or a path.  [default: this one]",
        show_default=False,
    ),
]
InstallerOption = Annotated[InstallerChoice, typer.Option("--installer", help="Program that installs the packages.")]

app = typer.Typer(
    cls=GroupedVerbs,
    help="Manage the isolated Python environments in which frameworks can be tested.\n\nUse one with "
    "--backend torch@env:NAME.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


def list_(json: JsonFlag = False) -> None:
    """List the environments with their packages and sizes."""
    from logitmus.environments.environments import Environments

    environments = Environments()
    stored = environments.all()
    if json:
        content = {
            "schema": 1,
            "folder": str(environments.root),
            "bytes": environments.size(),
            "environments": [_facts(environment) for environment in stored],
        }
        typer.echo(json_module.dumps(content, indent=2))
    elif not stored:
        typer.echo(f"no environments in {environments.root}\nCreate one: logitmus env create NAME optax==0.2.3")
    else:
        _print(stored)
        typer.echo(f"\n{_bytes(environments.size())} in {environments.root}")
        if any(environment.damage for environment in stored):
            typer.echo("Remove damaged environments: logitmus env prune")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the environment.")],
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REQUIREMENT]...", help="Packages and versions, e.g. jax==0.6.0 optax==0.2.4."),
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        typer.Option("--requirement", "-r", metavar="FILE", help="File of requirements; repeatable."),
    ] = None,
    python: PythonOption = "",
    installer: InstallerOption = InstallerChoice.UV,
) -> None:
    """Create an environment with these packages, and give it a name.

    The same command again updates it to the newest versions that the requirements allow.
    """
    from logitmus.cli.steps import steps
    from logitmus.environments.environments import Environments
    from logitmus.environments.spec import parse

    spec = parse(*(specs or ()), *(f"-r {shlex.quote(str(file))}" for file in requirements or ()))
    with steps() as report:
        made = Environments().create(name, spec, python=python, installer=installer, report=report)
    listed = ", ".join(_main(made.packages, made.named_packages))
    typer.echo(f"{name}: Python {made.python_version}, {listed}\nUse it: --backend BACKEND@env:{name}")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_KEY", help="Name or key, as `env list` shows it.")],
) -> None:
    """Remove an environment."""
    from logitmus.environments.environments import Environments

    removed = Environments().remove(name)
    if removed.count:
        typer.echo(f"removed {name}{_freed(removed)}")
    else:
        typer.echo(f"removed the name {name}; another name refers to its environment")


def _days(value: float) -> float:
    if not 0 <= value < math.inf:
        raise typer.BadParameter(f"{value:g} is not a number of days; use 0 or more")
    return value


def prune(
    older_than: Annotated[
        float,
        typer.Option("--older-than", metavar="DAYS", callback=_days, help="Remove what was last used so long ago."),
    ] = 30.0,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all environments, named ones too.", show_default=False)
    ] = False,
) -> None:
    """Remove unnamed environments that were not used lately, and incomplete ones."""
    from logitmus.environments.environments import Environments
    from logitmus.results import wording

    removed = Environments().prune(older_than, everything)
    typer.echo(f"removed {wording.plural(removed.count, 'environment')}{_freed(removed)}")


for verb, name, short_help in (
    (list_, "list", "List the environments"),
    (create, "create", "Create a named environment"),
    (remove, "rm", "Remove an environment"),
    (prune, "prune", "Remove environments that are not used"),
):
    app.command(name, cls=GroupedOptions, short_help=short_help, rich_help_panel="Commands")(verb)


def _facts(environment: Stored) -> dict[str, Any]:
    return {
        "key": environment.key,
        "names": list(environment.names),
        "request": environment.request,
        "python": environment.python_version,
        "packages": dict(environment.packages),
        "created": environment.created.isoformat(),
        "used": environment.used.isoformat(),
        "bytes": environment.size,
        "damage": environment.damage,
    }


def _print(stored: list[Stored]) -> None:
    from rich.table import Table
    from rich.text import Text

    from logitmus.cli.output import stdout

    table = Table("environment", "requested", "Python", "packages", "size", "last used", box=None)
    for environment in stored:
        what = (
            f"damaged: {environment.damage}"
            if environment.damage
            else ", ".join(_main(environment.packages, environment.named_packages))
        )
        row = (
            "\n".join(environment.names) or environment.key,
            environment.request,
            environment.python_version,
            what,
            _bytes(environment.size),
            f"{environment.used.astimezone():%Y-%m-%d}",
        )
        table.add_row(*map(Text, row))
    stdout().print(table)


def _main(packages: Mapping[str, str], named: tuple[str, ...]) -> list[str]:
    """The packages that were requested, with their versions, and how many others there are."""
    shown = [f"{name} {packages[name]}" for name in named if name in packages][:_PACKAGES]
    others = len(packages) - len(shown)
    return [*shown, f"{others} more"] if others else shown


def _bytes(size: int) -> str:
    from rich.filesize import decimal

    return decimal(size)


def _freed(removed: Removed) -> str:
    """The freed space; most files of an environment are links into uv's cache, which keeps them."""
    return f"; {_bytes(removed.size)} freed"
