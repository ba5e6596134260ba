"""What runs inside the engine's workers, through `collective_rpc`: measuring weights, and what a reload leaves undone.

These functions see vLLM's worker as a plain object; each says which of its parts it touches. A weight is measured by
sums that do not depend on the order of its elements, so that fused, padded and repacked layouts measure as the file's
tensors do. vLLM's CPU build packs linear layers and throws their weights away; those are measured through the layer
itself: it is given unit vectors, and answers with columns of the weight that it really multiplies by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

CHUNK = 1 << 22
COLUMNS = 16


@dataclass(frozen=True, slots=True)
class Moments:
    """Of a bag of numbers: how many are not finite, the sum and the sum of squares of the others. They add up over
    parts, and zeros (padding) don't count."""

    not_finite: int
    total: float
    squares: float

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.not_finite + other.not_finite, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Measured:
    """A weight in the engine. `columns` None: all of it; else these columns of it, and none where the layer does not
    say how wide it is. `name` is the engine's."""

    name: str
    dtype: str
    columns: tuple[int, ...] | None
    moments: Moments


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a running engine, for the fingerprint and for asserting the runner."""

    runner: str
    second_runner: bool
    attention: str
    packed: dict[str, tuple[str, ...]]


def moments(tensor: torch.Tensor) -> Moments:
    """In float64, a chunk at a time."""
    result = Moments(0, 0.0, 0.0)
    flat = tensor.detach().reshape(-1)
    for start in range(0, flat.numel(), CHUNK):
        chunk = flat[start : start + CHUNK].to(torch.float64)
        finite = torch.isfinite(chunk)
        broken = int((~finite).sum())
        if broken:
            chunk = chunk[finite]
        result += Moments(broken, float(chunk.sum()), float((chunk * chunk).sum()))
    return result


def columns_of(width: int) -> tuple[int, ...]:
    """The columns that are looked at, spread over the width of a weight."""
    return tuple(sorted({index * (width - 1) // max(1, COLUMNS - 1) for index in range(COLUMNS)}))


def facts(worker: Any) -> Facts:
    """Touches: the runner's class, its attention groups, the model's table of fused modules."""
    runner = worker.model_runner
    names = {group.backend.get_name() for groups in getattr(runner, "attn_groups", []) for group in groups}
    fused = getattr(runner.model, "packed_modules_mapping", None) or {}
    return Facts(
        runner=f"{type(runner).__module__}.{type(runner).__name__}",
        second_runner=bool(getattr(worker, "use_v2_model_runner", False)),
        attention=",".join(sorted(names)),
        packed={name: tuple(parts) for name, parts in fused.items()},
    )


@torch.inference_mode()
def measure(worker: Any) -> list[Measured]:
    """Every parameter of the model, and what language-model heads really multiply by."""
    model = worker.model_runner.model
    whole = {name: parameter for name, parameter in model.named_parameters() if parameter.numel() > 0}
    measured = [Measured(name, _dtype(tensor), None, moments(tensor)) for name, tensor in whole.items()]
    owners = {id(parameter): name for name, parameter in whole.items()}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, torch.nn.Parameter) or not callable(getattr(module, "cpu_linear", None)):
            continue
        thrown_away = weight.numel() == 0
        if thrown_away or hasattr(module, "tie_weights"):
            owner = owners.get(id(weight), f"{name}.weight")
            width = _width(module, weight)
            columns = columns_of(width) if width else ()
            answer = _through(module, weight.dtype, width, columns) if width else torch.empty(0)
            measured.append(Measured(owner, _dtype(weight), columns, moments(answer)))
    return measured


def before_reload(worker: Any) -> None:
    """On a CPU, experts are packed when their kernel is made and never again: a reload would put plain weights where
    packed ones are read, silently. Without its kernel the layer packs again. Touches: `quant_method.moe_kernel`."""
    if _on_cpu(worker):
        for module in worker.model_runner.model.modules():
            method = getattr(module, "quant_method", None)
            if method is not None and getattr(method, "moe_kernel", None) is not None:
                method.moe_kernel = None


def after_reload(worker: Any) -> None:
    """On a CPU, a head that shares the embedding's weight keeps the packed copy of the checkpoint before: it is packed
    again. Touches: `quant_method.process_weights_after_loading` of heads."""
    if _on_cpu(worker):
        for module in worker.model_runner.model.modules():
            if hasattr(module, "tie_weights") and callable(getattr(module, "cpu_linear", None)):
                module.quant_method.process_weights_after_loading(module)


def clear_cache(worker: Any) -> None:
    """Zeroes the whole key-value cache: a masked place times NaN is NaN, so a broken checkpoint would poison the next
    one, and one unit of its own the next, through blocks that it filled."""
    for cache in worker.model_runner.kv_caches:
        for tensor in cache if isinstance(cache, list | tuple) else [cache]:
            tensor.zero_()


def _width(module: Any, weight: torch.Tensor) -> int:
    if weight.numel():
        return int(weight.shape[-1])
    return int(getattr(module, "input_size_per_partition", None) or getattr(module, "input_size", None) or 0)


def _through(module: Any, dtype: torch.dtype, width: int, columns: tuple[int, ...]) -> torch.Tensor:
    units = torch.zeros(len(columns), width, dtype=dtype)
    units[torch.arange(len(columns)), torch.tensor(columns)] = 1
    answer: torch.Tensor = module.cpu_linear(units, module.weight, None)
    return answer


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _on_cpu(worker: Any) -> bool:
    return bool(worker.model_runner.device.type == "cpu")
