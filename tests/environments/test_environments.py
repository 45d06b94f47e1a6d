"""The cache of environments: what is created, reused and removed, and what interruptions and damage leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from logitmus.environments import installer as installers
from logitmus.environments.environments import Environments, key_of
from logitmus.environments.errors import EnvironmentsError
from logitmus.environments.installer import Lock
from logitmus.environments.interpreter import Interpreter, examine
from logitmus.environments.spec import parse
from logitmus.execution import registry

# Creates an environment with an installer that stops in the middle: it makes the folder and waits.
STOPS = """
import sys, time
from logitmus.environments import environments, installer
from logitmus.environments.spec import parse

class Stops(installer._Pip):
    def resolve(self, requirements, files, python):
        return installer.Lock(("lossy==1.0",), {"lossy": "1.0"})
    def install(self, lock, folder, python):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(python)
        print("stopped", flush=True)
        time.sleep(60)

environments.installers.installer = lambda name: Stops()
environments.Environments().provide(parse("lossy==1.0"))
"""


class Fake:
    """An installer that installs nothing, fast: a folder with the interpreter of the tests."""

    def __init__(self, version: str = "1.0", hold: threading.Event | None = None) -> None:
        self.lock = Lock((f"lossy=={version}",), {"lossy": version})
        self.installed = 0
        self.hold = hold

    def interpreter(self, python: str) -> Path:
        return Path(sys.executable)

    def resolve(self, requirements, files, python) -> Lock:
        return self.lock

    def install(self, lock, folder: Path, python: Path) -> None:
        self.installed += 1
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(python)
        if self.hold is not None:
            assert self.hold.wait(30)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fake]:
    def use(*args, **more) -> Fake:
        one = Fake(*args, **more)
        monkeypatch.setattr(installers, "installer", lambda name: one)
        return one

    return use


def imported(python: Path) -> str:
    program = "import lossy; print(lossy.VERSION)"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_an_environment_is_created_once_and_reused(environments: Environments) -> None:
    steps: list[str] = []
    made = environments.provide(parse("lossy==1.0"), report=steps.append)
    assert imported(made.python) == "1.0"
    assert made.packages == {"lossy": "1.0", "helper": "0.1", "numpy": "2.0", "ml-dtypes": "0.5"}
    assert examine(made.python).packages == made.packages
    assert (made.label, made.named_packages) == ("lossy==1.0", ("lossy",))
    assert made.python == environments.root / made.key / "bin" / "python"
    again = environments.provide(parse("lossy<1.5"), report=steps.append)
    assert again.key == made.key
    assert steps == [
        "resolving lossy==1.0",
        "installing 4 packages for lossy==1.0",
        "resolving lossy<1.5",
        f"reusing {made.key} for lossy<1.5",
    ]
    assert not list(environments.root.glob("*.partial"))


def test_both_installers_give_the_same_key_and_two_versions_stand_side_by_side(
    environments: Environments, index: Path, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("helper\n")
    spec = parse(f"-r {tmp_path / 'requirements.txt'}", f"lossy @ {(index / 'lossy-1.0-py3-none-any.whl').as_uri()}")
    steps: list[str] = []
    pip, uv = (environments.provide(spec, installer=name, report=steps.append) for name in ("pip", "uv"))
    assert uv.key == pip.key
    assert uv.named_packages == ("helper", "lossy")
    assert steps[-1].startswith("reusing")
    other = environments.provide(parse("lossy==2.0"))
    assert (imported(uv.python), imported(other.python)) == ("1.0", "2.0")


def test_the_key_depends_on_the_versions_and_the_python_only() -> None:
    base = Interpreter(Path("/a/python"), "3.12.4", "CPython", "linux-x86_64", {})
    lock = Lock(("a==1", "b==2"), {"a": "1", "b": "2"})
    assert key_of(lock, base) == "6ee849b88450f6e1"
    elsewhere = Interpreter(Path("/b/python"), "3.12.4", "CPython", "linux-x86_64", {"c": "3"})
    assert key_of(Lock(lock.lines, {}, {"a": "2024-01-01"}), elsewhere) == key_of(lock, base)
    changed = [
        key_of(Lock(("a==1", "b==3"), {}), base),
        key_of(lock, Interpreter(base.python, "3.12.5", "CPython", "linux-x86_64", {})),
        key_of(lock, Interpreter(base.python, "3.12.4", "PyPy", "linux-x86_64", {})),
        key_of(lock, Interpreter(base.python, "3.12.4", "CPython", "linux-aarch64", {})),
    ]
    assert len({key_of(lock, base), *changed}) == 5


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_failed_resolution_quotes_the_installer(environments: Environments, installer: str) -> None:
    with pytest.raises(EnvironmentsError) as failed:
        environments.provide(parse("lossy==9.9"), installer=installer)
    message = str(failed.value)
    assert message.startswith(f"{installer} could not resolve lossy==9.9")
    assert "lossy==9.9" in " ".join(message.splitlines()[1:-1])
    assert f"--installer {'pip' if installer == 'uv' else 'uv'}" in message
    assert environments.all() == []


def test_wrong_interpreters_and_installers(environments: Environments, monkeypatch: pytest.MonkeyPatch) -> None:
    for more, message in [
        ({"python": "/no/python"}, "--python /no/python does not exist"),
        ({"python": "2.0", "installer": "pip"}, "there is no python2.0 on PATH"),
        ({"python": "9.99", "installer": "uv"}, "uv could not create the environment"),
        ({"installer": "conda"}, "unknown installer 'conda'; choose from: uv, pip"),
    ]:
        with pytest.raises(EnvironmentsError, match=message):
            environments.provide(parse("lossy"), **more)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(EnvironmentsError, match=r"pip install \"logitmus\[audit\]\"\), or use --installer pip"):
        environments.provide(parse("lossy"))


def test_an_interpreter_that_exists_is_used_as_it_is(environments: Environments) -> None:
    made = environments.provide(parse(sys.executable))
    assert (made.key, made.python) == ("", Path(sys.executable))
    assert made.packages["msgspec"]
    assert made.named_packages == ()
    assert environments.provide(parse("current")).packages == made.packages
    with pytest.raises(EnvironmentsError, match="does not describe itself"):
        environments.provide(parse("/bin/echo"))
    with pytest.raises(EnvironmentsError, match="It needs no name"):
        environments.create("here", parse("current"))
    assert not environments.root.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_creation_is_not_taken_for_whole(
    environments: Environments, fake: Callable[..., Fake], how: signal.Signals
) -> None:
    with subprocess.Popen([sys.executable, "-c", STOPS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stopped\n"
        (partial,) = environments.root.glob("*.partial")
        process.send_signal(how)
    assert partial.exists() == (how == signal.SIGKILL)  # Ctrl-C leaves nothing
    assert environments.all() == []
    one = fake()
    assert environments.provide(parse("lossy==1.0")).key == partial.name.removesuffix(".partial")
    assert one.installed == 1
    assert not partial.exists()


def test_prune_removes_what_an_interruption_left_and_nothing_that_is_being_created(
    environments: Environments, fake: Callable[..., Fake]
) -> None:
    left = environments.root / "00000000000000aa.partial"
    left.mkdir(parents=True)
    go = threading.Event()
    fake(hold=go)
    creating = threading.Thread(target=environments.provide, args=(parse("lossy==1.0"),))
    creating.start()
    try:
        while len(found := list(environments.root.glob("*.partial"))) < 2:
            time.sleep(0.01)
        environments.prune(0, everything=True)
        assert not left.exists()
        assert [path for path in found if path.exists()] == [path for path in found if path != left]
    finally:
        go.set()
        creating.join()
    assert len(environments.all()) == 1


def test_a_second_process_waits_and_reuses(environments: Environments, fake: Callable[..., Fake]) -> None:
    go, waits = threading.Event(), threading.Event()
    one = fake(hold=go)
    steps: list[str] = []

    def report(step: str) -> None:
        steps.append(step)
        if "waiting" in step:
            waits.set()

    first = threading.Thread(target=environments.provide, args=(parse("lossy==1.0"),))
    first.start()
    while not one.installed:
        time.sleep(0.01)
    second = threading.Thread(target=environments.provide, args=(parse("lossy==1.0"),), kwargs={"report": report})
    second.start()
    assert waits.wait(30)
    go.set()
    first.join()
    second.join()
    assert one.installed == 1
    assert [step.split()[0] for step in steps] == ["resolving", "waiting", "reusing"]


def test_two_processes_at_once_install_once(environments: Environments) -> None:
    program = (
        "from logitmus.environments.environments import Environments; from logitmus.environments.spec import parse\n"
        "print(Environments().provide(parse('lossy==2.0'), report=print).key)"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]
    assert "".join(said).count("installing") == 1


def test_named_environments(environments: Environments, fake: Callable[..., Fake]) -> None:
    fake("1.0")
    old = environments.create("old", parse("lossy==1.0"))
    environments.create("older", parse("lossy==1.0"))
    fake("2.0")
    environments.create("new", parse("lossy==2.0"))
    unnamed = environments.provide(parse("lossy"))
    assert environments.named("old").key == old.key == environments.provide(parse("env:older")).key
    assert str(environments.named("old").spec) == "env:old"
    assert environments.named("new").named_packages == ("lossy",)
    assert [one.names for one in environments.all()] == [("new",), ("old", "older")]
    assert unnamed.key == environments.named("new").key
    with pytest.raises(EnvironmentsError, match="unknown environment 'odl'; did you mean 'old'"):
        environments.named("odl")
    with pytest.raises(EnvironmentsError, match=r"there is an environment 'new' of lossy==2.0\. Choose another name"):
        environments.create("new", parse("lossy==1.0"))
    with pytest.raises(EnvironmentsError, match="cannot name an environment"):
        environments.create("../new", parse("lossy==1.0"))
    assert environments.remove("older").count == 0  # "old" still refers to it
    assert environments.remove("old").count == 1
    with pytest.raises(EnvironmentsError, match="unknown environment 'old'"):
        environments.remove("old")
    environments.remove(unnamed.key)
    assert environments.all() == []
    with pytest.raises(EnvironmentsError, match="unknown environment 'new'; no environment has a name"):
        environments.named("new")


def test_the_same_request_again_updates_a_name(environments: Environments, fake: Callable[..., Fake]) -> None:
    fake("1.0")
    before = environments.create("mine", parse("lossy"))
    fake("2.0")
    after = environments.create("mine", parse("lossy"))
    assert environments.named("mine").key == after.key != before.key


def test_prune_keeps_what_is_named_or_was_used_lately(environments: Environments, fake: Callable[..., Fake]) -> None:
    made = {}
    for version in ("1.0", "2.0", "3.0"):
        fake(version)
        made[version] = environments.provide(parse(f"lossy=={version}"))
    environments.create("kept", parse("lossy==3.0"))
    for version in ("1.0", "3.0"):
        ten_days_ago = time.time() - 10 * 86400
        os.utime(environments.root / made[version].key / "used", (ten_days_ago, ten_days_ago))
    removed = environments.prune(7)
    assert removed.count == 1
    assert removed.size > 0
    assert {one.key for one in environments.all()} == {made["2.0"].key, made["3.0"].key}
    assert environments.prune(0).count == 1
    assert environments.prune(1000, everything=True).count == 1
    assert environments.all() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "logitmus.json").write_text("{"),
        lambda folder: (folder / "logitmus.json").write_bytes(b"\xff\x00"),
        lambda folder: (folder / "logitmus.json").write_text('{"format": 1}'),
        lambda folder: (folder / "logitmus.json").write_text("[]"),
        lambda folder: (folder / "logitmus.json").unlink(),
        lambda folder: (folder / "bin" / "python").unlink(),
        lambda folder: _other_format(folder / "logitmus.json"),
    ],
)
def test_a_damaged_environment_is_shown_rebuilt_and_removed(
    environments: Environments, fake: Callable[..., Fake], damage: Callable[[Path], object]
) -> None:
    one = fake()
    made = environments.create("mine", parse("lossy==1.0"))
    damage(environments.root / made.key)
    (stored,) = environments.all()
    assert stored.damage
    assert stored.names == ("mine",)
    with pytest.raises(EnvironmentsError, match=r"'mine' is not usable: .*\. Create it again \(logitmus env create"):
        environments.named("mine")
    environments.provide(parse("lossy==1.0"))
    assert one.installed == 2
    assert environments.named("mine").key == made.key
    damage(environments.root / made.key)
    assert environments.remove("mine").count == 1
    assert environments.all() == []


def _other_format(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def test_a_damaged_name_refers_to_nothing_and_can_be_removed(
    environments: Environments, fake: Callable[..., Fake]
) -> None:
    fake()
    environments.create("mine", parse("lossy==1.0"))
    name = environments.root / "names" / "mine.json"
    for content in ("{", "[]", json.dumps({**json.loads(name.read_text()), "key": "../../home"})):
        name.write_text(content)
        with pytest.raises(EnvironmentsError, match="unknown environment 'mine'"):
            environments.named("mine")
        assert [one.names for one in environments.all()] == [()]
    environments.remove("mine")
    assert not name.exists()
    for outside in ("../names", "", ".", "names", "locks"):
        with pytest.raises(EnvironmentsError, match="unknown environment"):
            environments.remove(outside)


def test_a_file_with_two_links_counts_once(environments: Environments, fake: Callable[..., Fake]) -> None:
    fake()
    made = environments.provide(parse("lossy==1.0"))
    (before,) = environments.all()
    large = environments.root / made.key / "large"
    large.write_bytes(b"x" * 1_000_000)
    (environments.root / made.key / "link").hardlink_to(large)
    outside = environments.root.parent / "outside"
    (after,) = environments.all()
    assert 1_000_000 <= after.size - before.size < 1_100_000
    outside.hardlink_to(large)
    assert environments.remove(made.key).size < 100_000  # the file outside still holds it


def test_a_backend_in_a_named_environment(environments: Environments, fake: Callable[..., Fake]) -> None:
    fake()
    made = environments.create("o23", parse("lossy==1.0"))
    assert registry.parse("torch@env:o23").python == str(made.python)
    named = registry.parse("old=torch@env:o23")
    assert (named.name, named.python) == ("old", str(made.python))
    with pytest.raises(EnvironmentsError, match="unknown environment 'o24'; did you mean 'o23'"):
        registry.parse("torch@env:o24")
    with pytest.raises(registry.RegistryError, match="or a named environment"):
        registry.parse("torch@o23")
