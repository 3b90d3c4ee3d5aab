"""The server's log for a client that asks for it: from the level that it names, at a limited rate.

The records are those of the log file (`greenroom.runtime.log.logfile`) that arise in this process, with the same
masking of secrets. A client that does not ask gets none.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.resources import LevelParams, LogLevel
from greenroom.runtime.log.log import redact
from greenroom.runtime.log.logline import ID_NAMES
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import decode
from greenroom.supervisor.frontend.request_queue import RequestAnswer, RequestQueue

BURST: Final = 50
"""Messages that may be sent at once."""
RATE: Final = 10.0
"""Messages per second in the long run; further ones are counted, and the next message states how many."""
MAX_TEXT: Final = 4096
"""Characters of a message."""

LEVELS: Final[Mapping[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO + 1,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "alert": logging.CRITICAL + 1,
    "emergency": logging.CRITICAL + 2,
}


class ClientLog(logging.Handler):
    """Sends records to the client. Must be made on the running loop; records may come from any thread."""

    def __init__(self, requests: RequestQueue, channel: ClientChannel) -> None:
        super().__init__(logging.CRITICAL + 3)
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._allowance = float(BURST)
        self._counted_at = self._loop.time()
        self._left_out = 0
        self.wanted: LogLevel | None = None
        """The level that the client has asked for; `None`: it has not."""
        self.handlers: Mapping[str, Callable[[Request], None]] = requests.handlers(
            {"logging/setLevel": self._set_level}
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            self._loop.call_soon_threadsafe(self._send, _level(record.levelno), record.name, _data(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop sending."""
        logging.getLogger().removeHandler(self)
        super().close()

    def listen(self, level: LogLevel) -> None:
        """Send what is logged from a level on."""
        self.wanted = level
        self.setLevel(LEVELS[level])
        root = logging.getLogger()
        root.addHandler(self)
        root.setLevel(
            min(root.level, self.level)
        )  # other handlers have levels of their own (`greenroom.runtime.log.logfile`)

    async def _set_level(self, request: Request) -> RequestAnswer:
        self.listen(decode(request, LevelParams, b"{}").level)
        return RequestAnswer()

    def _send(self, level: LogLevel, logger: str, data: Mapping[str, object]) -> None:
        now = self._loop.time()
        self._allowance = min(float(BURST), self._allowance + (now - self._counted_at) * RATE)
        self._counted_at = now
        if self._allowance < 1:
            self._left_out += 1
            return
        self._allowance -= 1
        if self._left_out:
            data = {**data, "left_out": self._left_out}
            self._left_out = 0
        self._channel.notify("notifications/message", {"level": level, "logger": logger, "data": data})


def _data(record: logging.LogRecord) -> dict[str, object]:
    text = redact(record.getMessage())
    about = {name: value for name in ID_NAMES if (value := getattr(record, name, None)) is not None}
    return {"message": text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…", **about}


def _level(number: int) -> LogLevel:
    reached = [name for name, level in LEVELS.items() if level <= number]
    return reached[-1] if reached else "debug"
