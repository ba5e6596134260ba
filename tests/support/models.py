"""Tiny language models with random weights and a real tokenizer, made on the spot in Hugging Face layout.

They are small enough for a test (milliseconds to make, a few hundred kilobytes) and real enough for vLLM on a CPU,
which wants heads of 32 or more. Checkpoints of "one run" are the same architecture from different seeds.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fineline_evaluator.backends.modelling import modelling

BOS, EOS, UNKNOWN = "<s>", "</s>", "<unk>"
ARCHITECTURES = ("llama", "llama-tied", "mixtral", "mamba", "gpt-neox")


def make_checkpoint(
    folder: Path,
    *,
    architecture: str = "llama",
    seed: int = 0,
    vocab_size: int = 512,
    dtype: str = "float32",
    max_position_embeddings: int = 2048,
    shards: int = 1,
    tokenizer: bool = True,
    texts: tuple[str, ...] = (),
    overrides: dict[str, Any] | None = None,
) -> Path:
    """Writes config.json, safetensors (`shards` files and an index where more than one) and a tokenizer into `folder`.

    `texts`: what the tokenizer is trained on instead of `corpus()`. `overrides` are further fields of the model's
    config. The same arguments make the same bytes. Returns `folder`.
    """
    import torch

    config = _config(architecture, vocab_size, max_position_embeddings, overrides or {})
    state_of_the_caller = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = _model(config)
    finally:
        torch.set_rng_state(state_of_the_caller)
    _widen(model, seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if shards > 1:
        _shard(folder, shards)
    if tokenizer:
        make_tokenizer(folder, vocab_size=vocab_size, max_length=max_position_embeddings, texts=texts)
    return folder


def make_tokenizer(
    folder: Path,
    *,
    vocab_size: int = 512,
    max_length: int = 2048,
    add_bos: bool = True,
    texts: tuple[str, ...] = (),
) -> Path:
    """Trains a byte-level BPE of at most `vocab_size` tokens over `texts` (else `corpus()`) and writes its files."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    engine = Tokenizer.from_str(_trained(vocab_size, texts))
    if add_bos:
        engine.post_processor = TemplateProcessing(
            single=f"{BOS} $A",
            pair=f"{BOS} $A {BOS} $B",
            special_tokens=[(BOS, engine.token_to_id(BOS))],
        )
    folder.mkdir(parents=True, exist_ok=True)
    fast_tokenizer: Any = transformers.PreTrainedTokenizerFast
    fast_tokenizer(
        tokenizer_object=engine,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    return folder


def corpus(sentences: int = 4_000, seed: int = 7) -> Iterator[str]:
    """Sentences of a small grammar, numbers and question forms: enough for a BPE to learn words from."""
    chance = random.Random(seed)
    for _ in range(sentences):
        subject, verb, thing = chance.choice(_SUBJECTS), chance.choice(_VERBS), chance.choice(_THINGS)
        place, letter = chance.choice(_PLACES), chance.choice("ABCD")
        first, second = chance.randrange(100), chance.randrange(100)
        yield (
            f"The {subject} {verb} the {thing} {place}. Question: what is {first} + {second}?\n"
            f"A. {first}\nB. {second}\nC. {first + second}\nD. none of these\nAnswer: {letter}\n\n"
        )


def read_tensors(folder: Path) -> dict[str, Any]:
    """Every tensor of a checkpoint's safetensors files, by name."""
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def write_tensors(folder: Path, tensors: dict[str, Any]) -> None:
    """Replaces the weights in `folder` by one safetensors file of these tensors: to break a checkpoint in a test."""
    from safetensors.torch import save_file

    for file in folder.glob("*.safetensors*"):
        file.unlink()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def _config(architecture: str, vocab_size: int, positions: int, overrides: dict[str, Any]) -> Any:
    import transformers

    special = {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
    attention = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": positions,
    }
    grouped = {"num_key_value_heads": 1}
    match architecture:
        case "llama":
            return transformers.LlamaConfig(
                **special | attention | grouped | {"tie_word_embeddings": False} | overrides
            )
        case "llama-tied":
            return transformers.LlamaConfig(**special | attention | grouped | {"tie_word_embeddings": True} | overrides)
        case "mixtral":
            experts = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
            return transformers.MixtralConfig(**special | attention | grouped | experts | overrides)
        case "gpt-neox":
            return transformers.GPTNeoXConfig(**special | attention | {"tie_word_embeddings": False} | overrides)
        case "mamba":
            sizes = {"hidden_size": 64, "state_size": 16, "num_hidden_layers": 2, "tie_word_embeddings": True}
            return transformers.MambaConfig(**special | sizes | overrides)
        case _:
            raise ValueError(f"architecture is {architecture!r}; known are {', '.join(ARCHITECTURES)}")


def _model(config: Any) -> Any:
    import transformers

    auto_model: Any = transformers.AutoModelForCausalLM
    with modelling():
        return auto_model.from_config(config)


def _widen(model: Any, seed: int) -> None:
    """Makes the weights larger than the usual 0.02 and moves the norms off one: else every answer is near ln V, and a
    load that left the norms as they were made would not be seen."""
    import torch

    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "A_log" not in name:
                parameter.mul_(5.0)
            elif "norm" in name:
                parameter.add_(torch.rand(parameter.shape, generator=generator) * 0.2)


def _shard(folder: Path, shards: int) -> None:
    from safetensors.torch import load_file, save_file

    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


@functools.cache
def _trained(vocab_size: int, texts: tuple[str, ...]) -> str:
    """The trained tokenizer as JSON: once a process and size, for training takes longer than everything else here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    engine = Tokenizer(models.BPE(unk_token=UNKNOWN))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, UNKNOWN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    engine.train_from_iterator(texts or corpus(), trainer)
    return str(engine.to_str())


_SUBJECTS = ("river", "doctor", "engine", "student", "planet", "merchant", "forest", "teacher", "machine", "painter")
_VERBS = ("follows", "measures", "carries", "remembers", "describes", "protects", "crosses", "changes", "answers")
_THINGS = ("mountain", "letter", "number", "window", "question", "market", "picture", "history", "language", "garden")
_PLACES = ("in the morning", "near the city", "without a reason", "after the war", "under the bridge", "at night")
