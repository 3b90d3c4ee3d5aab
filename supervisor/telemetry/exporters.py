"""The exporters of OpenTelemetry that the table `[otel]` names. Each is imported where it is used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from greenroom.config.tables.otel import OtelExporter, OtelTls, OtlpGrpc, OtlpHttp, with_variables
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.telemetry.batch_export import Sender
from greenroom.supervisor.telemetry.collector_session import CollectorSession
from greenroom.supervisor.telemetry.senders import GrpcSender, HttpSender

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter


class Exporters:
    """Makes exporters. Raises `ConfigError` for a setting that cannot be followed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` has the variables that headers name."""
        self._environment = environment

    def for_spans(self, settings: OtelExporter) -> Sender | None:
        """Return what sends `ExportTraceServiceRequest`, `None` where there is nothing."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            session = CollectorSession(ExportTraceServiceRequest, is_json=http.is_json)
            return HttpSender(OTLPSpanExporter(**self._http(http, session)), session)
        if (grpc := settings.otlp_grpc) is not None:
            from greenroom.supervisor.telemetry.grpc_exporters import TraceMessageExporter

            return GrpcSender(TraceMessageExporter(**self._grpc(grpc)), ExportTraceServiceRequest)
        return None

    def for_logs(self, settings: OtelExporter) -> Sender | None:
        """Return what sends `ExportLogsServiceRequest`, `None` where there is nothing."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

            session = CollectorSession(ExportLogsServiceRequest, is_json=http.is_json)
            return HttpSender(OTLPLogExporter(**self._http(http, session)), session)
        if (grpc := settings.otlp_grpc) is not None:
            from greenroom.supervisor.telemetry.grpc_exporters import LogMessageExporter

            return GrpcSender(LogMessageExporter(**self._grpc(grpc)), ExportLogsServiceRequest)
        return None

    def for_metrics(self, settings: OtelExporter) -> "MetricExporter | None":
        """Return the exporter of metrics, `None` where there is none."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            session = CollectorSession(ExportMetricsServiceRequest, is_json=http.is_json)
            return OTLPMetricExporter(**self._http(http, session))
        if (grpc := settings.otlp_grpc) is not None:
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

            return GrpcMetricExporter(**self._grpc(grpc))
        return None

    def _http(self, settings: OtlpHttp, session: CollectorSession) -> dict[str, Any]:
        return {
            "endpoint": settings.endpoint,
            "headers": with_variables(settings.headers, self._environment) or None,
            "session": session,
            **_files(settings.tls),
        }

    def _grpc(self, settings: OtlpGrpc) -> dict[str, Any]:
        import grpc

        options: dict[str, Any] = {
            "endpoint": settings.endpoint,
            "headers": tuple(with_variables(settings.headers, self._environment).items()) or None,
        }
        tls = settings.tls
        if tls != OtelTls():
            ca, key, chain = map(_content, (tls.ca_certificate, tls.client_private_key, tls.client_certificate))
            options["credentials"] = grpc.ssl_channel_credentials(ca, key, chain)
        return options


def _files(tls: OtelTls) -> dict[str, str | None]:
    return {
        "certificate_file": tls.ca_certificate,
        "client_key_file": tls.client_private_key,
        "client_certificate_file": tls.client_certificate,
    }


def _content(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"the file {path} that `[otel]` names cannot be read: {error.strerror}") from error
