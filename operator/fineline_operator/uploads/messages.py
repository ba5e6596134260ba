"""What the body of an event says: which objects changed, as (bucket, key). Pure.

Understood are S3's notifications as SQS, SNS, MinIO, versitygw and Ceph have them (`Records`), SNS's envelope around
any of these, and EventBridge's S3 events. Whatever comes, reading it takes little time and memory and raises nothing.

AWS and MinIO encode keys as forms do (`+` is a space), versitygw does not, and no field says for sure who sent it. An
event only wakes, so a key is taken in each way that it can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus

from pydantic_core import from_json

MAX_BYTES = 256 * 1024
"""The longest body that is read. S3's notifications have at most 64 KiB."""

MAX_RECORDS = 1_000
MAX_KEY = 4_096
"""In characters, as sent: a key has at most 1,024 bytes, each of which may be written as three."""

_ENVELOPES = 2
_UNCHANGED = re.compile(r"(s3:)?(ObjectAccessed|ObjectTagging|ObjectAcl)(:|$)")
"""No bytes changed. Reading an object must not wake: the operator reads some itself."""

_UNCHANGED_DETAILS = frozenset(
    ("Object Tags Added", "Object Tags Deleted", "Object ACL Updated", "Object Access Tier Changed")
)
_TOPIC = re.compile(r"arn:[a-z-]{1,20}:sns:[a-z0-9-]{1,40}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_TOKEN = re.compile(r"[A-Za-z0-9]{1,1024}")


class ObjectName(NamedTuple):
    """An object of a bucket, by one way to read its key."""

    bucket: str
    key: str


class Meaning(Enum):
    """What a message is."""

    CHANGED = auto()
    """Objects were written, removed or restored: `objects` says which."""
    UNCHANGED = auto()
    """Objects were read or tagged."""
    TEST = auto()
    """A store tried whether it reaches us."""
    CONFIRMATION = auto()
    """SNS asks for something that only a person may grant: `remedy` says how."""
    TOO_LARGE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Message:
    """What a body means. `remedy` is what a person has to do, in words of our own alone."""

    meaning: Meaning
    objects: frozenset[ObjectName] = frozenset()
    remedy: str = ""


_UNKNOWN = Message(Meaning.UNKNOWN)


def read_message(body: bytes | str) -> Message:
    """What a body means. Never raises."""
    return _read(body, _ENVELOPES)


def _read(body: bytes | str, envelopes: int) -> Message:
    if len(body) > MAX_BYTES:
        return Message(Meaning.TOO_LARGE)
    try:
        # Refuses NaN, half surrogates, numbers of thousands of digits and more than 200 levels.
        value = from_json(body, allow_inf_nan=False, cache_strings="none")
    except (ValueError, RecursionError):
        return _UNKNOWN
    return _message(value, envelopes) if isinstance(value, dict) else _UNKNOWN


def _message(value: Mapping[str, Any], envelopes: int) -> Message:
    kind = value.get("Type")
    if "Records" in value:
        found = _notification(value["Records"])
    elif value.get("Event") == "s3:TestEvent":
        found = Message(Meaning.TEST)
    elif "detail-type" in value:
        found = _event_bridge(value)
    elif kind == "Notification" and isinstance(value.get("Message"), str) and envelopes:
        found = _read(value["Message"], envelopes - 1)
    elif kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        found = _confirmation(value, kind)
    else:
        found = _UNKNOWN
    return found


def _notification(records: Any) -> Message:
    if not isinstance(records, list) or not records:
        return _UNKNOWN
    if len(records) > MAX_RECORDS:
        return Message(Meaning.TOO_LARGE)
    objects: set[ObjectName] = set()
    unchanged = False
    for record in records:
        found = _object(_map(record).get("s3"))
        if found is None:
            continue
        event = record.get("eventName")
        if isinstance(event, str) and _UNCHANGED.match(event):
            unchanged = True
        else:
            objects.update(ObjectName(found.bucket, key) for key in _readings(found.key))
    return _told(objects, unchanged=unchanged)


def _event_bridge(value: Mapping[str, Any]) -> Message:
    """Keys are plain here."""
    found = _object(value.get("detail"))
    if value.get("source") != "aws.s3" or found is None:
        return _UNKNOWN
    kind = value["detail-type"]
    unchanged = isinstance(kind, str) and kind in _UNCHANGED_DETAILS
    return _told(set() if unchanged else {found}, unchanged=unchanged)


def _told(objects: set[ObjectName], *, unchanged: bool) -> Message:
    if objects:
        return Message(Meaning.CHANGED, frozenset(objects))
    return Message(Meaning.UNCHANGED if unchanged else Meaning.UNKNOWN)


def _confirmation(value: Mapping[str, Any], kind: str) -> Message:
    """Neither of the URLs in it is followed or shown: whoever can post could write one there."""
    topic, token = value.get("TopicArn"), value.get("Token")
    if not (isinstance(topic, str) and _TOPIC.fullmatch(topic) and isinstance(token, str) and _TOKEN.fullmatch(token)):
        return _UNKNOWN
    if kind == "UnsubscribeConfirmation":
        remedy = f"the SNS topic {topic} sends nothing any more. If nobody meant that, subscribe again."
    else:
        remedy = (
            f"the SNS topic {topic} asks whether it may send. If it is yours: "
            f"aws sns confirm-subscription --topic-arn {topic} --token {token}"
        )
    return Message(Meaning.CONFIRMATION, remedy=remedy)


def _object(value: Any) -> ObjectName | None:
    """The object that `bucket.name` and `object.key` name; None where they name none."""
    bucket, key = _map(_map(value).get("bucket")).get("name"), _map(_map(value).get("object")).get("key")
    if isinstance(bucket, str) and isinstance(key, str) and 0 < len(bucket) <= 255 and 0 < len(key) <= MAX_KEY:
        return ObjectName(bucket, key)
    return None


def _readings(key: str) -> Iterator[str]:
    """All that a key may mean: as it is, decoded as a form does, decoded as a path is."""
    yield key
    if "%" in key or "+" in key:
        for decode in (unquote_plus, unquote):
            try:
                yield decode(key, errors="strict")
            except UnicodeDecodeError:
                continue


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
