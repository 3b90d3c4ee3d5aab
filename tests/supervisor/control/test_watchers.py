"""A watcher is told what a conversation does while it does it, and the conversation does not notice."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, TurnId
from greenroom.protocol.internal.worker.operations import SelectEvents, StartTurn
from greenroom.supervisor.control import watchers as module
from greenroom.supervisor.control.control_messages import ActionRefused, WatchConversation
from greenroom.supervisor.control.watch_buffer import GAP
from greenroom.supervisor.control.watch_messages import (
    LONGEST,
    WATCHED,
    WatchBegan,
    WatchedEvents,
    WatchedTurnEnded,
    WatchMessage,
    read_watch_message,
)
from greenroom.supervisor.control.watchers import Watchers
from greenroom.supervisor.conversations.state.conversation import Conversation
from tests.support.loop import on_loop, until
from tests.support.workplace import WORKER, Listener, Workplace

DELTA = b'{"type":"agent_message_content_delta","thread_id":"c","turn_id":"t","item_id":"m","delta":"hello"}'
OTHER = b'{"type":"raw_response_item","item":{}}'


class Watched:
    """A conversation in which a turn runs, and those who watch it."""

    def __init__(self) -> None:
        self.place = Workplace()
        self.watchers = Watchers(self.place.conversations)
        self.conversation = self.place.conversations.open(b"{}")
        self.listener = Listener()
        self.listener.wants_deltas = False

    def begin(self) -> TurnId:
        turn = self.place.conversations.submit(self.conversation, b"[]", self.listener)
        self.place.open()
        return turn.id

    def tell(self, turn_id: TurnId, *events: bytes) -> None:
        self.place.conversations.notices.receive_events(WORKER, turn_id, b"\n".join(events))

    @property
    def selected(self) -> list[bool]:
        """What the worker was told of deltas."""
        return [sent.deltas for sent in self.place.sent if isinstance(sent, StartTurn | SelectEvents)]

    @contextmanager
    def watch(self, conversation_id: ConversationId | None = None) -> Iterator["Peer"]:
        given = self.watchers.ask(WatchConversation(conversation_id or self.conversation.id))
        assert not isinstance(given, ActionRefused)
        near, far = socket.socketpair()
        given(far)
        peer = Peer(near)
        with near:
            yield peer


class Peer:
    """The other end of a watcher's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.setblocking(False)
        self._received = b""

    async def next(self) -> WatchMessage:
        """Return the next message."""
        return read_watch_message(await self.line())

    async def line(self) -> bytes:
        while b"\n" not in self._received:
            data = await asyncio.get_running_loop().sock_recv(self.connection, 1 << 16)
            assert data, "the connection has ended"
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def event_of(message: WatchMessage) -> list[dict[str, Any]]:
    assert isinstance(message, WatchedEvents)
    return [json.loads(bytes(event)) for event in message.events]


@on_loop
async def test_pieces_of_text_are_told_before_the_turn_has_ended() -> None:
    watched = Watched()
    turn_id = watched.begin()
    with watched.watch() as peer:
        assert await peer.next() == WatchBegan()
        watched.tell(turn_id, OTHER, DELTA, OTHER, DELTA)
        told = event_of(await peer.next())
        assert [event["delta"] for event in told] == ["hello", "hello"]
        assert watched.listener.last_message is None, "the turn still runs"


@on_loop
async def test_pieces_are_made_for_a_watcher_and_for_nobody_else() -> None:
    watched = Watched()
    watched.begin()
    assert watched.selected == [False]
    with watched.watch() as first:
        assert watched.selected == [False, True]
        with watched.watch():
            assert watched.selected[-1]
        await until(lambda: len(watched.watchers) == 1)
        assert watched.selected[-1], "one still watches"
        del first
    await until(lambda: len(watched.watchers) == 0)
    assert not watched.selected[-1]


@on_loop
async def test_a_conversation_may_be_watched_before_it_is_known() -> None:
    watched = Watched()
    with watched.watch() as peer:
        await peer.next()
        turn_id = watched.begin()
        assert watched.selected == [True], "the turn begins with pieces of text"
        watched.tell(BEFORE_TURNS, OTHER)
        watched.tell(turn_id, DELTA)
        assert event_of(await peer.next())[0]["item_id"] == "m"


@on_loop
async def test_the_events_of_another_conversation_are_not_told() -> None:
    watched = Watched()
    turn_id = watched.begin()
    with watched.watch(ConversationId("another")) as peer:
        await peer.next()
        watched.tell(turn_id, DELTA)
        watched.watchers.close()
        with pytest.raises(AssertionError, match="has ended"):
            await peer.next()


@on_loop
async def test_the_end_of_a_turn_is_told_also_where_its_process_dies() -> None:
    watched = Watched()
    turn_id = watched.begin()
    with watched.watch() as peer:
        await peer.next()
        watched.place.end(turn_id)
        assert await peer.next() == WatchedTurnEnded()
        turn = watched.place.conversations.submit(watched.conversation, b"[]", watched.listener)
        watched.tell(turn.id, DELTA)
        await peer.next()
        watched.place.die()
        assert await peer.next() == WatchedTurnEnded()


@on_loop
async def test_a_watcher_has_no_part_in_the_conversation() -> None:
    watched = Watched()
    turn_id = watched.begin()
    with watched.watch() as peer:
        await peer.next()
        watched.place.end(turn_id)
        conversation: Conversation = watched.conversation
        assert not conversation.observers
        assert not conversation.is_needed
        assert not conversation.is_unread


@on_loop
async def test_one_that_does_not_read_holds_up_nothing_and_is_told_of_the_gap() -> None:
    watched = Watched()
    turn_id = watched.begin()
    text = DELTA.replace(b"hello", b"x" * 30_000)
    with watched.watch() as sleeper, watched.watch() as reader:
        assert await reader.next() == WatchBegan()
        for number in range(100):
            watched.tell(turn_id, text)
            event_of(await reader.next())
            assert watched.listener.heard == number + 1
        watcher = next(one for one in watched.watchers._watchers if one._buffer)
        assert watcher._buffer.size <= LONGEST
        lines: list[bytes] = []
        while len(lines) < 2 or lines[-1] != GAP.strip():
            lines.append(await sleeper.line())
        assert len(lines) < 60
        assert len(event_of(await sleeper.next())) == 1, "it goes on behind the gap"


@on_loop
async def test_one_that_leaves_while_it_is_told_something_is_forgotten() -> None:
    watched = Watched()
    turn_id = watched.begin()
    with watched.watch():
        pass
    for _ in range(3):
        watched.tell(turn_id, DELTA)
    await until(lambda: len(watched.watchers) == 0)
    watched.tell(turn_id, DELTA)
    assert not watched.place.conversations.turn_listeners


@on_loop
async def test_only_so_many_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    watched = Watched()
    with watched.watch():
        refused = watched.watchers.ask(WatchConversation(watched.conversation.id))
        assert isinstance(refused, ActionRefused)
        assert "watch already" in refused.text
    await until(lambda: len(watched.watchers) == 0)
    assert not isinstance(watched.watchers.ask(WatchConversation(watched.conversation.id)), ActionRefused)


def test_what_is_passed_on_exists() -> None:
    from greenroom.protocol.events.table import EVENTS

    assert {kind.decode() for kind in WATCHED} <= EVENTS.keys()
