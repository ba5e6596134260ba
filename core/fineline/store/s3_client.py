"""S3 clients, as the AWS environment and a store's entry in a table say.

Endpoint, region, CA, proxies, profile and credentials come from the standard AWS environment, but for what the entry
says. An entry with credentials of its own takes neither profile, keys, endpoint nor region from there.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from fineline.errors import SpecError
from fineline.store.aws_session import MAKING, aws_session
from fineline.store.patience import Patience
from fineline.store.s3_answers import read_listings_once
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
    with MAKING:
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


@lru_cache(maxsize=_CLIENTS)
def _client(
    environment: frozenset[tuple[str, str]], process: int, patience: Patience, entry: StoreEntry | None
) -> S3Client:
    del process
    entry = entry or StoreEntry("")
    session = aws_session(entry.credentials, f"store {entry.prefix}")
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
        client = boto3.Session(botocore_session=session).client(
            "s3", region_name=region, config=config, endpoint_url=entry.endpoint
        )
    except ValueError as error:
        where = "AWS_ENDPOINT_URL" if entry.endpoint is None else f"store {entry.prefix}: endpoint"
        raise SpecError(f"{where}: {error}. Write it as https://host:port.") from error
    read_listings_once(client)
    return client
