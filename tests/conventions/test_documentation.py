"""The lattice of conventions: its definitions, and choices that no framework installed here makes."""

from __future__ import annotations

import doctest
import math
import re
from pathlib import Path

import numpy as np
import pytest

from logitmus import Convention, Problem, reference
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.oracle.answer import UnanswerableError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conventions.md"

ROWS = np.zeros((3, 4), np.float32)
HOT = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_every_value_is_defined_in_a_line(field: object) -> None:
    assert set(field.formulas) <= set(field.values)  # type: ignore[attr-defined]
    for text in (field.decides, *field.values.values(), *field.formulas.values()):  # type: ignore[attr-defined]
        assert text == text.strip() != ""
        assert "\n" not in text


def test_a_mean_over_the_classes_too() -> None:
    problem = Problem(logits=ROWS, targets=np.array([0, 1, 2]), reduction="mean")
    assert reference(problem, Convention(mean_denominator="elements")).loss.contains(math.log(4) / 4)


def test_an_ignored_class_beside_probabilities() -> None:
    problem = Problem(logits=ROWS, targets=HOT[[0, 1, 1]], ignore_index=1, reduction="sum")
    assert reference(problem).loss.contains(3 * math.log(4))
    leaving_out = Convention(ignore_with_probabilities="one_hot", mean_denominator="kept")
    assert reference(problem, leaving_out).loss.contains(math.log(4))
    assert reference(problem.but(reduction="mean"), leaving_out).loss.contains(math.log(4))
    refusing = Convention(ignore_with_probabilities="error")
    with pytest.raises(UnanswerableError, match="ignored label beside probabilities"):
        reference(problem, refusing)
    assert reference(problem.but(ignore_index=-100), refusing).loss.contains(3 * math.log(4))


@pytest.mark.parametrize("epsilon", ["1e-7", "1e-8", "1e-12", "1e-15"])
def test_clips(epsilon: str) -> None:
    problem = Problem(logits=np.array([[0, 1]], np.float32), targets=np.array([0]))
    clipped = Convention(inputs="probabilities", probability_clip=epsilon)
    loss = reference(problem, clipped).loss
    assert float(loss.mid[0]) == pytest.approx(-math.log(float(epsilon)), rel=2.0**-50)


def test_a_clip_that_the_arithmetic_cannot_hold_lets_a_certain_class_through() -> None:
    certain = Problem(logits=np.array([[0, 1]], np.float32), targets=np.array([1]))
    fine = Convention(inputs="probabilities", probability_clip="1e-12")
    assert reference(certain, fine).loss.contains(0.0, (0,))
    assert not reference(certain.but(logits=np.array([[0.0, 1.0]])), fine).loss.contains(0.0, (0,))


# --- docs/conventions.md ----------------------------------------------------------------------------------------


def documented() -> dict[str, str]:
    """The sections of the page that are about a field, by its name."""
    parts = re.split(r"^### `(\w+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        name: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def references() -> set[str]:
    """The names of the links that are collected at the end of the page."""
    return set(re.findall(r"^\[([\w-]+)\]: https://", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_no_link_leads_nowhere() -> None:
    used = re.findall(r"\]\[([\w-]+)\]", PAGE.read_text(encoding="utf-8"))
    assert set(used) <= references()


def test_the_page_has_every_field_and_no_other() -> None:
    assert set(documented()) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_page_defines_every_value_as_the_code_does(name: str) -> None:
    field, text = FIELDS[name], documented()[name]
    assert f"Decides {field.decides}." in text
    rows = re.findall(r"^\| (\*\*)?`([^`]+)`(?:\*\*)? \| (.+?) \|(?: `(.+)`)? \|$", text, flags=re.MULTILINE)
    assert [(value, words, formula) for _, value, words, formula in rows] == [
        (value, words, field.formulas.get(value, "")) for value, words in field.values.items()
    ]
    assert [value for bold, value, _, _ in rows if bold] == [getattr(PORTABLE, name)]


@pytest.mark.parametrize("name", FIELDS)
def test_the_page_shows_a_number_and_links_to_functions(name: str) -> None:
    sections = documented()
    text = sections["label_negative"] if name == "label_out_of_range" else sections[name]  # both share a text
    assert ">>>" in text or name == "class_axis"
    assert "](https://" in text or set(re.findall(r"\[([\w-]+)\]", text.lower())) & references()


def test_the_numbers_on_the_page_are_the_oracles() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 40
    output: list[str] = []
    failed, _ = doctest.DocTestRunner().run(test, out=output.append)
    assert not failed, "".join(output)
