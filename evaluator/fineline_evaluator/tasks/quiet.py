"""Keeps lm-eval and `datasets` off stdout and stderr, and its templates in a sandbox."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from jinja2 import Template
from jinja2.sandbox import SandboxedEnvironment


class _Templates(SandboxedEnvironment):
    """jinja's sandbox, which compiles each template once: lm-eval compiles it again for every document."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._compiled: dict[str, Template] = {}

    def from_string(self, source: Any, *arguments: Any, **options: Any) -> Template:
        if not isinstance(source, str) or arguments or options:
            return super().from_string(source, *arguments, **options)
        if source not in self._compiled:
            self._compiled[source] = super().from_string(source)
        return self._compiled[source]


def hush_lm_eval() -> None:
    """Silences lm-eval's warnings about configurations and its progress bars (a pod's stdout is one JSON line a unit),
    and renders its templates in a sandbox.

    lm-eval's own environment gives a template all of Python. A suite from a ConfigMap is data, so its templates get
    jinja's sandbox, which renders every proper template the same.
    """
    import datasets
    import lm_eval.api.task
    import lm_eval.utils

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = _without_a_bar
    plain = lm_eval.utils.env
    if not isinstance(plain, _Templates):
        templates = _Templates(
            loader=plain.loader, undefined=plain.undefined, keep_trailing_newline=plain.keep_trailing_newline
        )
        templates.filters.update(plain.filters)
        lm_eval.utils.env = templates


def _without_a_bar(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items
