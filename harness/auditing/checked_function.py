"""A user's own function in several environments: the runs of `logitmus audit --check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from logitmus.auditing.audit import AuditError, AuditSettings, Column, Watch, distinct_names, file_of
from logitmus.checking.check import check
from logitmus.core.errors import LogitmusError
from logitmus.environments.environments import Environment
from logitmus.execution import registry


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
            )
            for number, (name, environment) in enumerate(zip(names, environments, strict=True), 1)
        )

    def _framework(self, python: str) -> str:
        return f"{self.framework}@{python}"

    def run(self, column: Column, settings: AuditSettings, watch: Watch = iter) -> None:
        """Make the run of a column.

        Raises:
            AuditError: where the function cannot be imported or its framework cannot run in the environment.
        """
        try:
            check(
                self.function,
                self._framework(column.backends[0].python),
                like=self.like,
                options=self.names,
                dtypes=settings.dtypes,
                profile=settings.profile,
                seed=settings.seed,
                compare=False,
                isolated=True,
                out=column.file,
                watch=watch,
            )
        except LogitmusError as error:
            raise AuditError(f"{column.name}: {error.message}", error.hint) from error
