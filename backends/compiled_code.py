"""Where a worker keeps what its framework compiles, so that later workers load it: `folder`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def folder(name: str, libraries: Iterable[Path], *settings: str) -> Path | None:
    """The folder for this build of a framework; None where nothing is to be kept, or no folder can be made.

    A build is known by its libraries: developers of a framework change them in place, under the same version.

    Args:
        name: the framework with its version.
        libraries: the files with its code.
        settings: what else decides about the compiled code, and is no part of the framework's own key.
    """
    cache = os.environ.get("LOGITMUS_CACHE")  # for the model of this processor
    if not cache:
        return None
    build = [(library.name, library.stat().st_size, library.stat().st_mtime_ns) for library in sorted(libraries)]
    digest = hashlib.sha256(repr((build, settings)).encode()).hexdigest()[:12]
    path = Path(cache) / f"{name}-{digest}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: everything is compiled anew
        return None
    return path
