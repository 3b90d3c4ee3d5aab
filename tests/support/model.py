"""The scripted model on a separate thread, so that tests can block while they wait for the server."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from greenroom.demo.request_log import RecordedRequest
from greenroom.demo.script import ScriptRule, Until, make_script
from greenroom.demo.scripted_model import ModelStatistics, ScriptedModel

TIMEOUT = 20.0
T = TypeVar("T")


def members(request: RecordedRequest) -> dict[str, Any]:
    """Return the body of a request, of whose members a test knows the types."""
    return request.json


class Model:
    """One scripted model. `close` it."""

    def __init__(self, *rules: ScriptRule) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model", daemon=True)
        self._thread.start()
        self._server = ScriptedModel(make_script(*rules))
        self._run(self._server.__aenter__())
        self.base_url = self._server.base_url

    def requests(self) -> list[RecordedRequest]:
        """Return the requests that have arrived."""

        async def copy() -> list[RecordedRequest]:
            return list(self._server.requests)

        return self._run(copy())

    def statistics(self) -> ModelStatistics:
        async def read() -> ModelStatistics:
            return self._server.statistics()

        return self._run(read())

    def until(self, condition: Callable[[ModelStatistics], bool], within: float = TIMEOUT) -> ModelStatistics:
        """Wait until the counters satisfy a condition."""

        async def wait() -> ModelStatistics:
            async with asyncio.timeout(within):
                return await self._server.until(condition)

        return self._run(wait())

    def open(self, gate: "Gate") -> None:
        """Open the gate for those that wait at it."""
        self._loop.call_soon_threadsafe(gate.event.set)

    def close(self) -> None:
        if self._thread.is_alive():
            self._run(self._server.__aexit__(None, None, None))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT * 2)


class Gate:
    """Where the model waits in the middle of an answer until the test opens it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    @property
    def wait(self) -> Until:
        """The action of a script that waits here."""
        return Until(self.event)


def inputs(request: RecordedRequest) -> list[dict[str, Any]]:
    """Return the input items of a request."""
    items = request.json["input"]
    assert isinstance(items, list)
    return items


def said(request: RecordedRequest, role: str) -> list[str]:
    """Return the texts of one role in a request."""
    messages = [item for item in inputs(request) if item.get("type") == "message" and item["role"] == role]
    return ["".join(part["text"] for part in message["content"]) for message in messages]
