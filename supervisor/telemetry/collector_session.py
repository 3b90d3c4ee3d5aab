"""The session in which an exporter of the SDK posts over HTTP; it is a `requests.Session` to it.

What a post needs beside its body is the same each time, and is found once, by `requests`: proxies, certificates, the
connection's pool, headers. `requests` would do so for each post, which takes longer than the post itself.
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import requests
import urllib3
from google.protobuf.message import Message
from requests.adapters import HTTPAdapter

from greenroom.supervisor.telemetry.otlp_json import CONTENT_TYPE, otlp_json

_PACK: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
)
_UNPACK: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}
)
_ERRORS: Final[tuple[tuple[type[Exception], type[requests.RequestException], str], ...]] = (
    (urllib3.exceptions.NewConnectionError, requests.ConnectionError, "no connection"),
    (urllib3.exceptions.ConnectTimeoutError, requests.ConnectTimeout, "it does not answer"),
    (urllib3.exceptions.TimeoutError, requests.Timeout, "it does not answer in time"),
    (urllib3.exceptions.ProxyError, requests.exceptions.ProxyError, "no connection by the proxy"),
    (urllib3.exceptions.SSLError, requests.exceptions.SSLError, "TLS failed"),
    (Exception, requests.ConnectionError, "no connection"),
)
"""What exporters know errors as, and people. The first that fits counts."""


class _Route(NamedTuple):
    """How posts get to one address."""

    pool: urllib3.HTTPConnectionPool
    target: str
    """What the first line of a request names."""
    headers: dict[str, str]


class CollectorSession(requests.Session):
    """Posts what the exporter has made, or what `prepared` holds in its place. Used by one thread at a time.

    It does not look into `~/.netrc`, follows no redirection, and trusts the certificates that the settings name also
    where `REQUESTS_CA_BUNDLE` names others.
    """

    def __init__(self, message: type[Message], is_json: bool) -> None:
        """`message` is the type of those that are sent, which are sent as JSON where `is_json` is set."""
        super().__init__()
        self._message, self._is_json = message, is_json
        self._routes: dict[str, _Route] = {}
        self.prepared: bytes | None = None
        """An encoded message that is sent in place of what the exporter has made, unless `None`."""
        self.posts = 0
        """Requests that were begun."""
        self.failure = ""
        """Why the last one has failed, in a few words; empty where it has not."""

    def request(  # type: ignore[override]  # an exporter uses no other arguments
        self,
        method: str,
        url: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> requests.Response:
        """Send a request and return the response. Raises `requests.RequestException`."""
        self.posts += 1
        route = self._routes.get(url)
        if route is None:
            route = self._routes[url] = self._route(url, headers or {})
        try:
            answer = route.pool.urlopen(
                method,
                route.target,
                body=self._body(data, route.headers.get("Content-Encoding", "")),
                headers=route.headers,
                timeout=urllib3.Timeout(connect=timeout, read=timeout),
                redirect=False,
                assert_same_host=False,  # to a proxy, the whole address is asked for
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            known_as, self.failure = _known(error)
            raise known_as(error) from error
        self.failure = "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        response = requests.Response()
        response.status_code, response.reason, response.url = answer.status, answer.reason or "", url
        response.headers.update(answer.headers)
        response._content = answer.data  # noqa: SLF001  # there is no other way to make a response
        return response

    def _route(self, url: str, headers: Mapping[str, str]) -> _Route:
        named = self.verify if isinstance(self.verify, str) else None
        found = self.merge_environment_settings(url, {}, stream=False, verify=named, cert=None)
        adapter = self.get_adapter(url)
        assert isinstance(adapter, HTTPAdapter), "no other is mounted"
        request = requests.Request("POST", url, headers=dict(headers), auth=_unchanged)
        prepared = self.prepare_request(request)
        pool = adapter.get_connection_with_tls_context(prepared, found["verify"], found["proxies"], found["cert"])
        assert isinstance(pool, urllib3.HTTPConnectionPool), "all pools of `requests` are"
        adapter.cert_verify(  # type: ignore[no-untyped-call]
            pool, url, found["verify"], found["cert"]
        )
        if self._is_json:
            prepared.headers["Content-Type"] = CONTENT_TYPE
        prepared.headers.pop("Content-Length", None)
        target = adapter.request_url(prepared, found["proxies"])
        return _Route(pool, target, {name: str(value) for name, value in prepared.headers.items()})

    def _body(self, made: bytes, encoding: str) -> bytes:
        if self.prepared is None and not self._is_json:
            return made
        body = _UNPACK[encoding](made) if self.prepared is None else self.prepared
        return _PACK[encoding](otlp_json(self._message.FromString(body)) if self._is_json else body)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no authentication; without any, `requests` would look into `~/.netrc`."""
    return request


def _known(error: Exception) -> tuple[type[requests.RequestException], str]:
    """Return what exporters know an error as, and what people are told of it."""
    return next((known_as, words) for kind, known_as, words in _ERRORS if isinstance(error, kind))
