"""Exporters of the SDK for OTLP over gRPC that are given the messages which they would make.

A batch is one message.
"""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class _Watched:
    """The client of an exporter, which notes what has become of each request."""

    def __init__(self, client: Any, note: Callable[[str], None]) -> None:
        """`note` gets why a request has failed, in a few words; an empty text where it has not."""
        self._client, self._note = client, note

    def Export(self, **request: Any) -> Any:  # noqa: N802  # the name of the method
        """Send a request. Raises `grpc.RpcError`."""
        try:
            answer = self._client.Export(**request)
        except grpc.RpcError as error:
            self._note(f"gRPC {error.code().name}")
            raise
        self._note("")
        return answer


class _Noting:
    """Knows why the last request has failed."""

    failure = ""
    _client: Any

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[misc]  # it is mixed into an exporter
        self._client = _Watched(self._client, self._note)

    def _note(self, failure: str) -> None:
        self.failure = failure


class TraceMessageExporter(_Noting, OTLPSpanExporter):
    """Sends `ExportTraceServiceRequest`."""

    def _translate_data(self, data: Sequence[Any]) -> ExportTraceServiceRequest:
        (request,) = data
        assert isinstance(request, ExportTraceServiceRequest)
        return request


class LogMessageExporter(_Noting, OTLPLogExporter):
    """Sends `ExportLogsServiceRequest`."""

    def _translate_data(self, data: Sequence[Any]) -> ExportLogsServiceRequest:
        (request,) = data
        assert isinstance(request, ExportLogsServiceRequest)
        return request
