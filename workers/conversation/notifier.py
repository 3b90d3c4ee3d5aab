"""Runs the user's `notify` program at the end of each turn, and lets no such program outlive its conversation.

The program gets one more argument, a JSON object. Its end is not awaited; a failure to start it is only logged.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.runtime.process.child import ChildExit, watch
from greenroom.runtime.search_path import with_absolute_path
from greenroom.workers.exec.capture import OutputBudget, cut
from greenroom.workers.exec.process_groups import ProcessGroups

log = logging.getLogger(__name__)

TIME_LIMIT: Final = 60.0
"""Seconds after which a program is killed."""
GRACE: Final = 0.3
"""Seconds that programs have to end once the conversation has ended."""
MOST_MESSAGES: Final = 8
"""Number of messages of the user that are passed on."""
TEXT_LIMIT: Final = OutputBudget(8 * 1024)
"""Limit of one message: the system bounds the length of an argument."""


class Notifier:
    """Belongs to one conversation and its loop."""

    def __init__(self, conversation_id: ConversationId, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """`command` is never empty; `environment` is the whole environment of the program.

        Programs run in the workspace, so a relative entry of `PATH` is left out.
        """
        self._conversation_id = conversation_id
        self._command = command
        self._environment = with_absolute_path(environment)
        self._groups = ProcessGroups()
        self._running: dict[int, asyncio.TimerHandle] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def turn_ended(self, turn_id: TurnId, cwd: str, inputs: Sequence[str], last: str | None) -> None:
        """Start the program. `inputs` are the user's messages of this turn, `last` the agent's last message."""
        event = {
            "type": "agent-turn-complete",
            "thread-id": self._conversation_id,
            "turn-id": turn_id,
            "cwd": cwd,
            "input-messages": [cut(text, TEXT_LIMIT) for text in inputs[:MOST_MESSAGES]],
            "last-assistant-message": None if last is None else cut(last, TEXT_LIMIT),
        }
        try:
            self._start([*self._command, msgspec.json.encode(event).decode()], cwd)
        except (OSError, ValueError) as error:
            log.warning("the program of `notify` cannot be started: %s: %s", self._command[0], error)

    async def close(self) -> None:
        """Wait for the programs for `GRACE`, then kill those that still run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._idle.wait()
        self._groups.kill_all()
        await self._idle.wait()

    def _start(self, argv: Sequence[str], cwd: str) -> None:
        process = subprocess.Popen(
            argv,
            cwd=cwd if os.path.isdir(cwd) else None,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._groups.add(process.pid)
        loop = asyncio.get_running_loop()
        self._running[process.pid] = loop.call_later(TIME_LIMIT, self._groups.kill, process.pid)
        self._idle.clear()
        watch(process.pid, lambda ending: self._ended(process, ending))

    def _ended(self, process: "subprocess.Popen[bytes]", ending: ChildExit) -> None:
        process.returncode = ending.returncode
        self._groups.release(process.pid)
        self._running.pop(process.pid).cancel()
        if not self._running:
            self._idle.set()
