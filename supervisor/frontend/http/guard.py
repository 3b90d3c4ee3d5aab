"""Who may send a request at all: checks of `Host`, of what browsers tell about pages, and of the bearer. Free of I/O.

The order is part of the promise: a page in a browser is turned away before the bearer is looked at, and a request
without a bearer learns nothing about paths, methods or sessions.
"""

import hmac
from typing import Final

from greenroom.supervisor.frontend.http.address import Names
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="greenroom"'}


class Guard:
    """Checks requests before anything else is read of them."""

    def __init__(self, names: Names, token: str) -> None:
        self._names = names
        self._token = token.encode()

    def check(self, head: RequestHead) -> None:
        """Let a request pass. Raises `RefusedRequest`."""
        check_site(head, self._names)
        self.check_bearer(head)

    def check_bearer(self, head: RequestHead) -> None:
        """Let a request pass that has the bearer token. Raises `RefusedRequest`."""
        scheme, _, given = (head.one("authorization") or "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not is_right:
            raise RefusedRequest(401, "Unauthorized: a bearer token is required", headers=CHALLENGE)


def check_site(head: RequestHead, names: Names) -> None:
    """Let a request pass that is meant for this server and that no page of another origin sends.

    Raises `RefusedRequest`.
    """
    host = head.one("host")
    if host is None or not names.is_host(host):
        raise RefusedRequest(403, "Forbidden: the Host header does not name this server")
    origin = head.one("origin")
    if origin is not None and not names.is_origin(origin):
        raise RefusedRequest(403, "Forbidden: requests from web pages are not served")
    if origin is None and head.one("sec-fetch-site") not in (None, "none", "same-origin"):
        raise RefusedRequest(403, "Forbidden: requests from web pages are not served")
    if head.method == "OPTIONS":
        raise RefusedRequest(403, "Forbidden: no page may send requests across origins")
