"""Reads a position from the name of one folder: `step1000`, `checkpoint-1000`, `stage1-step1000-tokens5B`, …

Text only, and never trusted: a name of any length and any characters gives a reading or None, in time linear in its
length. Names that could be read in two ways, or that say the folder is not finished (`step1000-tmp`), give None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

MAX_STEP = 10**12 - 1
"""Steps are written with twelve digits in the results."""
MAX_TOKENS = 10**18
LONGEST_NAME = 256
"""Longer names are no names that training programs write; they are not looked at."""

TOKENS_A_STEP_WITHOUT_STEPS = 10**6
"""Where a name tells tokens alone (`train_02200B`), its step counts millions of tokens: exact for each such name,
and rising with the tokens whatever unit a name uses."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a name or a file says of a position; None is what it does not say.

    `branch` is the stage of a name such as `stage2-ingredient1-step1000`.
    """

    step: int | None = None
    tokens: int | None = None
    branch: str | None = None


_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}

# Words behind the numbers that say how the weights are stored, not which weights they are.
_STORED_AS = r"(?:[-_.](?:unsharded|sharded|hf|huggingface|safetensors|fp32|fp16|bf16|consolidated|model))*"

_STEP = re.compile(
    r"(?:^|[-_.])(?:global[-_]?)?(?:steps?|iter(?:ation)?|checkpoint|ckpt)[-_=]?"
    r"0*(?P<step>[0-9]{1,12})(?P<thousands>k)?"
    r"(?:[-_](?:tokens?[-_=]?)?(?P<tokens>[0-9]{1,18}(?:\.[0-9]{1,9})?)(?P<unit>[kmbt]))?" + _STORED_AS + "$",
    re.IGNORECASE | re.ASCII,
)
_TOKENS = re.compile(
    r"(?:^|[-_.])(?:train|tokens?)[-_=]?(?P<tokens>[0-9]{1,18}(?:\.[0-9]{1,9})?)(?P<unit>[mbt])" + _STORED_AS + "$",
    re.IGNORECASE | re.ASCII,
)
_BARE = re.compile(r"0*(?P<step>[0-9]{1,12})", re.ASCII)
_STAGE = re.compile(r"(stage[0-9]{1,4}(?:[-_]ingredient[0-9]{1,4})?)(?:[-_]|$)", re.IGNORECASE | re.ASCII)
_UNFINISHED = re.compile(
    r"(?:^|[-_.])(?:te?mp|old|backup|bak|partial|incomplete|broken|failed|trash)(?:[-_.]|$)", re.IGNORECASE
)


def read_name(name: str) -> Reading | None:
    """The position that a folder's name tells, or None where it tells none.

    >>> read_name("stage1-step1000-tokens5B")
    Reading(step=1000, tokens=5000000000, branch='stage1')
    >>> read_name("open_llama_7b_step_50000").step, read_name("train_02200B").tokens
    (50000, 2200000000000)
    >>> read_name("final"), read_name("tmp-checkpoint-1000")
    (None, None)
    """
    if len(name) > LONGEST_NAME or name[:1] == ".":
        return None
    if bare := _BARE.fullmatch(name):
        return Reading(step=int(bare["step"]))
    found = _STEP.search(name) or _TOKENS.search(name)
    if found is None or _UNFINISHED.search(name):
        return None
    parts = found.groupdict()
    step = None
    if parts.get("step") is not None:
        step = int(parts["step"]) * (1000 if parts["thousands"] else 1)
    tokens = _tokens(parts["tokens"], parts["unit"]) if parts["tokens"] else None
    if (step or 0) > MAX_STEP or (tokens or 0) > MAX_TOKENS or (parts["tokens"] and tokens is None):
        return None
    stage = _STAGE.match(name, 0, found.start() + 1)
    return Reading(step, tokens, stage[1].lower().replace("_", "-") if stage else None)


def _tokens(number: str, unit: str) -> int | None:
    """`5` and `B` as five billion; None where that is no whole number."""
    tokens = Decimal(number) * _UNITS[unit.lower()]
    return int(tokens) if tokens == tokens.to_integral_value() else None
