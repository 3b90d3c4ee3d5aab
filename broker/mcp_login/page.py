"""The local page to which the issuer of an MCP server redirects the browser. Free of I/O.

Requests are not trusted: the host name and every query are checked, and a correct `state` is accepted once.
"""

import hmac
from html import escape
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from greenroom.broker.login.page import PageRequest, PageResponse
from greenroom.protocol.secrecy import Secret

PATH: Final = "/callback"
_HTML: Final = "text/html; charset=utf-8"
_LONGEST: Final = 240


class Returned(NamedTuple):
    """The redirect has arrived."""

    response: PageResponse
    code: Secret | None = None
    error: str | None = None


class CallbackPage:
    """The page of one login."""

    def __init__(self, port: int, state: str, issuer: str, *, names_itself: bool, callback_url: str | None) -> None:
        """`names_itself`: whether the issuer must name itself in its answer (RFC 9207)."""
        self._state = state
        self._issuer = issuer
        self._names_itself = names_itself
        self.redirect_uri = callback_url or f"http://127.0.0.1:{port}{PATH}"
        self._assignments = {
            f"localhost:{port}",
            f"127.0.0.1:{port}",
            f"[::1]:{port}",
            urlsplit(self.redirect_uri).netloc,
        }
        self._paths = {PATH, urlsplit(self.redirect_uri).path}
        self._is_spent = False

    def receive(self, request: PageRequest) -> PageResponse | Returned:
        """Answer one request; the one that counts is `Returned`, once."""
        if request.host not in self._assignments:
            return PageResponse(400, "Bad Request")
        if request.path not in self._paths:
            return PageResponse(404, "Not Found")
        state = request.query.get("state", "")
        if self._is_spent or not hmac.compare_digest(state.encode(), self._state.encode()):
            return PageResponse(400, "State mismatch")
        issuer = request.query.get("iss")
        if (issuer is None and self._names_itself) or (issuer is not None and issuer != self._issuer):
            return PageResponse(400, "Issuer mismatch")
        self._is_spent = True
        if error := request.query.get("error"):
            text = f"the login was refused: {(request.query.get('error_description') or error)[:_LONGEST]}"
            return Returned(_page(400, "Login failed", text), error=text)
        code = request.query.get("code")
        if not code:
            return Returned(_page(400, "Login failed", "There was no code."), error="the browser brought no code")
        return Returned(_page(200, "Almost done", "You may close this page."), code=Secret(code))


def _page(status: int, title: str, text: str) -> PageResponse:
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f'<body style="font-family:sans-serif;margin:4em"><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>'
    )
    return PageResponse(status, body, _HTML)
