"""What a family is, and what it is given to draw its problems on.

A family never chooses shapes freely: every new signature costs a compilation in most frameworks, so it draws its rows
on the few canonical shapes of the profile and packs many rows into a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from logitmus.cases.generation.draws import Draws
from logitmus.core.floats import Array, float_array
from logitmus.core.problem import Problem, Reduction

ProfileName = Literal["quick", "default", "full"]
PROFILES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "quick": "one shape per idea, float32 and some bfloat16",
        "default": "four dtypes on few canonical shapes",
        "full": "every dtype on every canonical shape, every row of every idea",
    }
)
Shapes = tuple[tuple[int, int], ...]

# (rows, classes). 257 and 2050: just beyond what bfloat16 and float16 can count to; 33 and 1000 are no multiple of a
# block.
_ORDINARY: Final[Shapes] = ((32, 4), (32, 10), (16, 33), (8, 257), (4, 1000), (4, 2050))
_SMALL: Final[Mapping[str, Shapes]] = MappingProxyType(
    {
        "float64": ((32, 4), (32, 10), (16, 33)),
        "float32": ((32, 4), (32, 10), (16, 33), (8, 257), (4, 1000)),
        "bfloat16": ((32, 4), (32, 10), (8, 257)),
        "float16": ((32, 4), (32, 10), (4, 2050)),
    }
)
_LARGE: Final[Mapping[str, Shapes]] = MappingProxyType(
    {
        "float64": (),
        "float32": ((2, 32000), (2, 50257), (2, 128256)),
        "bfloat16": ((2, 50257), (2, 128256)),
        "float16": ((2, 32000),),
    }
)
_EVERY_LARGE: Final[Shapes] = ((2, 32000), (2, 50257), (2, 65504), (2, 128256), (2, 131072))

# How rows are put as a question: a label on the class that the row is about, a label on another class, a one-hot
# target, a soft target.
Kind = Literal["focus", "elsewhere", "one_hot", "soft"]
KINDS: Final[tuple[Kind, ...]] = ("focus", "elsewhere", "one_hot", "soft")


@dataclass(frozen=True, slots=True)
class Profile:
    """How much to ask, in which dtypes, with which seed. `dtypes` empty: the profile's own."""

    name: ProfileName = "default"
    seed: int = 0
    dtypes: tuple[str, ...] = ()

    @property
    def asked_dtypes(self) -> tuple[str, ...]:
        own = ("float32", "bfloat16") if self.name == "quick" else ("float32", "bfloat16", "float16", "float64")
        return self.dtypes or own


@dataclass(frozen=True, slots=True)
class Canvas:
    """A shape in a dtype, with random numbers of its own: what a family's problems are drawn on.

    Attributes:
        family: the family's name, written into every problem.
        rows, classes: N and K.
        draws: depends on the seed, the family, the dtype and the shape, so leaving out a dtype changes no other.
        chunks: at most so many problems of N rows for each idea and kind.
        kinds: the kinds of problems that rows are made into.
    """

    family: str
    dtype: str
    rows: int
    classes: int
    draws: Draws
    chunks: int = 1
    kinds: tuple[Kind, ...] = KINDS

    def problem(
        self,
        logits: Array,
        targets: Array,
        *,
        idea: str,
        weight: Array | None = None,
        cotangent: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: Reduction = "none",
        layout: str = "contiguous",
    ) -> Problem:
        """The problem with these float64 values rounded into the canvas' dtype; integer targets are kept."""
        return Problem(
            logits=float_array(logits, self.dtype),
            targets=targets if targets.dtype.kind in "iu" else float_array(targets, self.dtype),
            weight=None if weight is None else float_array(weight, self.dtype),
            cotangent=None if cotangent is None else float_array(cotangent, self.dtype),
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
            layout=layout,
            family=self.family,
            idea=idea,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A profile, for a single family."""

    profile: Profile
    family: str

    @property
    def quick(self) -> bool:
        return self.profile.name == "quick"

    @property
    def full(self) -> bool:
        return self.profile.name == "full"

    @property
    def dtypes(self) -> tuple[str, ...]:
        return self.profile.asked_dtypes

    def canvas(self, dtype: str, rows: int, classes: int) -> Canvas:
        """A canvas of any shape; use a canonical shape where the idea allows it."""
        kinds: tuple[Kind, ...] = KINDS
        if self.quick:
            kinds = ("focus", "elsewhere", "soft") if dtype == "float32" else ("focus", "soft")
        # In the default profile a single shape shows most rows of an idea, the others a selection.
        chunks = 64 if self.full else 2 if (rows, classes) == (32, 10) and not self.quick else 1
        draws = Draws(self.profile.seed, self.family, dtype, rows, classes)
        return Canvas(self.family, dtype, rows, classes, draws, chunks, kinds)

    def canvases(self) -> Iterator[Canvas]:
        """The canonical shapes of every dtype, all but the large vocabularies."""
        for dtype in self.dtypes:
            shapes: Shapes = ((32, 10),) if self.quick else _ORDINARY if self.full else _SMALL[dtype]
            yield from (self.canvas(dtype, *shape) for shape in shapes)

    def large_canvases(self) -> Iterator[Canvas]:
        """The large vocabularies."""
        for dtype in self.dtypes:
            shapes = _EVERY_LARGE if self.full else _LARGE[dtype]
            if self.quick:
                shapes = tuple(s for s in shapes if dtype == "float32" and s[1] == 50257)
            yield from (self.canvas(dtype, *shape) for shape in shapes)

    @property
    def lead(self) -> str:
        """The dtype of most problems: float32, or the first of the requested dtypes."""
        return "float32" if "float32" in self.dtypes else self.dtypes[0]

    def lead_canvas(self) -> Canvas:
        """The shape on which options, reductions and layouts vary, in the lead dtype."""
        return self.canvas(self.lead, 32, 10)

    def option_canvases(self) -> Iterator[Canvas]:
        """The same shape in every dtype; in the quick profile the lead dtype alone."""
        yield from (self.canvas(dtype, 32, 10) for dtype in ((self.lead,) if self.quick else self.dtypes))


Incident = tuple[str, str]
"""A label such as "pytorch #11752", and its URL."""


def issue(repository: str, number: int) -> Incident:
    """An issue or pull request on GitHub (which forwards between the two addresses)."""
    return (f"{repository.split('/')[1]} #{number}", f"https://github.com/{repository}/issues/{number}")


def commit(repository: str, revision: str) -> Incident:
    return (f"{repository.split('/')[1]} {revision}", f"https://github.com/{repository}/commit/{revision}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A named generator of problems with an adversarial idea.

    Attributes:
        name: as `--family` takes it.
        idea: in a line.
        rationale: why it hurts, in a few sentences.
        incidents: real ones that it stands for; empty where none is known.
        build: the problems of a plan, lazily.
    """

    name: str
    idea: str
    rationale: str
    build: Callable[[Plan], Iterator[Problem]]
    incidents: tuple[Incident, ...] = field(default=())

    def problems(self, profile: Profile) -> Iterator[Problem]:
        """The family's problems, in a fixed order; the same bits on every machine."""
        return self.build(Plan(profile, self.name))
