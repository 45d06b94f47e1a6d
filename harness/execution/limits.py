"""The limits of a worker, with their defaults. Light: the command line shows the defaults in its help."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a worker may take before it is killed and replaced.

    Attributes:
        start_seconds: from its start to its hello.
        compile_seconds: the first call of a signature for a subject, which may compile. call_seconds: any later call.
        memory_bytes: resident, of the worker and all its children.
        line_bytes: of a line that it sends.
        patience: after two first calls of signatures, no other is waited for longer than so many times the slowest
            of them (or `call_seconds`, if that is longer).
        give_up_after: replacements in a row without an answer, after which the rest is not run.
        lost_seconds: the same, after so long in all was spent on waiting for what hung and on replacing workers.
    """

    start_seconds: float = 120.0
    compile_seconds: float = 60.0
    call_seconds: float = 20.0
    patience: float = math.inf
    memory_bytes: int = 8 << 30
    line_bytes: int = 1 << 30
    give_up_after: int = 20
    lost_seconds: float = math.inf
