"""The recipes of docs/events.md do what they say, as far as a test's servers go."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import pytest
import yaml

from fineline_operator.settings import OperatorSettings
from fineline_operator.uploads.messages import Meaning, ObjectName, read_message
from support.control_plane import REPOSITORY
from support.sqs import REGION, SqsServer

PAGE = (REPOSITORY / "docs" / "events.md").read_text()
ACCOUNT = "123456789012"


def written(file: str, **names: str) -> Any:
    """The JSON that the page has the shell write into a file."""
    found = re.search(rf"cat > {re.escape(file)} <<EOF\n(.*?)EOF", PAGE, re.DOTALL)
    assert found is not None
    text = found[1]
    for name, value in names.items():
        text = text.replace(f"${name}", value)
    return json.loads(text)


@pytest.mark.parametrize("way", ["notification", "event-bridge"])
def test_a_queue_set_up_by_the_page_gets_the_uploads_below_the_prefix(way: str, sqs: SqsServer) -> None:
    bucket, queue = f"pretrain-{secrets.token_hex(4)}", f"q-{secrets.token_hex(4)}"
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    sqs.sqs.create_queue(QueueName=f"{queue}-left")
    attributes = written("queue.json", arn=arn, bucket=bucket, account=ACCOUNT)
    url = sqs.sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
    s3 = sqs.client("s3")
    s3.create_bucket(Bucket=bucket)
    configuration = written("notification.json", arn=arn)
    if way == "event-bridge":
        found = re.search(r"--event-pattern '(.*?)'", PAGE, re.DOTALL)
        assert found is not None
        events, pattern = sqs.client("events"), json.loads(found[1])
        pattern["detail"]["bucket"]["name"] = [bucket]
        events.put_rule(Name=queue, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=queue, Targets=[{"Id": "queue", "Arn": arn}])
        configuration = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    s3.put_object(Bucket=bucket, Key="results/x", Body=b"x")
    s3.put_object(Bucket=bucket, Key="amber-7b/step1/x", Body=b"x")
    meant = [
        read_message(message["Body"])
        for _ in range(2)
        for message in sqs.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        )
    ]
    (told,) = [message for message in meant if message.meaning is not Meaning.TEST]
    assert ObjectName(bucket, "amber-7b/step1/x") in told.objects


def test_the_settings_and_the_body_of_the_page_are_understood() -> None:
    # The chart's values are other ones, and have tests of their own (tests/docs).
    found = re.findall(r"```yaml\n(?!# values\.yaml)(.*?)```", PAGE, re.DOTALL)
    blocks = [yaml.safe_load(block.split("---")[0]) for block in found]
    settings: dict[str, Any] = {"evaluator": {"image": "x"}}
    for block in blocks:
        settings |= {name: block[name] for name in ("queues", "webhook") if name in block}
    read = OperatorSettings.model_validate(settings)
    assert read.queues
    assert read.webhook is not None
    body = re.search(r"-d '(.*?)'", PAGE)
    assert body is not None
    assert read_message(body[1]).meaning is Meaning.CHANGED
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        json.loads(block)
