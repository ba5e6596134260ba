"""All that takes notices of uploads in one replica: the webhook in every one, the queues in the one that acts."""

from __future__ import annotations

from fineline_operator.api import Api
from fineline_operator.settings import OperatorSettings
from fineline_operator.uploads.arrivals import Arrivals
from fineline_operator.uploads.listed import Sources
from fineline_operator.uploads.queues import Queues
from fineline_operator.uploads.waking import Waker
from fineline_operator.uploads.webhook import Webhook


class Uploads:
    """They share one list of sources and one waker. All in the loop's own thread."""

    def __init__(self, api: Api, settings: OperatorSettings) -> None:
        self._sources = Sources(api, settings.namespaces)
        self._waker = Waker(api)
        self._arrivals = Arrivals(self._sources, self._waker)
        self._webhook = Webhook(settings.webhook, self._arrivals) if settings.webhook is not None else None
        self.queues = Queues(settings.queues, self._sources, self._waker)

    async def start(self) -> None:
        """The webhook takes notices from now on, where the settings have one. `SpecError` where its port is taken."""
        if self._webhook is not None:
            await self._webhook.start()

    async def stop(self) -> None:
        """Nothing more is taken; sources that are still to be woken are, for a moment."""
        if self._webhook is not None:
            await self._webhook.stop()
        await self.queues.stop()
        await self._arrivals.stop()
        await self._sources.stop()
        await self._waker.stop()
