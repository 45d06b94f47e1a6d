"""Miniatures of losses that people really use, written by us in our own words, each with its truth beside it.

The originals were read in the packages that each truth names; no code of theirs is here. `CORPUS` holds them all;
`corpus.formula` predicts each from its truth, and `test_truths` keeps the two together.
"""

from typing import Final

from corpus import distillation, language, recommender, robust, segmentation, speech, tpu, vision
from corpus.truth import Miniature, Truth, collect

CORPUS: Final[tuple[Miniature, ...]] = collect(
    vision, segmentation, language, speech, recommender, distillation, robust, tpu
)

__all__ = ["CORPUS", "Miniature", "Truth"]
