"""Every family finds what it names: miniatures of its incidents, by its own problems alone."""

from __future__ import annotations

import pytest

from logitmus.cases.planted.catalogue import ALL
from logitmus.cases.planted.miniatures import MINIATURES, MORE, NOT_PLANTED
from logitmus.cases.suite import FAMILIES
from logitmus.checking.selftest import findings_of_families
from logitmus.core.problem import SWITCHES

PLANTED = {planted.id: planted for planted in ALL}
CORRECT = ("numpy:textbook", "torch:functional_cross_entropy")
NAMES = [family.name for family in FAMILIES]


def wanted(family) -> dict[str, tuple[str, ...]]:
    """By incident (or by family, for what it stands for beside its incidents), its miniatures."""
    by_incident = {label: MINIATURES[label] for label, _ in family.incidents if label not in NOT_PLANTED}
    return {**by_incident, **({family.name: MORE[family.name]} if family.name in MORE else {})}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, tuple[str, ...]]]:
    """By family and planted function, the causes of what the family finds."""
    functions = {
        family.name: [PLANTED[name] for name in dict.fromkeys((*sum(wanted(family).values(), ()), *CORRECT))]
        for family in FAMILIES
        if wanted(family)
    }
    return findings_of_families(functions)


def test_every_incident_has_a_miniature_or_a_reason() -> None:
    labels = {label for family in FAMILIES for label, _ in family.incidents}
    assert set(MINIATURES) | set(NOT_PLANTED) == labels
    assert not set(MINIATURES) & set(NOT_PLANTED)
    assert {name for names in (*MINIATURES.values(), *MORE.values()) for name in names} <= set(PLANTED)
    assert set(MORE) <= set(NAMES)
    # The planted faults of switches are functions of a backend that has some: tests/engine/test_switches.py.
    assert all(wanted(family) or family.incidents or family.name == SWITCHES for family in FAMILIES)
    assert all(PLANTED[name].faulty for names in (*MINIATURES.values(), *MORE.values()) for name in names)


@pytest.mark.frameworks
@pytest.mark.long
@pytest.mark.parametrize("family", [f for f in FAMILIES if wanted(f)], ids=lambda f: f.name)
def test_a_family_finds_miniatures_of_its_incidents(family, found) -> None:
    missed = [
        incident for incident, names in wanted(family).items() if not any(found[family.name][name] for name in names)
    ]
    assert not missed
    assert {name: found[family.name][name] for name in CORRECT} == dict.fromkeys(CORRECT, ())
