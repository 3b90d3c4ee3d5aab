"""Finds the issuer of tokens for an MCP server from metadata, which is not trusted. Free of I/O.

RFC 9728 (the server's metadata), RFC 8414 and OpenID Connect Discovery (the issuer's), as the MCP specification of
2025-11-25 combines them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import msgspec

from greenroom.protocol.errors import GreenroomError

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"https": 443, "http": 80}
_PARAMETER: Final = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class MetadataError(GreenroomError):
    """The metadata of a server or an issuer violates a rule. The text is for people."""


class Resource(msgspec.Struct, frozen=True):
    """A server's metadata about its issuers."""

    resource: str
    issuer: str
    scopes: tuple[str, ...] = ()


class AuthorizationServer(msgspec.Struct, frozen=True):
    """An issuer's metadata."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("client_secret_basic",)
    """`token_endpoint_auth_methods_supported`."""
    names_itself: bool = False
    """Whether its redirects name the issuer (RFC 9207)."""


class Challenge(msgspec.Struct, frozen=True):
    """The parts of a `WWW-Authenticate` that matter here."""

    error: str | None = None
    scope: str | None = None
    resource_metadata: str | None = None


def read_challenge(header: str) -> Challenge:
    """Parse a `WWW-Authenticate`. Unreadable parts are skipped."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        return Challenge()
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(found.get("error"), found.get("scope"), found.get("resource_metadata"))


def resource_places(url: str, named: str | None) -> list[str]:
    """Return where a server's metadata may be, in order. An address on another host than the server is not used."""
    server = urlsplit(url)
    path = server.path.rstrip("/")
    places = (
        [named] if named is not None and url_origin(named) == url_origin(url) and not urlsplit(named).fragment else []
    )
    places += [_at(server, f"/.well-known/oauth-protected-resource{path}")] if path else []
    return list(dict.fromkeys([*places, _at(server, "/.well-known/oauth-protected-resource")]))


def issuer_places(issuer: str) -> list[str]:
    """Return where an issuer's metadata may be, in order."""
    server = urlsplit(issuer)
    path = server.path.rstrip("/")
    places = [f"/.well-known/oauth-authorization-server{path}", f"/.well-known/openid-configuration{path}"]
    return [_at(server, place) for place in (*places, *([f"{path}/.well-known/openid-configuration"] if path else []))]


def read_resource(url: str, document: object) -> Resource:
    """Read a server's metadata. Raises `MetadataError`."""
    members = document if isinstance(document, dict) else {}
    resource, issuers = members.get("resource"), _texts(members.get("authorization_servers"))
    if not isinstance(resource, str) or not _covers(resource, url):
        raise MetadataError(f"the server's metadata is about another resource: {_shown(resource)}")
    if not issuers:
        raise MetadataError("the server's metadata names no authorization server")
    _demand_safe("authorization server", issuers[0], url)
    return Resource(resource, issuers[0], _texts(members.get("scopes_supported")))


def read_issuer(issuer: str, url: str, document: object) -> AuthorizationServer:
    """Read the metadata of the issuer for the server at `url`. Raises `MetadataError`."""
    members = document if isinstance(document, dict) else {}
    named = members.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise MetadataError(f"the authorization server {issuer} says that it is {_shown(named)}")
    if "S256" not in _texts(members.get("code_challenge_methods_supported")):
        raise MetadataError(f"the authorization server {issuer} does not protect logins by PKCE with S256")
    endpoints = {name: _endpoint(members, name, url) for name in _ENDPOINTS}
    if endpoints["authorization_endpoint"] is None or endpoints["token_endpoint"] is None:
        raise MetadataError(f"the authorization server {issuer} names no endpoints for logins")
    return AuthorizationServer(
        named,
        endpoints["authorization_endpoint"],
        endpoints["token_endpoint"],
        endpoints["registration_endpoint"],
        endpoints["revocation_endpoint"],
        _texts(members.get("scopes_supported")),
        _texts(members.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        members.get("authorization_response_iss_parameter_supported") is True,
    )


_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")


def url_origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of an address, `None` where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def is_safe(address: str, url: str) -> bool:
    """Tell whether secrets may be sent to an address: with TLS, or on this machine where the server itself is on it."""
    found, server = url_origin(address), url_origin(url)
    if found is None or server is None:
        return False
    return found[0] == "https" or (found[1] in _LOOPBACK and server[1] in _LOOPBACK)


def _demand_safe(what: str, address: str, url: str) -> None:
    if not is_safe(address, url):
        raise MetadataError(f"the {what} has an address that is not safe: {_shown(address)}")


def _endpoint(members: Mapping[str, object], name: str, url: str) -> str | None:
    address = members.get(name)
    if not isinstance(address, str):
        return None
    _demand_safe(name.replace("_", " "), address, url)
    return address


def _covers(resource: str, url: str) -> bool:
    if url_origin(resource) is None or url_origin(resource) != url_origin(url):
        return False
    whole, part = urlsplit(url).path.rstrip("/"), urlsplit(resource).path.rstrip("/")
    return whole == part or whole.startswith(f"{part}/")


def _at(server: SplitResult, path: str) -> str:
    return urlunsplit((server.scheme, server.netloc, path, "", ""))


def _texts(value: object) -> tuple[str, ...]:
    given: Sequence[object] = value if isinstance(value, list) else ()
    return tuple(text for text in given if isinstance(text, str))


def _shown(value: object) -> str:
    return repr(value[:200]) if isinstance(value, str) else "nothing that can be read"
