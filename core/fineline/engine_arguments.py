"""vLLM's engine arguments that `spec.engine.args` may set, by what they do to numbers. Any other is refused.

The others would break the seal of a unit (`enable_prefix_caching`, `gpu_memory_utilization`, `async_scheduling`), run
foreign code (`trust_remote_code`, `worker_cls`, `hf_overrides`), or say twice what has a field of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CAPACITY = frozenset(
    {
        "attention_backend",
        "block_size",
        "compilation_config",
        "cpu_offload_gb",
        "disable_cascade_attn",
        "disable_custom_all_reduce",
        "distributed_executor_backend",
        "enable_expert_parallel",
        "enforce_eager",
        "kv_cache_memory_bytes",
        "max_num_batched_tokens",
        "max_num_seqs",
        "moe_backend",
        "num_gpu_blocks_override",
        "safetensors_load_strategy",
        "threads",
    }
)
"""They size the engine or choose its kernels, and move last digits only: they stand in the numerics fingerprint.
`threads` is no argument of vLLM's: the threads of a CPU engine."""

NUMERICS = frozenset({"kv_cache_dtype", "quantization"})
"""They change numbers: they are in the key."""

OWN_FIELDS = {"dtype": "dtype", "max_model_len": "maxModelLen", "tensor_parallel_size": "tensorParallelSize"}
"""They have a field of their own in `spec.engine`."""


def refusal(backend: str, args: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first of these arguments that can't be set, and why; None where all can."""
    allowed = CAPACITY | NUMERICS if backend == "vllm" else frozenset({"threads"})
    for name in sorted(args):
        if name in OWN_FIELDS:
            return name, f"has a field of its own; set spec.engine.{OWN_FIELDS[name]} instead"
        if name in allowed:
            continue
        if backend != "vllm" and name in CAPACITY | NUMERICS:
            return name, f"is vLLM's, and the backend is {backend}; remove it"
        why = "it would break the seal of a unit, run foreign code, or is not known"
        return name, f"can't be set: {why}; these can be: {', '.join(sorted(allowed))}"
    return None
