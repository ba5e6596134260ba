"""What the API server's refusals are called here.

    ApiError
    ├── NotFound         404: the object, or the whole kind, is not there
    ├── Conflict         409: somebody else wrote, or a precondition such as the uid did not hold
    │   └── AlreadyExists   a create of what is there: also after a create whose answer was lost
    ├── Expired          410: a list that took too long to be continued
    ├── Forbidden        403: rights, a quota, or a namespace that is being deleted
    ├── Invalid          400, 413, 422: what was sent can't be meant
    ├── TooMany          429: later
    └── Unavailable      401, 5xx, no connection, no answer in time: passing

`reason` is the API server's own word where it gave one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fineline.errors import FinelineError


class ApiError(FinelineError):
    """The API server did not do what was asked. The message names the request and the server's own words.

    `status` is the HTTP status, 0 where there was no answer. `retry_after` is in seconds, None where nothing was said.
    """

    reason = "ApiError"
    permanent = False

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.status = status
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = details or {}

    @property
    def namespace_terminating(self) -> bool:
        """Whether nothing can be made any more because the namespace is being deleted."""
        causes = self.details.get("causes") or ()
        return any(isinstance(cause, dict) and cause.get("reason") == "NamespaceTerminating" for cause in causes)


class NotFound(ApiError):  # noqa: N818 - the API server's own word
    reason = "NotFound"


class Conflict(ApiError):  # noqa: N818 - the API server's own word
    reason = "Conflict"


class AlreadyExists(Conflict):
    reason = "AlreadyExists"


class Expired(ApiError):  # noqa: N818 - the API server's own word
    """`continuation` goes on after the expired page, with what is there now; empty where only starting anew helps."""

    reason = "Expired"
    continuation = ""


class Forbidden(ApiError):  # noqa: N818 - the API server's own word
    """`by_rights`: the RBAC rules do not allow it; else admission (a quota, a policy) does not."""

    reason = "Forbidden"
    permanent = True

    @property
    def by_rights(self) -> bool:
        return bool(_BY_RIGHTS.search(str(self)))


class Invalid(ApiError):  # noqa: N818 - the API server's own word
    reason = "Invalid"
    permanent = True


class TooMany(ApiError):  # noqa: N818 - the API server's own word
    reason = "TooManyRequests"


class Unavailable(ApiError):  # noqa: N818 - the API server's own word
    reason = "Unavailable"


KINDS: dict[int, type[ApiError]] = {
    400: Invalid, 401: Unavailable, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Expired, 413: Invalid,
    422: Invalid, 429: TooMany,
}  # fmt: skip

_BY_RIGHTS = re.compile(r'is forbidden: User "[^"]*" cannot \w+ ')
_MAX_MESSAGE = 1024


def api_error(request: str, status: int, body: Mapping[str, Any], retry_after: str | None) -> ApiError:
    """The error for an answer that is none. `body`: the `Status`, empty where another page came."""
    reason = str(body.get("reason") or "") or None
    details = body.get("details") if isinstance(body.get("details"), dict) else {}
    kind = KINDS.get(status, Unavailable if status >= 500 else ApiError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    words = str(body.get("message") or "the API server gave no reason")
    error = kind(
        f"{request}: HTTP {status}: {words[:_MAX_MESSAGE]}",
        status=status,
        reason=reason,
        retry_after=_seconds(retry_after, details or {}),
        details=details,
    )
    if isinstance(error, Expired):
        error.continuation = str((body.get("metadata") or {}).get("continue") or "")
    return error


def _seconds(header: str | None, details: Mapping[str, Any]) -> float | None:
    for value in (header, details.get("retryAfterSeconds")):
        try:
            if value:
                return max(0.0, float(value))
        except ValueError:  # an HTTP date: no API server sends one, a proxy might
            continue
    return None
