"""An independent evaluation of the definition in mpmath: naive formulas, so many digits that nothing cancels."""

from __future__ import annotations

import mpmath as mp
import numpy as np

from logitmus.core.problem import Problem

BITS = 3000  # e^-700 beside 1 needs about 1,010


def evaluate(problem: Problem, *, mean_over: str = "weights") -> tuple[object, list[list[object]], list[list[object]]]:
    """(loss, gradient by logits, gradient by target probabilities); loss is a list for reduction "none"."""
    with mp.workprec(BITS):
        rows, classes = problem.rows, problem.classes
        x = problem.logits.astype(np.float64).reshape(rows, classes).tolist()
        w = [1.0] * classes if problem.weight is None else problem.weight.astype(np.float64).tolist()
        eps = mp.mpf(problem.label_smoothing)
        up = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).reshape(-1)
        up = np.broadcast_to(up, (rows,)).tolist()
        labels = problem.targets.reshape(-1).tolist() if problem.target_kind == "labels" else None
        losses, gradients, by_target, divisor = [], [], [], mp.mpf(0)
        for n in range(rows):
            ignored = labels is not None and labels[n] == problem.ignore_index
            if labels is not None:
                q = [mp.mpf(k == labels[n]) for k in range(classes)]
                divisor += 0 if ignored else mp.mpf(w[labels[n]]) if mean_over == "weights" else 1
            else:
                q = [mp.mpf(v) for v in problem.targets.astype(np.float64).reshape(rows, classes)[n].tolist()]
                divisor += 1
            a = [mp.mpf(w[k]) * ((1 - eps) * q[k] + eps / classes) for k in range(classes)]
            e = [mp.exp(mp.mpf(v)) for v in x[n]]
            total = mp.fsum(e)
            p = [v / total for v in e]
            nats = [mp.log(total) - mp.mpf(v) for v in x[n]]
            keep = 0 if ignored else 1
            losses.append(keep * mp.fsum(ak * lk for ak, lk in zip(a, nats, strict=True)))
            mass = mp.fsum(a)
            gradients.append([keep * up[n] * (mass * p[k] - a[k]) for k in range(classes)])
            by_target.append([keep * up[n] * mp.mpf(w[k]) * (1 - eps) * nats[k] for k in range(classes)])
        if problem.reduction == "none":
            return losses, gradients, by_target
        divisor = divisor if problem.reduction == "mean" else mp.mpf(1)
        return (
            mp.fsum(losses) / divisor,
            [[g / divisor for g in row] for row in gradients],
            [[g / divisor for g in row] for row in by_target],
        )
