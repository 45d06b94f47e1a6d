"""Subjects: a function in a mode on a device, with its id, what it offers and how precise it claims to be.

Light (numpy, ml_dtypes): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from logitmus.core.convention import Convention
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES, dtype_name
from logitmus.core.problem import DEFAULT_REDUCTION, ONCE, SWITCHES, Problem, Purpose, TargetKind

# How a switch is set (`Subject.switch`): its worker is started with it; or around each call, in a worker that such
# switches share, which is started with the variant SHARED. OFF: not set; the same function is asked with a switch.
BY_START: Final = "start"
BY_CALL: Final = "call"
OFF: Final = "off"
SHARED: Final = "switches"

PROFILES: Final = ("quick", "default", "full")
"""Of problems, each larger than the one before."""
LEAST_PROFILE: Final = PROFILES[0]


@dataclass(frozen=True)
class Precision:
    """The three precisions of a subject for an input dtype, as dtype names (docs/accuracy.md).

    result: of what it returns; storage: of intermediates between kernels; arithmetic: of each operation.
    """

    result: str
    storage: str
    arithmetic: str


IN_FLOAT32: Final = Precision("float32", "float32", "float32")


def same_precision(*, half_storage: str = "float32", half_arithmetic: str = "float32") -> Mapping[str, Precision]:
    """Results as the input; float64 and float32 throughout; halves as given, "result" meaning their own dtype."""

    def half(dtype: str) -> Precision:
        own = {"result": dtype}
        return Precision(dtype, own.get(half_storage, half_storage), own.get(half_arithmetic, half_arithmetic))

    return {
        "float64": Precision("float64", "float64", "float64"),
        "float32": Precision("float32", "float32", "float32"),
        "bfloat16": half("bfloat16"),
        "float16": half("float16"),
    }


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a function takes; it is not called with problems that need more.

    Attributes:
        targets: the kind of targets it takes.
        options: of `Option`, those it offers itself.
        reductions: those it offers; every function can be called without a reduction.
        dtypes, label_dtypes, layouts: those it takes. Labels also by range: see `Function.convention`.
        manners: the `MANNERS` that it supports beside the plain call; the worker implements them, and where they
            are `DERIVATIVES`, `Backend.differentiate`.
        spatial: takes several batch axes.
        single_row: takes logits of shape (K,).
        gradients: of "logits", "targets", those that its autodiff offers.
    """

    targets: TargetKind
    options: frozenset[str] = frozenset()
    reductions: tuple[str, ...] = ("none",)
    dtypes: tuple[str, ...] = tuple(FLOAT_DTYPES)
    label_dtypes: tuple[str, ...] = tuple(LABEL_DTYPES)
    layouts: tuple[str, ...] = ("contiguous",)
    manners: tuple[str, ...] = ()
    spatial: bool = True
    single_row: bool = True
    gradients: frozenset[str] = frozenset({"logits", "targets"})


@dataclass(frozen=True, slots=True)
class SubjectId:
    """A subject's name in parts; `str` gives `torch:cross_entropy+compile@cuda`, and `parse` takes it apart.

    Attributes:
        backend: "torch". function: "cross_entropy".
        modes: "compile", or a variant of the backend such as "x64"; none: eager, with the backend's defaults.
        device: "cpu", "cuda".
    """

    backend: str
    function: str
    modes: tuple[str, ...] = ()
    device: str = ""

    @classmethod
    def parse(cls, text: str) -> SubjectId:
        """The parts of an id; those that a person left out of a shortened id are empty."""
        return _parsed(text)

    @property
    def qualified_name(self) -> str:
        """`torch:cross_entropy`: the function, whatever its mode and device."""
        return f"{self.backend}:{self.function}" if self.backend else self.function

    def __str__(self) -> str:
        modes = "".join(f"+{mode}" for mode in self.modes)
        return f"{self.qualified_name}{modes}{f'@{self.device}' if self.device else ''}"


@lru_cache(maxsize=4096)
def _parsed(text: str) -> SubjectId:
    called, _, device = text.strip().partition("@")
    named, *modes = called.split("+")
    backend, colon, function = named.partition(":")
    return SubjectId(backend if colon else "", function if colon else backend, tuple(modes), device)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A function in a mode on a device, as described over the wire.

    least_profile: of PROFILES; lesser ones leave it out, unless it is named.
    held_to: the id of the subject whose convention, precision and documentation it is given as its own, as
        `logitmus check` does with a user's function; "": they are its own.
    promised: of a function that is held to a reference and was measured to apply parameters of its own: what it should
        compute; `convention` is what it does compute. None: `convention` is what it should compute.
    model: of a function that was measured to compute another formula than its reference: that formula, as
        `oracle.model_record` writes it. "": there is none.
    switch: BY_START or BY_CALL: the variant is a switch (`core.backend.Switch`), which is set in this way. With it few
        problems are asked, and the results are compared with those of the subject for which it is OFF. "": the
        function is asked with no switch.
    """

    backend: str
    function: str
    mode: str
    device: str
    offer: Offer
    convention: Convention
    precision: Mapping[str, Precision]
    flushes_subnormals: bool = False
    docs: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""
    least_profile: str = LEAST_PROFILE
    held_to: str = ""
    promised: Convention | None = None
    model: str = ""
    switch: str = ""

    @cached_property
    def id(self) -> str:
        """`torch:cross_entropy+compile@cuda`; `SubjectId.parse` takes it apart."""
        return str(SubjectId(self.backend, self.function, self.modes, self.device))

    @property
    def modes(self) -> tuple[str, ...]:
        """The mode and the variant, without the defaults of both."""
        return tuple(part for part in (self.mode, self.variant) if part)

    @property
    def qualified_name(self) -> str:
        """`torch:cross_entropy`."""
        return f"{self.backend}:{self.function}"

    @property
    def without_switch(self) -> str:
        """The id of the same function, in the same mode and on the same device, without its switch."""
        return str(SubjectId(self.backend, self.function, (self.mode,) if self.mode else (), self.device))

    @property
    def started_with(self) -> str:
        """The variant with which its worker is started."""
        return SHARED if self.switch == BY_CALL else self.variant

    @property
    def has_switch(self) -> bool:
        """Whether its variant is a switch."""
        return self.switch in (BY_START, BY_CALL)

    def is_asked(self, problem: Problem) -> bool:
        """Whether problems of this family are meant for it at all; else they are not even counted as not run.

        With a switch these are one family of the suite, and the problems to which its findings are reduced.
        """
        if problem.family == SWITCHES:
            return bool(self.switch)
        return not self.has_switch or problem.purpose is Purpose.REDUCTION

    def why_not(self, problem: Problem) -> str | None:
        """Why the subject cannot be called with this problem without emulation; None: it can."""
        if not self.is_asked(problem):
            return f"is asked problems of the family {SWITCHES} only with a switch, and no others"
        offer = self.offer
        missing = sorted(problem.options - offer.options)
        if missing:
            return f"does not offer {', '.join(missing)}"
        if problem.target_kind != offer.targets:
            return f"takes {offer.targets}"
        if problem.reduction not in (*offer.reductions, DEFAULT_REDUCTION):
            return f"does not offer reduction={problem.reduction!r}"
        if problem.dtype not in offer.dtypes:
            return f"does not take {problem.dtype}"
        if problem.target_kind == TargetKind.LABELS and dtype_name(problem.targets) not in offer.label_dtypes:
            return f"does not take {dtype_name(problem.targets)} labels"
        if problem.layout not in offer.layouts:
            return f"does not offer the layout {problem.layout}"
        if problem.manner not in (*offer.manners, ONCE):
            return f"does not support {problem.manner} calls"
        if problem.manner == "second_order" and not _has_second_order(problem, self.convention):
            return "second derivatives are tested with logits and labels, without options"
        if len(problem.batch) > 1 and not offer.spatial:
            return "takes a single batch axis"
        if len(problem.batch) == 0 and not offer.single_row:
            return "takes batches, not a single row"
        return outside_domain(self.convention.inputs, problem)


def _has_second_order(problem: Problem, convention: Convention) -> bool:
    plain = not problem.options and not convention.parameters.chosen
    return plain and convention.inputs == "logits" and problem.target_kind == TargetKind.LABELS


def outside_domain(inputs: str, problem: Problem) -> str | None:
    """Why the inputs are outside the domain of probabilities or log-probabilities; None: they are inside."""
    logits = problem.logits
    if inputs == "logits":
        return None
    logits = np.nan_to_num(logits.astype(np.float64), nan=2.0)  # NaN is outside every domain
    if inputs == "probabilities" and not bool(((logits >= 0) & (logits <= 1)).all()):
        return "takes probabilities; these are outside [0, 1]"
    if inputs == "log_probabilities" and not bool((logits <= 0).all()):
        return "takes log-probabilities; these are above 0"
    return None
