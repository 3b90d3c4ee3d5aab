"""A collector of OpenTelemetry on loopback, for OTLP over HTTP: it remembers what it is sent."""

import base64
import gzip
import json
import ssl
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes: TypeAlias = dict[str, Any]
_KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Collector:
    """One collector. `close` it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Without `tls` it speaks without TLS."""
        self.refuses: int | None = None
        """The status that every request is refused with, unless `None`."""
        self.received: list[tuple[str, Any]] = []
        """Paths and messages, in the order of their arrival."""
        self.targets: list[str] = []
        """What was asked for: a path, or the whole address of another where this is taken for a proxy."""
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        """All that has arrived."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                is_json = self.headers["content-type"] == "application/json"
                path = urlsplit(self.path).path  # a proxy is told the whole address
                message = (from_json if is_json else from_binary)(_KINDS[path], body)
                collector.targets.append(self.path)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                if collector.refuses is None:
                    collector.received.append((path, message))
                    collector.raw += body
                self.send_response(collector.refuses or 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.base = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"

    def settings(self, *, more: str = "", headers: str = "") -> str:
        """Return a table `[otel]` that sends everything here."""
        exporters = "\n".join(
            f'{key} = {{ otlp-http = {{ endpoint = "{self.base}/v1/{path}", protocol = "binary"{headers} }} }}'
            for key, path in (("exporter", "logs"), ("trace_exporter", "traces"), ("metrics_exporter", "metrics"))
        )
        return f"\n[otel]\n{exporters}\n{more}\n"

    @property
    def spans(self) -> list[Any]:
        """All spans, by their beginning."""
        found = [
            span
            for path, message in self.received
            if path == "/v1/traces"
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano))

    @property
    def resources(self) -> list[Attributes]:
        """The attributes of the resources of all traces."""
        return [
            attributes(resource.resource.attributes)
            for path, message in self.received
            if path == "/v1/traces"
            for resource in message.resource_spans
        ]

    @property
    def events(self) -> list[tuple[str, Attributes]]:
        """Names and attributes of all log records, by their time."""
        records = [
            record
            for path, message in self.received
            if path == "/v1/logs"
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        ordered = sorted(records, key=lambda record: record.time_unix_nano)
        return [(record.event_name, attributes(record.attributes)) for record in ordered]

    @property
    def metrics(self) -> dict[str, Any]:
        """The last value of each metric."""
        return {
            metric.name: metric
            for path, message in self.received
            if path == "/v1/metrics"
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def from_binary(kind: Any, body: bytes) -> Any:
    """Return a message that was sent in protobuf's own encoding."""
    message = kind()
    message.ParseFromString(body)
    return message


def from_json(kind: Any, body: bytes) -> Any:
    """Return a message that was sent as JSON, in which ids have to be in hexadecimal."""
    return ParseDict(json.loads(body, object_hook=_with_ids_of_protobuf), kind())


def _with_ids_of_protobuf(fields: dict[str, Any]) -> dict[str, Any]:
    sizes = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
    ids = {name: bytes.fromhex(fields[name]) for name in sizes if fields.get(name)}
    assert all(len(value) == sizes[name] for name, value in ids.items()), ids
    return fields | {name: base64.b64encode(value).decode() for name, value in ids.items()}


def attributes(pairs: Iterable[Any]) -> Attributes:
    """Return attributes of OTLP as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
