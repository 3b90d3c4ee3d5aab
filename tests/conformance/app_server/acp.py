"""An ACP client over `codex-acp`, the adapter through which editors drive an app server.

Editor and adapter speak JSON-RPC, one message a line; the adapter starts the program that `CODEX_PATH` names.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.conformance.foreign import CLIENTS, check_node, node_packages
from tests.support.stage import Stage

PACKAGES: Final = node_packages("acp", CLIENTS / "acp")
ADAPTER: Final = Path("node_modules") / "@agentclientprotocol" / "codex-acp" / "dist" / "index.js"
TIMEOUT: Final = 40.0

Message = dict[str, Any]


class Editor:
    """One run of the adapter. `close` it."""

    def __init__(self, stage: Stage, program: str | None = None, cwd: str | None = None) -> None:
        """Raises `UnavailableError`."""
        check_node()
        place = PACKAGES.installed()
        self._adapter = subprocess.Popen(
            ("node", str(place / ADAPTER)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**stage.environment(), "CODEX_PATH": program or stage.program},
            cwd=cwd or stage.cwd,
        )
        self._last_id = 0
        self._rest = b""
        self._lines: list[bytes] = []
        self._answers: dict[int, Message] = {}
        self.consents: Callable[[Message], bool] = lambda _: True
        """How the user answers a question."""
        self.updates: list[Message] = []
        """What the agent has told of its turns."""
        self.questions: list[Message] = []
        """Requests for permission; each is allowed once, or rejected once."""

    def ask(self, method: str, **params: object) -> Message:
        """Send a request and return its result."""
        answer = self.answer(self.begin(method, **params))
        assert "result" in answer, answer
        result: Message = answer["result"]
        return result

    def begin(self, method: str, **params: object) -> int:
        """Send a request and return its number."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        return self._last_id

    def answer(self, number: int) -> Message:
        """Wait for the answer to a request, which may be an error."""
        self._read_until(lambda: number in self._answers)
        return self._answers.pop(number)

    def prompt(self, session: str, text: str) -> int:
        """Begin a turn, and return the number of its request."""
        return self.begin("session/prompt", sessionId=session, prompt=[{"type": "text", "text": text}])

    def until_update(self, kind: str) -> None:
        """Wait until the agent has told something of a kind since `updates` was cleared."""
        self._read_until(lambda: any(update["sessionUpdate"] == kind for update in self.updates))

    def notify(self, method: str, **params: object) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def texts(self, kind: str) -> str:
        """Return the pieces of the agent's messages (`agent_message_chunk`) or thoughts, joined."""
        return "".join(self.pieces(kind))

    def pieces(self, kind: str) -> list[str]:
        """Return the pieces one by one."""
        return [update["content"]["text"] for update in self.updates if update["sessionUpdate"] == kind]

    def close(self) -> int:
        """Close the adapter's input and return its exit status."""
        assert self._adapter.stdin is not None
        self._adapter.stdin.close()
        return self._adapter.wait(TIMEOUT)

    def kill(self) -> None:
        """Kill the adapter if it still runs, and close its pipes."""
        self._adapter.kill()
        self._adapter.wait()
        for stream in (self._adapter.stdin, self._adapter.stdout):
            assert stream is not None
            stream.close()

    def _take(self, message: Message) -> None:
        match message:
            case {"method": "session/update", "params": {"update": update}}:
                self.updates.append(update)
            case {"method": "session/request_permission", "id": request_id, "params": params}:
                self.questions.append(params)
                kind = "allow_once" if self.consents(params) else "reject_once"
                chosen = next(option for option in params["options"] if option["kind"] == kind)
                outcome = {"outcome": "selected", "optionId": chosen["optionId"]}
                self._send({"id": request_id, "result": {"outcome": outcome}})
            case {"id": int(number)} if "method" not in message:
                self._answers[number] = message

    def _send(self, message: Message) -> None:
        assert self._adapter.stdin is not None
        self._adapter.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._adapter.stdin.flush()

    def _read_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self._take(self._read(deadline))

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
