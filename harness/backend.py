"""What the author of a backend imports (docs: "A backend in 20 lines" in the README)."""

from logitmus.core.backend import (
    Backend,
    Function,
    Inputs,
    NotAskedError,
    Offer,
    Outputs,
    Precision,
    Usage,
    differentiated,
)

__all__ = ["Backend", "Function", "Inputs", "NotAskedError", "Offer", "Outputs", "Precision", "Usage", "differentiated"]
