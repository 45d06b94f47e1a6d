"""What a model shows beyond the problems of a check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from miniature_losses import ce, explained

from logitmus.checking import reference
from logitmus.checking.explanation import unjudged_labels
from logitmus.core.problem import TargetKind
from logitmus.core.subject import Subject

IGNORED = -100


@pytest.fixture
def subject() -> Subject:
    """A function without options that is held to PyTorch's, which ignores -100."""
    torch = reference.references("torch", targets=(TargetKind.LABELS,))[TargetKind.LABELS]
    return replace(torch, offer=replace(torch.offer, options=frozenset()), held_to=torch.id)


def counted(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (ce(x, np.maximum(t, 0)) * (t != IGNORED)).mean()


def left_out(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (ce(x, np.maximum(t, 0)) * (t != IGNORED)).sum() / (t != IGNORED).sum()


def summed(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (ce(x, np.maximum(t, 0)) * (t != IGNORED)).sum()


def test_a_label_that_is_counted_and_never_asked_is_named(subject: Subject) -> None:
    words = unjudged_labels(explained(counted), subject)
    assert "a row labelled -100 counts as a loss of 0" in words
    assert "not judged, because the function has no parameter ignore_index" in words


def test_functions_that_leave_out_unjudged_labels_or_offer_ignore_index_get_no_remark(subject: Subject) -> None:
    assert unjudged_labels(explained(left_out), subject) == ""
    assert unjudged_labels(explained(summed), subject) == ""  # of a sum it makes no difference
    rows = replace(subject, convention=subject.convention.but(mean_denominator="rows"))
    assert unjudged_labels(explained(counted), rows) == ""
    offering = replace(subject, offer=replace(subject.offer, options=frozenset({"ignore_index"})))
    assert unjudged_labels(explained(counted), offering) == ""
