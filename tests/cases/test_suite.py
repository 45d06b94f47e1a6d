"""The suite: deterministic, large enough, cheap to compile, and each family keeps its promise."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import logitmus.cases.families
from logitmus.cases.build import soft_targets
from logitmus.cases.families.process_switches import GAPS
from logitmus.cases.family import PROFILES, Plan, Profile
from logitmus.cases.generation.draws import Draws
from logitmus.cases.suite import FAMILIES, SuiteError, select, signatures, suite
from logitmus.core.floats import FLOAT_DTYPES, float_array, format_of
from logitmus.core.problem import LAYOUTS, SWITCHES, Problem

DIGEST = (
    "import hashlib; from logitmus.cases.suite import suite; "
    "print(hashlib.sha256(' '.join(p.id for p in suite('default')).encode()).hexdigest())"
)


@pytest.fixture(scope="module")
def default() -> list[Problem]:
    return list(suite())


SMALL = ("degenerate", "convention-probes")  # with shapes of their own


def wide(problem: Problem) -> np.ndarray:
    return problem.logits.astype(np.float64)


def test_every_module_is_listed_once() -> None:
    modules = {path.stem for path in Path(logitmus.cases.families.__path__[0]).glob("*.py")} - {"__init__"}
    assert len(FAMILIES) == len(modules)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert {family.name.replace("-", "_") for family in FAMILIES} == modules


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_explains_itself(family) -> None:
    assert family.idea
    assert "\n" not in family.idea
    assert 2 <= family.rationale.count(". ") + 1 <= 5
    assert all(url.startswith("https://github.com/") and label for label, url in family.incidents)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_asks_in_every_profile(family, profile) -> None:
    first = next(family.problems(Profile(profile)), None)
    if profile == "quick" and family.name in ("many-rows", "computed-logits", "process-switches", "convention-probes"):
        assert first is None
    else:
        assert first is not None
        assert first.family == family.name
        assert first.idea


def test_the_default_profile_is_large_and_cheap_to_compile(default) -> None:
    assert len(default) >= 1000
    assert sum(problem.rows for problem in default if problem.family != "many-rows") >= 20_000
    assert {problem.dtype for problem in default} == set(FLOAT_DTYPES)
    # Functions with switches are not compiled.
    compiled = [problem for problem in default if problem.family != SWITCHES]
    counted = signatures(compiled)
    plain = [problem for problem in compiled if not problem.options and problem.reduction == "none"]
    plain = [problem for problem in plain if problem.layout == "contiguous" and problem.family not in SMALL]
    for kind in ("labels", "probabilities"):
        shapes = {
            (problem.logits.shape, problem.dtype)
            for problem in plain
            if problem.target_kind == kind and problem.logits.ndim == 2 and problem.rows > 1
        }
        assert len(shapes) <= 25
    # A manner is a signature of its own. Functions that are compiled offer no layouts, and few of them reductions.
    plain = {signature for signature in counted if "contiguous" in signature}
    assert len(plain) <= 270
    assert len({signature for signature in plain if "none" in signature}) <= 130
    assert sum(problem.classes >= 30_000 for problem in default) <= 24


def test_the_quick_profile_is_quick() -> None:
    problems = list(suite("quick"))
    assert 100 <= len(problems) <= 200
    assert len(signatures(problems)) <= 40
    assert {problem.dtype for problem in problems} == {"float32", "bfloat16"}


def test_the_full_profile_asks_every_dtype_on_every_shape() -> None:
    shapes: dict[str, set] = {dtype: set() for dtype in FLOAT_DTYPES}
    for problem in suite("full", families=["confident-rows"]):
        shapes[problem.dtype].add(problem.logits.shape)
    assert len(set(map(frozenset, shapes.values()))) == 1
    assert len(shapes["float64"]) == 6


def test_the_suite_is_large_and_generated_lazily(default, monkeypatch) -> None:
    assert len({problem.id for problem in default}) >= 1000
    made = []

    def record(problem: Problem) -> None:
        made.append(problem)

    monkeypatch.setattr(Problem, "__post_init__", record)
    assert next(suite("full")).family == "seed-question"
    assert 0 < len(made) < 100


def test_ids_are_unique(default) -> None:
    assert len({problem.id for problem in default}) == len(default)


def test_two_fresh_processes_ask_the_same(default) -> None:
    """Under another hash seed, and with NumPy's vector instructions off, as on another machine."""
    here = hashlib.sha256(" ".join(problem.id for problem in default).encode()).hexdigest()
    plain = {"PYTHONHASHSEED": "7", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX"}
    for environment in ({"PYTHONHASHSEED": "1"}, plain):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DIGEST],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == here


def test_no_value_depends_on_the_mathematical_library() -> None:
    """exp, log, sqrt-free: only these differ between C libraries, and only numpy's raw words are stable."""
    forbidden = {"exp", "log", "log2", "log10", "sin", "cos", "tanh", "normal", "uniform", "default_rng", "random"}
    root = Path(logitmus.cases.families.__path__[0]).parent
    for path in [*root.glob("*.py"), *root.glob("families/*.py")]:
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not (called & forbidden) - ({"random"} if path.name == "draws.py" else set()), path.name


def test_leaving_out_dtypes_changes_no_other(default) -> None:
    single = [problem.id for problem in suite(dtypes=["float32"])]
    assert single == [problem.id for problem in default if problem.dtype == "float32"]
    half = {problem.id for problem in suite(dtypes=["bfloat16"])}
    assert half >= {problem.id for problem in default if problem.dtype == "bfloat16"}


def test_another_seed_asks_other_rows_for_the_same_ideas() -> None:
    first, second = (list(suite("quick", seed=seed)) for seed in (0, 1))
    assert [problem.idea for problem in first] == [problem.idea for problem in second]
    assert {problem.id for problem in first} != {problem.id for problem in second}


def test_patterns_select_families_in_their_own_order() -> None:
    assert [family.name for family in select(["*-inputs", "ties"])] == [
        "ties",
        "probability-inputs",
        "log-probability-inputs",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "fast"}, "unknown profile 'fast'.*quick, default, full"),
        ({"families": ["tie"]}, "unknown family 'tie'; did you mean 'ties'"),
        ({"dtypes": ["float23"]}, r"unknown dtype 'float23'; did you mean 'float\d\d'"),
    ],
)
def test_unknown_names_are_refused_at_the_call(arguments, message) -> None:
    with pytest.raises(SuiteError, match=message):
        suite(**arguments)


# --- what the families promise ---------------------------------------------------------------------------------------


def test_the_seed_question_is_asked_in_every_dtype(default) -> None:
    dtypes = {
        problem.dtype
        for problem in default
        if problem.family == "seed-question"
        and problem.target_kind == "labels"
        and ((wide(problem) == [0, 0, 0, 1]).all(axis=-1) & (problem.targets == 3)).any()
    }
    assert dtypes == set(FLOAT_DTYPES)


def test_every_ignored_sentinel_is_among_the_labels(default) -> None:
    """A test of ignore_index=-1 without a -1 among the labels tests nothing."""
    present = {
        problem.ignore_index
        for problem in default
        if problem.ignore_index is not None and (problem.targets == problem.ignore_index).any()
    }
    assert present == {-100, -1, 0, 3, 9, 10, 255, 257, 2049, 2**31 - 1}


def test_means_of_rows_ignore_some_all_and_none(default) -> None:
    kept = {
        float((problem.targets != problem.ignore_index).mean())
        for problem in default
        if problem.family == "ignored-rows" and problem.reduction == "mean" and problem.ignore_index is not None
    }
    assert {0.0, 1.0, 1 / 32, 31 / 32} <= kept


def test_the_full_profile_lays_every_shape_in_every_way() -> None:
    ways: dict[tuple, set] = {}
    for problem in suite("full", families=["layouts"]):
        ways.setdefault((problem.dtype, problem.logits.shape), set()).add(problem.layout)
    flat = {key: layouts for key, layouts in ways.items() if len(key[1]) == 2}
    assert len(flat) == 4 * 6
    assert all(layouts == set(LAYOUTS) - {"moved"} for layouts in flat.values())
    assert {len(shape) for _, shape in ways} == {2, 4, 5}
    assert all({"moved", "transposed"} <= layouts for key, layouts in ways.items() if len(key[1]) > 2)


@pytest.mark.parametrize("name", ["huge-magnitudes", "overflowing-differences"])
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_differences_overflow_where_they_should(name, dtype) -> None:
    overflowed = 0
    for problem in suite(families=[name], dtypes=[dtype]):
        x = wide(problem)
        assert np.isfinite(x).all()
        spread = x.max(axis=-1) / 2 - x.min(axis=-1) / 2  # halves, so that float64 can hold it
        overflowed += int((spread > format_of(dtype).largest / 2).sum())
    assert (overflowed > 0) == (name == "overflowing-differences")


def test_probabilities_and_log_probabilities_stay_in_their_domain(default) -> None:
    for problem in default:
        if problem.family == "probability-inputs":
            assert ((wide(problem) >= 0) & (wide(problem) <= 1)).all()
        if problem.family == "log-probability-inputs":
            assert (wide(problem) <= 0).all()


def test_only_the_families_about_special_values_have_them(default) -> None:
    special = {problem.family for problem in default if not np.isfinite(wide(problem)).all()}
    assert special == {
        "masked-classes",
        "non-finite",
        "asked-again",
        "log-probability-inputs",
        "ignored-rows",
        "class-weights",
        "process-switches",
        "relations",
        "convention-probes",
    }


def test_only_bad_labels_are_bad(default) -> None:
    found = 0
    for problem in default:
        if problem.target_kind == "labels" and problem.classes:
            t = problem.targets
            bad = (t < 0) | (t >= problem.classes)
            if problem.ignore_index is not None:
                bad &= t != problem.ignore_index
            match problem.family:
                case "bad-labels":
                    assert bad.sum() == 1
                    found += 1
                case "convention-probes":
                    pass
                case "process-switches" if problem.idea.startswith("the label"):
                    assert set(t[bad].tolist()) <= {problem.classes, -1}
                case "ignored-rows" if problem.ignore_index is None:
                    assert set(t[bad].tolist()) <= {-1, -100}  # the labels that functions ignore by default
                case _:
                    assert not bad.any(), problem.idea
    assert found


def test_a_gap_of_twenty_is_asked_at_its_own_class(default) -> None:
    met = False
    for problem in default:
        if problem.family == "confident-rows" and problem.dtype == "float32" and problem.target_kind == "labels":
            best = wide(problem).argmax(axis=-1) == problem.targets
            second = np.sort(wide(problem), axis=-1)[:, -2]
            met |= bool((best & (wide(problem).max(axis=-1) - second == 20)).any())
    assert met


def test_block_edges_have_few_live_classes_and_the_target_is_live(default) -> None:
    lasts = 0
    for problem in default:
        if problem.family == "block-edges":
            x, hot = wide(problem), problem.targets
            at = hot if problem.target_kind == "labels" else hot.astype(np.float64).argmax(axis=-1)
            live = x > x.max(axis=-1, keepdims=True) - 10
            assert live.sum(axis=-1).max() <= 8
            assert (x[~live].reshape(-1) <= -200).all()
            assert live[np.arange(len(x)), at].all()
            lasts += int((at == problem.classes - 1).sum())
    assert lasts > 0


def test_common_offsets_survive_rounding(default) -> None:
    largest = max(np.abs(wide(p)).max() for p in default if p.family == "common-offset" and p.dtype == "float32")
    assert largest >= 1e30
    for problem in default:
        if problem.family == "common-offset" and problem.dtype == "float32":
            distinct = [len(set(row)) for row in wide(problem)]
            assert max(distinct) > 1  # not everything was rounded to one value
            assert min(distinct) == 1


def test_soft_targets_avoid_masked_classes(default) -> None:
    rows = 0
    for problem in default:
        if problem.family == "masked-classes" and problem.target_kind == "probabilities":
            targets = problem.targets.astype(np.float64)
            soft = (targets > 0).sum(axis=-1) > 1
            assert (targets[soft][np.isneginf(wide(problem)[soft])] == 0).all()
            rows += int(soft.sum())
    assert rows


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 10, 257])
def test_even_soft_targets_sum_to_exactly_one(classes) -> None:
    canvas = Plan(Profile(), "test").canvas("bfloat16", 8, classes)
    targets = soft_targets(canvas, np.arange(8) % classes)
    assert (targets[::2].sum(axis=1) == 1).all()
    assert (float_array(targets[::2], "bfloat16").astype(np.float64) == targets[::2]).all()


def test_draws_are_a_function_of_the_key() -> None:
    """Fixed words: another NumPy, or another machine, must draw the same."""
    assert Draws("a", 1).integers(0, 1000, 5).tolist() == Draws("a", 1).integers(0, 1000, 5).tolist()
    assert Draws("a", 1).integers(0, 1000, 5).tolist() != Draws("a", 2).integers(0, 1000, 5).tolist()
    assert sorted(Draws("p").permutations(2, 6)[1].tolist()) == list(range(6))
    assert np.abs(Draws("d").dyadic((1000,))).max() <= 4


def test_the_gaps_for_switches_make_subnormal_probabilities() -> None:
    for dtype, gap in GAPS.items():
        form = format_of(dtype)
        assert form.smallest_subnormal < np.exp(-gap) < form.smallest_normal
