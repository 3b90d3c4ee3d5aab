"""Turns come at the pace that was asked for, and what is late counts from when it was due."""

import os
import time
from collections import deque
from typing import cast

from benchmarks.app_client import AppClient
from benchmarks.many_clients import Conversation, paced


class FakeClient:
    """Answers each turn after some time of a clock of its own, which only moves on when it is read."""

    def __init__(self, slow: float = 0.0) -> None:
        self.output, self._written = os.pipe()
        self._slow = slow
        self._turns: deque[str] = deque()
        self.asked: list[tuple[str, float]] = []

    def say(self, thread: str, prompt: str) -> None:
        self.asked.append((thread, time.monotonic()))
        self._turns.append(thread)
        os.write(self._written, b".")

    def read(self) -> dict[str, float]:
        os.read(self.output, 1)
        return {self._turns.popleft(): time.monotonic() + self._slow}

    def close(self) -> None:
        os.close(self.output)
        os.close(self._written)


def test_each_conversation_has_a_turn_in_each_period() -> None:
    clients = [FakeClient(), FakeClient()]
    conversations = [
        Conversation(cast("AppClient", client), f"{number}{name}")
        for number, client in enumerate(clients)
        for name in "ab"
    ]
    begun = time.monotonic()
    delays = paced(conversations, 0.2, 0.4)
    assert time.monotonic() - begun >= 0.35  # the last of eight turns is due then
    assert len(delays) == 8
    asked = sorted((at, thread) for client in clients for thread, at in client.asked)
    assert [thread for _, thread in asked] == ["0a", "0b", "1a", "1b"] * 2
    for client in clients:
        client.close()


def test_what_has_waited_counts_from_when_it_was_due() -> None:
    client = FakeClient(slow=5.0)
    (delay,) = paced([Conversation(cast("AppClient", client), "t")], 0.1, 0.1)
    assert delay >= 5.0
    client.close()
