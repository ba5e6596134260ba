"""What an S3 server's error codes mean to a person: which of the store's errors, and what to do about it.

Words only: this module knows no client library.
"""

from __future__ import annotations

from dataclasses import dataclass

from fineline.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreNotFound
from fineline.errors import StoreUnavailable as Unavailable

GONE_CODES = ("404", "NoSuchKey", "NotFound")
EXISTS_CODES = ("412", "PreconditionFailed")
CONFLICT_CODES = ("409", "ConditionalRequestConflict", "OperationAborted")
UNKNOWN_CODES = ("NotImplemented", "501", "InvalidArgument", "InvalidRequest")
"""What servers say to a condition that they don't know. Other faults are called so too: those come again without it."""
BEYOND_CODES = ("416", "InvalidRange")

_CREDENTIALS = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or AWS_PROFILE."
_REGION = "Set AWS_REGION to the bucket's region."
_LATER = "It was tried several times; try again later."


@dataclass(frozen=True, slots=True)
class Meaning:
    """One way in which a store fails: the error to raise, what is wrong, and what to do."""

    error: type[StoreError]
    wrong: str
    remedy: str


UNKNOWN = Meaning(StoreError, "the store refused", "Look the code up in the store's documentation.")

_GRANT = (
    "Grant these credentials s3:ListBucket on the bucket and s3:GetObject (for results also s3:PutObject and "
    "s3:DeleteObject) on its objects; a bucket whose requester pays must be opened as one."
)
_DENIED = Meaning(StoreDenied, "access denied", _GRANT)
# All that is known when a HEAD was refused, for its answer has no body.
_REFUSED = Meaning(StoreDenied, "access denied", f"{_CREDENTIALS} {_GRANT}")
_EXPIRED = Meaning(StoreDenied, "the credentials have expired", "Renew them, or use a role that is renewed by itself.")
_WRONG_REGION = Meaning(StoreError, "the bucket is in another region", _REGION)
_SLOW_DOWN = Meaning(Unavailable, "the store asks to slow down", _LATER)
_BROKEN = Meaning(
    Unavailable,
    "the store failed",
    "It was tried several times; try again later, or check AWS_ENDPOINT_URL if it never worked.",
)
_FULL = Meaning(StoreFull, "the store has no room left", "Free some space or raise its quota.")

_MEANINGS = {
    "NoSuchBucket": Meaning(StoreNotFound, "there is no such bucket", "Make it, or correct its name in the URI."),
    **dict.fromkeys(
        GONE_CODES, Meaning(ObjectNotFound, "there is no such object", "List the prefix to see its names.")
    ),
    **dict.fromkeys(
        EXISTS_CODES, Meaning(ObjectChanged, "the object is not the one that was listed", "List it again.")
    ),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled"), _DENIED),
    **dict.fromkeys(("403", "Forbidden"), _REFUSED),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "XAdminUserNotFound"),
        Meaning(StoreDenied, "the access key is not known to the store", _CREDENTIALS),
    ),
    "SignatureDoesNotMatch": Meaning(StoreDenied, "the secret key does not fit the access key", _CREDENTIALS),
    "401": Meaning(StoreDenied, "the credentials were refused", _CREDENTIALS),
    "InvalidToken": Meaning(StoreDenied, "the session token is not valid", _CREDENTIALS),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    "RequestTimeTooSkewed": Meaning(StoreDenied, "this machine's clock is wrong", "Set the clock, for example by NTP."),
    **dict.fromkeys(
        ("301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
        _WRONG_REGION,
    ),
    **dict.fromkeys(("SlowDown", "429", "TooManyRequests", "RequestLimitExceeded", "Throttling"), _SLOW_DOWN),
    **dict.fromkeys(("InternalError", "ServiceUnavailable", "RequestTimeout", "ServerBusy"), _BROKEN),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507", "StorageFull"), _FULL),
    "KeyTooLongError": Meaning(StoreError, "the name is too long for this store", "Use a shorter one."),
    "InvalidObjectState": Meaning(StoreError, "the object lies in an archive", "Restore it first."),
    "EntityTooLarge": Meaning(StoreError, "the object is too large for one request (5 GB)", "Write it in parts."),
    "NotImplemented": Meaning(StoreError, "the store lacks this operation", "Use one with conditional writes."),
}


def meaning_of(code: str, status: int) -> Meaning:
    """The meaning of an error code, or of the HTTP status where the code is not known."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    # Other statuses mean too much: a 404 is a missing object, bucket or user.
    if status in (401, 403, 429, 507):
        return _MEANINGS[str(status)]
    return _BROKEN if status >= 500 else UNKNOWN
