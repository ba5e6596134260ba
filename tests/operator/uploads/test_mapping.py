"""Which sources an object falls under."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline_operator.uploads.mapping import Prefixes, SourceName, SourceSeen
from fineline_operator.uploads.messages import ObjectName


def covered(uri: str, key: str, bucket: str = "a") -> bool:
    found = Prefixes([SourceSeen(SourceName("evals", "amber"), uri)]).covering([ObjectName(bucket, key)])
    assert found <= {SourceName("evals", "amber")}
    return bool(found)


@pytest.mark.parametrize("uri", ["s3://a/amber", "s3://a/amber/"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("amber/step1/config.json", True),
        ("amber/x", True),
        ("amber/", True),
        ("amber", False),
        ("amber-2/step1/config.json", False),
        ("ambe/r/x", False),
        ("Amber/x", False),
        ("/amber/x", False),
        ("other/amber/x", False),
        ("amber//x", True),
        ("amber/../secret/x", True),
        ("x/../amber/y", False),
        ("../a/amber/x", False),
        ("amber%2Fx", False),
        ("amber%2Fstep/x", False),
        ("%61mber/x", False),
        ("ämber/x", False),
        ("amber/\0/\n", True),
        ("", False),
        ("/", False),
    ],
)
def test_a_prefix_covers_at_a_slash_and_literally(uri: str, key: str, *, expected: bool) -> None:
    assert covered(uri, key) is expected


def test_a_whole_bucket_covers_every_key_of_it_and_of_no_other() -> None:
    assert covered("s3://a/", "x")
    assert covered("s3://a", "x/y")
    assert not covered("s3://a/", "x", bucket="b")


@pytest.mark.parametrize("uri", ["file:///a/amber/", "s3://a/x/../amber", "s3://", "", "https://a/amber", "s3://a//"])
def test_a_uri_that_is_none_of_s3_covers_nothing(uri: str) -> None:
    assert not covered(uri, "amber/x")
    assert not covered(uri, "a/amber/x")


def test_several_sources_on_one_prefix_and_on_prefixes_of_each_other_are_all_found() -> None:
    seen = [
        SourceSeen(SourceName("n", str(index)), uri)
        for index, uri in enumerate(["s3://a/", "s3://a/x", "s3://a/x/", "s3://a/x/y/", "s3://a/xy/", "s3://b/x/"])
    ]
    found = Prefixes(seen).covering([ObjectName("a", "x/y/z")])
    assert {name.name for name in found} == {"0", "1", "2", "3"}


PARTS = st.lists(st.sampled_from(("a", "b", "ab", "a-b", "%61", "a b")), min_size=1, max_size=4)


@given(st.lists(PARTS, max_size=6), PARTS)
def test_it_is_what_comparing_with_each_prefix_would_give(prefixes: list[list[str]], parts: list[str]) -> None:
    seen = [SourceSeen(SourceName("n", str(at)), f"s3://b/{'/'.join(prefix)}/") for at, prefix in enumerate(prefixes)]
    key = "/".join(parts)
    expected = {
        SourceName("n", str(at)) for at, prefix in enumerate(prefixes) if key.startswith("/".join(prefix) + "/")
    }
    assert Prefixes(seen).covering([ObjectName("b", key)]) == expected


def test_a_thousand_sources_and_hostile_keys_are_quick() -> None:
    seen = [SourceSeen(SourceName("n", str(at)), f"s3://a/{'x' * (at % 500)}/run-{at}/") for at in range(1_000)]
    prefixes = Prefixes(seen)
    objects = [ObjectName("a", f"{'x' * (at % 500)}/run-{at}/step1/model.safetensors") for at in range(1_000)]
    objects += [ObjectName("a", "/" * 4_096), ObjectName("a", "x/" * 2_048)]
    began = time.thread_time()
    assert len(prefixes.covering(objects)) == 998  # `s3://a//run-0/` is no URI
    assert time.thread_time() - began < 2  # a twentieth of it
