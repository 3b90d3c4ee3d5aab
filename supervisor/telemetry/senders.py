"""Sends messages of OTLP that are complete, through exporters of the SDK, which would make them of objects of the SDK.

Addresses, headers, certificates, compression, time limits and further attempts are the exporters' part.
"""

from enum import Enum
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from greenroom.supervisor.telemetry.collector_session import CollectorSession

UNKNOWN: Final = "it is in the log"
"""Why something has failed, where an exporter has not said so."""


class Exporter(Protocol):
    """An exporter of the SDK."""

    def export(self, batch: Any, /) -> Enum:
        """Send a batch, and return `SUCCESS` or `FAILURE`."""
        ...

    def shutdown(self) -> None:
        """Give up what waits for another attempt."""
        ...


class GrpcExporter(Exporter, Protocol):
    """One over gRPC."""

    failure: str
    """Why the last request has failed, in a few words."""


class HttpSender:
    """Sends over HTTP."""

    def __init__(self, exporter: Exporter, session: CollectorSession) -> None:
        """`session` is that of `exporter`."""
        self._exporter, self._session = exporter, session

    def send(self, request: bytes) -> str:
        """Send an encoded message, or log why it cannot be sent. Used by one thread at a time.

        Return why the collector has not taken it, empty where it has.
        """
        before = self._session.posts
        self._session.prepared = request
        result = self._exporter.export(())
        if self._session.posts == before:
            raise RuntimeError("this version of the exporter does not send what it is given")
        return "" if _is_success(result) else self._session.failure or UNKNOWN

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()


class GrpcSender:
    """Sends over gRPC."""

    def __init__(self, exporter: GrpcExporter, message: type[Message]) -> None:
        """`exporter` takes batches of one `message` (`greenroom.supervisor.telemetry.grpc_exporters`)."""
        self._exporter, self._message = exporter, message

    def send(self, request: bytes) -> str:
        """Send an encoded message, or log why it cannot be sent.

        Return why the collector has not taken it, empty where it has.
        """
        result = self._exporter.export((self._message.FromString(request),))
        return "" if _is_success(result) else self._exporter.failure or UNKNOWN

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()


def _is_success(result: Enum) -> bool:
    """Tell what a result says; each signal has a type of its own for it."""
    return result.name == "SUCCESS"
