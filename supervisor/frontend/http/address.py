"""Addresses to listen on, and the names under which a request may ask for them. Free of I/O."""

import ipaddress
from collections.abc import Iterable
from typing import Final, NamedTuple

from greenroom.protocol.errors import ConfigError

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ListenAddress(NamedTuple):
    """A host, as an IP address or a name, and a port; port 0 stands for any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach it."""
        ip = _ip(self.host)
        return self.host == "localhost" if ip is None else ip.is_loopback

    @property
    def text(self) -> str:
        """The address as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> ListenAddress:
    """Return the address that `[HOST:]PORT` names, on loopback where there is no host. Raises `ConfigError`."""
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        is_host = isinstance(_ip(host), ipaddress.IPv6Address)
    else:
        is_host = ":" not in host and bool(host) == bool(colon)
    if not (is_host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigError(f"`{text}` is no address to listen on: PORT, HOST:PORT or [IPV6]:PORT is expected")
    return ListenAddress(host.lower() or "127.0.0.1", int(port))


class Names:
    """The values of `Host` and `Origin` that stand for this server."""

    def __init__(self, address: ListenAddress, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        """`hosts` and `origins` are further ones that the user allows, such as the name of a proxy."""
        self._port = address.port
        self._takes_addresses = not address.is_loopback
        self._names = {*LOOPBACK_NAMES, address.host}
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def is_host(self, host: str) -> bool:
        """Tell whether a `Host` header names this server.

        An address is taken as such where the server listens on more than loopback: only names can be made to lead here.
        """
        host = host.lower()
        if host in self._hosts:
            return True
        name, port = _split(host)
        if port != self._port:
            return False
        return name in self._names or (self._takes_addresses and _ip(name) is not None)

    def is_origin(self, origin: str) -> bool:
        """Tell whether an `Origin` header is that of a page of this server, or allowed by the user."""
        origin = origin.lower()
        scheme, _, host = origin.partition("://")
        own = scheme == "http" and host not in self._hosts and self.is_host(host)
        return own or origin in self._origins


def _split(host: str) -> tuple[str, int | None]:
    """Return the name and the port of a `Host` header; the port is `None` where it is none."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "80"
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else None


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
