"""The table of stores: which entry a URI belongs to, and that each store is reached with its own credentials alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fineline.errors import SpecError, StoreDenied, StoreUnavailable
from fineline.store import Patience, StoreEntry, StoreTable, open_store
from support.versitygw import S3Server, free_port, serve

KEY, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
IMPATIENT = Patience(attempts=1, connect_seconds=1, read_seconds=2)


@pytest.fixture(scope="module")
def other(versitygw_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A second server, which knows other credentials than the first."""
    with serve(versitygw_binary, tmp_path_factory.mktemp("other")) as server:
        server.make_bucket("other")
        yield server


def credentials(folder: Path, server: S3Server) -> str:
    folder.mkdir(exist_ok=True)
    (folder / KEY).write_text(f"{server.access_key}\n")
    (folder / SECRET).write_text(server.secret_key)
    return str(folder)


def test_the_longest_prefix_at_a_slash_decides() -> None:
    table = StoreTable(
        (StoreEntry("s3://a/amber", "http://one"), StoreEntry("s3://a/amber/old/"), StoreEntry("s3://b/"))
    )
    found = {
        uri: entry.prefix if (entry := table.entry(uri)) else None
        for uri in (
            "s3://a/amber/", "s3://a/amber", "s3://a/amber/step1/", "s3://a/amber/old/x.json", "s3://a/amber-secret/",
            "s3://a/", "s3://b", "s3://bc/", "file:///a/amber/",
        )
    }  # fmt: skip
    assert found == {
        "s3://a/amber/": "s3://a/amber",
        "s3://a/amber": "s3://a/amber",
        "s3://a/amber/step1/": "s3://a/amber",
        "s3://a/amber/old/x.json": "s3://a/amber/old/",
        "s3://a/amber-secret/": None,
        "s3://a/": None,
        "s3://b": "s3://b/",
        "s3://bc/": None,
        "file:///a/amber/": None,
    }


def test_a_uri_that_climbs_out_of_a_prefix_belongs_to_no_entry() -> None:
    table = StoreTable((StoreEntry("s3://a/amber/"),))
    for uri in ("s3://a/amber/../secret/", "s3://a/amber//x", "s3://user@a/amber/"):
        with pytest.raises(SpecError):
            table.entry(uri)


def test_a_table_is_handed_on_without_credentials() -> None:
    table = StoreTable((StoreEntry("s3://a/", "https://s3:9000", "eu-1", "/secrets/a"), StoreEntry("s3://b/")))
    text = table.to_json()
    assert "secrets" not in text
    assert StoreTable.from_json(text, "x").entries == (
        StoreEntry("s3://a/", "https://s3:9000", "eu-1"),
        StoreEntry("s3://b/"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", r"^FINELINE_STORES: not JSON"),
        ("{}", r"^FINELINE_STORES: must be a list of stores"),
        ('["s3://a/"]', r"^FINELINE_STORES\[0\]: must be an object with a prefix"),
        ('[{"prefix": "s3://a/", "endpiont": "x"}]', r"^FINELINE_STORES\[0\]: unknown field 'endpiont'; known are"),
        ('[{"prefix": "s3://a/", "region": 7}]', r"^FINELINE_STORES\[0\]\.region: must be text"),
        ('[{"prefix": "a/b"}]', r"^FINELINE_STORES\[0\]\.prefix: 'a/b': not the URI of a store"),
        ('[{"prefix": "s3://a/", "endpoint": "https://me:pw@host"}]', r"^FINELINE_STORES\[0\]\.endpoint: must be"),
        ('[{"prefix": "s3://a/", "endpoint": "http://h:99999"}]', r"^FINELINE_STORES\[0\]\.endpoint: must be"),
        ('[{"prefix": "s3://a/", "endpoint": "http://h/ x"}]', r"^FINELINE_STORES\[0\]\.endpoint: must be"),
        ('[{"prefix": "s3://a"}, {"prefix": "s3://a/"}]', r"^FINELINE_STORES: the prefix s3://a stands twice"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused_by_its_field(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINELINE_STORES", text)
    with pytest.raises(SpecError, match=expected):
        open_store("s3://a/")


def test_two_stores_with_credentials_of_their_own_are_read_side_by_side(
    versitygw: S3Server, other: S3Server, s3_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KEY, SECRET):
        monkeypatch.setenv(name, "no such key")
    table = StoreTable(
        (
            StoreEntry(s3_prefix, versitygw.endpoint, "us-east-1", credentials(tmp_path / "one", versitygw)),
            StoreEntry("s3://other/", other.endpoint, "us-east-1", credentials(tmp_path / "two", other)),
        )
    )
    first, second = open_store(s3_prefix, stores=table), open_store("s3://other/", stores=table)
    first.put("name", b"first")
    second.put("name", b"second")
    assert (first.get("name"), second.get("name")) == (b"first", b"second")
    assert (versitygw.folder / s3_prefix.removeprefix("s3://") / "name").read_bytes() == b"first"
    assert (other.folder / "other" / "name").read_bytes() == b"second"


def test_nothing_of_the_environment_reaches_a_store_with_credentials_of_its_own(
    other: S3Server, s3_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, a token, a profile that is not there, an endpoint and a region: each would break the request."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "foreign")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:1\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "nowhere-1")
    folder = credentials(tmp_path / "keys", other)
    table = StoreTable((StoreEntry("s3://other/", other.endpoint, None, folder),))
    store = open_store("s3://other/", stores=table)
    store.put("alone", b"x")
    assert store.get("alone") == b"x"


def test_a_store_with_credentials_and_no_endpoint_is_amazon_s_whatever_the_environment_says(
    s3_environment: dict[str, str], versitygw: S3Server, tmp_path: Path
) -> None:
    """Signed with the store's own keys, a request must not go where the pod's environment points."""
    entry = StoreEntry("s3://other/", None, None, credentials(tmp_path / "keys", versitygw))
    store = open_store("s3://other/", stores=StoreTable((entry,)))
    assert store._client.meta.endpoint_url.endswith(".amazonaws.com")  # type: ignore[attr-defined]


def test_an_entry_without_credentials_uses_those_of_the_environment(
    versitygw: S3Server, s3_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod: keys from its Secret, endpoint and region from the table."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_REGION")
    stores = [{"prefix": "s3://fineline-tests", "endpoint": versitygw.endpoint, "region": "us-east-1"}]
    monkeypatch.setenv("FINELINE_STORES", json.dumps(stores))
    store = open_store(s3_prefix)
    store.put("name", b"x")
    assert store.get("name") == b"x"


def test_a_uri_that_no_entry_covers_is_reached_as_the_environment_says(
    s3_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINELINE_STORES", '[{"prefix": "s3://elsewhere/", "endpoint": "http://127.0.0.1:1"}]')
    store = open_store(s3_prefix)
    store.put("name", b"x")
    assert store.get("name") == b"x"


def test_new_keys_are_used_as_soon_as_they_are_in_the_folder(
    versitygw: S3Server, s3_prefix: str, tmp_path: Path
) -> None:
    """Laid out as Kubernetes mounts a Secret: links through `..data`, which is replaced at once."""
    (tmp_path / "..old").mkdir()
    (tmp_path / "..old" / KEY).write_text("retired")
    (tmp_path / "..old" / SECRET).write_text("retired")
    credentials(tmp_path / "..new", versitygw)
    (tmp_path / "..data").symlink_to("..old")
    for name in (KEY, SECRET):
        (tmp_path / name).symlink_to(f"..data/{name}")
    entry = StoreEntry(s3_prefix, versitygw.endpoint, "us-east-1", str(tmp_path))
    store = open_store(s3_prefix, stores=StoreTable((entry,), IMPATIENT))
    with pytest.raises(StoreDenied):
        store.put("name", b"x")
    (tmp_path / "..next").symlink_to("..new")
    (tmp_path / "..next").rename(tmp_path / "..data")
    store.put("name", b"x")
    assert store.get("name") == b"x"


@pytest.mark.parametrize("missing", ["folder", "key", "empty secret"])
def test_a_folder_without_credentials_is_denied_and_named(
    missing: str, versitygw: S3Server, tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    folder = credentials(tmp_path / "keys", versitygw)
    match missing:
        case "folder":
            shutil.rmtree(folder)
            expected = rf"store s3://fineline-tests/: no credentials in {folder}: {KEY} can't be read \(No such file"
        case "key":
            Path(folder, KEY).unlink()
            expected = rf"store s3://fineline-tests/: no credentials in {folder}: {KEY} can't be read \(No such file"
        case _:
            Path(folder, SECRET).write_text("\n")
            expected = rf"store s3://fineline-tests/: {folder}/{SECRET} is empty"
    entry = StoreEntry("s3://fineline-tests/", versitygw.endpoint, "us-east-1", folder)
    store = open_store("s3://fineline-tests/a/", stores=StoreTable((entry,)))
    for use in (lambda: list(store.list()), lambda: store.get("x"), lambda: store.head("x")):
        with pytest.raises(StoreDenied, match=expected):
            use()


def test_a_session_token_is_taken_along_and_keys_are_never_shown(tmp_path: Path, versitygw: S3Server) -> None:
    from fineline.store.credentials import CredentialFolder

    folder = CredentialFolder(credentials(tmp_path / "keys", versitygw), "s3://a/")
    assert folder.keys().session_token is None
    (tmp_path / "keys" / TOKEN).write_text("for an hour\n")
    keys = folder.keys()
    assert (keys.secret_key, keys.session_token) == (versitygw.secret_key, "for an hour")
    assert repr(keys) == "Keys()"


def test_the_table_s_patience_bounds_calls(s3_environment: dict[str, str], tmp_path: Path, versitygw: S3Server) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    entry = StoreEntry("s3://gone/", endpoint, None, credentials(tmp_path / "keys", versitygw))
    store = open_store("s3://gone/", stores=StoreTable((entry,), IMPATIENT))
    with pytest.raises(StoreUnavailable, match=r"s3://gone/"):
        list(store.list())
    assert store._patience == IMPATIENT  # type: ignore[attr-defined]


def test_directories_need_no_table(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/", stores=StoreTable((StoreEntry("s3://a/"),)))
    store.put("name", b"x")
    assert store.get("name") == b"x"
