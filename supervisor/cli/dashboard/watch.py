"""Reads what an instance tells of a conversation while it happens, for one page that shows it."""

import asyncio
from contextlib import suppress
from typing import Final

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.cli.dashboard.live import LiveConversation
from greenroom.supervisor.control.control_messages import WatchConversation, control_line
from greenroom.supervisor.control.watch_messages import LONGEST, read_watch_message

AGAIN: Final = 5.0
"""Seconds after which an instance is asked again that has refused, or has ended the connection."""


class Watch:
    """One page's watch. `run` it as a task."""

    def __init__(self, control: str, conversation_id: ConversationId) -> None:
        """`control` is the path of the control socket."""
        self._control, self._id = control, conversation_id
        self._changed = asyncio.Event()
        self.live: Final = LiveConversation()
        """What the page is told."""

    async def run(self) -> None:
        """Watch until cancelled, also where the instance does not let it for a while."""
        while True:
            with suppress(OSError, ValueError):
                await self._read()
            self.live.lose()
            self._changed.set()
            await asyncio.sleep(AGAIN)

    async def change(self, least_s: float, most_s: float) -> None:
        """Return once something has come, but not within `least_s` seconds, and after `most_s` in any case."""
        await asyncio.sleep(least_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s - least_s):
                await self._changed.wait()
        self._changed.clear()

    async def _read(self) -> None:
        """Read until the connection ends. Raises `OSError`, and `ValueError` for what is no message, as a refusal."""
        reader, writer = await asyncio.open_unix_connection(self._control, limit=2 * LONGEST)
        try:
            writer.write(control_line(WatchConversation(self._id)))
            now = asyncio.get_running_loop().time
            while told := await reader.readline():
                self.live.take(read_watch_message(told), now())
                self._changed.set()
        finally:
            writer.close()
