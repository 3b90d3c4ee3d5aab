"""Servers on the loopback interface that list models, or fail at it in the way that their path names."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.broker.issuer import CERTIFICATE

MODELS = {"object": "list", "data": [{"id": "scripted"}, {"id": "scripted-mini"}]}


class ListingServer(ThreadingHTTPServer):
    """Answers `GET /BEHAVIOUR/models`, and any address where a proxy is wanted of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()
        """Ends the silence of the behaviour `silent`."""

    def url(self, behaviour: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.server_address[1]}/{behaviour}"


class _Handler(BaseHTTPRequestHandler):
    server: ListingServer

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers))
        behaviour = self.path.rpartition("/models")[0].rpartition("/")[2]
        ahead = 0.0
        match behaviour:
            case "silent":
                self.server.over.wait(20)
                return
            case "proxy":
                self._answer(407, {})
            case "ahead" | "behind" | "far":
                ahead = {"ahead": 900.0, "behind": -900.0, "far": 90_000.0}[behaviour]
                self._answer(200, MODELS, ahead)
            case "echo":
                said = f"Incorrect API key provided: {self.headers['Authorization']}"
                self._answer(401, {"error": {"message": said, "code": "invalid_api_key"}})
            case "garbage":
                self._answer(200, "no list")
            case status if status.isdecimal():
                self._answer(int(status), {"error": {"message": "the server's own words"}})
            case _:
                self._answer(200, MODELS)

    def log_message(self, *_: Any) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self._ahead, usegmt=True)

    _ahead = 0.0

    def _answer(self, status: int, content: object, ahead: float = 0.0) -> None:
        self._ahead = ahead
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def listing_server(*, tls: bool = False) -> Iterator[ListingServer]:
    """Serve in a thread; with `tls` under a certificate that nobody trusts."""
    server = ListingServer()
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def package_index(version: str) -> Iterator[tuple[str, list[str]]]:
    """Serve an index with one version, and list what it is asked for."""
    asked: list[str] = []

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = f"greenroom-{version}-py3-none-any.whl"
            body = f'<a href="{name}">{name}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as index:
        thread = threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{index.server_address[1]}/simple", asked
        index.shutdown()
        thread.join()
