"""A service of ChatGPT accounts on the loopback interface, which answers as it is told and keeps what it was asked."""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


@dataclass(frozen=True)
class Told:
    """One answer."""

    status: int = 200
    body: object = None
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_kept_back: bool = False
    """Whether it is sent only when the service ends."""


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class AccountService:
    """The service. It serves between entering and leaving."""

    def __init__(self, answers: Mapping[str, Told] | None = None) -> None:
        """`answers` by route, the part of the path behind `wham`; any other is 404."""
        self.answers = dict(answers or {})
        self.asked: list[Asked] = []
        self.by_token: dict[tuple[str, str], Told] = {}
        """Answers that hold for one bearer, by route and token."""
        self._over = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                service._handle(self)

            do_GET = do_POST = _answer  # noqa: N815 - those of the base

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - that of the base
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/backend-api"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def routes(self) -> list[str]:
        """Return method and route of all requests, sorted: some come at the same time."""
        return sorted(f"{one.method} {one.path.partition('/wham/')[2]}" for one in self.asked)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.command, request.path, headers, body))
        route = request.path.partition("/wham/")[2]
        token = headers.get("authorization", "").removeprefix("Bearer ")
        told = self.by_token.get((route, token)) or self.answers.get(route, Told(404, {"detail": "Not Found"}))
        if told.is_kept_back:
            self._over.wait()
        content = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        with suppress(ConnectionError):
            request.send_response(told.status)
            for name, value in {"content-type": "application/json", **told.headers}.items():
                request.send_header(name, value)
            request.send_header("content-length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
