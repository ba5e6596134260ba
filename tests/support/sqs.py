"""A real SQS-compatible server for tests: moto's, which S3, SNS and EventBridge of its own send to."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.processes import Server, lasting_port

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

REGION = "us-east-1"


@dataclass
class SqsServer:
    """A running server. It asks for keys and believes any."""

    endpoint: str
    server: Server

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s"
        )

    @cached_property
    def sqs(self) -> SQSClient:
        client: SQSClient = self.client("sqs")
        return client

    def make_queue(self, name: str, *, visible_again_after: int = 30) -> str:
        """A new queue's URL. A message that was received is given again after so many seconds."""
        answer = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visible_again_after)})
        return answer["QueueUrl"]

    def arn(self, url: str) -> str:
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def send(self, url: str, *bodies: str) -> None:
        for begin in range(0, len(bodies), 10):
            entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies[begin : begin + 10])]
            self.sqs.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]

    def left(self, url: str) -> int:
        """How many messages are in it, those that somebody has received and not deleted included."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return sum(int(found[name]) for name in names)

    def settings(self, url: str, folder: Path, **further: Any) -> dict[str, Any]:
        """How the operator's settings name the queue, with its keys as a mounted Secret."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "AWS_ACCESS_KEY_ID").write_text("key")
        (folder / "AWS_SECRET_ACCESS_KEY").write_text("secret")
        return {"url": url, "endpoint": self.endpoint, "region": REGION, "credentials": str(folder), **further}

    def notify(self, bucket: str, way: str, queue: str) -> None:
        """A new bucket whose events reach the queue: `raw`, by `sns`, by `sns-raw` delivery or by `event-bridge`."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket)
        arn = self.arn(queue)
        if way == "raw":
            configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        elif way == "event-bridge":
            configuration = {"EventBridgeConfiguration": {}}
            pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
            self.client("events").put_rule(Name=bucket, EventPattern=json.dumps(pattern))
            self.client("events").put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": arn}])
        else:
            sns = self.client("sns")
            topic = sns.create_topic(Name=bucket)["TopicArn"]
            raw = {"RawMessageDelivery": "true"} if way == "sns-raw" else {}
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
            configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


@contextlib.contextmanager
def sqs_server(folder: Path) -> Iterator[SqsServer]:
    """A server until the end of the block."""
    port = lasting_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {"HOME": os.environ.get("HOME", "/"), "MOTO_S3_CUSTOM_ENDPOINTS": ""}
    server = Server("moto", command, folder / "moto.log", environment)
    server.start()
    endpoint = f"http://127.0.0.1:{port}"
    try:
        server.wait_until(lambda: _answers(endpoint), seconds=30)
        yield SqsServer(endpoint, server)
    finally:
        server.end(at_once=True)


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
