"""The declaration of a backend: a name that means nothing is an error before any call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logitmus.backends.numpy_backend import BACKEND
from logitmus.core.convention import ConventionError
from logitmus.core.declaration import DeclarationError, subjects_of
from logitmus.core.events import BackendFailed
from logitmus.execution import registry
from logitmus.execution.pool import Pool

FUNCTION = BACKEND.functions[0]


def declared(**changes: Any) -> Any:
    """The backend with one function, and these changes to it; `offer__NAME` changes its offer."""
    offer = {name.removeprefix("offer__"): value for name, value in changes.items() if name.startswith("offer__")}
    own = {name: value for name, value in changes.items() if not name.startswith("offer__")}
    return replace(BACKEND, functions=(replace(FUNCTION, offer=replace(FUNCTION.offer, **offer), **own),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offer__targets": "label"}, "offer.targets: 'label'; use labels, probabilities"),
        ({"offer__options": frozenset({"weights"})}, "offer.options: 'weights'; use weight, ignore_index"),
        ({"offer__reductions": ("none", "avg")}, "offer.reductions: 'avg'; use none, sum, mean"),
        ({"offer__dtypes": ("float23",)}, "offer.dtypes: 'float23'; use float64, float32"),
        ({"offer__label_dtypes": ("int23",)}, "offer.label_dtypes: 'int23'; use "),
        ({"offer__layouts": ("curved",)}, "offer.layouts: 'curved'; use contiguous"),
        ({"offer__manners": ("rudely",)}, "offer.manners: 'rudely'; use "),
        ({"offer__gradients": frozenset({"logit"})}, "offer.gradients: 'logit'; use logits, targets"),
        ({"precision": {}}, "precision: nothing for bfloat16, which it takes"),
        (
            {"precision": {**FUNCTION.precision, "float32": replace(FUNCTION.precision["float32"], storage="float8")}},
            "precision.float32: 'float8'; use float64, float32",
        ),
        ({"docs": {"label_negativ": "https://example.org"}}, "docs: 'label_negativ'; use inputs, log_base"),
    ],
)
def test_a_name_that_means_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        subjects_of(declared(**{"name": "f", **changes}), ["cpu"])
    assert message in str(refused.value)


def test_two_functions_of_the_same_name_are_refused() -> None:
    with pytest.raises(DeclarationError, match=r"is offered twice"):
        subjects_of(replace(BACKEND, functions=(FUNCTION, FUNCTION)), ["cpu"])


def test_a_choice_that_a_mode_cannot_make_is_refused() -> None:
    wrong = declared(modes=("", "jit"), mode_conventions={"jit": {"label_negative": "wrapp"}})
    with pytest.raises(ConventionError, match="label_negative: 'wrapp'"):
        subjects_of(wrong, ["cpu"])


def test_a_wrong_declaration_is_reported_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from dataclasses import replace\n"
        "from logitmus.backends.numpy_backend import BACKEND as NUMPY\n"
        "function = NUMPY.functions[0]\n"
        "function = replace(function, name='f', offer=replace(function.offer, reductions=('avg',)))\n"
        "BACKEND = replace(NUMPY, name='mine', functions=(function,))\n",
        encoding="utf-8",
    )
    with Pool([registry.parse("mine:BACKEND")]) as pool:
        (failed,) = pool.describe()
    reason = "subject mine:f@cpu: offer.reductions: 'avg'; use none, sum, mean"
    assert failed == BackendFailed("mine", reason, "")
