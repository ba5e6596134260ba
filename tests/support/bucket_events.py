"""Bodies in which object stores tell of uploads, as their vendors' documentation shows them.

S3: "Event message structure"; SNS: "HTTP/HTTPS notification JSON format" and "subscription confirmation JSON format";
EventBridge: "EventBridge event message structure"; MinIO: its guide on bucket notifications; versitygw: its s3event/.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

TOPIC = "arn:aws:sns:us-west-2:123456789012:uploads"
TOKEN = "2336412f37fb687f5d51e6e241d7700ae02f7124d8268910b858cb4db727ceeb2474bb937929d3bdd7ce5d0cce19325d"


def aws_record(bucket: str, key: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    """A record of an S3 notification. The key is written as forms write it."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:00.000Z",
        "eventName": event,
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "testConfigRule",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }


def aws(bucket: str, *keys: str, event: str = "ObjectCreated:Put") -> str:
    return json.dumps({"Records": [aws_record(bucket, key, event) for key in keys]})


def aws_test(bucket: str = "bucket") -> str:
    return json.dumps(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": "2014-10-13T15:57:02.089Z",
            "Bucket": bucket,
            "RequestId": "5582815E1AEA5ADF",
            "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
        }
    )


def sns(message: str) -> str:
    """SNS's envelope, as a queue or a webhook without raw delivery gets it."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification",
            "Message": message,
            "Timestamp": "2012-05-02T00:54:06.655Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLEw6JRN...",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        }
    )


def sns_question(kind: str = "SubscriptionConfirmation", **further: Any) -> str:
    return json.dumps(
        {
            "Type": kind,
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": TOKEN,
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe to the topic.\nVisit the SubscribeURL included in this message.",
            "SubscribeURL": "https://evil.example/?Action=ConfirmSubscription",
            "Timestamp": "2012-04-26T20:45:04.751Z",
            **further,
        }
    )


def event_bridge(bucket: str, key: str, kind: str = "Object Created") -> str:
    """Keys are plain in it."""
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": kind,
            "source": "aws.s3",
            "account": "111122223333",
            "time": "2021-11-12T00:00:00Z",
            "region": "ca-central-1",
            "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": bucket},
                "object": {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "617f08"},
                "request-id": "N4N7GDK58NMKJ12R",
                "requester": "123456789012",
                "source-ip-address": "1.2.3.4",
                "reason": "PutObject",
            },
        }
    )


def minio(bucket: str, key: str, event: str = "s3:ObjectCreated:Put") -> str:
    """MinIO writes `/` as %2F too."""
    record = aws_record(bucket, "", event) | {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": ""}
    record["s3"]["object"] |= {
        "key": quote_plus(key),
        "contentType": "application/octet-stream",
        "userMetadata": {"content-type": "application/octet-stream"},
    }
    record["source"] = {"host": "127.0.0.1", "port": "", "userAgent": "MinIO (linux; amd64) minio-go/v7.0.63"}
    return json.dumps({"EventName": event, "Key": f"{bucket}/{key}", "Records": [record]})


def versitygw(bucket: str, key: str, event: str = "s3:ObjectCreated:Put") -> str:
    """Keys are plain in it."""
    record = aws_record(bucket, "", event) | {"eventVersion": "2.2"}
    record["s3"]["object"] |= {"key": key, "size": 0, "versionId": None}
    record["s3"]["configurationId"] = "webhook-global"
    record["glacierEventData"] = {
        "restoreEventData": {"lifecycleRestorationExpiryTime": "", "lifecycleRestoreStorageClass": ""}
    }
    return json.dumps({"Records": [record]})


def versitygw_test() -> str:
    return json.dumps(
        {"Bucket": "Test-Bucket", "Event": "s3:TestEvent", "Service": "S3", "Time": "2026-11-21T00:00:00Z"}
    )
