"""The vLLM backend: the one module that imports vLLM.

An engine is started once and kept warm: the next checkpoint's weights are swapped in, measured against the file and
tried with canary prompts; what fails is started afresh. Units are scored sealed: an empty prefix cache, requests
submitted once in canonical order, sizes that are settings. vLLM runs in this process, for only then is every request
waiting before the first step, and batches are the same each time.
"""

from __future__ import annotations

import functools
import gc
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fineline.errors import CheckpointError, EngineError, FinelineError
from fineline_evaluator.backends import canary, worker
from fineline_evaluator.backends import settings as engine_settings
from fineline_evaluator.backends.failures import check_lengths, engine_error, one_line
from fineline_evaluator.backends.modelling import model_within
from fineline_evaluator.backends.sharing import Answers, Ask, Greedy, Reply, Score, plan
from fineline_evaluator.backends.tensors import check_tensors
from fineline_evaluator.backends.tokenizer import TextEnd, has_tokenizer, token_files_digest
from fineline_evaluator.backends.torch_threads import set_threads
from fineline_evaluator.backends.transformers import device_name, same_architecture
from fineline_evaluator.backends.verification import compare
from fineline_evaluator.scoring import (
    EngineSettings,
    GenerateRequest,
    LoadReport,
    Loglikelihood,
    LoglikelihoodRequest,
    TokenCounts,
)

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Read by vLLM when it is imported. The window is one longer than the model's, for the last token never enters it."""


@dataclass(frozen=True, slots=True)
class _Engine:
    """A running engine and the checkpoint in it."""

    llm: Any
    folder: Path
    config: dict[str, Any]
    tokenizer: str | None
    window: int
    facts: worker.Facts


class VllmBackend:
    """See `fineline_evaluator.scoring.Backend`."""

    def __init__(self, settings: EngineSettings, *, tokenizer: Path | None = None) -> None:
        self._settings = settings
        self._tokenizer = tokenizer
        self._gpu = torch.cuda.is_available()
        self._threads = engine_settings.threads(settings)
        self._canary = canary.Canary(settings)
        self._engine: _Engine | None = None
        self._text: TextEnd | None = None
        self._scored = self._computed = 0
        self._suspect = False

    def load(self, folder: Path) -> LoadReport:
        start = time.perf_counter()
        config = engine_settings.read_config(folder)
        check_tensors(folder)
        notes: list[str] = []
        how = "started" if self._engine is None else "restarted"
        if self._can_swap(folder, config):
            try:
                self._swap(folder, config)
                verified, said = self._verify()
                return LoadReport("swapped", time.perf_counter() - start, verified, said)
            except FinelineError as error:
                notes.append(f"the engine was started afresh, for a swap of weights failed: {error}")
        try:
            self._start(folder, config)
            verified, said = self._verify()
        except FinelineError:
            self.close()
            raise
        return LoadReport(how, time.perf_counter() - start, verified, (*notes, *said))

    def begin_unit(self) -> None:
        self._scored = self._computed = 0
        engine = self._running()
        if not self._gpu:
            set_threads(self._threads)
        if self._suspect:
            engine.llm.collective_rpc(worker.clear_cache)
        if not engine.llm.reset_prefix_cache():
            self.close()
            raise EngineError("the prefix cache could not be reset; load the checkpoint again")

    def loglikelihoods(self, requests: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood]:
        made = plan(requests, self._sizes().block_size)
        answers = Answers(made)
        for ask, reply in zip(made.asks, self._submit(made.asks), strict=True):
            answers.take(ask, reply)
        again = answers.unanswered(requests)
        for ask, reply in zip(again, self._submit(again), strict=True):
            answers.take_again(ask, reply)
        self._scored += sum(len(request.continuation) for request in requests)
        answered = [answers.loglikelihood(request) for request in requests]
        self._suspect = self._suspect or not all(math.isfinite(answer.logprob) for answer in answered)
        return answered

    def generate(self, requests: Sequence[GenerateRequest]) -> list[str]:
        from vllm import SamplingParams

        engine = self._running()
        if self._text is None:
            self._text = TextEnd(self._tokenizer or engine.folder, engine.config)
        text = self._text
        order = sorted(range(len(requests)), key=lambda place: requests[place].prompt)
        asked = [requests[place] for place in order]
        parameters = [
            SamplingParams(
                max_tokens=max(1, min(request.max_tokens, engine.window + 1 - len(request.prompt))),
                temperature=request.temperature,
                top_p=request.top_p,
                top_k=request.top_k,
                seed=request.seed if request.temperature > 0 else None,
                stop=list(text.stops(request.until)),
                include_stop_str_in_output=True,
                stop_token_ids=list(text.end_ids),
                ignore_eos=True,
                skip_special_tokens=False,
            )
            for request in asked
        ]
        outputs = self._run([request.prompt for request in asked], parameters, "generating")
        texts = [""] * len(requests)
        for place, request, output in zip(order, asked, outputs, strict=True):
            ids = list(output.outputs[0].token_ids)
            self._scored += len(ids)
            self._computed += len(ids)
            texts[place] = text.text(ids, request.until)
        return texts

    def counts(self) -> TokenCounts:
        return TokenCounts(scored=self._scored, computed=self._computed)

    def fingerprint(self) -> dict[str, Any]:
        import vllm

        engine = self._running()
        config = engine.llm.llm_engine.vllm_config
        sizes = self._sizes()
        return {
            "engine": f"vllm {vllm.__version__}",
            "torch": str(torch.__version__),
            "driver": torch.version.cuda if self._gpu else None,
            "device": device_name(torch.device("cuda" if self._gpu else "cpu")),
            "runner": engine.facts.runner,
            "attention": engine.facts.attention,
            "tensor_parallel_size": self._settings.tensor_parallel_size,
            "threads": None if self._gpu else self._threads,
            "prefix_cache": sizes.block_size is not None,
            "kv_blocks": config.cache_config.num_gpu_blocks,
            "block_size": config.cache_config.block_size,
            "max_num_batched_tokens": sizes.max_num_batched_tokens,
            "max_num_seqs": sizes.max_num_seqs,
            "args": {name: self._settings.args[name] for name in sorted(self._settings.args)},
        }

    def close(self) -> None:
        """Ends the engine and gives its memory back; `load` starts another."""
        engine, self._engine, self._text = self._engine, None, None
        if engine is not None:
            engine.llm.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()
        if self._gpu:
            torch.cuda.empty_cache()

    # ------------------------------------------------------------------------------------------------------ loading

    def _can_swap(self, folder: Path, config: dict[str, Any]) -> bool:
        """Quantized weights are always loaded by a fresh engine: a reload does not even warn about missing ones."""
        engine = self._engine
        quantized = "quantization" in self._settings.args or bool(config.get("quantization_config"))
        return (
            engine is not None
            and not quantized
            and same_architecture(engine.config, config)
            and engine.tokenizer == self._tokenizer_digest(folder)
        )

    def _swap(self, folder: Path, config: dict[str, Any]) -> None:
        engine = self._running()
        try:
            engine.llm.collective_rpc(worker.before_reload)
            engine.llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            engine.llm.collective_rpc(worker.after_reload)
            engine.llm.collective_rpc(worker.clear_cache)
            engine.llm.reset_prefix_cache()
        except Exception as error:
            self.close()
            raise engine_error(error, f"swapping the weights of {folder}") from error
        self._engine = _Engine(engine.llm, folder, config, engine.tokenizer, engine.window, engine.facts)
        self._text = None

    def _start(self, folder: Path, config: dict[str, Any]) -> None:
        self.close()
        window = engine_settings.window(config, self._settings)
        prepare_environment(gpu=self._gpu)
        if not self._gpu:
            set_threads(self._threads)
        llm = None
        try:
            from vllm import LLM
            from vllm.config import set_current_vllm_config

            llm = LLM(**self._arguments(folder, config, window))
            model_within(functools.partial(set_current_vllm_config, llm.llm_engine.vllm_config))
            facts = llm.collective_rpc(worker.facts)[0]
        except Exception as error:
            del llm
            gc.collect()
            raise self._start_error(folder, error) from error
        self._engine = _Engine(llm, folder, config, self._tokenizer_digest(folder), window, facts)
        if facts.second_runner or ".worker.gpu." in facts.runner or ".worker.cpu." in facts.runner:
            self.close()
            raise EngineError(f"vLLM took the runner {facts.runner}; only its first one gives ranks", permanent=True)

    def _arguments(self, folder: Path, config: dict[str, Any], window: int) -> dict[str, Any]:
        sizes = self._sizes(config)
        tokenizer = self._tokenizer or folder
        arguments = {
            "model": str(folder),
            "tokenizer": str(tokenizer),
            "skip_tokenizer_init": not has_tokenizer(tokenizer),
            "trust_remote_code": False,
            "load_format": "safetensors",
            "generation_config": "vllm",
            "dtype": self._settings.dtype,
            "seed": 0,
            "max_model_len": window + 1,
            "tensor_parallel_size": self._settings.tensor_parallel_size,
            "enforce_eager": True,
            "enable_prefix_caching": sizes.block_size is not None,
            "async_scheduling": False,
            "kv_cache_memory_bytes": sizes.kv_cache_memory_bytes,
            "max_num_batched_tokens": sizes.max_num_batched_tokens,
            "max_num_seqs": sizes.max_num_seqs,
            "use_tqdm_on_load": False,
        }
        if sizes.block_size is not None:
            arguments["block_size"] = sizes.block_size
        stated = {name: value for name, value in self._settings.args.items() if name != "threads"}
        return arguments | {name: value for name, value in stated.items() if name != "block_size" or sizes.block_size}

    def _start_error(self, folder: Path, error: Exception) -> FinelineError:
        if isinstance(error, ImportError):
            return EngineError(f"vLLM can't be imported: {one_line(error)}", permanent=True)
        told = engine_error(error, f"starting with {folder}")
        if told.reason == "OutOfMemory":
            return told
        if "are not supported for now" in str(error) or "has no vLLM implementation" in str(error):
            return CheckpointError(
                f"{folder}: vLLM lacks this architecture ({one_line(error)}); set spec.engine.backend: transformers",
                reason="ArchitectureUnsupported",
            )
        return CheckpointError(f"{folder}: could not be loaded: {one_line(error)}", reason="LoadFailed")

    def _verify(self) -> tuple[bool, tuple[str, ...]]:
        """Whether the engine is known to hold the file's weights, and notes. `CheckpointError` (LoadFailed) where it is
        known not to. Leaves an empty prefix cache."""
        engine = self._running()
        if "quantization" in self._settings.args or engine.config.get("quantization_config"):
            return False, ("quantized weights were not compared with the file's",)
        try:
            measured = engine.llm.collective_rpc(worker.measure)
        except Exception as error:
            raise engine_error(error, f"measuring the weights of {engine.folder}") from error
        self._suspect = any(weight.moments.not_finite for rank in measured for weight in rank)
        verdict = compare(engine.folder, measured, engine.facts.packed)
        if verdict.wrong:
            raise CheckpointError(
                f"{engine.folder}: {len(verdict.wrong)} tensors in the engine are not the file's: {verdict.wrong[0]}",
                reason="LoadFailed",
            )
        compared, notes = self._try_canary(engine)
        engine.llm.reset_prefix_cache()
        if verdict.unchecked and not compared:
            return False, (
                *notes,
                f"{len(verdict.unchecked)} tensors were not compared, such as {verdict.unchecked[0]}",
            )
        return True, notes

    def _try_canary(self, engine: _Engine) -> tuple[bool, tuple[str, ...]]:
        """Whether canary prompts were compared with the reference; the prompts themselves are always run."""
        vocabulary = int(engine.llm.model_config.get_vocab_size())
        asked = canary.requests(vocabulary, engine.window)
        try:
            answered = self.loglikelihoods(asked)
        except EngineError as error:
            if error.reason == "OutOfMemory":
                raise
            raise CheckpointError(
                f"{engine.folder}: vLLM loaded it but can't run it here: {error}; where it lacks a kernel for this "
                "device, set spec.engine.backend: transformers",
                reason="ArchitectureUnsupported",
            ) from error
        if not self._canary.fits(engine.folder):
            return False, ("canary prompts were not compared: the reference does not fit beside the engine",)
        expected = self._canary.expected(engine.folder, asked)
        if isinstance(expected, str):
            return False, (f"canary prompts were not compared: {expected}",)
        apart = canary.difference(asked, answered, expected)
        dtype = str(engine.llm.model_config.dtype).removeprefix("torch.")
        if apart > canary.TOLERANCES[dtype]:
            raise CheckpointError(
                f"{engine.folder}: canary prompts differ by {apart:.3g} nats a token from transformers' answers; "
                f"{canary.TOLERANCES[dtype]} is the most that rounding explains in {dtype}",
                reason="LoadFailed",
            )
        return True, ()

    def _tokenizer_digest(self, folder: Path) -> str | None:
        tokenizer = self._tokenizer or folder
        return token_files_digest(tokenizer) if has_tokenizer(tokenizer) else None

    # ------------------------------------------------------------------------------------------------------ scoring

    def _sizes(self, config: dict[str, Any] | None = None) -> engine_settings.Sizes:
        known = config if config is not None else self._running().config
        recurrent = engine_settings.has_recurrent_state(known)
        return engine_settings.sizes(self._settings, gpu=self._gpu, recurrent=recurrent)

    def _running(self) -> _Engine:
        if self._engine is None:
            raise EngineError("no checkpoint is loaded; call load first")
        return self._engine

    def _submit(self, asks: Sequence[Ask]) -> list[Reply]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                max_tokens=1,
                temperature=0,
                logprob_token_ids=list(ask.next_tokens),
                prompt_logprobs=1 if ask.wants_rows else None,
                skip_reading_prefix_cache=False,
                flat_logprobs=True,
                detokenize=False,
            )
            for ask in asks
        ]
        outputs = self._run([ask.prompt for ask in asks], parameters, "scoring")
        return [_reply(ask, output) for ask, output in zip(asks, outputs, strict=True)]

    def _run(self, prompts: Sequence[Sequence[int]], parameters: Sequence[Any], doing: str) -> list[Any]:
        """Submits all prompts at once. An engine that failed is ended: what it left queued would break the seal."""
        if not prompts:
            return []
        engine = self._running()
        check_lengths(prompts, engine.window)
        try:
            outputs: list[Any] = engine.llm.generate(
                [{"prompt_token_ids": list(prompt)} for prompt in prompts], list(parameters), use_tqdm=False
            )
        except Exception as error:
            self.close()
            raise engine_error(error, f"{doing} {len(prompts)} prompts") from error
        self._computed += sum(len(output.prompt_token_ids) - (output.num_cached_tokens or 0) for output in outputs)
        return outputs


def prepare_environment(*, gpu: bool) -> None:
    """What vLLM reads from the environment, set before it is imported. On a CPU the old variable for the cache's size
    would overrule the setting; and eager kernels are not compiled, which would take longer than a unit."""
    os.environ.update(_ENVIRONMENT)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)
    if not gpu:
        torch.compiler.set_stance("force_eager")


def _reply(ask: Ask, output: Any) -> Reply:
    completion = output.outputs[0]
    best = int(completion.token_ids[0])
    flat = completion.logprobs
    # The first entry is the sampled token; entries behind the asked ones are padding up to the batch's longest list.
    pairs = list(zip(flat.token_ids[1:], flat.logprobs[1:], strict=True))[: len(ask.next_tokens)]
    next_tokens = {
        token: Score(logprob, Greedy.YES if token == best and not math.isnan(logprob) else Greedy.NO)
        for token, logprob in pairs
    }
    rows = [_row(output.prompt_logprobs, row) for row in range(ask.rows_from, len(ask.prompt))]
    return Reply(next_tokens, rows, cached=output.num_cached_tokens or 0)


def _row(flat: Any, row: int) -> Score:
    """A row holds the prompt's token and the best one. The rank counts equals: 1 is the only best token."""
    start = flat.start_indices[row]
    logprob, best = flat.logprobs[start], flat.logprobs[start + 1]
    if flat.ranks[start] == 1:
        return Score(logprob, Greedy.YES)
    return Score(logprob, Greedy.TIED if logprob == best else Greedy.NO)
