"""Language models and translation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from corpus.truth import Truth, miniature


@miniature(
    Truth(
        sentence="Cross-entropy in float32 whatever the logits, in chunks, averaged over the rows that are not "
        "ignored.",
        convention={
            "class_axis": "last",
            "default_reduction": "mean",
            "ignore_default": "-100",
            "result_dtype": "always_float32",
            "wide_inputs": "narrowed",
        },
        arithmetic={"inputs": "float32", "computed": "float32", "returned": "float32"},
        limits=("one row without a batch axis",),
        source="torchtune 0.6.1, modules.loss.CEWithChunkedOutputLoss: https://github.com/pytorch/torchtune",
    )
)
def torchtune_chunked(logits, target):
    if logits.ndim < 2:
        raise IndexError("logits of shape (..., K)")
    rows, labels = logits.reshape(-1, logits.shape[-1]), target.reshape(-1)
    total = 0.0
    for part, t in zip(rows.chunk(8), labels.chunk(8), strict=True):
        total = total + F.cross_entropy(part.float(), t, ignore_index=-100, reduction="sum")
    return total / (labels != -100).sum()


@miniature(
    Truth(
        sentence="Cross-entropy in chunks of 3 rows, averaged over the kept rows; a batch without any is 0.",
        convention={
            "default_reduction": "mean",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
        },
        limits=("no rows",),
        source="litgpt 0.5.13, utils.chunked_cross_entropy: https://github.com/Lightning-AI/litgpt",
    )
)
def litgpt_chunked(logits, target, ignore_index=-100):
    rows, labels = logits.reshape(-1, logits.shape[-1]), target.reshape(-1)
    if not len(labels):
        raise RuntimeError("nothing to split")
    losses = [
        F.cross_entropy(x, t, ignore_index=ignore_index, reduction="none")
        for x, t in zip(rows.split(3), labels.split(3), strict=True)
    ]
    return torch.cat(losses).sum() / (labels != ignore_index).sum().clamp(min=1)


@miniature(
    Truth(
        sentence="The sum of smoothed cross-entropies: 0.9 on the target and 0.1 shared by the K - 1 others; label 1 "
        "(the padding) is left out.",
        convention={"default_reduction": "sum", "smoothing": "others"},
        parameters={"label_smoothing": 0.1, "ignored_label": 1},
        source="fairseq 0.12.2, label_smoothed_nll_loss (and sockeye 3.1.34 in its fairseq mode): "
        "https://github.com/facebookresearch/fairseq",
    )
)
def fairseq_label_smoothed(logits, target):
    losses = -logits.log_softmax(-1)
    padding = (target == 1).unsqueeze(-1)
    nll = losses.gather(-1, target.unsqueeze(-1)).masked_fill(padding, 0).sum()
    total = losses.sum(-1, keepdim=True).masked_fill(padding, 0).sum()
    share = 0.1 / (logits.shape[-1] - 1)
    return (1 - 0.1 - share) * nll + share * total


@miniature(
    Truth(
        sentence="Smoothed cross-entropy (0.1), the smoothed term summed over the classes in float32, divided by the "
        "kept rows.",
        convention={"default_reduction": "mean", "ignore_default": "-100"},
        parameters={"label_smoothing": 0.1},
        arithmetic={"smoothed_term": "float32"},
        source="transformers 5.24.0, trainer_pt_utils.LabelSmoother: https://github.com/huggingface/transformers",
    )
)
def transformers_label_smoother(logits, target):
    losses, labels = -logits.log_softmax(-1), target.unsqueeze(-1)
    padding = labels == -100
    nll = losses.gather(-1, labels.clamp(min=0)).masked_fill(padding, 0)
    total = losses.sum(-1, keepdim=True, dtype=torch.float32).masked_fill(padding, 0)
    kept = (~padding).sum()
    return 0.9 * (nll.sum() / kept) + 0.1 * (total.sum() / (kept * logits.shape[-1]))


@miniature(
    Truth(
        sentence="Cross-entropy of each row against the label of the next row, in float32, averaged over the kept "
        "rows.",
        convention={
            "default_reduction": "mean",
            "ignore_default": "-100",
            "result_dtype": "always_float32",
            "wide_inputs": "narrowed",
        },
        parameters={"position": "next row"},
        arithmetic={"inputs": "float32", "computed": "float32", "returned": "float32"},
        limits=("one row without a batch axis",),
        source="transformers 5.24.0, loss.ForCausalLMLoss: https://github.com/huggingface/transformers",
    )
)
def transformers_causal_lm(logits, target):
    if logits.ndim < 2:
        raise IndexError("a sequence is needed")
    following = F.pad(target, (0, 1), value=-100)[..., 1:]
    return F.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), following.reshape(-1), ignore_index=-100)


@miniature(
    Truth(
        sentence="The sum of the cross-entropies in float32, divided by 64 whatever the number of rows.",
        convention={
            "default_reduction": "mean",
            "ignore_default": "-100",
            "all_ignored_mean": "zero",
            "result_dtype": "always_float32",
            "wide_inputs": "narrowed",
        },
        parameters={"divisor": 64},
        arithmetic={"inputs": "float32", "computed": "float32", "returned": "float32"},
        source="transformers 5.24.0, loss.ForMaskedLMLoss(num_items_in_batch=64): "
        "https://github.com/huggingface/transformers",
    )
)
def transformers_fixed_items(logits, target):
    rows = logits.float().reshape(-1, logits.shape[-1])
    return F.cross_entropy(rows, target.reshape(-1), ignore_index=-100, reduction="sum") / 64


@miniature(
    Truth(
        sentence="The mean over micro-batches of 4 rows of their mean cross-entropies, ignored rows left out: not the "
        "mean over all kept rows.",
        convention={"default_reduction": "mean", "ignore_default": "-100"},
        parameters={"micro_batch": 4},
        limits=("one row without a batch axis",),
        source="gradient accumulation in transformers before 4.46: https://huggingface.co/blog/gradient_accumulation",
    )
)
def micro_batch_mean(logits, target):
    if logits.ndim < 2:
        raise IndexError("a batch is needed")
    rows, labels = logits.reshape(-1, logits.shape[-1]).split(4), target.reshape(-1).split(4)
    return torch.stack([F.cross_entropy(x, t, ignore_index=-100) for x, t in zip(rows, labels, strict=True)]).mean()


@miniature(
    Truth(
        sentence="Row losses of a vocabulary split over devices, with smoothing 0.1 shared by the K - 1 other "
        "classes; the smoothed term takes the logarithm of the stored softmax.",
        convention={"smoothing": "others"},
        parameters={"label_smoothing": 0.1},
        mechanisms=("log_of_softmax",),
        source="megatron-core 0.16.1, tensor_parallel.vocab_parallel_cross_entropy: "
        "https://github.com/NVIDIA/Megatron-LM (one partition; there, in float32)",
    )
)
def megatron_label_smoothing(logits, target):
    classes = logits.shape[-1]
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    powers = shifted.exp()
    total = powers.sum(-1, keepdim=True)
    nll = total.squeeze(-1).log() - shifted.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    log_p = (powers / total).log()
    spread = 0.1 * classes / (classes - 1)
    return (1 - spread) * nll - spread * log_p.mean(-1)


@miniature(
    Truth(
        sentence="Cross-entropy in float32, returned in the dtype of the logits, plus 1e-4 times the squared "
        "logsumexp.",
        convention={"default_reduction": "mean", "ignore_default": "-100"},
        parameters={"z_loss": 1e-4},
        arithmetic={"inputs": "float32", "computed": "float32"},
        limits=("one row without a batch axis", "spatial axes"),
        source="liger-kernel 0.8.5, LigerCrossEntropyLoss(lse_square_scale=1e-4): "
        "https://github.com/linkedin/Liger-Kernel (also flash-attn's CrossEntropyLoss)",
    )
)
def liger_z_loss(logits, target, ignore_index=-100, reduction="mean"):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    x, kept = logits.float(), target != ignore_index
    lse = x.logsumexp(-1)
    losses = F.cross_entropy(x, target, ignore_index=ignore_index, reduction="none")
    losses = (losses + torch.where(kept, 1e-4 * lse * lse, 0)).to(logits.dtype)
    return losses if reduction == "none" else losses.sum() / (1 if reduction == "sum" else kept.sum())


@miniature(
    Truth(
        sentence="Cross-entropy of logits that are capped softly at 30: 30 tanh(x / 30).",
        convention={"class_axis": "last", "default_reduction": "mean", "ignore_default": "-100"},
        parameters={"soft_cap": 30},
        source="transformers 5.24.0, Gemma2ForCausalLM (final_logit_softcapping): "
        "https://github.com/huggingface/transformers",
    )
)
def gemma_soft_cap(logits, target, reduction="mean"):
    capped = 30 * (logits / 30).tanh()
    loss = F.cross_entropy(capped.reshape(-1, logits.shape[-1]), target.reshape(-1), reduction=reduction)
    return loss.reshape(target.shape) if reduction == "none" else loss


@miniature(
    Truth(
        sentence="Smoothed row losses with label 0 (the padding) set to 0.",
        convention={"zero_times_infinity": "nan"},
        parameters={"ignored_label": 0},
        limits=("one row without a batch axis", "spatial axes"),
        source="apex (NVIDIA, commit 05cec60), contrib.xentropy.SoftmaxCrossEntropyLoss: "
        "https://github.com/NVIDIA/apex",
    )
)
def apex_xentropy(logits, target, label_smoothing=0.0):
    if logits.ndim != 2:
        raise ValueError("logits of shape (N, K) only")
    log_p = logits.log_softmax(1)
    nll = -log_p.gather(1, target[:, None])[:, 0]
    loss = (1 - label_smoothing) * nll - label_smoothing * log_p.mean(1)
    return torch.where(target == 0, 0, loss)


@miniature(
    Truth(
        sentence="Smoothed cross-entropy (0.1, shared by the K - 1 other classes) minus its least possible value, "
        "label 0 left out.",
        convention={"smoothing": "others"},
        parameters={"label_smoothing": 0.1, "ignored_label": 0, "added": "minus the entropy of the target"},
        source="tf-models-official 2.20.0, legacy.transformer.metrics.padded_cross_entropy_loss (and tensor2tensor "
        "1.15.7 smoothing_cross_entropy): https://github.com/tensorflow/models",
    )
)
def transformer_padded_cross_entropy(logits, target):
    classes = logits.shape[-1]
    low = torch.tensor(0.1, dtype=logits.dtype) / (classes - 1)
    q = low + (0.9 - low) * F.one_hot(target, classes).to(logits.dtype)
    least = -(0.9 * torch.tensor(0.9, dtype=logits.dtype).log() + 0.1 * low.log())
    return (-(q * logits.log_softmax(-1)).sum(-1) - least) * (target != 0)


@miniature(
    Truth(
        sentence="Cross-entropy of a vocabulary that is padded with zero logits to a multiple of 8, unmasked.",
        convention={"class_axis": "last"},
        parameters={"extra_zero_logits": "-K mod 8"},
        source="a vocabulary padded to a multiple (as megatron-core 0.16.1 make_vocab_size_divisible_by, nanoGPT's "
        "50304) whose new columns nobody masks: https://github.com/karpathy/nanoGPT",
    )
)
def padded_vocabulary(logits, target):
    padded = F.pad(logits, (0, -logits.shape[-1] % 8))
    return -padded.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)


@miniature(
    Truth(
        sentence="Cross-entropy with label -1 ignored by default, averaged over the kept rows.",
        convention={"default_reduction": "mean", "ignore_default": "-1"},
        source="nanoGPT, model.GPT.forward (and mingpt): https://github.com/karpathy/nanoGPT",
    )
)
def nanogpt(logits, target):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), ignore_index=-1)


@miniature(
    Truth(
        sentence="Perplexity: e to the mean cross-entropy.",
        convention={"default_reduction": "mean", "ignore_default": "-100"},
        parameters={"outer": "exp"},
        source="the evaluation of most language models, as transformers 5.24.0 examples run_clm.py: "
        "https://huggingface.co/docs/transformers/perplexity",
    )
)
def perplexity(logits, target):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), ignore_index=-100).exp()


@miniature(
    Truth(
        sentence="Bits per token: the mean cross-entropy in logarithms to base 2.",
        convention={
            "default_reduction": "mean",
            "ignore_default": "-100",
            "log_base": "2",
        },
        source="fairseq 0.12.2, reduce_metrics (loss / log 2): https://github.com/facebookresearch/fairseq",
    )
)
def bits_per_token(logits, target):
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), ignore_index=-100)
    return loss / 0.6931471805599453


@miniature(
    Truth(
        sentence="Cross-entropy of logits that were rounded to bfloat16, computed in float32.",
        convention={"class_axis": "last", "result_dtype": "always_float32"},
        arithmetic={"inputs": "bfloat16", "computed": "float32", "gradient": "bfloat16", "returned": "float32"},
        source="a head under torch.autocast(bfloat16), whose logits are cast up for the loss: "
        "https://pytorch.org/docs/stable/amp.html",
    )
)
def autocast_head(logits, target):
    x = logits.to(torch.bfloat16).to(torch.float32)
    return -x.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)


@miniature(
    Truth(
        sentence="Cross-entropy times the probability of the target, which takes no part in the gradient.",
        explainable=False,
        mechanisms=("gradient_of_another_rule",),
        source="trl 1.16.0, SFTTrainer(loss_type='dft'): https://github.com/huggingface/trl",
    )
)
def trl_dynamic_fine_tuning(logits, target):
    nll = -logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return nll * (-nll).exp().detach()
