"""The public name of `Convention`; its definition is in `logitmus.core.convention`."""

from logitmus.core.convention import Convention, ConventionError, Field

__all__ = ["Convention", "ConventionError", "Field"]
