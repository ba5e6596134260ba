"""Sessions of AWS's library, for clients of S3 and of SQS: where credentials come from, and what clients share.

Credentials are those of the standard AWS environment, or those in a folder: then neither profile, keys, endpoint nor
region come from the environment.
"""

from __future__ import annotations

import os
import threading
from functools import cache

import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
from botocore.loaders import Loader, create_loader

from fineline.store.credentials import CredentialFolder
from fineline.store.s3_answers import Parsers

MAKING = threading.Lock()
"""To be held while a client is made, which is not safe in several threads, as using it is."""


def aws_session(credentials: str | None, owner: str) -> botocore.session.Session:
    """A session of the environment's; with a folder of `credentials` one without the environment's profile, files,
    region and keys. `owner` is named in errors: `store s3://bucket/`."""
    if credentials is None:
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
        provider = _FolderProvider(CredentialFolder(credentials, owner))
        session.register_component("credential_provider", CredentialResolver([provider]))
    session.register_component("data_loader", _service_models())
    session.register_component("response_parser_factory", Parsers())
    return session


@cache
def _service_models() -> Loader:
    """What botocore knows of the services, read once for all clients: each would keep 12 MB of its own."""
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
