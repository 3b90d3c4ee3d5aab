"""A client of a host that reads on a thread of its own, keeps the answers and drops everything else."""

import socket
import threading
from typing import Any, Final

import msgspec

HELLO: Final = {"protocol": "mcp", "version": 1}
_REVISION: Final = "2025-11-25"
_BLOCK: Final = 1 << 20


class _Answer(msgspec.Struct):
    """The parts of a message that tell an answer."""

    id: int | None = None
    method: str | None = None
    result: msgspec.Raw = msgspec.Raw()


class QuietClient:
    """Speaks MCP at the socket of a host."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._lock = threading.Condition()
        self._answers: dict[int, bytes] = {}
        self._lines = 0
        self._ended = False
        self._last_id = 0
        self._reader = threading.Thread(target=self._read, name="quiet-client", daemon=True)
        self._send(HELLO)
        self._reader.start()
        with self._lock:
            self._lock.wait_for(lambda: self._lines or self._ended, 30.0)
        info = {"name": "bench", "version": "1"}
        self.result(self.request("initialize", protocolVersion=_REVISION, capabilities={}, clientInfo=info), 30.0)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def request(self, method: str, **params: object) -> int:
        """Send a request, and return its id."""
        self._last_id += 1
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        return self._last_id

    def call(self, tool: str, **arguments: object) -> int:
        """Call a tool, and return the id of the request."""
        return self.request("tools/call", name=tool, arguments=arguments)

    def result(self, request_id: int, within: float) -> dict[str, Any]:
        """Return the result of a request. Raises `TimeoutError`."""
        with self._lock:
            if not self._lock.wait_for(lambda: request_id in self._answers or self._ended, within):
                raise TimeoutError(f"request {request_id} was not answered within {within:.0f} s")
            found: dict[str, Any] = msgspec.json.decode(self._answers.pop(request_id))
        return found

    def close(self) -> None:
        """Leave."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def _send(self, message: object) -> None:
        self._socket.sendall(msgspec.json.encode(message) + b"\n")

    def _read(self) -> None:
        decode, rest = msgspec.json.Decoder(_Answer).decode, b""
        while data := self._socket.recv(_BLOCK):
            *lines, rest = (rest + data).split(b"\n")
            found = [decode(line) for line in lines if b'"method"' not in line[:60]]
            with self._lock:
                self._lines += len(lines)
                self._answers.update({one.id: bytes(one.result) for one in found if one.id is not None})
                self._lock.notify_all()
        with self._lock:
            self._ended = True
            self._lock.notify_all()
