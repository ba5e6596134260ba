"""Which stores there are, and who may name them: pure, from the operator's settings.

Endpoints and the operator's own credentials come from the settings alone, so that nobody can make the operator send
signed requests elsewhere, or read with its rights what they may not name.
"""

from __future__ import annotations

from collections.abc import Iterable

from fineline.resources.reasons import Reason
from fineline.store import Patience, StoreEntry, StoreTable
from fineline_operator.settings import OperatorSettings, allows
from fineline_operator.telling.problems import Problem

PATIENCE = Patience(attempts=4, connect_seconds=5, read_seconds=65, longest_pause_seconds=5)
"""Shorter than a pod's: what fails is told in the status, and looked at again with growing pauses."""


def store_table(settings: OperatorSettings) -> StoreTable:
    """The stores as the operator itself reaches them: with its own credentials."""
    return StoreTable(
        tuple(
            StoreEntry(prefix=store.prefix, endpoint=store.endpoint, region=store.region, credentials=store.credentials)
            for store in settings.stores
        ),
        PATIENCE,
    )


def not_allowed(uris: Iterable[tuple[str, str]], namespace: str, settings: OperatorSettings) -> Problem | None:
    """Why a namespace may not name one of these (field, URI); None where it may name all."""
    table = store_table(settings)
    by_prefix = {store.prefix: store for store in settings.stores}
    for field, uri in uris:
        entry = table.entry(uri)
        if entry is None:
            return Problem(
                Reason.STORE_NOT_ALLOWED,
                f"{field}: {uri}: none of the operator's stores covers it. Name a URI below one of them, or have a "
                "store for it added to the operator's settings (stores).",
            )
        if not allows(by_prefix[entry.prefix].namespaces, namespace):
            return Problem(
                Reason.STORE_NOT_ALLOWED,
                f"{field}: {uri}: the namespace {namespace} may not use the store {entry.prefix}. Have it added to the "
                "store's namespaces in the operator's settings.",
            )
    return None
