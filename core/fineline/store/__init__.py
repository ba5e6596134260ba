"""Buckets and directories behind one interface.

    store = open_store("s3://bucket/checkpoints/")
    for item in store.list("step1000/"):
        store.download(item, folder / item.name)

`open_store` says which store a URI means; `split_uri` parts an object's URI into a root to open and a name; `uri_of`
makes a URI of what a person wrote on a command line. A `StoreTable` says how stores are reached that the AWS
environment does not tell.
"""

from fineline.store.directory import DirectoryStore
from fineline.store.interface import Level, Store, StoredObject
from fineline.store.patience import Patience
from fineline.store.table import StoreEntry, StoreTable, table_of_environment
from fineline.store.uri import parse_uri, split_uri, uri_of

__all__ = [
    "Level",
    "Patience",
    "Store",
    "StoreEntry",
    "StoreTable",
    "StoredObject",
    "open_store",
    "split_uri",
    "uri_of",
]


def open_store(uri: str, *, requester_pays: bool = False, stores: StoreTable | None = None) -> Store:
    """The store at a folder's URI; a `/` at its end may be left out. Nothing is asked of the store yet.

    `requester_pays` accepts the cost of a bucket whose owner does not pay. `stores` says how it is reached, by default
    the table in FINELINE_STORES. SpecError where the URI is none.
    """
    location = parse_uri(uri)
    if location.scheme == "file":
        return DirectoryStore(f"/{location.path}")
    # boto3 takes a quarter of a second to import, which a directory need not wait for.
    from fineline.store.s3 import open_bucket  # noqa: PLC0415

    table = stores if stores is not None else table_of_environment()
    return open_bucket(
        location.bucket,
        location.path,
        requester_pays=requester_pays,
        entry=table.entry(uri),
        patience=table.patience,
    )
