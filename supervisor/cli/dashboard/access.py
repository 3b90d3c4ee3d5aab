"""Who may read the dashboard: a token that is good once, and then the cookie of a session. Free of I/O.

Cookies are shared by all ports of a host, so other programs on loopback may be sent the cookie. Programs of other users
cannot use it: whose connection a request comes on is checked besides (`greenroom.supervisor.cli.dashboard.server`).
"""

import hmac
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Final

from greenroom.supervisor.frontend.http.address import ListenAddress, Names
from greenroom.supervisor.frontend.http.guard import check_site
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

SIZE: Final = 32
"""Bytes of randomness of a token."""
MOST_SESSIONS: Final = 16
"""Sessions at a time; the oldest ends where another one begins."""
ORDER_HEADER: Final = "x-greenroom-order"
ORDER_VALUE: Final = "confirmed"
"""The header that an order has. A page of another origin cannot send it without a preflight, and those are refused."""
JSON: Final = "application/json"

NO_SESSION: Final = (
    "Unauthorized: open the address that `greenroom dashboard` has printed. It is good once; press Enter there for "
    "another one."
)
USED: Final = "Unauthorized: this address is not good any more. Press Enter in the terminal of `greenroom dashboard`."


class Access:
    """The token and the sessions of one dashboard."""

    def __init__(self, address: ListenAddress) -> None:
        self._names = Names(address)
        self._token: str | None = None
        self._sessions: dict[str, None] = {}
        self.cookie: Final = f"greenroom-{address.port}"
        """The name of the cookie."""

    def issue(self) -> str:
        """Return a token for one use. The one before it is not good any more."""
        self._token = token_urlsafe(SIZE)
        return self._token

    def redeem(self, given: str) -> str:
        """Return the value of the cookie of a new session. Raises `RefusedRequest` where the token is not good."""
        if self._token is None or not _is_same(given, self._token):
            raise RefusedRequest(401, USED)
        self._token = None
        session = token_urlsafe(SIZE)
        self._sessions[session] = None
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def check_site(self, head: RequestHead) -> None:
        """Let a request pass that no page of another origin sends. Raises `RefusedRequest`."""
        check_site(head, self._names)

    def check_session(self, cookies: Mapping[str, str]) -> None:
        """Let a request pass that has the cookie of a session. Raises `RefusedRequest`."""
        given = cookies.get(self.cookie, "")
        if not any([_is_same(given, session) for session in self._sessions]):  # noqa: C419 - each takes the same time
            raise RefusedRequest(401, NO_SESSION)

    def check_order(self, head: RequestHead) -> None:
        """Let a request pass that only a script of the page itself can have sent. Raises `RefusedRequest`."""
        if head.one("origin") is None or head.one(ORDER_HEADER) != ORDER_VALUE:
            raise RefusedRequest(403, "Forbidden: orders are taken from the page alone")
        if (head.one("content-type") or "").partition(";")[0].strip().lower() != JSON:
            raise RefusedRequest(415, "Unsupported Media Type: an order is JSON")


def _is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
