"""What an engine's exceptions mean in our own tree: out of memory is told apart, for it is tried again elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fineline.errors import EngineError, TaskError

_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|DefaultCPUAllocator|no available memory"
    r"|larger than the (available|maximum)|less than (requested|desired) (memory|CPU memory)|less than requested"
    r"|bad_alloc|CUBLAS_STATUS_ALLOC_FAILED|to serve at least one request",
    re.IGNORECASE,
)


def engine_error(error: BaseException, doing: str) -> EngineError:
    """`EngineError` with reason OutOfMemory or EngineFailed; the message holds the engine's own numbers in one line."""
    causes = list(_chain(error))
    told = next((cause for cause in causes if _is_out_of_memory(cause)), None)
    if told is not None:
        return EngineError(
            f"out of memory while {doing}: {one_line(told)}; batch and cache sizes are never changed silently: set "
            "spec.engine.args (kv_cache_memory_bytes, max_num_batched_tokens, max_num_seqs) or give it more memory",
            reason="OutOfMemory",
        )
    return EngineError(f"the engine failed while {doing}: {one_line(causes[-1])}", reason="EngineFailed")


def check_lengths(prompts: Iterable[Sequence[int]], window: int) -> None:
    """`TaskError` (ContextTooLong) before the engine sees a prompt that it would refuse."""
    longest = max(map(len, prompts), default=0)
    if longest > window:
        raise TaskError(
            f"a prompt has {longest} tokens and the window is {window}: cut it, or raise spec.engine.maxModelLen",
            reason="ContextTooLong",
        )


def one_line(error: BaseException) -> str:
    """An exception in one line of bounded length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]


def _is_out_of_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or bool(_OUT_OF_MEMORY.search(str(error)))
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    """The exception and what caused it, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
