"""Which planted functions are miniatures of the incidents that the families of problems name.

A family that names an incident must find a miniature of it by its own problems alone: `tests/checking/test_reach.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# By the label of an incident, the planted functions (ids) with that fault; where an incident has several sides, each
# family shows one of them.
MINIATURES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Liger-Kernel #272": ("torch:upstream_ignored",),
        "Liger-Kernel #678": ("torch:first_of_upstream",),
        "Liger-Kernel #1268": ("numpy:gradient_in_bfloat16",),
        "Megatron-LM #5522": ("numpy:smoothed_mean_over_all_rows",),
        "NNlib.jl #68": ("numpy:gradient_divided_by_the_softmax",),
        "FlagGems #5025": ("numpy:ignores_minus_one", "numpy:ignoring_class_0_is_forgotten"),
        "Paddle #20994": ("numpy:loss_capped_at_64",),
        "Paddle #21154": ("numpy:softmax_clipped",),
        "Paddle #23708": ("numpy:mean_over_kept_rows",),
        "Paddle #27311": ("numpy:softmax_over_axis_1",),
        "Paddle #30180": ("numpy:mean_over_kept_rows",),
        "Paddle #32545": ("numpy:mean_over_kept_rows",),
        "Paddle #48663": ("numpy:mean_over_kept_rows",),
        "Paddle #53516": ("torch:labels_of_16_bits",),
        "TransformerEngine #2139": ("torch:mean_of_upstream",),
        "TransformerEngine #2476": ("numpy:smoothed_mean_over_all_rows",),
        "TransformerEngine #3193": ("numpy:gradient_in_bfloat16",),
        "executorch #20090": ("numpy:sum_in_float16", "numpy:rows_counted_in_float16"),
        "flash-attention #1930": ("numpy:online_without_rescale", "numpy:masked_block_gives_nan"),
        "flash-attention bedf8774": ("numpy:misaligned_labels_misread",),
        "iree #24228": ("numpy:ignore_index_dropped",),
        "jax #40409": ("numpy:sum_in_bfloat16", "numpy:rows_counted_in_float16"),
        "keras #15012": ("numpy:labels_of_8_bits", "numpy:labels_in_the_dtype_of_the_logits"),
        "keras #23451": ("numpy:classes_counted_on_axis_1",),
        "ml-cross-entropy #52": ("numpy:tail_padded_with_zeros",),
        "ml-cross-entropy #59": ("numpy:tail_block_left_out",),
        "ml_dtypes #63": ("numpy:sum_in_bfloat16",),
        "mlx #4169": ("numpy:logsumexp_minus_logit",),
        "mlx #594": ("numpy:aborts_on_a_bad_label",),
        "ms-swift #10129": ("torch:backward_in_place",),
        "onnx #2680": ("numpy:mean_over_all_rows",),
        "onnx #2696": ("numpy:mean_over_kept_rows",),
        "onnxruntime #27568": ("numpy:negative_labels_wrap",),
        "optax #896": ("numpy:masked_classes_give_nan",),
        "optax #916": ("numpy:masked_classes_give_nan",),
        "optax #1162": ("numpy:softmax_over_axis_1",),
        "optax #1185": ("numpy:negative_labels_wrap",),
        "optax #1762": ("torch:forward_mode_gives_nan_at_masked_classes",),
        "optax #1792": ("numpy:logsumexp_minus_logit",),
        "pytorch #11752": ("numpy:logsumexp_minus_logit",),
        "pytorch #12670": ("numpy:bad_labels_cost_nothing",),
        "pytorch #15508": ("numpy:ignored_labels_read_without_a_reduction",),
        "pytorch #32049": ("numpy:reads_outside_the_row",),
        "pytorch #38839": ("numpy:logsumexp_minus_logit",),
        "pytorch #40858": ("numpy:reads_outside_the_row",),
        "pytorch #50224": ("numpy:refuses_an_empty_batch",),
        "pytorch #61309": ("numpy:mean_over_kept_rows", "numpy:smoothed_mean_over_all_rows"),
        "pytorch #67167": ("numpy:taken_to_be_contiguous",),
        "pytorch #69339": ("numpy:zero_for_nothing",),
        "pytorch #70348": ("numpy:refuses_an_empty_batch",),
        "pytorch #73165": ("numpy:refuses_one_class",),
        "pytorch #73205": ("numpy:smoothing_of_ignored_rows",),
        "pytorch #73741": ("torch:gradient_saved_in_forward",),
        "pytorch #95794": ("numpy:labels_clamped",),
        "pytorch #105736": ("numpy:ignored_rows_times_zero",),
        "pytorch #113708": ("numpy:gradient_in_bfloat16",),
        "pytorch #135546": ("numpy:bad_labels_cost_nothing",),
        "pytorch #175084": ("torch:strides_not_looked_at",),
        "pytorch #190139": ("torch:strides_not_looked_at",),
        "pytorch #194802": ("numpy:bad_labels_cost_nothing",),
        "quack #209": ("torch:gradient_saved_in_forward",),
        "tensorflow #1234": ("torch:softmax_minus_q",),
        "tensorflow #2327": ("torch:softmax_minus_q",),
        "tensorflow #8484": ("numpy:bad_labels_cost_nothing",),
        "tensorflow #10268": ("numpy:bad_labels_cost_nothing",),
        "tensorflow #32231": ("numpy:classes_counted_on_axis_1",),
        "tensorflow #39329": ("numpy:softmax_over_axis_1",),
        "tensorflow #40606": ("numpy:masked_classes_give_nan",),
        "tensorflow #49178": ("torch:softmax_minus_q",),
        "tensorflow #67531": ("numpy:refuses_an_empty_batch",),
        "tensorflow #126005": ("numpy:nan_for_bad_labels",),
        "unsloth #5002": ("numpy:gradient_of_ignored_rows", "torch:upstream_ignored", "torch:backward_in_place"),
        "unsloth #10616": ("numpy:masked_block_gives_nan",),
        "verl #2899": ("numpy:tail_padded_with_zeros",),
    }
)
NOT_PLANTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("pytorch #55657", "flash-attention c79de85f"), "it needs more than 2^31 elements, which no suite can hold"
        ),
        "jax #37234": "planted functions are eager, and this fault is a compiler's: tests/backends/test_findings.py",
    }
)
# By family, faults that it stands for beside its incidents, or in place of them.
MORE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "seed-question": ("numpy:takes_probabilities",),
        "overflowing-differences": ("numpy:loss_capped_at_64",),
        "ties": ("numpy:last_class_left_out",),
        "wide-spread": ("numpy:softmax_clipped",),
        "subnormals": ("numpy:short_constant",),
        "finite-masks": ("numpy:softmax_clipped",),
        "non-finite": ("numpy:nan_ignored",),
        "probability-inputs": ("numpy:takes_probabilities",),
        "log-probability-inputs": ("numpy:takes_probabilities",),
        "relations": ("numpy:logsumexp_minus_logit",),
        "row-counts": ("numpy:rest_of_the_rows_left_out",),
        "ignored-rows": ("numpy:ignored_label_in_the_dtype_of_the_logits",),
    }
)
