"""A host whose clients and workers are killed at random, while others are idle, silent, deaf or send rubbish.

Clients come over the Unix socket and over HTTP. In the middle of it the host is replaced by another. Every request of a
living client is answered once, and nothing is left. `make chaos` lets it go on for a minute.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final

import psutil
import pytest

from greenroom.demo.script import Deltas, Text, Think, rule
from tests.support.fire import Honest, HttpCaller, HttpTrouble, SocketCaller, trouble_at_the_socket
from tests.support.host import Host, SocketClient, hosting
from tests.support.http_process import HttpHost, hosting_http
from tests.support.stage import Stage

SEED: Final = 14
"""Of ordinary runs; `make chaos` takes another each time."""
IS_LONG: Final = os.environ.get("GREENROOM_SOAK") == "1"
SECONDS: Final = 60.0 if IS_LONG else 4.0
REPLACEMENTS: Final = 3 if IS_LONG else 1
IDLE: Final = 100 if IS_LONG else 30
"""Idle clients of each transport."""
HONEST: Final = 3
"""Honest clients of each transport."""
SETTINGS: Final = ("greenroom.max_clients=400", "greenroom.first_line_timeout_s=5", "greenroom.http.header_timeout_s=5")
RULES: Final = (
    rule("think", [Think(0.05), Text("Thought.")]),
    rule("talk", [Deltas(200, "word ", whole="Done.")]),
)


class Fire:
    """What happens to one home."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.rand = stage, random.Random(seed)
        self._words = [word for setting in SETTINGS for word in ("-c", setting)]
        self._stack = ExitStack()
        self.served: HttpHost = self._stack.enter_context(hosting_http(stage, *self._words))
        self.hosts: list[Host] = [self.served.host]
        self._trouble = HttpTrouble(self.served)
        self.witness = self.hosts[0].client()
        self._replaced_at = 0.0

    def trouble(self) -> None:
        """Let a client come that is no good."""
        if self.rand.random() < 0.5:
            trouble_at_the_socket(self.hosts[-1], self.rand)
        else:
            self._trouble.come(self.rand)

    def kill_a_worker(self) -> None:
        workers = [worker for host in self.hosts if host.process.poll() is None for worker in host.workers()]
        if workers:
            with suppress(psutil.NoSuchProcess):
                self.rand.choice(workers).send_signal(signal.SIGKILL)

    @property
    def is_one(self) -> bool:
        """Whether no earlier host is left."""
        return all(host.process.poll() is not None for host in self.hosts[:-1])

    def replace(self) -> None:
        """Replace the host by another."""
        new = self._stack.enter_context(hosting(self.stage, "--replace", *self._words))
        new.await_socket()
        self.hosts.append(new)

    def close(self) -> list[int]:
        """End everything, and return the exit codes of the hosts."""
        self._trouble.close()
        self._stack.close()
        return [host.process.wait() for host in self.hosts]


@pytest.mark.timeout(300)
def test_every_request_of_a_living_client_is_answered_once_whatever_happens_to_others(stage: Stage) -> None:
    seed = int(os.environ.get("GREENROOM_SEED") or SEED)
    print(f"GREENROOM_SEED={seed}")
    stage.play(*RULES)
    fire = Fire(stage, seed)
    try:
        rage(fire)
    finally:
        codes = fire.close()
    assert codes == [0] * len(codes)
    assert len(codes) > 1, "it was replaced"


def rage(fire: Fire) -> None:
    rand, host, served = fire.rand, fire.hosts[0], fire.served
    idle = [greeted(host) for _ in range(IDLE)]
    sessions = [HttpCaller(served, rand) for _ in range(IDLE)]
    end = time.monotonic() + SECONDS
    makers: list[Callable[[int], Honest]] = [
        lambda seed: Honest(SocketCaller(host), seed, end),
        lambda seed: Honest(HttpCaller(served, random.Random(seed)), seed, end),
    ]
    honest = [make(rand.randrange(2**32)) for make in makers for _ in range(HONEST)]
    for one in honest:
        one.start()
    due = [end - SECONDS * (number + 1) / (REPLACEMENTS + 1) for number in range(REPLACEMENTS)]
    while time.monotonic() < end:
        fire.trouble()
        if rand.random() < 0.3:
            fire.kill_a_worker()
        if due and time.monotonic() >= due[-1] and fire.is_one:
            due.pop()
            fire.replace()
        assert fire.witness.ask("ping", within=20)["result"] == {}
    for one in honest:
        one.join(120)
    assert [(one.is_alive(), one.fault) for one in honest] == [(False, "")] * len(honest)
    assert all(one.answered for one in honest)
    check_idle(idle, sessions)


def greeted(host: Host) -> SocketClient:
    client = host.connect()
    assert client.say_hello()["ok"]
    return client


def check_idle(idle: list[SocketClient], sessions: list[HttpCaller]) -> None:
    for client in idle:
        assert client.ask("ping")["result"] == {}
    for session in sessions:
        session.ping()
        session.close()
