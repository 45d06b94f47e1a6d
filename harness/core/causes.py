"""Cause: the stable name of why a result is wrong, or differs by convention.

Findings are grouped by it, a user accepts findings by it, and it is part of a finding's id, so its text never changes:
`spurious_overflow`, `raised:IndexError`, `convention:smoothing=dropped`. Everything that is known about a cause (its
summary, its impact, its precedence, its severity) is a row of `logitmus.core.catalogue`.
"""

from __future__ import annotations

from typing import Final

# Causes whose detail is a choice "field=value": of the convention, the dtype of a part of the result, or a parameter.
_CHOICES: Final = frozenset({"convention", "accepted", "gradient_of", "dtype", "parameter"})


class Cause(str):
    """Why a result is not as expected: a name, and for some names a detail.

    It is a string, as the members of a StrEnum are: users compare it with literals and match it with globs, and files
    hold it as text. Nothing but this class puts that text together or takes it apart.

    Examples:
        >>> Cause("convention:smoothing=dropped").field, Cause("raised:IndexError").value, Cause("lost").value
        ('smoothing', 'IndexError', None)
    """

    __slots__ = ()

    @classmethod
    def of(cls, name: str, detail: str) -> Cause:
        """The cause `name:detail`."""
        return cls(f"{name}:{detail}")

    @classmethod
    def of_choice(cls, name: str, field: str, value: str) -> Cause:
        """The cause `name:field=value`."""
        return cls(f"{name}:{field}={value}")

    @classmethod
    def convention(cls, field: str, value: str) -> Cause:
        """The result is right if the convention has this value in this field."""
        return cls.of_choice("convention", field, value)

    @classmethod
    def parameter(cls, name: str, value: float) -> Cause:
        """The result is right if the function applies this parameter (`logitmus.core.parameters`) by itself."""
        short = f"{value:g}"
        return cls.of_choice("parameter", name, short if float(short) == value else repr(value))

    @classmethod
    def depends_on(cls, dependence: str) -> Cause:
        """The result depends on something that it should not depend on."""
        return cls.of("depends_on", dependence)

    @classmethod
    def effective_precision(cls, storage: str, arithmetic: str) -> Cause:
        """The results are those of this storage and arithmetic, both dtypes."""
        return cls.of("effective_precision", f"storage={storage},arithmetic={arithmetic}")

    @property
    def precision(self) -> dict[str, str]:
        """The dtypes of an effective precision, by "storage" and "arithmetic"."""
        return dict(pair.split("=") for pair in self.detail.split(","))

    @property
    def name(self) -> str:
        """The row of the catalogue: "convention", "raised", "spurious_overflow"."""
        return self.partition(":")[0]

    @property
    def detail(self) -> str:
        """The text behind the name: "smoothing=dropped", "IndexError"; empty if there is none."""
        return self.partition(":")[2]

    @property
    def field(self) -> str | None:
        """The field, parameter or part of the result that the cause is about; None: it is about none of these."""
        return self.choice[0] if self.is_choice else None

    @property
    def value(self) -> str | None:
        """The value in `field`; of other causes the detail itself. None: the cause has no detail."""
        return (self.choice[1] if self.is_choice else self.detail) or None

    @property
    def is_choice(self) -> bool:
        """Whether the detail is "field=value"."""
        return self.name in _CHOICES and "=" in self

    @property
    def is_convention(self) -> bool:
        """Whether the result is right if the convention has `value` in `field`."""
        return self.name == "convention" and self.is_choice

    @property
    def choice(self) -> tuple[str, str]:
        """(field, value) of a cause that is a choice."""
        field, _, value = self.detail.partition("=")
        return field, value

    def named(self, name: str) -> Cause:
        """The cause with the same detail under another name."""
        return Cause.of(name, self.detail)
