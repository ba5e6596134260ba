"""An SQS queue: receive and delete. Of the operator's modules this one alone knows boto3.

Everything blocks, and is called from the queue's own thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from fineline.errors import StoreDenied
from fineline.resources.source_reasons import SourceReason
from fineline.store.aws_session import MAKING, aws_session
from fineline_operator.settings import QueueSettings
from fineline_operator.telling.problems import Problem

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

BATCH = 10
"""The most that SQS gives or deletes at once."""

_FAILURES = (ClientError, BotoCoreError, HTTPError, ResponseParserError, StoreDenied, OSError, ValueError)
_REGION = re.compile(r"https?://(?:sqs\.([a-z0-9-]+)\.|([a-z0-9-]+)\.queue\.)amazonaws\.com")
_MISSING = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
_DENIED = (
    "AccessDenied", "AccessDeniedException", "InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch",
    "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "InvalidSecurity", "OptInRequired",
    "KmsAccessDenied", "KMS.AccessDeniedException",
)  # fmt: skip
_STILL_LISTED = "The prefix is listed all the same."


class QueueError(Exception):
    """The queue did not do what was asked. `problem` says so in a status's words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Received:
    """A message: `id` stays the same when it comes again, `receipt` deletes it."""

    id: str
    receipt: str
    body: str


class SqsQueue:
    """One queue, as the settings say that it is reached. `QueueError` where a call fails."""

    def __init__(self, settings: QueueSettings) -> None:
        self.url = settings.url
        self._settings = settings
        self._client: SQSClient | None = None

    def receive(self, wait_seconds: int) -> list[Received]:
        """At most 10 messages: as soon as there are some, or none after so long (at most 20 s)."""
        try:
            answer = self._asked().receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=wait_seconds,
            )
        except _FAILURES as error:
            raise QueueError(self._problem(error)) from error
        return [
            Received(message.get("MessageId", ""), message["ReceiptHandle"], message.get("Body", ""))
            for message in answer.get("Messages", ())
        ]

    def delete(self, messages: Sequence[Received]) -> None:
        """Delete them. One that can't be comes again."""
        for begin in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt}
                for index, message in enumerate(messages[begin : begin + BATCH])
            ]
            try:
                self._asked().delete_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]
            except _FAILURES as error:
                raise QueueError(self._problem(error)) from error

    def _asked(self) -> SQSClient:
        if self._client is None:
            self._client = self._made()
        return self._client

    def _made(self) -> SQSClient:
        settings = self._settings
        config = Config(
            connect_timeout=5,
            read_timeout=35,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=1,
            tcp_keepalive=True,
            user_agent_extra="fineline",
        )
        own = settings.credentials is not None
        of_environment = None if own else os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        found = _REGION.match(self.url)
        in_url = (found[1] or found[2]) if found else None
        with MAKING:
            session = aws_session(settings.credentials, f"queue {self.url}")
            return boto3.Session(botocore_session=session).client(
                "sqs",
                region_name=settings.region or in_url or of_environment,
                endpoint_url=settings.endpoint,
                config=config,
            )

    def _problem(self, error: Exception) -> Problem:
        url = self.url
        code = str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
        if isinstance(error, StoreDenied):
            return Problem(SourceReason.QUEUE_DENIED, f"{error} {_STILL_LISTED}")
        if isinstance(error, NoCredentialsError | PartialCredentialsError) or code in _DENIED:
            remedy = (
                "Grant the operator sqs:ReceiveMessage and sqs:DeleteMessage on it (and kms:Decrypt on its key), or "
                "mend queues[].credentials in its settings."
            )
            return Problem(SourceReason.QUEUE_DENIED, f"queue {url}: access denied ({error}). {remedy} {_STILL_LISTED}")
        if code in _MISSING:
            remedy = "Create it, or mend its URL, region or endpoint in the operator's settings (queues)."
            return Problem(SourceReason.QUEUE_DENIED, f"queue {url}: there is no such queue. {remedy} {_STILL_LISTED}")
        words = f"queue {url}: it can't be read now ({error}). {_STILL_LISTED}"
        return Problem(SourceReason.QUEUE_UNAVAILABLE, words, lasting=False)
