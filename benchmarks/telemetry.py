"""What metrics and traces cost: the same turns with both off and with both on, scraped and sent to a collector."""

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from benchmarks.client import Client
from benchmarks.processes import cpu_seconds
from benchmarks.stage import Measured, Stage
from greenroom.demo.scripts import bench_prompt

ROUNDS: Final = 30
SCRAPED_EVERY: Final = 5
"""Rounds, which take both programs some three seconds where the machine is free: Prometheus scrapes every 15 s, too."""
_WORK: Final = (bench_prompt("command"), bench_prompt("commands"), bench_prompt("hello"))


def telemetry(stage: Stage) -> Measured:
    """By how much the CPU of turns with commands grows with both on, in percent.

    The two programs run side by side, each in a home of its own, and have their rounds by turns, so that both have the
    same from the rest of the machine. The times between its rounds count, in which the one with both on sends.
    """
    with ExitStack() as stack:
        collector = stack.enter_context(_sink())
        other = stack.enter_context(stage.in_fresh_home(stage.model.base_url))
        path = os.path.join(other.home, "metrics.sock")
        without = _Subject(stack.enter_context(stage.client()))
        watched = _Subject(stack.enter_context(other.client(*_settings(collector, path))))
        for number in range(ROUNDS):
            for subject in (without, watched) if number % 2 else (watched, without):
                subject.work()
            if number % SCRAPED_EVERY == 0:
                _scrape(path)
        return {"telemetry-cpu": [(watched.seconds / without.seconds - 1) * 100]}


class _Subject:
    """A program that has had a turn of each kind."""

    def __init__(self, client: Client) -> None:
        self._client = client
        client.initialize()
        self._thread = client.succeed(client.begin(_WORK[0]))[1]
        self.work()
        self._before = cpu_seconds(client.pid)

    def work(self) -> None:
        """Have a round of turns."""
        for prompt in _WORK:
            self._client.succeed(self._client.reply(self._thread, prompt))

    @property
    def seconds(self) -> float:
        """CPU seconds of all its processes since then."""
        return cpu_seconds(self._client.pid) - self._before


def _settings(collector: str, path: str) -> Iterator[str]:
    yield f'greenroom.metrics_listen="unix:{path}"'
    for key, signal in (("exporter", "logs"), ("trace_exporter", "traces"), ("metrics_exporter", "metrics")):
        yield f'otel.{key}={{otlp-http={{endpoint="{collector}/v1/{signal}",protocol="binary"}}}}'


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
