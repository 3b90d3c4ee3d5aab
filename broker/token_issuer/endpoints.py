"""The issuer of tokens: its addresses, this client's id there, and the variables that override them."""

from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

DEFAULT_ISSUER: Final = "https://auth.openai.com"
DEFAULT_CLIENT: Final = "app_EMoamEEZ73f0CkXaXp7hrann"

VARIABLES: Final = (
    "GREENROOM_ISSUER",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
    "CODEX_REVOKE_TOKEN_URL_OVERRIDE",
    "CODEX_APP_SERVER_LOGIN_CLIENT_ID",
)
"""Variables for the issuer, the refresh address, the revocation address and the client id; in the order of `of`."""


class IssuerEndpoints(msgspec.Struct, frozen=True):
    """Addresses of one issuer, and this client's id."""

    issuer: str
    refresh_url: str
    revoke_url: str
    client_id: str

    @classmethod
    def of(
        cls,
        issuer: str | None = None,
        refresh_url: str | None = None,
        revoke_url: str | None = None,
        client_id: str | None = None,
    ) -> Self:
        """Fill in what is not overridden."""
        base = (issuer or DEFAULT_ISSUER).rstrip("/")
        return cls(
            issuer=base,
            refresh_url=refresh_url or f"{base}/oauth/token",
            revoke_url=revoke_url or (_beside(refresh_url) if refresh_url else f"{base}/oauth/revoke"),
            client_id=(client_id or "").strip() or DEFAULT_CLIENT,
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the overrides from an environment."""
        return cls.of(*(environment.get(name) for name in VARIABLES))


def _beside(refresh_url: str) -> str:
    parts = urlsplit(refresh_url)
    return urlunsplit((parts.scheme, parts.netloc, "/oauth/revoke", "", ""))
