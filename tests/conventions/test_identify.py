"""Identification: elimination finds every convention of a perfect function, and is never wrong about any function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from implementations import subject
from perfect import perfect, probes

from logitmus.conventions.card import Card
from logitmus.conventions.evidence import APART
from logitmus.conventions.fit import Observed
from logitmus.conventions.measure import measure as measure_with
from logitmus.conventions.version_space import TooManyWorldsError, Worlds
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, Crashed, NotRun, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.relevance import depended_on
from logitmus.core.subject import Subject
from logitmus.judging.bench import Bench

KINDS = ("labels", "probabilities")
Results = list[tuple[Problem, Outcome]]

# Distinguished only with other choices beside them, or for one kind of targets alone.
BESIDE = {
    "probability_clip": {"inputs": "probabilities"},
    "probability_scale": {"inputs": "probabilities", "probability_clip": "1e-7"},
    "overflowing_shift": {"default_reduction": "mean"},
}
PROBABILITIES = {"soft_target_gradient", "target_gradient", "ignore_with_probabilities"}
FLIPS = [(name, value) for name, known in FIELDS.items() for value in known.values if value != PORTABLE.as_dict()[name]]


@cache
def bench(problem: Problem) -> Bench:
    """Shared by all tests: the exact answers to the probes are the same for every function."""
    return Bench(problem)


def measure(subject: Subject, results: Results) -> Card:
    return measure_with(subject, results, benches=bench)


def plays_a_part(name: str, problem: Problem) -> bool:
    """Whether a probe is about the field, or plain."""
    about = depended_on(problem, "grad_logits")
    return name in about or Observed(problem, Raised("", "")).control


def of_perfect(convention: Convention, kind: str, about: str = "", **offer: Any) -> tuple[Subject, Results]:
    """A perfect function of this convention, and its outcomes for every probe, or for the probes about a field."""
    everything = {"targets": kind, "gradients": frozenset({"logits", "targets"})}
    tested = subject(PORTABLE.but(class_axis=convention.class_axis), **{**everything, **offer})
    selected = [p for p in probes(kind) if not about or about in APART or plays_a_part(about, p)]
    return tested, [(problem, perfect(problem, convention, tested)) for problem in selected]


def of_function(function: Callable[[Array, Array], Any], kind: str = "labels") -> tuple[Subject, Results]:
    """A plain NumPy function without options or gradients, and its outcomes for every probe."""
    tested = subject(targets=kind, options=frozenset(), reductions=(), gradients=frozenset())

    def outcome(problem: Problem) -> Outcome:
        if tested.why_not(problem):
            return NotRun(str(tested.why_not(problem)))
        try:
            with np.errstate(all="ignore"):
                return Answered(np.asarray(function(problem.logits.copy(), problem.targets.copy())))
        except Exception as error:
            return Raised(type(error).__name__, str(error))

    return tested, [(problem, outcome(problem)) for problem in probes(kind)]


def wrong(card: Card, truth: Convention) -> list[str]:
    """The fields of a card that contradict the truth."""
    return [
        f"{known.field}: {known.state} {known.values}, is {getattr(truth, known.field)} ({known.why})"
        for known in card.fields.values()
        if known.state == "contradicted" or getattr(truth, known.field) not in known.values
    ]


# --- perfect functions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), FLIPS)
def test_every_value_of_every_field_is_measured(name: str, value: str) -> None:
    truth = PORTABLE.but(**{**BESIDE.get(name, {}), name: value})
    card = measure(*of_perfect(truth, "probabilities" if name in PROBABILITIES else "labels", about=name))
    assert not wrong(card, truth)
    assert (card[name].state, card[name].values) == ("measured", (value,)), card[name]
    assert card[name].evidence
    assert set(card[name].evidence) <= {problem.id for kind in KINDS for problem in probes(kind)}
    assert not card.mechanisms
    assert getattr(card.convention, name) == value


conventions = st.builds(Convention, **{name: st.sampled_from(list(known.values)) for name, known in FIELDS.items()})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(truth=conventions, kind=st.sampled_from(KINDS), data=st.data())
def test_it_is_never_wrong_about_a_convention(truth: Convention, kind: str, data: st.DataObject) -> None:
    """Whatever the function offers, and whatever of its answers is known, in any order."""
    offer: dict[str, Any] = {
        "reductions": data.draw(st.sampled_from([(), ("none",), ("none", "sum", "mean")])),
        "options": data.draw(st.sampled_from([frozenset(), frozenset({"weight", "ignore_index", "label_smoothing"})])),
        "gradients": data.draw(st.sampled_from([frozenset(), frozenset({"logits", "targets"})])),
    }
    tested, results = of_perfect(truth, kind, **offer)
    if data.draw(st.booleans()):
        results = data.draw(st.permutations(results))[: data.draw(st.sampled_from([10, 40, 200]))]
    card = measure(tested, results)
    assert not wrong(card, truth)
    assert not card.mechanisms


def test_every_field_that_plays_a_part_is_measured() -> None:
    truth = PORTABLE.but(default_reduction="mean", ignore_default="-100", class_axis="1", overflowing_shift="infinite")
    card = measure(*of_perfect(truth, "labels"))
    untold = {name for name, known in card.fields.items() if known.state != "measured"}
    assert untold == {*PROBABILITIES, "probability_clip", "probability_scale"}
    assert card["probability_clip"].why == "plays no part: takes logits"
    assert card.convention == truth
    assert card.calls <= 200


def test_a_card_is_json() -> None:
    card = measure(*of_perfect(PORTABLE, "labels"))
    as_json = json.loads(json.dumps(card.as_dict()))
    assert as_json["schema"] == 1
    assert Convention.from_dict(as_json["convention"]) == card.convention
    assert [field["field"] for field in as_json["fields"]] == list(FIELDS)


# --- what is no evidence ----------------------------------------------------------------------------------------


@cache
def portable() -> tuple[Subject, Results]:
    return of_perfect(PORTABLE, "labels")


def test_outcomes_without_results_are_no_evidence() -> None:
    tested, results = portable()
    unrun: Results = [(problem, NotRun("takes labels")) for problem, _ in results]
    card = measure(tested, unrun)
    assert {known.state for known in card.fields.values()} == {"undetermined"}
    assert (card.calls, card.remarks) == (0, ("never answered",))
    lost: list[Outcome] = [Crashed("SIGSEGV"), TimedOut(1.0)]
    crashing: Results = [(p, o if n % 5 else lost[n % 2]) for n, (p, o) in enumerate(results)]
    card = measure(tested, crashing)
    assert not wrong(card, PORTABLE)
    assert {remark.split(" on ")[0] for remark in card.remarks} == {"Crashed", "TimedOut"}


def test_a_function_that_always_raises_has_one_remark_and_no_measured_field() -> None:
    tested, results = portable()
    card = measure(tested, [(problem, Raised("TypeError", "no\nsuch thing")) for problem, _ in results])
    assert card.remarks == ("raises on every call: TypeError: no such thing",)
    assert {known.state for known in card.fields.values()} == {"undetermined"}
    assert {known.why for known in card.fields.values()} == set(card.remarks)


def test_an_option_that_always_raises_is_remarked_and_rules_nothing_out() -> None:
    tested, results = portable()
    raising: Results = [(p, Raised("TypeError", "no weight") if p.weight is not None else o) for p, o in results]
    card = measure(tested, raising)
    assert not wrong(card, PORTABLE)
    assert card["smoothing_weights"].state == "undetermined"
    assert "raises with batches, weight: TypeError: no weight" in card.remarks


# --- poor functions ----------------------------------------------------------------------------------------


def log_softmax(x: Array) -> Array:
    d = x - x.max(axis=-1, keepdims=True)
    return np.asarray(d - np.log(np.exp(d).sum(axis=-1, keepdims=True)))


def rows(x: Array, t: Array) -> Array:
    if t.size and not 0 <= t.min() <= t.max() < x.shape[-1]:
        raise IndexError("no such class")
    return np.asarray(-np.take_along_axis(log_softmax(x), t[..., None], axis=-1)[..., 0])


def mean(values: Array) -> Array:
    return np.asarray(values.sum() / np.asarray(values.size, values.dtype))


def brier(x: Array, t: Array) -> Array:
    return ((np.exp(log_softmax(x)) - (np.arange(x.shape[-1]) == t[..., None])) ** 2).sum(axis=-1).astype(x.dtype)


def all_nan(x: Array, t: Array) -> Array:
    return np.full(t.shape, np.nan, x.dtype)


def error_rate(x: Array, t: Array) -> Array:
    return mean((x.argmax(axis=-1) != t).astype(x.dtype))


@pytest.mark.parametrize("function", [brier, all_nan, error_rate])
def test_a_function_that_is_no_cross_entropy_has_no_known_convention(function: Callable[..., Any]) -> None:
    card = measure(*of_function(function))
    assert {card[name].state for name in ("inputs", "log_base")} == {"contradicted"}
    assert not [name for name, known in card.fields.items() if known.state == "measured"]
    assert "no known convention explains the results, not even of plain problems" in card.remarks


def test_a_function_for_one_row_that_garbles_batches() -> None:
    def one_row(x: Array, t: Array) -> Any:
        e = np.exp(x - x.max())
        return -np.log(e / e.sum())[..., t].sum()

    card = measure(*of_function(one_row))
    assert card["inputs"].values == ("logits",)
    assert card["default_reduction"].state == "undetermined"
    assert "takes a single row only" in card.remarks


def test_arithmetic_in_half_precision_does_not_hide_the_convention() -> None:
    card = measure(*of_function(lambda x, t: mean(rows(x.astype(np.float16), t)).astype(x.dtype)))
    assert not wrong(card, card.convention)
    assert card["inputs"].values == ("logits",)
    assert card["default_reduction"].values == ("mean",)
    assert "computes no more finely than float16" in card.remarks
    assert [mechanism.cause for mechanism in card.mechanisms] == ["unexplained"]


def test_labels_modulo_k_contradict_every_rule_and_say_where() -> None:
    card = measure(*of_function(lambda x, t: rows(x, t % x.shape[-1])))
    assert (card["label_out_of_range"].state, card["label_out_of_range"].values) == ("contradicted", ("wrap",))
    assert "by far" in card["label_out_of_range"].why
    assert card.convention.label_out_of_range == "error"  # the portable value, where nothing is known


def test_shapes_and_dtypes_are_remarked() -> None:
    card = measure(*of_function(lambda x, t: rows(x, t)[..., None].astype(np.float64)))
    assert "returns shape (4, 1) for logits (4, 6)" in card.remarks
    assert card["result_dtype"].state == "contradicted"
    assert "float64 for float32" in card["result_dtype"].why
    assert card["default_reduction"].values == ("none",)


def test_a_fault_of_the_arithmetic_is_named_once() -> None:
    def naive(x: Array, t: Array) -> Any:
        rows(np.zeros_like(x), t)  # refuses bad labels
        return np.log(np.exp(x).sum(axis=-1)) - np.take_along_axis(x, t[..., None], axis=-1)[..., 0]

    (fault,) = measure(*of_function(naive)).mechanisms
    assert fault.cause == "mechanism:no_max_shift"
    assert fault.problem in {problem.id for problem in probes("labels")}
    assert fault.summary


# --- worlds ----------------------------------------------------------------------------------------


def test_worlds_keep_dependent_fields_together_and_split_independent_fields() -> None:
    worlds = Worlds({"a": "12", "b": "12", "c": "12"})
    assert len(worlds.over(["a", "b"])) == 4
    lost = worlds.keep([world for world in worlds.over(["a", "b"]) if world["a"] == world["b"]])
    assert not lost
    assert len(worlds.over(["a"])) == 2  # b comes along
    assert worlds.keep([world for world in worlds.over(["a"]) if world["b"] == "1"]) == {"a", "b"}
    assert worlds.values("a") == ("1",)
    assert worlds.over(["a"]) == [{"a": "1"}]  # b is known and no longer hangs together with it
    assert worlds.closest({"a": "2", "b": "2", "c": "2"}) == {"a": "1", "b": "1", "c": "2"}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from("ab")), min_size=1))
def test_worlds_lose_nothing_by_splitting(kept: list[tuple[str, str, str]]) -> None:
    worlds = Worlds(dict.fromkeys("xyz", "ab"))
    worlds.keep([dict(zip("xyz", row, strict=True)) for row in kept])
    left = {tuple(world[name] for name in "xyz") for world in worlds.over("xyz")}
    assert left == set(kept)


def test_worlds_refuse_too_many_combinations_and_none() -> None:
    worlds = Worlds({str(n): "123456789" for n in range(5)})
    with pytest.raises(TooManyWorldsError, match="59049 combinations"):
        worlds.over([str(n) for n in range(5)])
    with pytest.raises(ValueError, match="no world is left"):
        worlds.keep([])


def test_an_ignored_row_that_leaks_into_the_gradient_alone_contradicts_itself() -> None:
    tested, results = of_perfect(PORTABLE.but(ignore_default="-100"), "labels", about="ignored_row")

    def leaking(problem: Problem, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Answered) or outcome.grad_logits is None:
            return outcome
        lost = np.isnan(problem.logits.astype(np.float64)).any(axis=-1, keepdims=True)
        return replace(outcome, grad_logits=np.where(lost, np.nan, outcome.grad_logits).astype(problem.dtype))

    plain = measure(tested, results)["ignored_row"]
    assert (plain.state, plain.values) == ("measured", ("zero",))
    card = measure(tested, [(problem, leaking(problem, outcome)) for problem, outcome in results])
    assert (card["ignored_row"].state, card["ignored_row"].values) == ("contradicted", ("zero", "nan_leaks"))
    assert "the gradient is NaN" in card["ignored_row"].why
