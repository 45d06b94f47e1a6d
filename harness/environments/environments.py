"""Isolated environments, created once and kept: a folder per set of exact versions, and names for some of them.

    ROOT/KEY/               a virtual environment that is whole; KEY is a hash of its versions, its Python and platform
    ROOT/KEY/logitmus.json  what is in it, written last
    ROOT/KEY/used           its modification time is when the environment was last used
    ROOT/KEY.partial/       an environment under construction, or what an interruption left of it
    ROOT/names/NAME.json    the key of a named environment
    ROOT/locks/KEY.lock     held by the process that creates or removes KEY

A folder gets the name KEY only when it is whole, and loses it before it is removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import filelock
import msgspec
import platformdirs
from packaging.requirements import Requirement

from logitmus.core.errors import suggest
from logitmus.environments import installer as installers
from logitmus.environments.errors import EnvironmentsError
from logitmus.environments.installer import Installer, Lock
from logitmus.environments.interpreter import Interpreter, examine
from logitmus.environments.spec import NAMED, EnvironmentSpec, valid_name

ROOT_VARIABLE: Final = "LOGITMUS_ENVIRONMENTS"
NEEDED: Final = ("numpy", "ml_dtypes")  # workers import them
_FORMAT: Final = 1
_METADATA: Final = "logitmus.json"
_USED: Final = "used"
_PARTIAL: Final = ".partial"
_KEY: Final = re.compile(r"[0-9a-f]{16}")
_DAY: Final = 86400.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that can be used now.

    Attributes:
        key: its folder in the cache; "" for an interpreter that exists elsewhere.
        python: its interpreter.
        label: how a person calls it.
        packages: the version of every installed distribution by its normalized name.
        dates: the day on which that version was released ("2024-07-04"), where known.
        named_packages: the normalized names of the packages that were requested, not their dependencies.
        python_version: "3.12.4".
        spec: the request.
    """

    key: str
    python: Path
    label: str
    packages: Mapping[str, str]
    dates: Mapping[str, str]
    named_packages: tuple[str, ...]
    python_version: str
    spec: EnvironmentSpec

    @property
    def requested(self) -> dict[str, str]:
        """The versions of the requested packages."""
        return {name: self.packages[name] for name in self.named_packages if name in self.packages}


@dataclass(frozen=True, slots=True)
class Stored:
    """What the cache holds under a key.

    Attributes:
        names: the names that refer to it, sorted.
        request: for what it was created; "" if it is damaged.
        packages, named_packages, python_version: as in `Environment`; empty if it is damaged.
        created, used: when it was created and last used (UTC).
        size: in bytes on disk; files with several links in it count once.
        damage: why it cannot be used; "": it can.
    """

    key: str
    names: tuple[str, ...]
    request: str
    packages: Mapping[str, str]
    named_packages: tuple[str, ...]
    python_version: str
    created: datetime
    used: datetime
    size: int
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did: the number of environments, and the bytes on disk that it freed.

    Files that uv's own cache holds, too, are not freed by it.
    """

    count: int = 0
    size: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.count + other.count, self.size + other.size)


class _Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of logitmus.json."""

    format: int
    request: str
    named_packages: list[str]
    lock: list[str]
    packages: dict[str, str]
    dates: dict[str, str]
    python: str
    implementation: str
    platform: str
    created: datetime


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of names/NAME.json."""

    format: int
    key: str
    request: str
    named_packages: list[str]


def _silent(_: str) -> None:
    pass


class Environments:
    """The cache of environments on this machine, safe for several processes at once."""

    def __init__(self, root: Path | None = None) -> None:
        """Use the folder `root`.

        By default that of the variable LOGITMUS_ENVIRONMENTS, or else `environments` in the user's cache of Logitmus.
        """
        chosen = root or os.environ.get(ROOT_VARIABLE) or Path(platformdirs.user_cache_dir("logitmus")) / "environments"
        self.root = Path(chosen).expanduser().absolute()

    def provide(
        self, spec: EnvironmentSpec, *, python: str = "", installer: str = "uv", report: Report = _silent
    ) -> Environment:
        """The environment of a request; it is created if it does not exist.

        Args:
            python: the interpreter to create it with: a version ("3.12", which uv fetches if it is missing) or a path;
                "": the one that runs this. A request for an existing interpreter ignores it.
            installer: "uv" or "pip".
            report: receives a short line at the beginning of each step.

        Raises:
            EnvironmentsError: where it cannot be resolved or installed, or does not exist.
            OSError: where the cache cannot be written.
        """
        if spec.name:
            return replace(self.named(spec.name), spec=spec)
        if spec.interpreter is not None:
            found = examine(spec.interpreter)
            return Environment("", found.python, str(spec), found.packages, {}, (), found.version, spec)
        program = installers.installer(installer)
        base = examine(program.interpreter(python))
        report(f"resolving {spec}")
        needed = tuple(map(Requirement, NEEDED))
        lock = program.resolve((*spec.requirements, *needed), spec.files, base.python)
        key = key_of(lock, base)
        with self._locked(key, lambda: report(f"waiting for another process that installs {spec}")):
            metadata = self._whole(key)
            if metadata is not None:
                report(f"reusing {key} for {spec}")
            else:
                report(f"installing {len(lock.packages)} packages for {spec}")
                metadata = self._create(key, spec, lock, base, program)
            self._touch(key)
        return self._environment(key, metadata, str(spec), spec.named_packages, spec)

    def create(
        self, name: str, spec: EnvironmentSpec, *, python: str = "", installer: str = "uv", report: Report = _silent
    ) -> Environment:
        """The environment of a request under a name; the same request again updates it.

        Raises:
            EnvironmentsError: for an invalid name, or one that has another request; else as `provide`.
        """
        if not (spec.installs or spec.name):
            raise EnvironmentsError(
                f"{spec} is an interpreter that exists",
                f"It needs no name: use e.g. --backend torch@{spec.interpreter}",
            )
        known = self._names().get(valid_name(name))
        if known is not None and known.request != str(spec):
            raise EnvironmentsError(
                f"there is an environment {name!r} of {known.request}",
                f"Choose another name, or remove it: logitmus env rm {name}",
            )
        environment = self.provide(spec, python=python, installer=installer, report=report)
        content = _Name(_FORMAT, environment.key, str(spec), list(environment.named_packages))
        _write(self.root / "names" / f"{name}.json", msgspec.json.encode(content))
        return environment

    def named(self, name: str) -> Environment:
        """The environment of this name.

        Raises:
            EnvironmentsError: for an unknown name, or where the environment is damaged or no longer there.
        """
        names = self._names()
        found = names.get(name)
        if found is None:
            known = suggest(name, sorted(names)) if names else "no environment has a name"
            raise EnvironmentsError(
                f"unknown environment {name!r}; {known}",
                f"`logitmus env create {name or 'NAME'} optax==0.2.3` creates one",
            )
        metadata = self._whole(found.key)
        if metadata is None:
            raise EnvironmentsError(
                f"the environment {name!r} is not usable: {self._damage(found.key)}",
                f"Create it again (logitmus env create {name} ...); it was created for {found.request}",
            )
        self._touch(found.key)
        spec = EnvironmentSpec(f"{NAMED}{name}", name=name)
        return self._environment(found.key, metadata, str(spec), tuple(found.named_packages), spec)

    def all(self) -> list[Stored]:
        """Everything that the cache holds, by name and then by the last use; what is being created is left out."""
        names: dict[str, list[str]] = {}
        for name, content in self._names().items():
            names.setdefault(content.key, []).append(name)
        stored = [self._stored(key, tuple(sorted(names.get(key, ())))) for key in self._keys()]
        return sorted(stored, key=lambda one: (not one.names, one.names, -one.used.timestamp(), one.key))

    def size(self) -> int:
        """The bytes on disk of the whole cache; files with several links in it count once."""
        return _size(self.root)

    def remove(self, name_or_key: str) -> Removed:
        """Remove a name, and its environment if no other name refers to it; or an environment by its key.

        Raises:
            EnvironmentsError: where there is neither such a name nor such a key.
        """
        names = self._names()
        if name_or_key in names:
            key = names[name_or_key].key
            (self.root / "names" / f"{name_or_key}.json").unlink(missing_ok=True)
            shared = any(other.key == key for name, other in names.items() if name != name_or_key)
            return Removed() if shared else self._remove(key)
        if (self.root / "names" / f"{name_or_key}.json").is_file():  # damaged: it refers to nothing
            (self.root / "names" / f"{name_or_key}.json").unlink(missing_ok=True)
            return Removed()
        if name_or_key not in self._keys():
            known = [*sorted(names), *self._keys()]
            raise EnvironmentsError(f"unknown environment {name_or_key!r}; {suggest(name_or_key, known)}")
        self._forget(name_or_key)
        return self._remove(name_or_key)

    def prune(self, older_than_days: float, everything: bool = False) -> Removed:
        """Remove what was not used for some days and has no name, what is damaged, and what interruptions left.

        Args:
            everything: remove named environments, too, whenever they were used.
        """
        removed = Removed()
        oldest = time.time() - older_than_days * _DAY
        for stored in self.all():
            old = stored.used.timestamp() <= oldest
            if everything or (not stored.names and (old or stored.damage)):
                self._forget(stored.key)
                removed += self._remove(stored.key)
        for partial in self._folders(_PARTIAL):
            with suppress(filelock.Timeout), self._lock(partial.removesuffix(_PARTIAL)).acquire(timeout=0):
                removed += Removed(0, _delete(self.root / partial))
        return removed

    def _create(self, key: str, spec: EnvironmentSpec, lock: Lock, base: Interpreter, program: Installer) -> _Metadata:
        partial = self.root / f"{key}{_PARTIAL}"
        self._discard(key)
        _delete(partial)
        try:
            program.install(lock, partial, base.python)
            packages = dict(lock.packages)
            if "unknown" in packages.values():  # the version of a source is known when it is built
                packages = {name: examine(partial / "bin" / "python").packages.get(name, "") for name in packages}
            metadata = _Metadata(
                format=_FORMAT,
                request=str(spec),
                named_packages=list(spec.named_packages),
                lock=list(lock.lines),
                packages=packages,
                dates=dict(lock.dates),
                python=base.version,
                implementation=base.implementation,
                platform=base.platform,
                created=datetime.now(UTC).replace(microsecond=0),
            )
            _write(partial / _METADATA, msgspec.json.format(msgspec.json.encode(metadata)))
            partial.rename(self.root / key)
        except BaseException:  # also Ctrl-C
            _delete(partial)
            raise
        return metadata

    def _environment(
        self, key: str, metadata: _Metadata, label: str, named: tuple[str, ...], spec: EnvironmentSpec
    ) -> Environment:
        python = self.root / key / "bin" / "python"
        return Environment(key, python, label, metadata.packages, metadata.dates, named, metadata.python, spec)

    def _stored(self, key: str, names: tuple[str, ...]) -> Stored:
        folder = self.root / key
        used = datetime.fromtimestamp(_modified(folder / _USED, folder / _METADATA, folder), UTC)
        metadata = self._whole(key)
        if metadata is None:
            return Stored(key, names, "", {}, (), "", used, used, _size(folder), self._damage(key))
        return Stored(
            key,
            names,
            metadata.request,
            metadata.packages,
            tuple(metadata.named_packages),
            metadata.python,
            metadata.created,
            used,
            _size(folder),
        )

    def _whole(self, key: str) -> _Metadata | None:
        """What is in a whole environment; None where there is none."""
        try:
            return self._metadata(key)
        except EnvironmentsError:
            return None

    def _damage(self, key: str) -> str:
        try:
            self._metadata(key)
        except EnvironmentsError as error:
            return error.message
        return ""

    def _metadata(self, key: str) -> _Metadata:
        folder = self.root / key
        if not folder.is_dir():
            raise EnvironmentsError(f"{folder} does not exist")
        try:
            metadata = msgspec.json.decode((folder / _METADATA).read_bytes(), type=_Metadata)
        except OSError as error:
            raise EnvironmentsError(f"{_METADATA} cannot be read ({error.strerror})") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EnvironmentsError(f"{_METADATA} is damaged ({error})") from None
        if metadata.format != _FORMAT:
            raise EnvironmentsError(f"it was created by another version of Logitmus (format {metadata.format})")
        if not (folder / "bin" / "python").exists():
            raise EnvironmentsError("its interpreter is gone")
        return metadata

    def _names(self) -> dict[str, _Name]:
        """The names that can be read, with what they refer to."""
        found: dict[str, _Name] = {}
        with suppress(FileNotFoundError):
            for path in sorted((self.root / "names").iterdir()):
                if path.suffix == ".json":
                    with suppress(msgspec.MsgspecError, UnicodeDecodeError, FileNotFoundError):
                        content = msgspec.json.decode(path.read_bytes(), type=_Name)
                        if _KEY.fullmatch(content.key):
                            found[path.stem] = content
        return found

    def _forget(self, key: str) -> None:
        """Remove the names of a key."""
        for name, content in self._names().items():
            if content.key == key:
                (self.root / "names" / f"{name}.json").unlink(missing_ok=True)

    def _keys(self) -> list[str]:
        return self._folders("")

    def _folders(self, suffix: str) -> list[str]:
        try:
            found = [path.name for path in self.root.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in found if name.endswith(suffix) and _KEY.fullmatch(name.removesuffix(suffix)))

    def _remove(self, key: str) -> Removed:
        with self._locked(key):
            return Removed(1, self._discard(key)) if (self.root / key).exists() else Removed()

    def _discard(self, key: str) -> int:
        """Delete a folder, so that an interrupted deletion leaves nothing that is taken for whole. Gives the bytes."""
        partial = self.root / f"{key}{_PARTIAL}"
        freed = _delete(partial)
        with suppress(FileNotFoundError):
            (self.root / key).rename(partial)
            freed += _delete(partial)
        return freed

    def _touch(self, key: str) -> None:
        with suppress(OSError):  # a cache that may only be read serves as well
            (self.root / key / _USED).touch()

    def _lock(self, key: str) -> filelock.BaseFileLock:
        (self.root / "locks").mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.root / "locks" / f"{key}.lock")

    @contextmanager
    def _locked(self, key: str, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        lock = self._lock(key)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waits()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def key_of(lock: Lock, base: Interpreter) -> str:
    """The key of an environment: 16 hexadecimal digits, the same for equal versions with any installer."""
    content = [str(_FORMAT), base.implementation, base.version, base.platform, *lock.lines]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)


def _modified(*paths: Path) -> float:
    """The modification time of the first of these that exists, in seconds since the epoch."""
    for path in paths:
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _delete(folder: Path) -> int:
    """Remove a folder; the bytes that no other link holds. Nothing happens where there is none."""
    if not folder.is_dir():
        return 0
    files = list(_files(folder))
    here = Counter((file.st_dev, file.st_ino) for file in files)
    freed = {(file.st_dev, file.st_ino): file.st_blocks * 512 for file in files}
    last = {(file.st_dev, file.st_ino) for file in files if file.st_nlink <= here[file.st_dev, file.st_ino]}
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # a file that cannot be removed must not be left unmentioned
        shutil.rmtree(folder)
    return sum(size for file, size in freed.items() if file in last)


def _size(folder: Path) -> int:
    """The bytes on disk of a folder; each file counts once, however many links lead to it."""
    return sum({(file.st_dev, file.st_ino): file.st_blocks * 512 for file in _files(folder)}.values())


def _files(folder: Path) -> Iterator[os.stat_result]:
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield (Path(parent) / name).lstat()
