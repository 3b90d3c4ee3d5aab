"""Which proxy the environment asks for (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).

Not left to aiohttp: its `trust_env` also looks into `~/.netrc` before every request, on a thread, and refuses to send a
bearer to a host that it finds there.
"""

import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy over HTTP."""

    url: str
    """Without user and password."""
    authorization: str | None = field(default=None, repr=False)
    """Value of `Proxy-Authorization`."""


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy for a URL, `None` where the environment names none or only one that is not HTTP."""
    proxies = getproxies()
    target = urlsplit(url)
    if not proxies or target.hostname is None or proxy_bypass(target.hostname):
        return None
    address = urlsplit(proxies.get(target.scheme) or proxies.get("all") or "")
    if address.scheme not in _SCHEMES:
        return None
    host = address.netloc.rpartition("@")[2]
    return Proxy(f"{address.scheme}://{host}", _basic(address.username, address.password))


def _basic(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
