"""What `[otel]` names gets spans, events and metrics: over HTTP in both encodings, over gRPC, and over TLS."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.config.document import Table
from greenroom.config.section import check
from greenroom.config.tables.otel import OtelExporter, OtelTable
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.telemetry.metric import Distribution, Family, Sample
from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.supervisor.telemetry.events import LoggedEvents, TelemetryEvent, conversation_pairs
from greenroom.supervisor.telemetry.exporters import Exporters
from greenroom.supervisor.telemetry.metric_export import metrics_data
from greenroom.supervisor.telemetry.otlp_binary import pairs, place_part
from greenroom.supervisor.telemetry.record_buffer import BufferLimits, RecordBuffer, SenderIdentity
from greenroom.supervisor.telemetry.trace import Root, Trace
from tests.support.certificates import Authority
from tests.support.collector import Collector
from tests.support.grpc_collector import GrpcCollector

KEY = "sk-a-key-for-the-collector"
ENVIRONMENT = {"COLLECTOR_KEY": KEY}
HEADERS = {"Authorization": "Bearer ${COLLECTOR_KEY}"}
RESOURCE = Resource({"service.name": "greenroom"})
IDENTITY = SenderIdentity(RESOURCE, InstrumentationScope("greenroom", "1"))
ROOT = Root(bytes(range(16)), bytes(range(8, 16)), 1, "vendor=1")
SECOND = 10**9
"""In nanoseconds."""
COUNTED = "greenroom_calls"
MEASURED = "greenroom_turn_wait_seconds"


def traces() -> bytes:
    buffer = RecordBuffer(IDENTITY.around_spans, BufferLimits())
    trace = Trace(buffer, ROOT)
    told = [TelemetryEvent("codex.api_request", SECOND * 3 // 2, pairs({"attempt": 0, "success": "true"}))]
    attributes = pairs({"text": "\u00e9", "number": 2**62, "part": 0.5, "flag": True})
    head = trace.head("chat m")
    trace.write(head, ROOT.span_id, b"parent_1", SECOND, 2 * SECOND, pairs=attributes, events=told, error="model_error")
    (batch,) = buffer.take().batches
    return batch.message


def logs() -> bytes:
    buffer = RecordBuffer(IDENTITY.around_logs, BufferLimits())
    event = TelemetryEvent("codex.api_request", SECOND * 3 // 2, pairs({"attempt": 0}))
    LoggedEvents(buffer).emit(
        event, conversation_pairs(ConversationId("c")), place_part(ROOT.trace_id, ROOT.span_id, ROOT.flags)
    )
    (batch,) = buffer.take().batches
    return batch.message


def metrics() -> list[Family]:
    bounds = METRICS[MEASURED].buckets
    distribution = Distribution((), tuple(range(len(bounds) + 1)), 2.5)
    return [
        Family(COUNTED, METRICS[COUNTED], (Sample(("turn",), 3.0),), ()),
        Family(MEASURED, METRICS[MEASURED], (), (distribution,)),
    ]


def settings(table: Table) -> OtelExporter:
    return check(OtelTable, {"trace_exporter": table}, ("otel",)).trace_exporter


def over_http(base: str, signal: str, **more: Any) -> OtelExporter:
    return settings({"otlp-http": {"endpoint": f"{base}/v1/{signal}", "headers": HEADERS, **more}})


def over_grpc(port: int, scheme: str = "http", **more: Any) -> OtelExporter:
    return settings({"otlp-grpc": {"endpoint": f"{scheme}://127.0.0.1:{port}", "headers": HEADERS, **more}})


def send_all(at: Mapping[str, OtelExporter]) -> list[Message]:
    """Send one message of each kind, and return them."""
    exporters, sent = Exporters(ENVIRONMENT), (traces(), logs())
    for sender, message in zip((exporters.for_spans(at["traces"]), exporters.for_logs(at["logs"])), sent, strict=True):
        assert sender is not None
        assert not sender.send(message)
        sender.shutdown()
    exporter = exporters.for_metrics(at["metrics"])
    assert exporter is not None
    assert exporter.export(metrics_data(metrics(), RESOURCE, 1, 2)) is MetricExportResult.SUCCESS
    exporter.shutdown()
    return [ExportTraceServiceRequest.FromString(sent[0]), ExportLogsServiceRequest.FromString(sent[1])]


def check_metrics(message: Any) -> None:
    """Check that a message holds what `metrics` returns."""
    (scope,) = message.resource_metrics[0].scope_metrics
    calls, wait = scope.metrics
    assert [(point.as_int, point.time_unix_nano) for point in calls.sum.data_points] == [(3, 2)]
    (point,) = wait.histogram.data_points
    assert list(point.bucket_counts) == list(range(len(METRICS[MEASURED].buckets) + 1))
    assert point.sum == 2.5


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["binary", "json"])
def test_http_takes_both_encodings_with_and_without_compression(
    collector: Collector, protocol: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    signals = ("traces", "logs", "metrics")
    sent = send_all({signal: over_http(collector.base, signal, protocol=protocol) for signal in signals})
    assert [path for path, _ in collector.received] == [f"/v1/{signal}" for signal in signals]
    assert [message for _, message in collector.received[:2]] == sent
    check_metrics(collector.received[2][1])
    media = {"binary": "application/x-protobuf", "json": "application/json"}[protocol]
    assert {headers["content-type"] for headers in collector.headers} == {media}
    assert {headers.get("content-encoding", "none") for headers in collector.headers} == {compression}
    assert {headers["authorization"] for headers in collector.headers} == {f"Bearer {KEY}"}


def test_json_is_that_of_otlp(collector: Collector) -> None:
    signals = ("traces", "logs", "metrics")
    send_all({signal: over_http(collector.base, signal, protocol="json") for signal in signals})
    body = collector.raw.decode()
    for part in (
        '"traceId":"000102030405060708090a0b0c0d0e0f"',
        '"spanId":"08090a0b0c0d0e0f"',
        f'"parentSpanId":"{b"parent_1".hex()}"',
        '"kind":1',
        '"status":{"code":2}',
        '"startTimeUnixNano":"1000000000"',
        '"intValue":"4611686018427387904"',
        '"severityNumber":9',
        '"aggregationTemporality":2',
        '"resourceSpans":[',
    ):
        assert part in body, part


def test_grpc_gets_the_same_messages() -> None:
    with GrpcCollector() as collector:
        sent = send_all(dict.fromkeys(("traces", "logs", "metrics"), over_grpc(collector.port)))
    assert collector.received[:2] == sent
    check_metrics(collector.received[2])
    assert {one["authorization"] for one in collector.metadata} == {f"Bearer {KEY}"}


def tls_of(authority: Authority, **more: str) -> dict[str, Any]:
    return {"tls": {"ca-certificate": str(authority.certificate), **more}}


def client_of(authority: Authority, name: str = "client") -> dict[str, str]:
    client = authority.certify(name)
    return {"client-certificate": str(client.certificate), "client-private-key": str(client.key)}


def http_server(authority: Authority, clients: Authority | None) -> Collector:
    own = authority.certify("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return Collector(context)


def grpc_server(authority: Authority, clients: Authority | None) -> GrpcCollector:
    own = authority.certify("server")
    pair = [(own.key.read_bytes(), own.certificate.read_bytes())]
    known = None if clients is None else clients.certificate.read_bytes()
    return GrpcCollector(grpc.ssl_server_credentials(pair, known, require_client_auth=clients is not None))


@pytest.mark.parametrize("asks_for_certificate", [False, True])
def test_http_over_tls_trusts_the_authority_that_the_settings_name(
    authority: Authority, asks_for_certificate: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path, "of all others").certificate))
    collector = http_server(authority, authority if asks_for_certificate else None)
    try:
        tls = tls_of(authority, **(client_of(authority) if asks_for_certificate else {}))
        signals = ("traces", "logs", "metrics")
        sent = send_all({signal: over_http(collector.base, signal, **tls) for signal in signals})
        assert [message for _, message in collector.received[:2]] == sent
    finally:
        collector.close()


@pytest.mark.parametrize("asks_for_certificate", [False, True])
def test_grpc_over_tls_trusts_the_authority_that_the_settings_name(
    authority: Authority, asks_for_certificate: bool
) -> None:
    tls = tls_of(authority, **(client_of(authority) if asks_for_certificate else {}))
    with grpc_server(authority, authority if asks_for_certificate else None) as collector:
        sent = send_all(dict.fromkeys(("traces", "logs", "metrics"), over_grpc(collector.port, "https", **tls)))
    assert collector.received[:2] == sent


@pytest.mark.parametrize("fault", ["stranger", "no certificate"])
def test_nothing_is_sent_to_who_is_not_trusted_or_does_not_trust(
    authority: Authority, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    stranger = Authority(tmp_path, "stranger")
    tls = tls_of(stranger if fault == "stranger" else authority)
    clients = authority if fault == "no certificate" else None
    http, exporters = http_server(authority, clients), Exporters(ENVIRONMENT)
    try:
        with grpc_server(authority, clients) as over:
            for where in (over_http(http.base, "traces", **tls), over_grpc(over.port, "https", **tls)):
                sender = exporters.for_spans(where)
                assert sender is not None
                assert sender.send(traces()) in (
                    "TLS failed",
                    "no connection",
                    "gRPC UNAVAILABLE",
                    "gRPC DEADLINE_EXCEEDED",
                )
                sender.shutdown()
        assert not over.received
        assert not http.received
        assert "Failed to export spans batch" in caplog.text
        assert KEY not in caplog.text
    finally:
        http.close()


def test_a_collector_that_refuses_is_logged_without_what_it_was_sent(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuses = 401
    exporters = Exporters(ENVIRONMENT)
    with GrpcCollector() as over:
        over.refuses = grpc.StatusCode.UNAUTHENTICATED
        for where, why in (
            (over_http(collector.base, "traces"), "HTTP 401"),
            (over_grpc(over.port), "gRPC UNAUTHENTICATED"),
        ):
            sender = exporters.for_spans(where)
            assert sender is not None
            assert sender.send(traces()) == why
            sender.shutdown()
    assert "401" in caplog.text
    assert KEY not in caplog.text
    assert collector.headers[0]["authorization"] == over.metadata[0]["authorization"] == f"Bearer {KEY}"
