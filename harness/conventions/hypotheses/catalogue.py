"""The catalogue: every change that makes sense for a problem, and what it leaves out."""

from __future__ import annotations

from logitmus.conventions.hypotheses.arithmetic import arithmetic_changes
from logitmus.conventions.hypotheses.change import Change
from logitmus.conventions.hypotheses.choices import convention_changes
from logitmus.conventions.hypotheses.inputs import SMOOTHINGS, TEMPERATURES, logit_changes, tail_changes, target_changes
from logitmus.conventions.hypotheses.labels import label_changes
from logitmus.conventions.hypotheses.losses import GAMMAS, Z_LOSSES, loss_changes
from logitmus.conventions.hypotheses.reductions import reduction_changes
from logitmus.conventions.hypotheses.scale import scale_changes
from logitmus.core.problem import Problem


def catalogue(problem: Problem) -> list[Change]:
    """List the changes that make sense for a problem, those that people meet most often first."""
    return sorted(
        [
            *label_changes(problem),
            *convention_changes(problem),
            *logit_changes(problem),
            *target_changes(problem),
            *tail_changes(problem),
            *loss_changes(problem),
            *reduction_changes(problem),
            *scale_changes(problem),
            *arithmetic_changes(),
        ],
        key=lambda change: change.rank,
    )


def not_tried(problem: Problem) -> str:
    """Say what the catalogue leaves out."""
    return (
        "Not tried: three changes at once; values outside the usual ones "
        f"(temperatures {_listed(TEMPERATURES)}; smoothing {_listed(SMOOTHINGS)}; z-loss {_listed(Z_LOSSES)}; "
        f"focal gamma {_listed(GAMMAS)}); losses other than cross-entropy and its relatives"
        + ("; class weights that were not given" if problem.weight is None else "")
        + "."
    )


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values))
