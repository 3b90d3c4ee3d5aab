"""A host whose clients and workers are killed at random, while others are idle, silent, deaf or send rubbish.

Every request of a living client is answered once, and nothing is left. With `GREENROOM_SOAK=1` it goes on for a minute.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Final

import psutil

from greenroom.demo.script import Deltas, Text, Think, rule
from tests.support.client import EndOfOutputError, thread_id
from tests.support.host import Host, SocketClient, hosting
from tests.support.stage import Stage

SECONDS: Final = 60.0 if os.environ.get("GREENROOM_SOAK") == "1" else 15.0
IDLE: Final = 200
HONEST: Final = 6
RULES: Final = (
    rule("think", [Think(0.05), Text("Thought.")]),
    rule("talk", [Deltas(200, "word ", whole="Done.")]),
)


class Honest(threading.Thread):
    """Makes one call after the other, and counts the answers of each."""

    def __init__(self, host: Host, seed: int, end: float) -> None:
        super().__init__(name=f"client {seed}")
        self._client = host.client()
        self._random = random.Random(seed)
        self._end = end
        self.answered = 0
        self.fault = ""

    def run(self) -> None:
        try:
            self._talk()
        except (AssertionError, TimeoutError, EndOfOutputError, KeyError) as error:
            self.fault = repr(error)

    def _talk(self) -> None:
        thread: str | None = None
        while time.monotonic() < self._end:
            prompt = self._random.choice(("think", "talk"))
            call = self._client.codex(prompt) if thread is None else self._client.reply(thread, prompt)
            result = self._client.result(call, within=60)
            thread = None if self._random.random() < 0.3 else thread_id(result)
            self.answered += 1
        ids = Counter(message["id"] for message in self._client.answers() if "id" in message)
        assert set(ids.values()) == {1}, "each request is answered once"


def troublemaker(host: Host, rand: random.Random) -> None:
    """Come as a client that is no good, and go."""
    client = SocketClient(host.path)
    with suppress(BrokenPipeError, ConnectionResetError):
        match rand.randrange(5):
            case 0:
                client.send_bytes(rand.randbytes(2_000) + b"\n")
            case 1:
                client.send_bytes(b'{"protocol":"mcp","vers')
            case 2:
                client.send_bytes(b'{"protocol":"mcp","version":1}\n' + b"[" * 10_000 + b"\n")
            case 3:  # leaves in the middle of a turn
                client.send_bytes(b'{"protocol":"mcp","version":1}\n')
                client.codex("talk")
            case _:  # asks, and reads nothing
                for _ in range(20):
                    client.codex("talk")
    client.leave()


def kill_a_worker(host: Host, rand: random.Random) -> None:
    workers = host.workers()
    if workers:
        with suppress(psutil.NoSuchProcess):
            rand.choice(workers).send_signal(signal.SIGKILL)


def test_every_request_of_a_living_client_is_answered_once_whatever_happens_to_others(stage: Stage) -> None:
    stage.play(*RULES)
    rand = random.Random(14)
    with hosting(stage, "-c", "greenroom.max_clients=400", "-c", "greenroom.first_line_timeout_s=5") as host:
        witness = host.client()
        idle = [host.connect() for _ in range(IDLE)]
        assert all(client.say_hello()["ok"] for client in idle)
        end = time.monotonic() + SECONDS
        honest = [Honest(host, seed, end) for seed in range(HONEST)]
        for one in honest:
            one.start()
        while time.monotonic() < end:
            troublemaker(host, rand)
            if rand.random() < 0.3:
                kill_a_worker(host, rand)
            assert witness.ask("ping", within=20)["result"] == {}
        for one in honest:
            one.join(120)
        assert [(one.is_alive(), one.fault) for one in honest] == [(False, "")] * HONEST
        assert all(one.answered for one in honest)
        for client in idle:
            assert client.ask("ping")["result"] == {}
    assert host.process.returncode == 0
