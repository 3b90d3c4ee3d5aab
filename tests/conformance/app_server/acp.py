"""An ACP client over `codex-acp`, the adapter through which editors drive an app server.

Editor and adapter speak JSON-RPC, one message a line; the adapter starts the program that `CODEX_PATH` names.
"""

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from tests.conformance.foreign import CLIENTS, check_node
from tests.conformance.packages import Packages
from tests.support.server import SCRIPT
from tests.support.stage import Stage

PACKAGES: Final = Packages(
    name="acp",
    lock=CLIENTS / "acp" / "package-lock.json",
    command=(
        *("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"),
        *("--fetch-retries=0", "--fetch-timeout=15000"),
    ),
    files=(CLIENTS / "acp" / "package.json", CLIENTS / "acp" / "package-lock.json"),
)
ADAPTER: Final = Path("node_modules") / "@agentclientprotocol" / "codex-acp" / "dist" / "index.js"
TIMEOUT: Final = 40.0

Message = dict[str, Any]


class Editor:
    """One run of the adapter. `close` it."""

    def __init__(self, stage: Stage) -> None:
        """Raises `UnavailableError`."""
        check_node()
        place = PACKAGES.installed()
        self._adapter = subprocess.Popen(
            ("node", str(place / ADAPTER)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**stage.environment(), "CODEX_PATH": str(SCRIPT)},
            cwd=stage.cwd,
        )
        self._last_id = 0
        self._rest = b""
        self._lines: list[bytes] = []
        self.updates: list[Message] = []
        """What the agent has told of its turns."""
        self.questions: list[Message] = []
        """Requests for permission; each is allowed once."""

    def ask(self, method: str, **params: object) -> Message:
        """Send a request and return its result."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        deadline = time.monotonic() + TIMEOUT
        while True:
            message = self._read(deadline)
            if message.get("id") == self._last_id and "method" not in message:
                assert "result" in message, message
                result: Message = message["result"]
                return result
            self._take(message)

    def texts(self, kind: str) -> str:
        """Return the pieces of the agent's messages (`agent_message_chunk`) or thoughts, joined."""
        chunks = [update for update in self.updates if update["sessionUpdate"] == kind]
        return "".join(chunk["content"]["text"] for chunk in chunks)

    def close(self) -> int:
        """Close the adapter's input and return its exit status."""
        assert self._adapter.stdin is not None
        self._adapter.stdin.close()
        status = self._adapter.wait(TIMEOUT)
        for stream in (self._adapter.stdout, self._adapter.stderr):
            assert stream is not None
            stream.close()
        return status

    def _take(self, message: Message) -> None:
        match message:
            case {"method": "session/update", "params": {"update": update}}:
                self.updates.append(update)
            case {"method": "session/request_permission", "id": request_id, "params": params}:
                self.questions.append(params)
                chosen = next(option for option in params["options"] if option["kind"] == "allow_once")
                outcome = {"outcome": "selected", "optionId": chosen["optionId"]}
                self._send({"id": request_id, "result": {"outcome": outcome}})

    def _send(self, message: Message) -> None:
        assert self._adapter.stdin is not None
        self._adapter.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._adapter.stdin.flush()

    def _read(self, deadline: float) -> Message:
        assert self._adapter.stdout is not None
        descriptor = self._adapter.stdout.fileno()
        while not self._lines:
            left = deadline - time.monotonic()
            assert left > 0, self.updates
            assert select.select((descriptor,), (), (), left)[0], self.updates
            data = os.read(descriptor, 1 << 16)
            assert data, "the adapter has ended"
            *self._lines, self._rest = (self._rest + data).split(b"\n")
        message: Message = json.loads(self._lines.pop(0))
        return message
