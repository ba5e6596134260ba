"""Which format a folder's files are, and what to do about each format that is not read.

Decided from names alone. Safetensors in Hugging Face's layout is read as it is; what else is known is refused with the
name of the converter.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from fineline.checkpoints.checkpoint import Format, Problem

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"

SHARD = re.compile(r"model-([0-9]{5,6})-of-(?!0+\.)([0-9]{5,6})\.safetensors", re.ASCII).fullmatch

_PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
_OTHER = (".safetensors", ".gguf", ".npz", ".msgpack", ".h5", ".orbax", ".nemo", ".tar")
_TRAINING_STATE = (
    "optim",
    "scheduler",
    "lr_scheduler",
    "rng",
    "random_states",
    "training_args",
    "train",
    "scaler",
    "grad_scaler",
    "dataloader",
    "sampler",
    "rank",
    "common.pt",
    "zero_pp_rank",
    "bf16_zero_pp_rank",
    "fp16_zero_pp_rank",
)
_TRACES = frozenset({CONFIG, GENERATION_CONFIG, "trainer_state.json", ".metadata.json", "latest", "training_args.bin"})

READABLE = frozenset({Format.SAFETENSORS})
_PREFERENCE = {form: place for place, form in enumerate(Format)}


def format_of(folder_name: str, names: Collection[str]) -> Format:
    """The format of a folder with this (last) name and these names of files directly in it; NONE without weights."""
    if SINGLE in names or INDEX in names:
        return Format.SAFETENSORS
    if folder_name.startswith("optim") or folder_name == "random":  # nanotron keeps its random states in a folder
        return Format.NONE
    found = {form for name in names if (form := _format_of_file(name)) is not Format.NONE}
    if not found:
        return Format.NONE
    if folder_name.startswith("mp_rank_") and found & {Format.PICKLE, Format.MEGATRON}:
        return Format.MEGATRON
    if Format.TORCH_DCP in found and "common.pt" in names:
        return Format.MEGATRON
    return min(found, key=preference)


def preference(form: Format) -> int:
    """Of several formats of one checkpoint the one with the lowest number is meant."""
    return _PREFERENCE[form]


def _format_of_file(name: str) -> Format:
    found = Format.NONE
    if name.endswith(".safetensors"):
        if SHARD(name):
            found = Format.SAFETENSORS
        elif not name.startswith(_TRAINING_STATE):
            found = Format.OTHER
    elif name.startswith("pytorch_model") and name.endswith((".bin", ".bin.index.json")):
        found = Format.PYTORCH_BIN
    elif name == ".metadata" or name.endswith(".distcp"):
        found = Format.TORCH_DCP
    elif name.endswith("model_states.pt"):
        found = Format.DEEPSPEED
    elif name in ("model_optim_rng.pt", "model_rng.pt"):
        found = Format.MEGATRON
    elif name.endswith(_PICKLES) and not name.startswith(_TRAINING_STATE):
        found = Format.PICKLE
    elif name.endswith(_OTHER) and not name.startswith(_TRAINING_STATE):
        found = Format.OTHER
    return found


def is_weights_file(form: Format, name: str) -> bool:
    """Whether a file of a checkpoint in `form` holds its weights; for safetensors `completeness` knows better."""
    return _format_of_file(name) in (form, Format.PICKLE if form is Format.MEGATRON else form)


def has_traces(names: Collection[str]) -> bool:
    """Whether a folder without weights looks like a checkpoint that is still coming, from the files in it."""
    return any(name in _TRACES or name.endswith(_PICKLES) for name in names)


def refusal(
    form: Format, folder: str, weights_folder: str, names: Collection[str], *, allow_pickle: bool
) -> Problem | None:
    """Why a format is not read and what to convert it with; None for a format that is read.

    `names` are those of the files in `weights_folder`, to name one and to tell apart who wrote them.
    """
    if form in READABLE:
        return None
    if form is Format.PYTORCH_BIN and not allow_pickle:
        return Problem(
            "PickleRefused",
            f"{folder}: the weights are pickles ({_example(form, names)}), which can run code when they are read. "
            + _SAVE_AS_SAFETENSORS,
        )
    if form is Format.TORCH_DCP:
        return Problem("FormatUnsupported", f"{folder}: {_WHAT[form]} {_dcp_converter(weights_folder)}")
    if form is Format.NONE:
        return Problem(
            "Incomplete",
            f"{folder}: no weights are there yet: {SINGLE}, or its shards with {INDEX}, are missing. Upload them.",
            passing=True,
        )
    what = _WHAT[form]
    if form is Format.OTHER and any("_pp-rank-" in name or name.startswith("model_weight") for name in names):
        what = _NANOTRON
    return Problem("FormatUnsupported", f"{folder}: {what.format(example=_example(form, names))}")


def _example(form: Format, names: Collection[str]) -> str:
    return min((name for name in names if is_weights_file(form, name)), default="?")[:100]


def _dcp_converter(folder: str) -> str:
    if folder.endswith("model_and_optim"):
        return "Convert it with OLMo-core's src/examples/huggingface/convert_checkpoint_to_hf.py."
    return (
        "Convert it with torchtitan's scripts/checkpoint_conversion/convert_to_hf.py, or with "
        "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch` and then transformers' "
        "save_pretrained(…, safe_serialization=True)."
    )


_SAVE_AS_SAFETENSORS = (
    "Convert it with transformers: from_pretrained(…) and save_pretrained(…, safe_serialization=True)."
)
_NANOTRON = (
    "nanotron's own files ({example}) are not read. Convert it with its examples/llama/convert_nanotron_to_hf.py."
)
_WHAT = {
    Format.PYTORCH_BIN: "pytorch_model.bin is not read in this version, with or without allowPickle. "
    + _SAVE_AS_SAFETENSORS,
    Format.TORCH_DCP: "a torch distributed checkpoint (.metadata and .distcp files) is not read in this version.",
    Format.DEEPSPEED: "DeepSpeed's own files ({example}) are not read. Convert it with the zero_to_fp32.py beside it "
    "(--safe_serialization), or GPT-NeoX's tools/ckpts/convert_neox_to_hf.py.",
    Format.MEGATRON: "a Megatron checkpoint is not read. Convert it with Megatron Bridge: AutoBridge's "
    "export_ckpt(megatron_path, hf_path).",
    Format.PICKLE: "the weights are a pickle that is not in Hugging Face's layout ({example}). " + _SAVE_AS_SAFETENSORS,
    Format.OTHER: "the weights ({example}) are not in Hugging Face's layout of config.json and model.safetensors. "
    + _SAVE_AS_SAFETENSORS,
}
