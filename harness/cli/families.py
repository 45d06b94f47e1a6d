"""`logitmus families`: the families of test problems, and the reason for each."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from logitmus.cli.exits import ProfileChoice
from logitmus.cli.options import JsonFlag


def families(
    globs: Annotated[list[str] | None, typer.Argument(metavar="[GLOB]...", help="Only these families.")] = None,
    profile: Annotated[ProfileChoice, typer.Option(help="Test profile to count problems for.")] = ProfileChoice.DEFAULT,
    json: JsonFlag = False,
) -> None:
    """List the families of test problems: the idea, why it is hard, and real incidents."""
    from rich.padding import Padding

    from logitmus.cases.family import Profile
    from logitmus.cases.suite import select
    from logitmus.cli.output import stdout

    chosen = select(globs or None)
    counts = {family.name: sum(1 for _ in family.problems(Profile(profile.value))) for family in chosen}
    if json:
        facts = [
            {
                "name": family.name,
                "idea": family.idea,
                "rationale": family.rationale,
                "incidents": [{"label": label, "url": url} for label, url in family.incidents],
                "problems": counts[family.name],
            }
            for family in chosen
        ]
        typer.echo(json_module.dumps({"schema": 1, "profile": profile.value, "families": facts}, indent=2))
        return
    console = stdout()
    for family in chosen:
        console.print(
            f"[bold]{family.name}[/]  {family.idea}  [dim]({counts[family.name]} problems)[/]", highlight=False
        )
        incidents = ", ".join(label for label, _ in family.incidents)
        text = f"{family.rationale}{f' Incidents: {incidents}.' if incidents else ''}"
        console.print(Padding(text, (0, 0, 1, 4)), markup=False, highlight=False)
    many = "1 family" if len(chosen) == 1 else f"{len(chosen)} families"
    console.print(f"{sum(counts.values())} problems in {many}, profile {profile.value}")
