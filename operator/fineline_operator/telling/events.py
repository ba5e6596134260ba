"""Events for people: each told once for the same words, for its name is made of them."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fineline.resources.words import EventWord
from fineline_operator.api import AlreadyExists, Api, ApiError, Conflict
from fineline_operator.paths import path_of
from fineline_operator.telling.subject import API_VERSION, Subject

COMPONENT = "fineline-operator"
MAX_EVENT_MESSAGE = 1000
"""The API server takes 1,024 bytes; most messages are ASCII, but not all are."""

REMEMBERED_EVENTS = 20_000
"""So many events are known to be told without asking the API server, which knows the others."""

EVENT_PATIENCE_SECONDS = 5.0
"""So long an event is tried: many clusters let only some through, and the status comes after."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventWanted:
    """An event for people. The same reason and message for the same object is told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def event(reason: EventWord, message: str) -> EventWanted:
    """An event of its usual type."""
    return EventWanted(reason.kind, reason.value, cut(message))


def warning(reason: str, message: str) -> EventWanted:
    """A Warning under a condition's reason."""
    return EventWanted("Warning", str(reason), cut(message))


def cut(message: str) -> str:
    """A message that fits into an event, in bytes."""
    encoded = message.encode()
    if len(encoded) <= MAX_EVENT_MESSAGE:
        return message
    return f"{encoded[: MAX_EVENT_MESSAGE - 3].decode(errors='ignore')}…"


class Teller:
    """Tells events through the API, and remembers which it told."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._told: OrderedDict[str, None] = OrderedDict()

    async def tell(self, subject: Subject, event: EventWanted, now: datetime, *, attempt: str = "") -> None:
        """An event, once for the same words; another `attempt` tells the same words again.

        What the API server does not take is only logged: the status must not wait for it. Where it does not answer at
        all, or others wrote at the same moment, this raises, and the event is told with the next look.
        """
        body = event_body(subject, event, now, attempt)
        name = f"{subject.namespace}/{body['metadata']['name']}"
        if name in self._told:
            return
        try:
            await self._api.create(
                path_of("events", subject.namespace), body, patience=EVENT_PATIENCE_SECONDS, metadata_only=True
            )
        except AlreadyExists:
            pass  # told before a restart
        except ApiError as error:
            if isinstance(error, Conflict) or not error.status:
                raise
            level = logging.INFO if error.namespace_terminating else logging.WARNING
            logger.log(level, "the event %s could not be told: %s", event.reason, error)
            return
        else:
            logger.info("%s: %s", event.reason, event.message)
        self._told[name] = None
        if len(self._told) > REMEMBERED_EVENTS:
            self._told.popitem(last=False)


def event_body(subject: Subject, event: EventWanted, now: datetime, attempt: str) -> dict[str, Any]:
    """An event as the API takes it."""
    words = f"{subject.uid}/{attempt}/{event.reason}/{event.message}"
    moment = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{subject.name[:200]}.{hashlib.sha256(words.encode()).hexdigest()[:16]}",
            "namespace": subject.namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": subject.kind,
            "name": subject.name,
            "namespace": subject.namespace,
            "uid": subject.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
