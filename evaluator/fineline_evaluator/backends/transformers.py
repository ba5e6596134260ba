"""The transformers backend: one forward pass a prompt, log-softmax in fp32. Slow, plain, and the reference.

The same interface and the same numbers as vLLM's within tolerance; used for architectures that vLLM lacks, for canary
prompts, and in tests. It is another key: nothing falls back to it silently. Custom model code is never run.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fineline.errors import CheckpointError, EngineError
from fineline_evaluator.backends import settings as engine_settings
from fineline_evaluator.backends.failures import check_lengths, engine_error, one_line
from fineline_evaluator.backends.modelling import modelling
from fineline_evaluator.backends.sharing import Answers, Ask, Greedy, Reply, Score, plan
from fineline_evaluator.backends.tensors import check_tensors, library_config
from fineline_evaluator.backends.tokenizer import TextEnd
from fineline_evaluator.backends.torch_threads import set_threads
from fineline_evaluator.scoring import (
    EngineSettings,
    GenerateRequest,
    LoadReport,
    Loglikelihood,
    LoglikelihoodRequest,
    TokenCounts,
)


class TransformersBackend:
    """See `fineline_evaluator.scoring.Backend`. `device`: where the model lies; a GPU where there is one."""

    def __init__(self, settings: EngineSettings, *, tokenizer: Path | None = None, device: str | None = None) -> None:
        self._settings = settings
        self._tokenizer = tokenizer
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._threads = engine_settings.threads(settings)
        self._model: Any = None
        self._config: dict[str, Any] = {}
        self._folder = Path()
        self._window = 0
        self._text: TextEnd | None = None
        self._scored = self._computed = 0

    def load(self, folder: Path) -> LoadReport:
        start = time.perf_counter()
        check_tensors(folder)
        config = engine_settings.read_config(folder)
        window = engine_settings.window(config, self._settings)
        swap = self._model is not None and same_architecture(config, self._config)
        how = "started" if self._model is None else "swapped" if swap else "restarted"
        try:
            if self._device.type == "cpu":
                set_threads(self._threads)
            self._model = None
            loaded = self._from_files(folder, config)
        except (RuntimeError, MemoryError, OSError, ValueError, KeyError) as error:
            self.close()
            raise self._load_error(folder, error) from error
        self._model, self._config, self._folder, self._text = loaded, config, folder, None
        self._window = window
        return LoadReport(how=how, seconds=time.perf_counter() - start, verified=True)

    def begin_unit(self) -> None:
        self._scored = self._computed = 0

    def loglikelihoods(self, requests: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood]:
        made = plan(requests, block_size=None)
        answers = Answers(made)
        for ask in made.asks:
            answers.take(ask, self._reply(ask))
        self._scored += sum(len(request.continuation) for request in requests)
        return [answers.loglikelihood(request) for request in requests]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[str]:
        if self._text is None:
            self._text = TextEnd(self._tokenizer or self._folder, self._config)
        return [self._generate(request, self._text) for request in requests]

    def counts(self) -> TokenCounts:
        return TokenCounts(scored=self._scored, computed=self._computed)

    def fingerprint(self) -> dict[str, Any]:
        import transformers

        return {
            "engine": f"transformers {transformers.__version__}",
            "torch": str(torch.__version__),
            "driver": torch.version.cuda if self._device.type == "cuda" else None,
            "device": device_name(self._device),
            "attention": getattr(getattr(self._model, "config", None), "_attn_implementation", None),
            "batch_size": 1,
            "threads": self._threads if self._device.type == "cpu" else None,
        }

    def close(self) -> None:
        self._model = None

    def _from_files(self, folder: Path, config: dict[str, Any]) -> Any:
        import transformers

        library: Any = transformers
        library.utils.logging.disable_progress_bar()
        auto_model = library.AutoModelForCausalLM
        dtype = self._settings.dtype
        with modelling():
            model = auto_model.from_pretrained(
                folder,
                config=library_config(config),
                dtype="auto" if dtype == "auto" else getattr(torch, dtype),
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
            )
        return model.to(self._device).eval()

    def _load_error(self, folder: Path, error: Exception) -> CheckpointError | EngineError:
        told = engine_error(error, f"loading {folder}")
        if told.reason == "OutOfMemory":
            return told
        return CheckpointError(f"{folder}: could not be loaded: {one_line(error)}", reason="LoadFailed")

    def _reply(self, ask: Ask) -> Reply:
        """Answers an ask from one pass over its prompt; rows of the vocabulary are made only where one is wanted."""
        first = min(ask.rows_from, len(ask.prompt)) - 1
        logprobs = self._logprobs(ask.prompt, first)
        best = logprobs.argmax(dim=-1).tolist()
        rows = [
            Score(float(logprobs[row, token]), Greedy.YES if best[row] == token else Greedy.NO)
            for row, token in enumerate(ask.prompt[first + 1 :])
        ]
        last = logprobs[-1]
        next_tokens = {
            token: Score(float(last[token]), Greedy.YES if best[-1] == token else Greedy.NO)
            for token in ask.next_tokens
        }
        return Reply(next_tokens, rows, cached=0)

    def _logprobs(self, prompt: Sequence[int], first: int) -> torch.Tensor:
        """Log-probabilities after the tokens from `first` on: [len(prompt) - first, vocabulary], fp32, on the CPU."""
        model = self._loaded()
        check_lengths([prompt], self._window)
        keep = len(prompt) - first
        narrow = {"logits_to_keep": keep} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        try:
            with torch.inference_mode():
                ids = torch.tensor([prompt], dtype=torch.long, device=self._device)
                logits = model(input_ids=ids, use_cache=False, **narrow).logits[0, -keep:]
                logprobs = torch.log_softmax(logits, dim=-1, dtype=torch.float32).cpu()
        except (RuntimeError, MemoryError, IndexError) as error:
            raise engine_error(error, f"scoring a prompt of {len(prompt)} tokens") from error
        self._computed += len(prompt)
        return logprobs

    def _generate(self, request: GenerateRequest, text: TextEnd) -> str:
        """Token by token with a cache, until a stop string stands at the end, as lm-eval's `hf` does."""
        model = self._loaded()
        check_lengths([request.prompt], self._window)
        stops = [(stop, text.length(stop) + 2) for stop in text.stops(request.until)]
        dice = torch.Generator().manual_seed(request.seed)
        limit = self._window + 1 - len(request.prompt)
        ids: list[int] = []
        try:
            with torch.inference_mode():
                step = torch.tensor([request.prompt], dtype=torch.long, device=self._device)
                state: dict[str, Any] = {}
                for _ in range(min(request.max_tokens, limit)):
                    answer = model(input_ids=step, use_cache=True, **state)
                    state = _cache_of(answer)
                    ids.append(_pick(answer.logits[0, -1].float().cpu(), request, dice))
                    if ids[-1] in text.end_ids or any(stop in text.tail(ids[-back:]) for stop, back in stops):
                        break
                    following = [[ids[-1]]] if state else [[*request.prompt, *ids]]
                    step = torch.tensor(following, dtype=torch.long, device=self._device)
        except (RuntimeError, MemoryError, IndexError) as error:
            raise engine_error(error, f"generating after a prompt of {len(request.prompt)} tokens") from error
        self._scored += len(ids)
        self._computed += len(request.prompt) + len(ids)
        return text.text(ids, request.until)

    def _loaded(self) -> Any:
        if self._model is None:
            raise EngineError("no checkpoint is loaded; call load first")
        return self._model


def same_architecture(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Two configs that differ at most in what says nothing about the model."""
    volatile = {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
    return {key: value for key, value in left.items() if key not in volatile} == {
        key: value for key, value in right.items() if key not in volatile
    }


def device_name(device: torch.device) -> str:
    """The processor's own name: two kinds of it differ in the last digits."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = "cpu"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def _cache_of(answer: Any) -> dict[str, Any]:
    """What the next step needs so that it computes one token only; the names differ between architectures. A
    state-space model's cache wants more than that: its steps read the whole text again."""
    cache = getattr(answer, "past_key_values", None)
    return {} if cache is None else {"past_key_values": cache}


def _pick(logits: torch.Tensor, request: GenerateRequest, dice: torch.Generator) -> int:
    if request.temperature == 0.0 or not bool(torch.isfinite(logits).any()):
        return int(logits.argmax())
    scaled = logits / request.temperature
    if request.top_k > 0:
        scaled[scaled < scaled.topk(min(request.top_k, len(scaled))).values[-1]] = -torch.inf
    if request.top_p < 1.0:
        ordered, places = scaled.sort(descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        scaled[places[before >= request.top_p]] = -torch.inf
    return int(torch.multinomial(scaled.softmax(dim=-1), 1, generator=dice))
