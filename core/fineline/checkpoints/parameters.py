"""Counts parameters from the tensors' shapes and the config: all, those active for one token, those not in embeddings.

Counted as the field counts: an embedding that is also the output head once; mask and rotary buffers not at all; of a
mixture of experts the share of the routed experts that a token passes (`num_experts_per_tok` of `num_local_experts`),
with shared experts always active; non-embedding without token and position embeddings and the output head (Kaplan et
al., arXiv 2001.08361; Pythia's table counts the same way). Sparse counts are read from any of the names below, so
Mixtral, Qwen-MoE, OLMoE and DeepSeek need nothing of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fineline.checkpoints.safetensors import TensorInfo

_INPUT_EMBEDDINGS = frozenset(
    {
        "embed_tokens",  # Llama, Mixtral, Qwen, DeepSeek, Baichuan, Yi, OLMo 2
        "embed_in",  # GPT-NeoX
        "wte",  # GPT-2, OLMo
        "word_embeddings",  # Falcon, BLOOM
        "tok_embeddings",  # Meta's own names, InternLM 2
        "embeddings",  # Mamba
        "embedding",  # Mamba's own names
    }
)
_POSITION_EMBEDDINGS = frozenset({"wpe", "embed_positions"})
_OUTPUT_HEADS = frozenset({"lm_head", "embed_out", "output", "ff_out"})
_BUFFERS = ("rotary_emb.inv_freq", ".masked_bias", "_scale_inv", ".weight_scale", ".input_scale")
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4"})

# Where config.json leaves `tie_word_embeddings` out, transformers ties these.
_TIED_BY_DEFAULT = frozenset(
    {"gpt2", "gemma", "gemma2", "gemma3_text", "mamba", "mamba2", "opt", "bloom", "mpt", "falcon"}
)

_EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
_ACTIVE_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_topk", "moe_k")
_NESTED = ("text_config", "ffn_config")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters. `active` equals `total` where no token skips any."""

    total: int
    active: int
    non_embedding: int


def count(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> Parameters:
    """The parameters of a model with these tensors and this config.json.

    >>> tensors = {"model.embed_tokens.weight": TensorInfo("BF16", (10, 4), 80),
    ...            "model.layers.0.mlp.up_proj.weight": TensorInfo("BF16", (8, 4), 64)}
    >>> count(tensors, {})
    Parameters(total=72, active=72, non_embedding=32)
    """
    tied = _is_tied(config)
    has_input = any(_module_of(name) in _INPUT_EMBEDDINGS for name in tensors)
    total = embedding = routed = 0
    experts: set[str] = set()
    fused_experts = 0
    for name, tensor in tensors.items():
        if not _is_parameter(name, tensor):
            continue
        module = _module_of(name)
        if module in _OUTPUT_HEADS and tied and has_input:
            continue
        total += tensor.elements
        if module in _INPUT_EMBEDDINGS or module in _POSITION_EMBEDDINGS or module in _OUTPUT_HEADS:
            embedding += tensor.elements
        index = _expert_of(name, tensor)
        if index is not None:
            routed += tensor.elements
            experts.add(index)
            if not index and tensor.shape:
                fused_experts = tensor.shape[0]
    there = _count_in(config, _EXPERTS) or len(experts - {""}) or fused_experts
    active = _count_in(config, _ACTIVE_EXPERTS)
    skipped = routed - routed * min(active, there) // there if active and there else 0
    return Parameters(total, total - skipped, total - embedding)


def layers_of(tensors: Mapping[str, TensorInfo]) -> set[int]:
    """The numbers of the layers that tensors belong to: the first number in each name."""
    return {int(number) for name in tensors if (number := next(filter(_is_number, name.split(".")), None)) is not None}


def input_embedding(tensors: Mapping[str, TensorInfo]) -> tuple[str, TensorInfo] | None:
    """The token embedding: its name and what the header says of it. None where no name is known."""
    for name, tensor in tensors.items():
        if _module_of(name) in _INPUT_EMBEDDINGS and name.endswith(".weight") and len(tensor.shape) == 2:
            return name, tensor
    return None


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 7


def _module_of(name: str) -> str:
    """`lm_head` of `lm_head.weight`; empty for what lies in a layer, for `blocks.0.ff_out` is no output head."""
    parts = name.split(".")
    return "" if len(parts) < 2 or any(map(_is_number, parts)) else parts[-2]


def _is_parameter(name: str, tensor: TensorInfo) -> bool:
    is_mask = name.endswith((".attention.bias", ".attn.bias")) and len(tensor.shape) == 4
    return tensor.dtype in _FLOATS and not is_mask and not name.endswith(_BUFFERS)


def _expert_of(name: str, tensor: TensorInfo) -> str | None:
    """The number of the routed expert that a tensor belongs to; empty for all of them in one; None for no expert."""
    before, found, after = f".{name}".partition(".experts.")
    if found:
        number = after.partition(".")[0]
        return number if _is_number(number) else ""
    # Granite and JetMoE keep all experts in one tensor beside the router.
    return "" if ".block_sparse_moe." in before and len(tensor.shape) == 3 else None


def _is_tied(config: Mapping[str, Any]) -> bool:
    tied = config.get("tie_word_embeddings")
    return tied if isinstance(tied, bool) else str(config.get("model_type")) in _TIED_BY_DEFAULT


def _count_in(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    """The first of these counts in the config or a part of it; 0 where it has none."""
    for part in (config, *(config.get(name) for name in _NESTED)):
        if isinstance(part, Mapping):
            for key in keys:
                value = part.get(key)
                if type(value) is int and value > 0:
                    return value
    return 0
