"""A collector of OpenTelemetry on loopback, for OTLP over gRPC: it remembers what it is sent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class GrpcCollector:
    """One collector. It stops at the end of a `with` block."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Without `credentials` it speaks without TLS."""
        self.received: list[Any] = []
        """Messages, in the order of their arrival."""
        self.metadata: list[dict[str, Any]] = []
        self.refuses: grpc.StatusCode | None = None
        """What every call is refused with, unless `None`."""
        self._threads = ThreadPoolExecutor(1)
        self._server = grpc.server(self._threads)
        for module, messages, kind in (
            (trace_service_pb2_grpc, trace_service_pb2.ExportTraceServiceResponse, "TraceService"),
            (logs_service_pb2_grpc, logs_service_pb2.ExportLogsServiceResponse, "LogsService"),
            (metrics_service_pb2_grpc, metrics_service_pb2.ExportMetricsServiceResponse, "MetricsService"),
        ):
            servicer = getattr(module, f"{kind}Servicer")()
            servicer.Export = self._answering(messages)
            getattr(module, f"add_{kind}Servicer_to_server")(servicer, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()

    def _answering(self, response: Callable[[], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def export(request: Any, context: grpc.ServicerContext) -> Any:
            self.metadata.append(dict(context.invocation_metadata()))
            if self.refuses is not None:
                context.abort(self.refuses, "not today")
            self.received.append(request)
            return response()

        return export
