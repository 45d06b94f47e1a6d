"""`logitmus bisect`: the release of a package that changed a result."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from logitmus.cli.env import InstallerOption, PythonOption
from logitmus.cli.exits import Exit, ProfileChoice
from logitmus.cli.options import STDOUT, Json, Subjects, refuse_overwriting
from logitmus.cli.upgrade import ConcernedBackends, Folder, Jobs, Seed, kept, new_folder
from logitmus.environments.choices import InstallerChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from logitmus.auditing.audit import AuditSettings, Column
    from logitmus.auditing.release_runs import Series
    from logitmus.auditing.symptom import Symptom
    from logitmus.core.events import Event
    from logitmus.environments.environments import Environment
    from logitmus.environments.spec import EnvironmentSpec

_RANGE: Final = re.compile(r"\s*([^=\s]+)\s*==\s*(\S+?)\.\.(\S+)\s*")


def bisect(
    releases: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE==A..B", help='The releases from A to B, e.g. "optax==0.1.7..0.2.8".', show_default=False
        ),
    ],
    cause: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Find where findings of this cause appear or vanish, e.g. weak_sum."),
    ] = None,
    problem: Annotated[
        str | None, typer.Option(metavar="ID", help="Find where the result of this problem changes.")
    ] = None,
    finding: Annotated[
        str | None, typer.Option(metavar="ID", help="Find where this finding appears or vanishes; needs --run.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="FILE", help="Run file with the finding or the problem.")
    ] = None,
    held: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="REQUIREMENT", help='Install this with every release, e.g. "jax==0.6.0"; repeatable.'
        ),
    ] = None,
    pre: Annotated[bool, typer.Option("--pre", help="Test pre-releases, too.", show_default=False)] = False,
    yanked: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION", help="Test this yanked release, too, which no index lists; repeatable."),
    ] = None,
    backend: ConcernedBackends = None,
    subject: Subjects = None,
    profile: Annotated[ProfileChoice, typer.Option(help="Test profile of --cause.")] = ProfileChoice.QUICK,
    seed: Seed = 0,
    python: PythonOption = "",
    installer: InstallerOption = InstallerChoice.UV,
    out: Folder = None,
    json: Json = None,
    jobs: Jobs = None,
) -> None:
    """Find the release of a package that changed a result.

    Exits with 0 if it is found, with 1 if A and B agree, with 3 if A or B cannot be tested.
    """
    from logitmus.auditing.audit import AuditSettings
    from logitmus.auditing.release_runs import Workplace
    from logitmus.auditing.release_runs import bisect as bisect_releases
    from logitmus.cli.output import stdout
    from logitmus.reports import bisection_data
    from logitmus.reports.terminal import bisection as terminal

    _check_options(cause, problem, finding, run, subject)
    folder = new_folder(out, "bisect")
    if json is not None and json != STDOUT:
        refuse_overwriting({"--json": json}, run_file=run)
    package, first, last = _range(releases, pre=pre)
    settings = AuditSettings(profile=profile.value, seed=seed, jobs=jobs)
    symptom, of_finding = _symptom(cause, problem, finding, run, subject, settings)
    with _report() as report:
        report(f"listing the releases of {package}")
        series = _series(
            package,
            first,
            last,
            held or (),
            python=python,
            installer=installer.value,
            pre=pre,
            yanked=_versions(yanked or ()),
        )
    progress = _Progress(python, installer.value)
    with kept(folder):
        found = bisect_releases(
            series,
            symptom,
            settings,
            Workplace(
                provide=progress.provide,
                run=progress.run,
                installing=progress.installing,
                running=progress.running,
                stop=progress.stop,
                folder=folder,
            ),
            backends=backend or of_finding,
            report=partial(typer.echo, err=True),
        )
    if json == STDOUT:
        typer.echo(bisection_data.to_json(found))
    else:
        terminal.render(found, stdout())
    if json is not None and json != STDOUT:
        json.write_text(bisection_data.to_json(found), encoding="utf-8")
        typer.echo(f"wrote {json}", err=True)
    typer.echo(f"wrote the run files in {folder}", err=True)
    raise typer.Exit(Exit.OK if found.found else Exit.FINDINGS)


class _Progress:
    """Makes environments and runs, and shows their progress: only one of both can be shown at a time."""

    def __init__(self, python: str, installer: str) -> None:
        from logitmus.environments.environments import Environments

        self._cache, self._python, self._installer = Environments(), python, installer

    @contextmanager
    def installing(self) -> Iterator[None]:
        with _report() as self._step:
            yield

    @contextmanager
    def running(self) -> Iterator[None]:
        from logitmus.cli.progress import progress_of_runs

        with progress_of_runs() as self._watch:
            yield

    def stop(self) -> None:
        self._watch.stop()

    def provide(self, spec: EnvironmentSpec) -> Environment:
        return self._cache.provide(spec, python=self._python, installer=self._installer, report=self._step)

    def run(self, column: Column, settings: AuditSettings) -> None:
        from logitmus.auditing.audit import run_suite

        column.file.parent.mkdir(parents=True, exist_ok=True)

        def watch(events: Iterable[Event]) -> Iterable[Event]:
            return self._watch(column.name, events)

        run_suite(column, settings, watch)


def _report() -> AbstractContextManager[Callable[[str], None]]:
    from logitmus.cli.steps import steps

    return steps()


def _check_options(
    cause: str | None, problem: str | None, finding: str | None, run: Path | None, subject: object
) -> None:
    """Refuse what is missing, and what has no effect."""
    given = {"--cause": cause, "--problem": problem, "--finding": finding}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        seen = f"{' and '.join(named)} were given" if named else "nothing to find was given"
        raise typer.BadParameter(f"{seen}; use one of {', '.join(given)}", param_hint=" / ".join(given))
    if not given[named[0]]:
        raise typer.BadParameter("is empty", param_hint=named[0])
    if finding is not None and run is None:
        raise typer.BadParameter("needs the run file that has the finding: add --run FILE", param_hint="--finding")
    if cause is not None and run is not None:
        raise typer.BadParameter("has no effect with --cause; remove it", param_hint="--run")
    if finding is not None and subject:
        raise typer.BadParameter("has no effect with --finding, which names its function", param_hint="--subject")


def _range(text: str, *, pre: bool) -> tuple[str, str, str]:
    """The package (with its extras) and the two versions in "optax==0.1.7..0.2.8"."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    matched = _RANGE.fullmatch(text)
    if matched is None:
        raise typer.BadParameter(
            f"{text!r} names no range of releases; use PACKAGE==A..B, e.g. optax==0.1.7..0.2.8",
            param_hint="PACKAGE==A..B",
        )
    package, first, last = matched.groups()
    try:
        Requirement(package)
        versions = Version(first), Version(last)
    except (InvalidRequirement, InvalidVersion) as error:
        raise typer.BadParameter(
            f"{text!r}: {str(error).splitlines()[0]}; use PACKAGE==A..B, e.g. optax==0.1.7..0.2.8",
            param_hint="PACKAGE==A..B",
        ) from None
    if versions[0] == versions[1]:
        raise typer.BadParameter(f"{first} and {last} are the same release; name two", param_hint="PACKAGE==A..B")
    early = [str(version) for version in versions if version.is_prerelease]
    if early and not pre:
        raise typer.BadParameter(f"{early[0]} is a pre-release; add --pre", param_hint="PACKAGE==A..B")
    return package, first, last


def _versions(texts: Sequence[str]) -> tuple[str, ...]:
    """The versions of yanked releases, in the form in which an index lists them."""
    from packaging.version import InvalidVersion, Version

    try:
        return tuple(str(Version(text)) for text in texts)
    except InvalidVersion as error:
        raise typer.BadParameter(f"{error}; use e.g. 0.2.7", param_hint="--yanked") from None


def _symptom(
    cause: str | None,
    problem: str | None,
    finding: str | None,
    run: Path | None,
    subject: Sequence[str] | None,
    settings: AuditSettings,
) -> tuple[Symptom, tuple[str, ...]]:
    """What is compared, and the backends that it needs; none: those that are concerned."""
    from logitmus.auditing import symptom
    from logitmus.storage.store import Store

    subjects = tuple(subject or ())
    if cause is not None:
        return symptom.CauseShown(cause, subjects), ()
    if run is not None:
        with Store.open(run) as store:
            if finding is not None:
                shown, backend = symptom.finding_of_run(finding, store)
                return shown, (backend,)
            return symptom.ResultsOn(symptom.problem_of_run(problem or "", store), subjects), ()
    return symptom.ResultsOn(symptom.problem_of_suite(problem or "", settings), subjects), ()


def _series(
    package: str,
    first: str,
    last: str,
    held: Sequence[str],
    *,
    python: str,
    installer: str,
    pre: bool,
    yanked: Sequence[str],
) -> Series:
    from packaging.requirements import Requirement

    from logitmus.auditing.release_runs import Series
    from logitmus.environments import installer as installers
    from logitmus.environments.releases import between, releases
    from logitmus.environments.spec import parse
    from logitmus.worker.environment import normalized

    fixed = parse(*held) if held else None
    if fixed is not None and not fixed.installs:
        raise typer.BadParameter(f"{fixed} is an environment; give requirements, e.g. jax==0.6.0", param_hint="--with")
    if fixed is not None and normalized(Requirement(package).name) in fixed.named_packages:
        raise typer.BadParameter(f"{fixed} names {package}, whose releases are tested", param_hint="--with")
    interpreter = str(installers.installer(installer).interpreter(python)) if python else ""
    known = releases(Requirement(package).name, python=interpreter, pre=pre, yanked=yanked)
    return Series(package=package, releases=between(known, first, last), held=fixed)
