"""The exporters of OpenTelemetry that the table `[otel]` names. Each is imported where it is used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import requests

from greenroom.config.otel import OtelExporter, OtelTls, OtlpGrpc, OtlpHttp, with_variables
from greenroom.protocol.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter


class Exporters:
    """Makes exporters. Raises `ConfigError` for a setting that cannot be followed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` has the variables that headers name."""
        self._environment = environment

    def for_spans(self, settings: OtelExporter) -> "SpanExporter | None":
        """Return the exporter of traces, `None` where there is none."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter(**self._http(http))
        if (grpc := settings.otlp_grpc) is not None:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

            return GrpcSpanExporter(**self._grpc(grpc))
        return None

    def for_logs(self, settings: OtelExporter) -> "LogRecordExporter | None":
        """Return the exporter of events, `None` where there is none."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

            return OTLPLogExporter(**self._http(http))
        if (grpc := settings.otlp_grpc) is not None:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter

            return GrpcLogExporter(**self._grpc(grpc))
        return None

    def for_metrics(self, settings: OtelExporter) -> "MetricExporter | None":
        """Return the exporter of metrics, `None` where there is none."""
        if (http := settings.otlp_http) is not None:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            return OTLPMetricExporter(**self._http(http))
        if (grpc := settings.otlp_grpc) is not None:
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

            return GrpcMetricExporter(**self._grpc(grpc))
        return None

    def _http(self, settings: OtlpHttp) -> dict[str, Any]:
        if settings.protocol == "json":
            raise ConfigError('an exporter `otlp-http` in `[otel]` has the protocol "json"; "binary" is supported')
        session = requests.Session()
        session.auth = _as_it_is  # else it would look into ~/.netrc
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


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
