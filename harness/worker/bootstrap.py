"""Starts a worker in any interpreter, which needs nothing of logitmus installed.

Run by path: `python bootstrap.py PACKAGE_FOLDER BACKENDS_FOLDER [worker's arguments]`. The folders are those of the
harness that asks: `logitmus` and `logitmus.backends` are made of them directly, for in an editable installation they
are not nested and in a wheel they are. Written to run under old interpreters, so that even they can say what is wrong.
"""

import json
import sys


def main(argv: list[str]) -> int:
    """Makes the packages, then hands over to `logitmus.worker.main`."""
    package, backends = argv[:2]
    if sys.path:
        del sys.path[0]  # this script's folder: its modules must not be found under their short names
    if sys.version_info < (3, 11):  # noqa: UP036  (a user may name any interpreter)
        return _fail(f"Python {sys.version.split()[0]} at {sys.executable} is too old", "use Python 3.11 or newer")
    try:
        _make("logitmus", package)
        _make("logitmus.backends", backends)
        from logitmus.worker.main import main as work  # noqa: PLC0415  (exists only now)
    except ImportError as error:
        return _fail(
            f"{type(error).__name__}: {error}",
            f"a worker needs numpy and ml_dtypes: {sys.executable} -m pip install numpy ml_dtypes",
        )
    return work(argv[2:])


def _make(name: str, folder: str) -> None:
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415

    spec = spec_from_file_location(name, folder + "/__init__.py", submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package at {folder}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    spec.loader.exec_module(module)


def _fail(reason: str, hint: str) -> int:
    sys.stdout.write(json.dumps({"type": "failed", "reason": reason, "hint": hint}) + "\n")
    sys.stdout.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
