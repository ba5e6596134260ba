"""Buckets and directories behind one interface.

    store = open_store("s3://bucket/checkpoints/")
    for item in store.list("step1000/"):
        store.download(item, folder / item.name)

`open_store` says which store a URI means; `split_uri` parts an object's URI into a root to open and a name; `uri_of`
makes a URI of what a person wrote on a command line.
"""

from fineline.store.directory import DirectoryStore
from fineline.store.interface import Level, Store, StoredObject
from fineline.store.uri import parse_uri, split_uri, uri_of

__all__ = ["Level", "Store", "StoredObject", "open_store", "split_uri", "uri_of"]


def open_store(uri: str, *, requester_pays: bool = False) -> Store:
    """The store at a folder's URI; a `/` at its end may be left out. Nothing is asked of the store yet.

    `requester_pays` accepts the cost of a bucket whose owner does not pay. SpecError where the URI is none.
    """
    location = parse_uri(uri)
    if location.scheme == "file":
        return DirectoryStore(f"/{location.path}")
    # boto3 takes a quarter of a second to import, which a directory need not wait for.
    from fineline.store.s3 import open_bucket  # noqa: PLC0415

    return open_bucket(location.bucket, location.path, requester_pays=requester_pays)
