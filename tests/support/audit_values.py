"""A fabricated audit with every kind of transition, for the tests of reports."""

from __future__ import annotations

from logitmus.auditing.transitions import Audit, Change, Example, Moved, Step, SubjectState, Transition
from logitmus.core.finding import Severity
from logitmus.results.run_changes import Comparison, EnvironmentChange

FUNCTION = "alpha:cross_entropy@cpu"
COMPILED = "alpha:cross_entropy+jit@cpu"


def example(**more: str) -> Example:
    fields = {
        "problem": "0f3c" * 5,
        "input": "float32[1x4], logits [0, 0, 0, 1], target 3",
        "subject": FUNCTION,
        "expected": "[0.743668, 0.743669]",
        "place": "loss",
        "before": "0.743668",
        "after": "0.75",
        "finding": "1a2b3c4d",
        "run": "audit/2-alpha-1.1.logitmus",
    }
    return Example(**{**fields, **more})


def transition(change: Change, **more: object) -> Transition:
    fields: dict[str, object] = {
        "change": change,
        "what": f"what is {change.value}",
        "act": "Yes: it matters.",
        "backend": "alpha",
        "subjects": (COMPILED, FUNCTION),
        "dtypes": ("float32",),
        "families": ("common-offset", "ordinary"),
        "results": 1200,
        "example": example(),
    }
    return Transition(**{**fields, **more})  # type: ignore[arg-type]


def step(*transitions: Transition, before: str = "1.0", after: str = "1.1", pairs: int = 4800) -> Step:
    state = SubjectState(grade="A", share=0.25, calls=2400)
    wrong = SubjectState(grade="C", share=40.0, wrong=12, causes=("separate_logsumexp",), calls=2400)
    return Step(
        title=f"alpha {before} to {after}",
        before=f"alpha=={before}",
        after=f"alpha=={after}",
        packages=(("alpha", before, after),),
        comparison=Comparison(
            before="a.logitmus",
            after="b.logitmus",
            problems=1200,
            only_before=3,
            only_after=0,
            pairs=pairs,
            environment=(
                EnvironmentChange(where="alpha", name="alpha", before=before, after=after, own=True),
                EnvironmentChange(where="alpha", name="numpy", before="2.0", after="2.1"),
            ),
        ),
        transitions=transitions,
        moved=Moved(compared=4800, changed=192, ulps=3.0, share=0.5, problem="0f3c"),
        states={FUNCTION: (state, wrong if transitions else state), COMPILED: (state, state)},
    )


def audit(*steps: Step) -> Audit:
    chosen = steps or (step(*every_kind()),)
    return Audit(
        columns=(chosen[0].before, *(step.after for step in chosen)),
        files=tuple(f"audit/{n}.logitmus" for n in range(len(chosen) + 1)),
        steps=chosen,
        notes=("a note",),
    )


def every_kind() -> list[Transition]:
    worse = {Change.NEWLY_WRONG, Change.GONE, Change.WRONG_OTHERWISE, Change.LESS_ACCURATE}
    shown = [
        transition(
            change,
            worse=change in worse,
            severity=Severity.BUG if change is Change.NEWLY_WRONG else None,
            example=example(finding="") if change is Change.ERRORS else example(),
        )
        for change in Change
    ]
    return [*shown, transition(Change.NEWLY_WRONG, worse=True, what="what is accepted", accepted="we know")]
