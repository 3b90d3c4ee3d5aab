"""The responses of the local page of a browser login, request by request (docs/security.md, K32). Free of I/O.

A page trusts nothing: not the host name it is called by, not a query, and a right `state` counts once. What follows the
callback is shown to the browser alone that came with it, and no other site can end a login. No token is ever part of an
address or one of these pages.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

from greenroom.broker.credential.claims import Claims
from greenroom.broker.token_issuer.endpoints import DEFAULT_ISSUER, IssuerEndpoints
from greenroom.broker.token_issuer.pkce import Verifier, base64url
from greenroom.protocol.secrecy import Secret

SCOPE: Final = "openid profile email offline_access"
ORIGINATOR: Final = "codex_cli_rs"
MISSING_CODE: Final = "Missing authorization code. Sign-in could not be completed."
NOT_SAVED: Final = "Sign-in completed but credentials could not be saved locally."
CANCELLED: Final = "Login cancelled"
NO_ENTITLEMENT: Final = "Codex is not enabled for this workspace; ask its administrator for access."

_PLATFORMS: Final[Mapping[bool, str]] = {
    True: "https://platform.openai.com",
    False: "https://platform.api.openai.org",
}
"""Where an organisation is set up: of the default issuer, of any other."""
_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The relevant parts of a request."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    host: str = ""
    origin: str | None = None
    method: str = "GET"
    fetch_site: str | None = None
    """The header `Sec-Fetch-Site`, by which browsers tell whose page has asked."""
    is_browser: bool = False
    """Whether anything else shows that a browser asks."""


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A response."""

    status: int
    body: str
    content_type: str = _TEXT
    location: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The code has arrived: exchange it, then ask `LoginPage.saved` or `LoginPage.failed` for the response."""

    code: Secret


@dataclass(frozen=True, slots=True)
class LoginEnded:
    """The login is over without credentials."""

    response: PageResponse
    error: str


PageAnswer: TypeAlias = PageResponse | Exchange | LoginEnded


class LoginPage:
    """The pages of one login."""

    def __init__(
        self, endpoints: IssuerEndpoints, port: int, state: str, verifier: Verifier, workspaces: Sequence[str] = ()
    ) -> None:
        """`workspaces`: the accounts that the issuer is asked to admit; empty for all."""
        self._endpoints = endpoints
        self._workspaces = workspaces
        self._port = port
        self._state = state
        self._is_spent = False
        self._claims: Claims | None = None
        self._id_token: Secret | None = None
        self._key = hmac.digest(verifier.secret.reveal().encode(), b"pages after the callback", "sha256").hex()
        """What only the browser is told that brought the right `state`."""
        self.verifier = verifier
        self.is_served = False
        """Whether the browser has loaded the last page."""

    @property
    def redirect_uri(self) -> str:
        """The address to which the issuer redirects the browser."""
        return f"http://localhost:{self._port}/auth/callback"

    @property
    def url(self) -> str:
        """The address at which the login begins."""
        parameters = {
            "response_type": "code",
            "client_id": self._endpoints.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "code_challenge": self.verifier.challenge,
            "code_challenge_method": "S256",
            "id_token_add_organizations": "true",
            "codex_cli_simplified_flow": "true",
            "state": self._state,
            "originator": ORIGINATOR,
        }
        if self._workspaces:
            parameters["allowed_workspace_id"] = ",".join(self._workspaces)
        return f"{self._endpoints.issuer}/oauth/authorize?{urlencode(parameters, quote_via=quote, safe='')}"

    @property
    def is_saved(self) -> bool:
        """Whether the credentials are in the store."""
        return self._claims is not None

    def receive(self, request: PageRequest) -> PageAnswer:
        """Answer one request."""
        if request.host not in (f"localhost:{self._port}", f"127.0.0.1:{self._port}", f"[::1]:{self._port}"):
            return PageResponse(400, "Bad Request")
        if request.method != "GET":
            return PageResponse(405, "Method Not Allowed")
        handle = _ROUTES.get(request.path)
        return PageResponse(404, "Not Found") if handle is None else handle(self, request)

    def saved(self, id_token: Secret, claims: Claims) -> PageResponse:
        """Respond to the callback whose credentials are in the store now."""
        self._claims, self._id_token = claims, id_token
        return PageResponse(302, "", location=f"http://localhost:{self._port}/success?{self._capability}")

    def refused(self, text: str) -> PageResponse:
        """Respond to the callback of an account that may not log in."""
        return PageResponse(403, _page("Sign-in failed", text), _HTML)

    def failed(self, status_text: str) -> PageResponse:
        """Respond to the callback of a login that failed."""
        return PageResponse(500, status_text)

    def _callback(self, request: PageRequest) -> PageAnswer:
        state = request.query.get("state", "")
        if self._is_spent or not hmac.compare_digest(state.encode(), self._state.encode()):
            return PageResponse(400, "State mismatch")
        self._is_spent = True
        if error := request.query.get("error"):
            text = _sign_in_error(error, request.query.get("error_description", ""))
            return LoginEnded(PageResponse(400, _page("Sign-in failed", text), _HTML), text)
        code = request.query.get("code")
        return (
            Exchange(Secret(code))
            if code
            else LoginEnded(PageResponse(400, "Missing authorization code"), MISSING_CODE)
        )

    @property
    def _capability(self) -> str:
        return f"key={self._key}"

    def _has_capability(self, request: PageRequest) -> bool:
        return hmac.compare_digest(request.query.get("key", "").encode(), self._key.encode())

    def _success(self, request: PageRequest) -> PageAnswer:
        if self._claims is None or not self._has_capability(request):
            return PageResponse(404, "Not Found")
        if self._claims.needs_setup:
            text = "Your organisation is not set up yet."
            link = (f"/setup?{self._capability}", "Finish the setup")
            return PageResponse(200, _page("Signed in", text, link), _HTML)
        self.is_served = True
        return PageResponse(200, _page("Signed in", "You may close this page."), _HTML)

    def _setup(self, request: PageRequest) -> PageAnswer:
        """Send the browser to the platform. The address is made of what we hold, never of what a query says."""
        if not self._has_capability(request):
            return PageResponse(404, "Not Found")
        if self._claims is None or self._id_token is None or not self._claims.needs_setup:
            return PageResponse(404, "Not Found")
        self.is_served = True
        parameters = {
            "p": self._claims.plan_type or "",
            "t": self._id_token.reveal(),
            "with_org": self._claims.organization_id,
            "project_id": self._claims.project_id,
        }
        platform = _PLATFORMS[self._endpoints.issuer == DEFAULT_ISSUER]
        return PageResponse(302, "", location=f"{platform}/org-setup?{urlencode(parameters, quote_via=quote, safe='')}")

    def _cancel(self, request: PageRequest) -> PageAnswer:
        site = request.fetch_site
        is_foreign = request.is_browser if site is None else site not in ("same-origin", "none")
        if request.origin is not None or is_foreign:
            return PageResponse(403, "Forbidden")
        return LoginEnded(PageResponse(200, CANCELLED), CANCELLED)


_ROUTES: Final[Mapping[str, Callable[[LoginPage, PageRequest], PageAnswer]]] = {
    "/auth/callback": LoginPage._callback,  # noqa: SLF001 - the table of this very class
    "/success": LoginPage._success,  # noqa: SLF001
    "/setup": LoginPage._setup,  # noqa: SLF001
    "/cancel": LoginPage._cancel,  # noqa: SLF001
}


def new_state(randomness: bytes) -> str:
    """Make a `state` of 32 random bytes."""
    return base64url(randomness)


def _sign_in_error(error: str, description: str) -> str:
    if error == "access_denied" and "missing_codex_entitlement" in description:
        return NO_ENTITLEMENT
    return f"Sign-in failed: {(description or error)[:240]}"


def _page(title: str, text: str, link: tuple[str, str] | None = None) -> str:
    anchor = "" if link is None else f'<p><a href="{escape(link[0])}">{escape(link[1])}</a></p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign into Codex CLI</title></head>'
        f'<body style="font-family:sans-serif;margin:4em"><h1>{escape(title)}</h1><p>{escape(text)}</p>{anchor}'
        "</body></html>"
    )
