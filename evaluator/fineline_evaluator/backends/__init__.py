"""The engines that score requests: vLLM, and transformers as the reference and for what vLLM lacks.

`open_backend` gives one of them; both keep the interface `fineline_evaluator.scoring.Backend`. `check_tensors` finds a
checkpoint whose files and config disagree before anything is loaded; `window_of` says how long its prompts may be.
"""

from __future__ import annotations

from pathlib import Path

from fineline_evaluator.backends.settings import check_settings, read_config, window
from fineline_evaluator.backends.tensors import check_tensors
from fineline_evaluator.scoring import Backend, EngineSettings

__all__ = ["check_tensors", "open_backend", "window_of"]


def open_backend(settings: EngineSettings, *, tokenizer: Path | None = None) -> Backend:
    """An engine that holds nothing yet: `load` starts it.

    `tokenizer`: the folder with the tokenizer, needed by `generate` alone; without it each checkpoint's own is used.
    `SpecError` names the field of `spec.engine` that can't be meant.
    """
    check_settings(settings)
    if settings.backend == "transformers":
        from fineline_evaluator.backends.transformers import TransformersBackend

        reference: Backend = TransformersBackend(settings, tokenizer=tokenizer)
        return reference
    from fineline_evaluator.backends.vllm import VllmBackend

    return VllmBackend(settings, tokenizer=tokenizer)


def window_of(folder: Path, settings: EngineSettings) -> int:
    """How many tokens may enter the model of this checkpoint at once."""
    return window(read_config(folder), settings)
