"""What the author of a backend imports (docs: "A backend in 20 lines" in the README)."""

from logitmus.core.backend import Backend, Function, Inputs, NotAskedError, Outputs, Switch, Usage, differentiated
from logitmus.core.subject import Offer, Precision

__all__ = [
    "Backend",
    "Function",
    "Inputs",
    "NotAskedError",
    "Offer",
    "Outputs",
    "Precision",
    "Switch",
    "Usage",
    "differentiated",
]
