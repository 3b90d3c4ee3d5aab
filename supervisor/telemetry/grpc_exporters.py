"""Exporters of the SDK for OTLP over gRPC that are given the messages which they would make.

A batch is one message.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class TraceMessageExporter(OTLPSpanExporter):
    """Sends `ExportTraceServiceRequest`."""

    def _translate_data(self, data: Sequence[Any]) -> ExportTraceServiceRequest:
        (request,) = data
        assert isinstance(request, ExportTraceServiceRequest)
        return request


class LogMessageExporter(OTLPLogExporter):
    """Sends `ExportLogsServiceRequest`."""

    def _translate_data(self, data: Sequence[Any]) -> ExportLogsServiceRequest:
        (request,) = data
        assert isinstance(request, ExportLogsServiceRequest)
        return request
