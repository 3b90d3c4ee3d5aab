"""What metrics and traces cost: the same turns with both off and with both on, scraped and sent to a collector."""

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from benchmarks.client import Client
from benchmarks.processes import cpu_seconds
from benchmarks.stage import Measured, Stage
from greenroom.demo.scripts import bench_prompt

ROUNDS: Final = 20
SCRAPED_EVERY: Final = 5
"""Rounds, which take some two seconds where the machine is free; Prometheus scrapes every 15 s or more."""
_WORK: Final = (bench_prompt("command"), bench_prompt("commands"), bench_prompt("hello"))


def telemetry(stage: Stage) -> Measured:
    """By how much the CPU of turns with commands grows with both on, in percent."""
    without = _seconds(stage)
    with _sink() as collector:
        path = os.path.join(stage.home, "metrics.sock")
        watched = _seconds(stage, *_settings(collector, path), scraped=path)
    return {"telemetry-cpu": [(watched / without - 1) * 100]}


def _settings(collector: str, path: str) -> Iterator[str]:
    yield f'greenroom.metrics_listen="unix:{path}"'
    for key, signal in (("exporter", "logs"), ("trace_exporter", "traces"), ("metrics_exporter", "metrics")):
        yield f'otel.{key}={{otlp-http={{endpoint="{collector}/v1/{signal}",protocol="binary"}}}}'


def _seconds(stage: Stage, *settings: str, scraped: str | None = None) -> float:
    """CPU seconds of the program for the turns, once it has had one of each kind."""
    with stage.client(*settings) as client:
        client.initialize()
        thread = client.succeed(client.begin(_WORK[0]))[1]
        _work(client, thread)
        before = cpu_seconds(client.pid)
        for number in range(ROUNDS):
            _work(client, thread)
            if scraped is not None and number % SCRAPED_EVERY == 0:
                _scrape(scraped)
        return cpu_seconds(client.pid) - before


def _work(client: Client, thread: str) -> None:
    for prompt in _WORK:
        client.succeed(client.reply(thread, prompt))


def _scrape(path: str) -> None:
    """Read the page of metrics."""
    connection = http.client.HTTPConnection("metrics")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    connection.close()


@contextmanager
def _sink() -> Iterator[str]:
    """Provide the address of a collector that takes everything and keeps nothing."""

    class Sink(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
