"""S3's answers are read as botocore reads them, and with the same faults found in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import botocore.session
import pytest
from botocore.parsers import ResponseParserError, RestXMLParser
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import StoreUnavailable
from fineline.store import Patience, open_store
from fineline.store.s3 import open_bucket
from fineline.store.s3_answers import Parsers, _timestamp, is_whole_listing
from support.faults import FaultProxy

LISTING = botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
    "<Size>7</Size><Owner><ID>o</ID><DisplayName>d</DisplayName></Owner></Contents>"
)
REPEATED = (
    "<CommonPrefixes><Prefix>step1/</Prefix></CommonPrefixes>",
    "<CommonPrefixes><Prefix>a&amp;b%20/</Prefix></CommonPrefixes>",
    "<CommonPrefixes>\n <Prefix>step2/</Prefix>\n</CommonPrefixes>",
    "<CommonPrefixes></CommonPrefixes>",
    OBJECT.format("step1/model.safetensors"),
    OBJECT.format("readme"),
)
ONCE = (
    "<KeyCount>3</KeyCount>",
    "<Name>bucket</Name>",
    "<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>",
)
PARTS = st.tuples(st.lists(st.sampled_from(REPEATED)), st.lists(st.sampled_from(ONCE), unique=True)).flatmap(
    lambda parts: st.permutations([*parts[0], *parts[1]])
)


def read(parser: RestXMLParser, text: str) -> Any:
    answer = {"status_code": 200, "headers": {}, "body": text.encode()}
    try:
        return parser.parse(answer, LISTING)
    except (ResponseParserError, AttributeError, TypeError) as error:
        return type(error)


@given(parts=PARTS, namespace=st.sampled_from(("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"')))
def test_listings_are_read_as_botocore_reads_them(parts: list[str], namespace: str) -> None:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{namespace}>{"".join(parts)}</ListBucketResult>'
    found, wanted = read(Parsers().create_parser("rest-xml"), text), read(RestXMLParser(), text)
    if isinstance(wanted, dict):
        # One thing apart: a folder without a name is no dictionary without one.
        wanted["CommonPrefixes"] = [item or {"Prefix": ""} for item in wanted.get("CommonPrefixes", [])]
        found.setdefault("CommonPrefixes", [])
        found["CommonPrefixes"] = [item or {"Prefix": ""} for item in found["CommonPrefixes"]]
    assert found == wanted


def test_times_are_read_as_botocore_reads_them() -> None:
    for text in ("2024-02-29T23:59:59.123Z", "2024-01-01T00:00:00Z", "Thu, 29 Feb 2024 23:59:59 GMT", "2024-01-01T00Z"):
        found = _timestamp(text)
        assert found == parse_timestamp(text)
        assert found.utcoffset() == timedelta(0)


WHOLE = b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="x"><Name>a</Name></ListBucketResult>'


@pytest.mark.parametrize("body", [WHOLE, WHOLE + b"\n", WHOLE[39:], b"<ListBucketResult></ListBucketResult>"])
def test_a_whole_listing_is_known(body: bytes) -> None:
    assert is_whole_listing(body)


@pytest.mark.parametrize(
    "body", [b"", WHOLE[:-1], WHOLE[:60], WHOLE[60:], b"<Error></Error>", WHOLE.replace(b"ListBucket", b"ListAll")]
)
def test_what_is_no_whole_listing_is_known(body: bytes) -> None:
    assert not is_whole_listing(body)


@pytest.mark.parametrize("body", [b"<Error><Code>InternalError</Code></Error>", WHOLE[:-30]])
def test_a_listing_that_fails_or_ends_early_under_the_status_200_is_asked_for_again(
    s3_faults: FaultProxy, s3_prefix: str, body: bytes
) -> None:
    store = open_store(s3_prefix)
    store.put("step1/model", b"x")
    for listed in (lambda: [item.name for item in store.list()], lambda: store.list_level().folders):
        s3_faults.answer(200, body=body, times=1)
        seen = len(s3_faults.requests)
        assert _names(listed)
        assert len(s3_faults.requests) == seen + 2
    s3_faults.answer(200, body=body, times=100)
    bucket, _, prefix = s3_prefix.removeprefix("s3://").partition("/")
    impatient = open_bucket(bucket, prefix, patience=Patience(attempts=2))
    with pytest.raises(StoreUnavailable, match="try again later"):
        impatient.list_level()


def _names(listed: Callable[[], Any]) -> list[str]:
    return [name for name in listed() if name.startswith("step1/")]
