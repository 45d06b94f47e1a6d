"""A change: a named deviation from the plain definition of cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

STAGES: Final = ("problem", "convention", "question", "loss", "reduction", "scale", "arithmetic")
USUAL: Final = 3  # the rank up to which changes are tried in pairs: what people meet most often


@dataclass(frozen=True)
class Change:
    """One deviation from the plain definition.

    Attributes:
        name, value: `temperature`, `2`; a field of `Convention` and its value where the stage is "convention".
        stage: of `STAGES`. words: a clause in the past tense. mend: the code that undoes or reproduces it.
        rank: 0 for what is met most often; among equals the lower rank is listed first.
        act: what the stage needs: Problem -> Problem | None, Question -> Question | None, Rows -> row losses,
            (rows, Rows) -> result, or a factor as (Rows) -> float; None for conventions and arithmetic.
    """

    name: str
    value: str
    stage: str
    words: str
    mend: str = ""
    rank: int = 5
    act: Callable[..., Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.value
