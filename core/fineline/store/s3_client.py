"""S3 clients, as the AWS environment and a store's entry in a table say.

Endpoint, region, CA, proxies, profile and credentials come from the standard AWS environment, but for what the entry
says. An entry with credentials of its own takes neither profile, keys, endpoint nor region from there.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

from fineline.errors import SpecError
from fineline.store.credentials import CredentialFolder
from fineline.store.patience import Patience
from fineline.store.table import StoreEntry

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONNECTIONS = 64
_CLIENTS = 32
_NETWORK = ("REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def shared_client(patience: Patience, entry: StoreEntry | None) -> S3Client:
    """The client of this environment and entry, made the first time. It may be used by many threads."""
    environment = frozenset(
        (name, value) for name, value in os.environ.items() if name.startswith("AWS_") or name in _NETWORK
    )
    with _making:
        # A forked child must not share its parent's connections, so the process is part of the key.
        return _client(environment, os.getpid(), patience, entry)


def patience_of_environment() -> Patience:
    """The default, with as many attempts as AWS_MAX_ATTEMPTS says."""
    attempts = os.environ.get("AWS_MAX_ATTEMPTS", "")
    if not attempts:
        return Patience()
    if not attempts.isdecimal() or int(attempts) < 1:
        raise SpecError(f"AWS_MAX_ATTEMPTS: {attempts!r} is not a number of attempts. Write 1 or more.")
    return Patience(attempts=int(attempts))


_making = threading.Lock()


@lru_cache(maxsize=_CLIENTS)
def _client(
    environment: frozenset[tuple[str, str]], process: int, patience: Patience, entry: StoreEntry | None
) -> S3Client:
    """Making a client is not safe in several threads, as using it is."""
    del process
    entry = entry or StoreEntry("")
    session = _session(entry)
    variables = dict(environment) if entry.credentials is None else {}
    profile = session.get_scoped_config()
    configured = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    endpoint = entry.endpoint or configured or profile.get("endpoint_url")
    # Servers other than Amazon's seldom have a host name per bucket; a profile can say that one does.
    by_path = endpoint and not profile.get("s3", {}).get("addressing_style")
    config = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra="fineline",
        s3={"addressing_style": "path"} if by_path else None,
    )
    # botocore reads AWS_DEFAULT_REGION and the profile; Kubernetes and the other SDKs set AWS_REGION.
    region = entry.region or variables.get("AWS_DEFAULT_REGION") or variables.get("AWS_REGION")
    try:
        return boto3.Session(botocore_session=session).client(
            "s3", region_name=region, config=config, endpoint_url=entry.endpoint
        )
    except ValueError as error:
        where = "AWS_ENDPOINT_URL" if entry.endpoint is None else f"store {entry.prefix}: endpoint"
        raise SpecError(f"{where}: {error}. Write it as https://host:port.") from error


def _session(entry: StoreEntry) -> botocore.session.Session:
    """A session of the environment's; for a store with credentials of its own one without the environment's profile,
    files, region and keys."""
    if entry.credentials is None:
        session = botocore.session.Session()
    else:
        settings = {
            "profile": None,
            "region": None,
            "config_file": os.devnull,
            "credentials_file": os.devnull,
            "ignore_configured_endpoint_urls": True,
        }
        fixed = {name: (None, None, value, None) for name, value in settings.items()}
        session = botocore.session.Session(session_vars=fixed)
        provider = _FolderProvider(CredentialFolder(entry.credentials, entry.prefix))
        session.register_component("credential_provider", CredentialResolver([provider]))
    session.register_component("data_loader", _service_models())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


@cache
def _service_models() -> Loader:
    """What botocore knows of S3, read once for all clients: each would keep 12 MB of its own."""
    return create_loader()


class _FolderCredentials(Credentials):
    """Asked before each request: so new keys in the folder are used at once."""

    def __init__(self, folder: CredentialFolder) -> None:
        super().__init__("", "", method=_FolderProvider.METHOD)
        self._folder = folder

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        keys = self._folder.keys()
        return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.session_token)


class _FolderProvider(CredentialProvider):
    METHOD = "fineline-folder"

    def __init__(self, folder: CredentialFolder) -> None:
        super().__init__()
        self._folder = folder

    def load(self) -> Credentials:
        return _FolderCredentials(self._folder)


def _timestamp(value: Any) -> datetime:
    """Reads a listing's times twenty times faster than botocore's parser, and others as that does.

    Times are two thirds of the cost of a listing otherwise.
    """
    if type(value) is str and value[-1:] == "Z":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    return parse_timestamp(value).astimezone(UTC)
