"""A user's own function in several environments: the runs of `logitmus audit --check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from logitmus.auditing.audit import (
    AuditError,
    AuditSettings,
    Column,
    Watch,
    distinct_names,
    file_of,
    make_run,
    package_hint,
)
from logitmus.checking import reference
from logitmus.checking.reference import LIMITS
from logitmus.checking.session import CheckRequest, CheckSession, start
from logitmus.core.errors import LogitmusError
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.run_settings import RunSettings
from logitmus.environments.environments import Environment
from logitmus.execution import registry
from logitmus.execution.started import Stage
from logitmus.worker.user_code import TargetError


@dataclass(frozen=True, kw_only=True)
class CheckedTarget:
    """The function, and what it is called and judged by.

    Attributes:
        function: FILE.py:NAME or module:NAME. framework: the name of its backend. like: its reference; "": the main
            loss of the framework. names: its own names for the arguments, by ours.
    """

    function: str
    framework: str
    like: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def columns(self, environments: Sequence[Environment], folder: Path) -> tuple[Column, ...]:
        """A column for each environment, with a file in the folder.

        Raises:
            RegistryError, TargetError: for an unknown framework, or a file or function that does not exist.
        """
        names = distinct_names([environment.label for environment in environments])
        options = [f"{ours}={theirs}" for ours, theirs in self.names.items()]
        return tuple(
            Column(
                name=name,
                backends=(registry.adopting(self._framework(str(environment.python)), self.function, options),),
                file=file_of(folder, number, name),
                requested=environment.requested,
            )
            for number, (name, environment) in enumerate(zip(names, environments, strict=True), 1)
        )

    def _framework(self, python: str) -> str:
        return f"{self.framework}@{python}"

    def run(self, column: Column, settings: AuditSettings, watch: Watch = iter) -> None:
        """Make the run of a column: the problems of a check, which the comparison judges as a check does.

        Raises:
            TargetError: where the function does not exist, or cannot be imported.
            AuditError: where its framework cannot run in the environment.
        """
        framework = self._framework(column.backends[0].python)
        request = CheckRequest(
            function=self.function,
            framework=framework,
            names=self.names,
            class_axis=reference.class_axis(framework, ""),
            device="",
            references=reference.references(framework, self.like, ()),
            intended=reference.intended({}),
            dtypes=settings.dtypes or tuple(FLOAT_DTYPES),
        )
        try:
            session = start(request, LIMITS, compare=False, isolated=True)
        except TargetError:
            raise
        except LogitmusError as error:
            raise AuditError(f"{column.name}: {error.message}", package_hint(column.name, error)) from error
        kept = RunSettings(
            profile=settings.profile,
            seed=settings.seed,
            dtypes=request.dtypes,
            check=session.label,
            function=session.location,
        )
        with session:
            problems = session.problems(settings.profile, settings.seed, request.dtypes)
            make_run(column, kept, problems, session.specs, partial(self._given, session), watch)

    @staticmethod
    def _given(session: CheckSession, *_: object) -> Stage:
        """The started workers, in place of a new pool."""
        return session.workers
