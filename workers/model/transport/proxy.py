"""The proxy configured in the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).

This is not left to aiohttp: its `trust_env` also reads `~/.netrc` before every request, on a thread, and refuses to
send a bearer token to a host found there. `NO_PROXY` is interpreted as by curl and Go (`is_direct`), not as by the
standard library, which does not support networks.
"""

import base64
import os
import re
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import ClassVar, Final, TypeAlias
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from greenroom.protocol.guarded_struct import GuardedStruct

_SCHEMES: Final = ("http", "https")
_PORTS: Final = {"http": 80, "https": 443}
_SUFFIX: Final = b"_proxy"
"""The end of the name of each variable that is about proxies, in letters of either case."""
_SEPARATORS: Final = re.compile(r"[\s,]+")
_ENTRY: Final = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:]*))(?::(?P<port>\d{1,5}))?", re.ASCII)

_Address: TypeAlias = IPv4Address | IPv6Address


class Proxy(GuardedStruct, frozen=True):
    """A proxy over HTTP."""

    withheld: ClassVar[frozenset[str]] = frozenset({"authorization"})

    url: str
    """Without user and password."""
    authorization: str | None = None
    """Value of `Proxy-Authorization`."""


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy for a URL, `None` if the environment names none or only one that is not HTTP."""
    proxies = _proxies()
    if not proxies:
        return None
    target = urlsplit(url)
    if target.hostname is None or _bypasses(target.hostname, _port(url), proxies.get("no")):
        return None
    address = urlsplit(proxies.get(target.scheme) or proxies.get("all") or "")
    if address.scheme not in _SCHEMES:
        return None
    host = address.netloc.rpartition("@")[2]
    return Proxy(f"{address.scheme}://{host}", _basic(address.username, address.password))


def _proxies() -> dict[str, str]:
    """Return what names a proxy, by scheme. Where nothing does, as nearly everywhere, no variable is decoded."""
    is_named = any(name[-len(_SUFFIX) :].lower() == _SUFFIX for name in os.environb)
    return getproxies() if is_named or sys.platform == "darwin" else {}


def is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether `no_proxy` lists a host. Entries are separated by commas or blanks; case does not matter.

    `*`: every host. `10.0.0.0/8`, `fd00::/8`: the addresses of a network. `10.0.0.1`, `::1`, `[::1]`: an address.
    `example.com`, `.example.com`, `*.example.com`: a domain and all below it. `HOST:PORT`: only at that port. Names are
    not looked up, so a network covers only hosts that are given as an address.
    """
    name = host.lower().rstrip(".")
    address = _address(name)
    entries = filter(None, _SEPARATORS.split(no_proxy.lower()))
    return any(_covers(entry, name, address, port) for entry in entries)


def _covers(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_within(address, entry)
    listed = _address(entry)
    if listed is not None:
        return listed == address
    match = _ENTRY.fullmatch(entry)
    if match is None or (match["port"] and int(match["port"]) != port):
        return False
    listed_name = match["plain"] if match["bracketed"] is None else match["bracketed"]
    listed = _address(listed_name)
    if address is not None or listed is not None:
        return listed == address
    domain = listed_name.removeprefix("*").strip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _is_within(address: _Address, network: str) -> bool:
    try:
        return address in ip_network(network.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    """Return the address in a text; an IPv4-mapped IPv6 address is returned as IPv4."""
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _bypasses(host: str, port: int, no_proxy: str | None) -> bool:
    if no_proxy is not None:
        return is_direct(host, port, no_proxy)
    # Without variables, macOS has a list in its settings.
    return not getproxies_environment() and bool(proxy_bypass(host))


def _port(url: str) -> int:
    target = urlsplit(url)
    try:
        return target.port or _PORTS.get(target.scheme, 0)
    except ValueError:
        return 0


def _basic(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def applied(proxy: Proxy | None, url: str, headers: dict[str, str]) -> tuple[str | None, dict[str, str] | None]:
    """Return the URL of a proxy and the headers for it alone; one that sees the request finds them in `headers`."""
    if proxy is None:
        return None, None
    if proxy.authorization is None:
        return proxy.url, None
    if url.startswith("http:"):
        headers["proxy-authorization"] = proxy.authorization
        return proxy.url, None
    return proxy.url, {"Proxy-Authorization": proxy.authorization}


def needs_tls(url: str, proxy: str | None) -> bool:
    """Tell whether certificates are needed on the way to a URL."""
    return url.startswith("https:") or (proxy is not None and proxy.startswith("https:"))
