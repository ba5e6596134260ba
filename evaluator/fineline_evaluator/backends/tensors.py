"""Are the tensors of a checkpoint the ones that its config says? Found out from headers, before anything is loaded.

vLLM only warns about a missing tensor, and not even that when quantized. The expected set comes from transformers: the
architecture's module is built on the meta device (no memory, no weights) and its names are turned into the file's.
Custom model code is never run.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.errors import CheckpointError
from fineline_evaluator.backends.modelling import modelling
from fineline_evaluator.backends.settings import read_config

Shape = tuple[int, ...]

_IGNORED = re.compile(r"(rotary_emb\.inv_freq|attention\.masked_bias|attention\.bias|attn\.masked_bias|attn\.bias)$")
"""Buffers that older libraries saved and that every reader makes itself."""


@dataclass(frozen=True, slots=True)
class Expected:
    """`shapes` of every tensor by the file's names; `tied`: a tensor and the one that may stand for it; `ignored`:
    patterns of names that the library leaves out on purpose."""

    shapes: dict[str, Shape]
    tied: dict[str, str]
    ignored: tuple[str, ...]


def check_tensors(folder: Path) -> None:
    """`CheckpointError` naming the tensor: TensorMissing, ConfigMismatch (a shape, or a tensor that the config has no
    place for), WeightsUnreadable, ShardMissing, ConfigMissing, ArchitectureUnsupported."""
    config = read_config(folder)
    found = tensor_shapes(folder)
    if config.get("quantization_config"):
        return
    expected = _expected(json.dumps(config, sort_keys=True))
    prefix = _prefix_left_out(expected, found)
    present = {prefix + name if prefix + name in expected.shapes else name: shape for name, shape in found.items()}
    for name, shape in expected.shapes.items():
        stands_in = expected.tied.get(name)
        if name not in present and (stands_in is None or stands_in not in present):
            raise CheckpointError(
                f"{folder}: tensor {name} is missing; the config expects it with shape {list(shape)}",
                reason="TensorMissing",
            )
        if name in present and present[name] != shape:
            raise CheckpointError(
                f"{folder}: tensor {name} has shape {list(present[name])}; the config expects {list(shape)}",
                reason="ConfigMismatch",
            )
    for name in sorted(set(present) - set(expected.shapes)):
        if not _IGNORED.search(name) and not any(re.search(pattern, name) for pattern in expected.ignored):
            raise CheckpointError(
                f"{folder}: tensor {name} has no place in the model that the config describes; "
                "is config.json the one of these weights?",
                reason="ConfigMismatch",
            )


def tensor_shapes(folder: Path) -> dict[str, Shape]:
    """Names and shapes from the safetensors headers of a folder."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, Shape] = {}
    for file in tensor_files(folder):
        try:
            with safe_open(file, framework="pt") as opened:
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: can't be read: {error}", reason="WeightsUnreadable") from error
    return shapes


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors files that belong to the checkpoint: those of the index where there is one."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise CheckpointError(f"{folder}: holds no safetensors file", reason="WeightsUnreadable")
        return files
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is no index of tensors: {error}", reason="WeightsUnreadable") from error
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointError(f"{folder}: shard {name} of the index is missing", reason="ShardMissing")
    return [folder / name for name in names]


def library_config(config: dict[str, Any]) -> Any:
    """The library's own config object for this config.json; `CheckpointError` (ArchitectureUnsupported) where
    transformers has none, even if the checkpoint brings code."""
    import transformers

    auto_config: Any = transformers.AutoConfig
    known: Any = transformers.CONFIG_MAPPING
    model_type = config.get("model_type")
    if model_type not in known:
        raise CheckpointError(
            f"config.json: model_type is {model_type!r}, which transformers does not know; code that comes with a "
            "checkpoint is never run",
            reason="ArchitectureUnsupported",
        )
    stated = {key: value for key, value in config.items() if key not in {"model_type", "auto_map"}}
    try:
        return auto_config.for_model(str(model_type), **stated)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"config.json: no {model_type} config can be made from it: {_line(error)}", reason="ConfigMismatch"
        ) from error


@functools.lru_cache(maxsize=8)
def _expected(config_text: str) -> Expected:
    import torch
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

    config = library_config(json.loads(config_text))
    auto_model: Any = transformers.AutoModelForCausalLM
    try:
        with modelling(), torch.device("meta"):
            model = auto_model.from_config(config, trust_remote_code=False)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"config.json: no language model can be made from it: {_line(error)}", reason="ArchitectureUnsupported"
        ) from error
    buffers = {name for name, _ in model.named_buffers()}
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in buffers}
    shapes = {name: tuple(tensor.shape) for name, tensor in revert_weight_conversion(model, state).items()}
    tied = dict(model.all_tied_weights_keys) if getattr(config, "tie_word_embeddings", False) else {}
    patterns = [*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or []), *map(re.escape, buffers)]
    return Expected(shapes, tied | {source: target for target, source in tied.items()}, tuple(patterns))


def _prefix_left_out(expected: Expected, found: dict[str, Shape]) -> str:
    """Checkpoints saved from the bare model leave out its prefix ("model.", "gpt_neox."); readers put it back."""
    if any(name in expected.shapes for name in found):
        return ""
    prefixes = {name.split(".", 1)[0] + "." for name in expected.shapes}
    return next((each for each in sorted(prefixes) if any(each + name in expected.shapes for name in found)), "")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
