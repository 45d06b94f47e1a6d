"""The public functions themselves, where they happen to be installed: `pytest -m packages tests/corpus`.

Each is held to the truth of its miniature, then to `logitmus check`, which has to end properly whatever it finds.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from corpus import CORPUS
from corpus.test_truths import call, disagreement, questions

pytestmark = pytest.mark.packages


@dataclass(frozen=True)
class Original:
    """A public function, as Python text that defines `loss` with the signature of its miniature.

    Attributes:
        miniature: the name of ours.
        module: a module's name; or package/file.py for a file that needs nothing else of its package.
        text: the definition, which finds the module's names in `there`.
    """

    miniature: str
    module: str
    text: str


ORIGINALS = [
    Original(
        "timm_label_smoothing",
        "timm/loss/cross_entropy.py",
        "loss = there.LabelSmoothingCrossEntropy(smoothing=0.1)",
    ),
    Original("timm_soft_target", "timm/loss/cross_entropy.py", "loss = there.SoftTargetCrossEntropy()"),
    Original(
        "timm_binary_cross_entropy",
        "timm/loss/binary_cross_entropy.py",
        """
def loss(logits, target, reduction="mean"):
    losses = there.BinaryCrossEntropy(reduction=reduction)(logits, target)
    return losses.sum(-1) if reduction == "none" else losses
""",
    ),
    Original(
        "fastai_label_smoothing",
        "fastai.losses",
        """
def loss(logits, target, weight=None, reduction="mean"):
    return there.LabelSmoothingCrossEntropy(0.1, weight, reduction)(logits, target)
""",
    ),
    Original(
        "fastai_focal",
        "fastai.losses",
        """
def loss(logits, target, weight=None, reduction="mean"):
    return there.FocalLoss(2.0, weight, reduction)(logits, target)
""",
    ),
    Original(
        "kornia_focal",
        "kornia.losses",
        """
def loss(logits, target, reduction="none"):
    losses = there.focal_loss(logits, target, None, 2.0, reduction)
    return losses.sum(1) if reduction == "none" else losses
""",
    ),
    Original(
        "kornia_focal_alpha",
        "kornia.losses",
        """
def loss(logits, target):
    return there.focal_loss(logits, target, 0.25, 2.0, "none").sum(1)
""",
    ),
    Original(
        "focal_loss_torch",
        "focal_loss.focal_loss",
        """
def loss(logits, target, reduction="mean"):
    return there.FocalLoss(2.0, reduction=reduction)(logits, target)
""",
    ),
    Original(
        "smp_soft_cross_entropy",
        "segmentation_models_pytorch/losses/_functional.py",
        """
def loss(logits, target, label_smoothing=0.0, ignore_index=-100, reduction="mean"):
    log_p = logits.log_softmax(1)
    losses = there.label_smoothed_nll_loss(log_p, target, label_smoothing, ignore_index, reduction, dim=1)
    return losses.squeeze(1) if reduction == "none" else losses
""",
    ),
    Original(
        "torchtune_chunked",
        "torchtune/modules/loss/ce_chunked_output_loss.py",
        """
def loss(logits, target):
    return there.CEWithChunkedOutputLoss(1)([logits[None]], target[None])
""",
    ),
    Original(
        "transformers_label_smoother",
        "transformers.trainer_pt_utils",
        """
def loss(logits, target):
    return there.LabelSmoother()({"logits": logits}, target)
""",
    ),
    Original(
        "monai_softmax_focal",
        "monai.losses.focal_loss",
        """
def loss(logits, target):
    return there.FocalLoss(to_onehot_y=True, use_softmax=True)(logits, target[:, None])
""",
    ),
    Original(
        "bi_tempered",
        "pytorch_toolbelt/losses/bitempered_loss.py",
        """
def loss(logits, target):
    return there.bi_tempered_logistic_loss(logits, target, 0.8, 1.4, num_iters=60, reduction="none")
""",
    ),
]
EACH = pytest.mark.parametrize("original", ORIGINALS, ids=lambda original: original.miniature)


_LOAD = """
import importlib.util
import sys

spec = importlib.util.spec_from_file_location("there", {path!r})
there = importlib.util.module_from_spec(spec)
sys.modules["there"] = there
spec.loader.exec_module(there)
"""


def written(original: Original) -> str:
    """Python text of the original; skips where it cannot be imported."""
    package, _, file = original.module.partition("/")
    if not file:
        return f"import importlib\n\nthere = importlib.import_module({original.module!r})\n{original.text}"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return _LOAD.format(path=str(Path(spec.submodule_search_locations[0]) / file)) + original.text


def imported(original: Original) -> Callable[..., Any]:
    space: dict[str, Any] = {}
    text = written(original)
    try:
        exec(text, space)  # noqa: S102
    except (ImportError, RuntimeError) as error:  # a package of which something is missing
        pytest.skip(f"{original.module}: {error}")
    return space["loss"]


@EACH
def test_the_miniature_agrees_with_its_original(original: Original) -> None:
    m = next(m for m in CORPUS if m.name == original.miniature)
    public = replace(m, function=imported(original))
    if not m.truth.explainable:
        question = questions("padded_vocabulary")[10]
        ours, theirs = (call(f, question.logits, question.target) for f in (m, public))
        assert abs(ours[0] - theirs[0]).max() < 1e-9
        assert abs(ours[1] - theirs[1]).max() < 1e-4
        return
    for question in questions(m.name):
        answer = call(public, question.logits, question.target, **question.options())
        assert not (message := disagreement(m.truth, question, *answer)), message


@EACH
def test_check_ends_properly(original: Original, tmp_path: Path) -> None:
    imported(original)
    (tmp_path / "original.py").write_text(written(original))
    arguments = [f"{tmp_path / 'original.py'}:loss", "--framework", "torch", "--profile", "quick", "--json", "out.json"]
    if next(m for m in CORPUS if m.name == original.miniature).targets == "probabilities":
        arguments += ["--targets", "probabilities"]
    command = [sys.executable, "-m", "logitmus", "check", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())
