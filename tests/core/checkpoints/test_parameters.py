import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.checkpoints import Parameters, TensorInfo, count, read_local_header
from fineline_evaluator.backends.modelling import modelling
from support.models import make_checkpoint

Shapes = Mapping[str, tuple[int, ...]]


def tensors(shapes: Shapes, dtype: str = "BF16") -> dict[str, TensorInfo]:
    return {name: TensorInfo(dtype, shape, 0) for name, shape in shapes.items()}


def headers(folder: Path) -> dict[str, TensorInfo]:
    return {name: info for file in folder.glob("*.safetensors") for name, info in read_local_header(file).items()}


@pytest.mark.parametrize("architecture", ["llama", "llama-tied", "mixtral", "mamba", "gpt-neox"])
@pytest.mark.parametrize("shards", [1, 2])
def test_the_total_is_what_the_model_itself_counts(tmp_path: Path, architecture: str, shards: int) -> None:
    import transformers

    library: Any = transformers
    make_checkpoint(tmp_path, architecture=architecture, tokenizer=False, shards=shards)
    config = json.loads((tmp_path / "config.json").read_text())
    with modelling():
        model = library.AutoModelForCausalLM.from_config(library.AutoConfig.from_pretrained(tmp_path))
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    embeddings = {id(module.weight): module.weight.numel() for module in ends}
    found = count(headers(tmp_path), config)
    assert found.total == sum(parameter.numel() for parameter in model.parameters())
    assert found.non_embedding == found.total - sum(embeddings.values())
    assert (found.active == found.total) == (architecture != "mixtral")


def test_a_tied_head_that_is_stored_counts_once() -> None:
    shapes = {"model.embed_tokens.weight": (10, 4), "lm_head.weight": (10, 4), "model.layers.0.mlp.weight": (4, 4)}
    assert count(tensors(shapes), {"tie_word_embeddings": True}) == Parameters(56, 56, 16)
    assert count(tensors(shapes), {"tie_word_embeddings": False}) == Parameters(96, 96, 16)


@pytest.mark.parametrize(
    ("shapes", "config"),
    [
        (
            {f"model.layers.0.block_sparse_moe.experts.{n}.w1.weight": (4, 5) for n in range(8)},
            {"num_local_experts": 8, "num_experts_per_tok": 2},
        ),
        (
            {f"model.layers.0.mlp.experts.{n}.up_proj.weight": (4, 5) for n in range(8)},
            {"num_experts": 8, "num_experts_per_tok": 2},
        ),
        (
            {f"model.layers.0.mlp.experts.{n}.up_proj.weight": (4, 5) for n in range(8)},
            {"n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1},
        ),
        ({"model.layers.0.mlp.experts.up_proj": (8, 4, 5)}, {"text_config": {"num_experts_per_tok": 2}}),
        ({"transformer.blocks.0.ffn.experts.mlp.w1": (32, 5)}, {"ffn_config": {"moe_num_experts": 8, "moe_top_k": 2}}),
        (
            {"model.layers.0.block_sparse_moe.input_linear.weight": (8, 4, 5)},
            {"num_local_experts": 8, "num_experts_per_tok": 2},
        ),
    ],
    ids=["mixtral", "qwen-moe", "deepseek", "fused", "dbrx", "granite"],
)
def test_a_token_passes_its_share_of_the_routed_experts_and_all_of_the_rest(shapes: Shapes, config: object) -> None:
    always = {"model.layers.0.mlp.shared_experts.up_proj.weight": (4, 5), "model.layers.0.mlp.gate.weight": (8, 5)}
    found = count(tensors({**shapes, **always}), config)  # type: ignore[arg-type]
    assert (found.total, found.active) == (8 * 20 + 60, 2 * 20 + 60)


def test_masks_rotary_tables_and_scales_are_not_parameters() -> None:
    shapes = {
        "gpt_neox.layers.0.attention.bias": (1, 1, 16, 16),
        "gpt_neox.layers.0.attention.masked_bias": (),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": (8,),
        "model.layers.0.mlp.up_proj.weight_scale_inv": (2, 2),
        "model.layers.0.self_attn.q_proj.bias": (4,),
    }
    assert count(tensors(shapes, "F32"), {}).total == 4
    assert count(tensors({"gpt_neox.layers.0.attention.bias": (1, 1, 16, 16)}, "BOOL"), {}).total == 0


@pytest.mark.parametrize(
    ("shapes", "embedding"),
    [
        ({"model.embed_tokens.weight": (10, 4), "model.layers.0.self_attn.W_pack.weight": (4, 4)}, 40),
        (
            {"gpt_neox.embed_in.weight": (10, 4), "embed_out.weight": (10, 4), "gpt_neox.layers.0.mlp.weight": (3, 3)},
            80,
        ),
        ({"model.transformer.wte.weight": (10, 4), "model.transformer.blocks.0.ff_out.weight": (4, 4)}, 40),
        ({"model.transformer.wte.weight": (10, 4), "model.transformer.ff_out.weight": (10, 4)}, 80),
        ({"transformer.wte.weight": (10, 4), "transformer.wpe.weight": (7, 4), "transformer.h.0.w": (2, 2)}, 68),
        ({"backbone.embeddings.weight": (10, 4), "backbone.layers.0.mixer.A_log": (6, 2)}, 40),
    ],
    ids=["baichuan", "gpt-neox", "olmo", "olmo-untied", "gpt2", "mamba"],
)
def test_embeddings_and_head_are_known_by_their_names(shapes: Shapes, embedding: int) -> None:
    found = count(tensors(shapes), {})
    assert found.total - found.non_embedding == embedding


CONFIGS = st.dictionaries(
    st.sampled_from(["num_local_experts", "num_experts_per_tok", "tie_word_embeddings", "text_config", "model_type"]),
    st.none() | st.integers(-3, 9) | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.booleans(),
)
NAMES = st.lists(
    st.sampled_from(["model", "layers", "0", "1", "experts", "lm_head", "embed_tokens", "weight", "", "\u0661"]),
    max_size=6,
).map(".".join)


@given(st.dictionaries(NAMES, st.lists(st.integers(0, 3), max_size=4).map(tuple), max_size=6), CONFIGS)
def test_any_names_and_any_config_give_counts_that_can_be(shapes: Shapes, config: dict[str, object]) -> None:
    found = count(tensors(shapes), config)
    assert 0 <= found.active <= found.total
    assert 0 <= found.non_embedding <= found.total
