"""The thread of one SQS queue: receives, hands on, and deletes what was seen to.

A message is deleted only after its sources were woken, so that whoever is killed between loses nothing: it comes again.
What is not understood is left for others, counted once, and never makes the thread spin.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from fineline.resources.source_reasons import SourceReason
from fineline_operator import metrics
from fineline_operator.telling.problems import Problem
from fineline_operator.uploads.messages import Meaning, ObjectName, read_message
from fineline_operator.uploads.sqs_client import QueueError, Received, SqsQueue

logger = logging.getLogger(__name__)

MAX_HELD = 1_000
"""So many messages may wait for their sources to be woken."""

HELD_WAIT_SECONDS = 1
MAX_PAUSE_SECONDS = 60.0
MAX_LEFT_PAUSE_SECONDS = 30.0
TELL_SECONDS = 600.0
_REMEMBERED = 4_096

HandOn = Callable[[frozenset[ObjectName]], "Future[bool]"]
"""Wakes the sources of objects: done when each was woken; whether there were any."""


@dataclass(slots=True)
class _Held:
    message: Received
    woken: Future[bool]


class QueueReader:
    """Reads a queue until stopped. `problem` says why it brings nothing now; None where all is well."""

    def __init__(self, queue: SqsQueue, hand_on: HandOn, *, wait_seconds: int) -> None:
        self.problem: Problem | None = None
        self._queue = queue
        self._hand_on = hand_on
        self._wait_seconds = wait_seconds
        self._held: dict[str, _Held] = {}
        self._left: OrderedDict[str, None] = OrderedDict()
        self._told_left = -TELL_SECONDS
        self._stopping = threading.Event()
        self._failures = 0
        self._left_pause = 0.0

    def start(self) -> None:
        """A daemon thread: one that waits for a queue must not hold up the end of the process."""
        threading.Thread(target=self._run, name=f"sqs {self._queue.url}", daemon=True).start()

    def stop(self) -> None:
        """Nothing is taken any more. What was taken and is not deleted comes again, to whoever reads then."""
        self._stopping.set()

    def _run(self) -> None:
        logger.info("reading the queue %s", self._queue.url)
        while not self._stopping.is_set():
            try:
                pause = self._turn()
            except QueueError as error:
                pause = self._failed(error.problem)
            except Exception as error:
                logger.exception("reading the queue %s failed", self._queue.url)
                words = f"queue {self._queue.url}: {type(error).__name__}: {error}"
                pause = self._failed(Problem(SourceReason.QUEUE_UNAVAILABLE, words, lasting=False))
            self._stopping.wait(pause)

    def _turn(self) -> float:
        """Delete what was seen to, receive once, hand on. The seconds to wait until the next turn."""
        self._delete()
        if len(self._held) >= MAX_HELD:
            return HELD_WAIT_SECONDS
        messages = self._queue.receive(HELD_WAIT_SECONDS if self._held else self._wait_seconds)
        self._works()
        if self._stopping.is_set():
            return 0.0
        left = [message for message in messages if not self._take(message)]
        if left and len(left) == len(messages):
            self._left_pause = min(max(1.0, self._left_pause * 2), MAX_LEFT_PAUSE_SECONDS)
        else:
            self._left_pause = 0.0
        return self._left_pause

    def _delete(self) -> None:
        """What could not be handed on is forgotten here, and comes again."""
        done = {key: held for key, held in self._held.items() if held.woken.done()}
        for key in done:
            del self._held[key]
        woken = [held for held in done.values() if not held.woken.cancelled() and held.woken.exception() is None]
        for held in woken:
            self._count("woken" if held.woken.result() else "no_source")
        self._queue.delete([held.message for held in woken])

    def _take(self, received: Received) -> bool:
        """Whether it is ours. What came again while its sources are being woken has a new receipt, and no more."""
        held = self._held.get(received.id)
        if held is not None:
            held.message = received
            return True
        message = read_message(received.body)
        match message.meaning:
            case Meaning.CHANGED:
                self._held[received.id] = _Held(received, self._hand_on(message.objects))
            case Meaning.TEST | Meaning.UNCHANGED:
                self._count(message.meaning.name.lower())
                self._queue.delete([received])
            case Meaning.CONFIRMATION:
                self._leave(received, "confirmation", message.remedy)
                return False
            case Meaning.UNKNOWN:
                self._leave(received, "unknown")
                return False
            case Meaning.TOO_LARGE:
                self._leave(received, "too_large")
                return False
        return True

    def _leave(self, received: Received, outcome: str, remedy: str = "") -> None:
        """Left in the queue, for whom it is meant; counted and told the first time only."""
        if received.id in self._left:
            self._left.move_to_end(received.id)
            return
        self._left[received.id] = None
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        self._count(outcome)
        if remedy:
            logger.warning("queue %s: a question of SNS; nothing was done: %s", self._queue.url, remedy)
        elif time.monotonic() >= self._told_left + TELL_SECONDS:
            self._told_left = time.monotonic()
            logger.warning(
                "queue %s: left in it are messages that tell of no object, such as %s. Send nothing else there, and "
                "give the queue a redrive policy to a dead-letter queue.", self._queue.url, received.id,
            )  # fmt: skip

    def _failed(self, problem: Problem) -> float:
        pause = min(2.0**self._failures, MAX_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 16)
        if self.problem is None or self.problem.message != problem.message:
            logger.warning("%s", problem.message)
        self.problem = problem
        return pause

    def _works(self) -> None:
        if self.problem is not None:
            logger.info("queue %s: it answers again", self._queue.url)
        self.problem, self._failures = None, 0

    def _count(self, outcome: str) -> None:
        metrics.EVENTS.labels("sqs", outcome).inc()
