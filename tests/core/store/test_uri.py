"""URIs of stores: which are understood, what they mean, and that none leaves its root."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fineline.store.names
import fineline.store.s3_answers
import fineline.store.uri
from fineline.errors import SpecError, StoreError
from fineline.store import open_store, split_uri, uri_of
from fineline.store.names import is_safe_name
from fineline.store.uri import ENDPOINT_PATTERN, PORT_PATTERN, URI_PATTERN, parse_uri

PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda part: part not in (".", "..")
)
PATH = st.lists(PART, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/", "s3://bucket/"),
        ("s3://bucket/a/b", "s3://bucket/a/b/"),
        ("s3://bucket/a/b/", "s3://bucket/a/b/"),
        ("file:///a/b", "file:///a/b/"),
        ("file:///", "file:///"),
        ("file://localhost/a/", "file:///a/"),
        ("file:///a b/100%/%2e%2e/", "file:///a b/100%/%2e%2e/"),
    ],
)
def test_a_folder_opens_with_and_without_its_slash(uri: str, root: str, s3_environment: dict[str, str]) -> None:
    assert open_store(uri).uri == root


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "bucket/prefix",
        "/a/b",
        "gs://bucket/prefix/",
        "https://bucket.s3.amazonaws.com/prefix",
        "S3://bucket/",
        "s3:/bucket/",
        "s3://",
        "s3:///prefix/",
        "s3://bu cket/",
        "file://folder/",
        "file://",
        "file:relative",
    ],
)
def test_any_other_uri_is_refused_with_those_that_are_understood(uri: str) -> None:
    with pytest.raises(SpecError, match=r"s3://bucket/prefix/ and file:///folder/"):
        open_store(uri)


@pytest.mark.parametrize("path", ["a/../b", "..", "../", "a//b", "/a", "a//", "./a", "a\0b"])
@pytest.mark.parametrize("root", ["s3://bucket/", "file:///"])
def test_a_path_with_odd_parts_is_refused(root: str, path: str) -> None:
    with pytest.raises(SpecError, match="a part of the path"):
        open_store(root + path)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError, match="AWS environment") as caught:
        open_store("s3://AKIAKEY:topsecret@bucket/prefix/")
    assert "topsecret" not in str(caught.value)
    assert "AKIAKEY" not in str(caught.value)


@given(path=PATH, slash=st.sampled_from(["", "/"]), root=st.sampled_from(["s3://bucket/", "file:///"]))
def test_a_uri_splits_into_a_root_and_a_name_that_make_it_again(path: str, slash: str, root: str) -> None:
    uri = root + path + slash
    found, name = split_uri(uri)
    assert found + name == uri
    assert found.endswith("/")
    assert "/" not in name
    assert (name == "") == (slash == "/")


@given(text=st.text())
def test_any_text_is_a_location_or_a_spec_error(text: str) -> None:
    for uri in (text, f"s3://{text}", f"s3://bucket/{text}", f"file://{text}", f"file:///{text}"):
        try:
            location = parse_uri(uri)
        except SpecError:
            continue
        assert uri.endswith(location.path)
        assert ".." not in location.path.split("/")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_command_line_text_is_a_uri_or_a_spec_error(text: str) -> None:
    try:
        uri = uri_of(text)
    except SpecError:
        return
    parse_uri(uri)


@settings(max_examples=1000)
@given(
    uri=st.lists(
        st.sampled_from(["s3:", "file:", "/", "//", ".", "..", "a", "-", "_", " ", "@", ":", "\0", "é", "localhost"]),
        max_size=9,
    ).map("".join)
    | st.tuples(st.sampled_from(["s3://bucket/", "file:///", "file://localhost/"]), PATH).map("".join)
)
def test_the_schemas_pattern_takes_what_is_understood_and_no_other(uri: str) -> None:
    try:
        parse_uri(uri)
    except SpecError:
        assert not re.search(URI_PATTERN, uri)
    else:
        assert re.search(URI_PATTERN, uri) or "\n" in uri


@pytest.mark.parametrize(
    "url",
    [
        "https://storage.googleapis.com",
        "http://minio:1",
        "http://10.0.0.2:65535/",
        "http://[fd00::1]:9000",
        "https://h.example/path/to-it",
    ],
)
def test_an_endpoint_is_a_host_a_port_and_a_path(url: str) -> None:
    assert re.search(ENDPOINT_PATTERN, url)


def test_a_port_is_one_of_those_that_there_are() -> None:
    taken = [port for port in range(70_000) if re.fullmatch(PORT_PATTERN, str(port))]
    assert taken == list(range(1, 65_536))
    assert not re.fullmatch(PORT_PATTERN, "080")


def test_a_path_becomes_a_file_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    assert uri_of("run") == f"file://{tmp_path}/run/"
    assert uri_of("./run/") == f"file://{tmp_path}/run/"
    assert uri_of("run/../new/") == f"file://{tmp_path}/new/"
    assert uri_of("eval.yaml") == f"file://{tmp_path}/eval.yaml"
    assert uri_of(str(tmp_path)) == f"file://{tmp_path}/"
    assert uri_of("/") == "file:///"
    assert uri_of("s3://bucket/a") == "s3://bucket/a"


def test_the_examples_in_the_documentation_hold() -> None:
    for module in (fineline.store.uri, fineline.store.names, fineline.store.s3_answers):
        done = doctest.testmod(module)
        assert done.attempted > 0
        assert done.failed == 0


def test_a_mistyped_scheme_is_not_taken_for_a_path() -> None:
    for text in ("s3:/bucket/a", "gs://bucket/a", "http://host/a"):
        with pytest.raises(SpecError, match="Understood are"):
            uri_of(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(name=st.lists(st.sampled_from(["..", ".", "", "a", "b", "%2e%2e", "..a", "\0", "é"]), max_size=6).map("/".join))
def test_no_name_writes_outside_a_directory_store(tmp_path: Path, name: str) -> None:
    store = open_store(f"file://{tmp_path}/outer/root/")
    try:
        store.put(name, b"x")
    except StoreError:
        pass
    else:
        assert (tmp_path / "outer" / "root" / name).read_bytes() == b"x"
        store.delete(name)
    outside = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert outside == []


@given(name=st.text(st.sampled_from("./a\0\n"), max_size=8))
def test_a_name_is_safe_when_all_its_parts_are(name: str) -> None:
    expected = "\0" not in name and not {"", ".", ".."} & set(name.split("/"))
    assert is_safe_name(name) == expected
