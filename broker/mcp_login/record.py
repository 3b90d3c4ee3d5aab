"""The record of a login to one MCP server, in the form of current Codex releases. Unknown members are kept."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

import msgspec

from greenroom.broker.token_issuer.classify import token_fingerprint
from greenroom.protocol.secrecy import Secret

RecordMembers: TypeAlias = dict[str, object]

MARGIN: Final = 30.0
"""Seconds before its end from which a token is not used any more."""
OURS: Final = "greenroom"
"""The member for facts that Codex does not keep: the endpoint and the client of renewals."""


def credential_key(name: str, url: str) -> str:
    """Return the name under which the login of a server is stored: from its configured name and its URL."""
    described = msgspec.json.encode({"type": "http", "url": url, "headers": {}})
    return f"{name}|{hashlib.sha256(described).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Tokens as issued by an authorization server."""

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: float | None = None
    """Seconds."""
    scopes: tuple[str, ...] | None = None
    """`None`: those that were requested."""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A registered client and its issuer."""

    token_endpoint: str
    issuer: str
    client_id: str
    client_secret: Secret | None = None
    method: str = "none"
    """`token_endpoint_auth_method`."""
    resource: str = ""
    """The `resource` of RFC 8707."""
    revocation_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One record."""

    members: Mapping[str, object] = field(repr=False)

    @classmethod
    def new(
        cls, name: str, url: str, client: RegisteredClient, grant: TokenGrant, scopes: tuple[str, ...], now: float
    ) -> Self:
        """Return the record of a new login. `now` is in seconds since the epoch."""
        own = {
            "token_endpoint": client.token_endpoint,
            "issuer": client.issuer,
            "method": client.method,
            "resource": client.resource,
            "revocation_endpoint": client.revocation_endpoint,
            "client_secret": None if client.client_secret is None else client.client_secret.reveal(),
        }
        kept = {name: value for name, value in own.items() if value is not None}
        members = {"server_name": name, "server_url": url, "client_id": client.client_id, OURS: kept}
        return cls({**members, "scopes": list(scopes)}).renewed(grant, now)

    def renewed(self, grant: TokenGrant, now: float) -> Self:
        """Return the record with new tokens."""
        members: RecordMembers = {**self.members, "access_token": grant.access_token.reveal()}
        members.pop("expires_at", None)
        if grant.expires_in is not None:
            members["expires_at"] = int((now + grant.expires_in) * 1000)
        if grant.refresh_token is not None:
            members["refresh_token"] = grant.refresh_token.reveal()
        if grant.scopes is not None:
            members["scopes"] = list(grant.scopes)
        return type(self)(members)

    @property
    def access_token(self) -> Secret:
        """The bearer; empty where there is none."""
        return Secret(_text(self.members, "access_token"))

    @property
    def refresh_token(self) -> Secret:
        """The refresh token; empty where there is none."""
        return Secret(_text(self.members, "refresh_token"))

    @property
    def serial(self) -> str:
        """A digest of the bearer that distinguishes it from others."""
        return token_fingerprint(self.access_token)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of the bearer, as far as they are known."""
        given = self.members.get("scopes")
        return tuple(scope for scope in given if isinstance(scope, str)) if isinstance(given, list) else ()

    @property
    def client(self) -> RegisteredClient | None:
        """The client and issuer of renewals; `None` where Codex wrote the record and they have to be discovered."""
        given = self.members.get(OURS)
        own = given if isinstance(given, dict) else {}
        endpoint, secret = _text(own, "token_endpoint"), _text(own, "client_secret")
        if not endpoint:
            return None
        return RegisteredClient(
            endpoint,
            _text(own, "issuer"),
            self.client_id,
            Secret(secret) if secret else None,
            _text(own, "method") or "none",
            _text(own, "resource"),
            _text(own, "revocation_endpoint") or None,
        )

    @property
    def client_id(self) -> str:
        """The client that the tokens were issued to."""
        return _text(self.members, "client_id")

    def lasts(self, now: float) -> bool:
        """Tell whether the bearer is valid, as far as its expiry is known."""
        expires_at = self.members.get("expires_at")
        if not self.access_token:
            return False
        return not isinstance(expires_at, int | float) or expires_at / 1000 - now > MARGIN


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""
