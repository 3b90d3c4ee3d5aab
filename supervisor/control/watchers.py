"""Those who watch a conversation over the control socket, and are told its events as they come.

A watcher has no part in the conversation: it is not waited for, keeps nothing alive, and cannot answer. The pieces of
texts are made for it only while it is connected.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.control.control import GiveConnection
from greenroom.supervisor.control.control_messages import ActionRefused, WatchConversation
from greenroom.supervisor.control.watch_buffer import WatchBuffer
from greenroom.supervisor.control.watch_messages import WatchBegan, WatchedTurnEnded, events_line, watch_line
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation

MOST: Final = 32
"""Watchers at a time."""
_BEGAN: Final = watch_line(WatchBegan())
_TURN_ENDED: Final = watch_line(WatchedTurnEnded())


class Watchers:
    """All of one instance. Runs on its loop."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._watchers: set[_Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def ask(self, request: WatchConversation) -> ActionRefused | GiveConnection:
        """Return what goes on with the connection, or why it is refused. A conversation need not be known yet."""
        if len(self._watchers) >= MOST:
            return ActionRefused(f"{MOST} watch already")
        return partial(self._begin, request.conversation_id)

    def close(self) -> None:
        """End all their connections."""
        for watcher in tuple(self._watchers):
            watcher.close()

    def _begin(self, conversation_id: ConversationId, connection: socket.socket) -> None:
        if not self._watchers:
            self._conversations.turn_listeners.add(self._turn_ended)
        watcher = _Watcher(conversation_id, connection, self._left)
        self._watchers.add(watcher)
        self._conversations.look_on(conversation_id, watcher.events)
        watcher.put(_BEGAN)

    def _left(self, watcher: "_Watcher") -> None:
        self._watchers.discard(watcher)
        self._conversations.look_away(watcher.conversation_id, watcher.events)
        if not self._watchers:
            self._conversations.turn_listeners.discard(self._turn_ended)

    def _turn_ended(self, conversation: Conversation, _: bool) -> None:
        for watcher in tuple(self._watchers):
            if watcher.conversation_id == conversation.id:
                watcher.put(_TURN_ENDED)


class _Watcher:
    """One connection."""

    def __init__(
        self, conversation_id: ConversationId, connection: socket.socket, on_left: "Callable[[_Watcher], None]"
    ) -> None:
        self.conversation_id = conversation_id
        self.events = self._take_events
        """Takes events of the conversation; always the same object."""
        self._connection, self._on_left = connection, on_left
        self._buffer = WatchBuffer()
        self._loop = asyncio.get_running_loop()
        self._is_blocked = False
        connection.setblocking(False)
        self._loop.add_reader(connection, self._notice_end)

    def put(self, line: bytes) -> None:
        """Send a line, or keep it until the watcher reads."""
        self._buffer.put(line)
        if not self._is_blocked:
            self._send()

    def close(self) -> None:
        """End the connection."""
        if self._connection.fileno() < 0:
            return
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        self._on_left(self)

    def _take_events(self, events: bytes) -> None:
        line = events_line(events)
        if line is not None:
            self.put(line)

    def _send(self) -> None:
        try:
            while waiting := self._buffer.next():
                self._buffer.sent(self._connection.send(waiting))
        except BlockingIOError:
            self._block(True)
        except OSError:
            self._loop.call_soon(self.close)  # not while others are being told
        else:
            self._block(False)

    def _block(self, is_blocked: bool) -> None:
        if is_blocked and not self._is_blocked:
            self._loop.add_writer(self._connection, self._send)
        elif self._is_blocked and not is_blocked:
            self._loop.remove_writer(self._connection)
        self._is_blocked = is_blocked

    def _notice_end(self) -> None:
        """Read what is not expected, and notice that the watcher has left."""
        try:
            is_there = bool(self._connection.recv(4096))
        except BlockingIOError:
            return
        except OSError:
            is_there = False
        if not is_there:
            self.close()
