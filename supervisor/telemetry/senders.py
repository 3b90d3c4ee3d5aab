"""Sends messages of OTLP that are complete, through exporters of the SDK, which would make them of objects of the SDK.

Addresses, headers, certificates, compression, time limits and further attempts are the exporters' part.
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import requests
from google.protobuf.message import Message

from greenroom.supervisor.telemetry.otlp_json import CONTENT_TYPE, otlp_json

_PACK: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
)
_UNPACK: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}
)


class CollectorSession(requests.Session):
    """Trusts the certificates that the settings name, also where `REQUESTS_CA_BUNDLE` names others."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return what holds for a request; what it says itself has precedence over the environment."""
        named = self.verify if isinstance(self.verify, str) else verify
        return super().merge_environment_settings(url, proxies, stream, named, cert)


class RequestBody:
    """Writes the bodies of HTTP requests; it is what `requests` calls an authentication, which sees them last.

    Being one, it also keeps `requests` from looking into `~/.netrc`.
    """

    def __init__(self, message: type[Message], is_json: bool) -> None:
        """`message` is the type of those that are sent, which are sent as JSON where `is_json` is set."""
        self._message, self._is_json = message, is_json
        self.prepared: Message | None = None
        """Sent in place of what the exporter has made, unless `None`."""
        self.writes = 0
        """Bodies that were written."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give a request the body that it is to have."""
        self.writes += 1
        if self.prepared is None and not self._is_json:
            return request
        encoding = request.headers.get("Content-Encoding") or ""
        message = self.prepared
        if message is None:
            assert isinstance(request.body, bytes), "it comes from the exporter"
            message = self._message.FromString(_UNPACK[encoding](request.body))
        if self._is_json:
            request.headers["Content-Type"] = CONTENT_TYPE
        request.body = _PACK[encoding](otlp_json(message) if self._is_json else message.SerializeToString())
        return request


class Exporter(Protocol):
    """An exporter of the SDK."""

    def export(self, batch: Any, /) -> object:
        """Send a batch."""
        ...

    def shutdown(self) -> None:
        """Give up what waits for another attempt."""
        ...


class HttpSender:
    """Sends over HTTP."""

    def __init__(self, exporter: Exporter, body: RequestBody) -> None:
        """`body` is that of the session of `exporter`."""
        self._exporter, self._body = exporter, body

    def send(self, request: Message) -> None:
        """Send a message, or log why it cannot be sent. Used by one thread at a time."""
        before = self._body.writes
        self._body.prepared = request
        self._exporter.export(())
        if self._body.writes == before:
            raise RuntimeError("this version of the exporter does not send what it is given")

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()


class GrpcSender:
    """Sends over gRPC."""

    def __init__(self, exporter: Exporter) -> None:
        """`exporter` takes batches of one message (`greenroom.supervisor.telemetry.grpc_exporters`)."""
        self._exporter = exporter

    def send(self, request: Message) -> None:
        """Send a message, or log why it cannot be sent."""
        self._exporter.export((request,))

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()
