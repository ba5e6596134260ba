"""Where transformers' models are made.

vLLM runs some architectures (GPT-NeoX is one) as transformers' own modules, and changes their classes in place: from
then on they can't be made without a vLLM config. So whoever makes a model does it in `modelling()`, and the vLLM
backend says which context that is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Context = Callable[[], AbstractContextManager[object]]

_contexts: list[Context] = [nullcontext]


def modelling() -> AbstractContextManager[object]:
    """The context in which a model of transformers can be made in this process."""
    return _contexts[-1]()


def model_within(context: Context) -> None:
    """From now on models are made in this context."""
    _contexts[:] = [context]
