"""Two nodes of a host whose workers, nodes and links are lost at random: every call is answered, and no answer is lost.

`make chaos-nodes` does so for ten minutes; in the suite it is a few rounds with the same seed.
"""

import os
import random
import time
from contextlib import ExitStack

import pytest

from greenroom.demo.script import Text, Think, rule
from tests.support.client import text, thread_id
from tests.support.delayed_link import Relay
from tests.support.home import records
from tests.support.host import hosting
from tests.support.nodes import NodeProcess, free_ports, settings, ticket
from tests.support.stage import Stage

SECONDS = float(os.environ.get("GREENROOM_CHAOS_SECONDS", "4"))
CONVERSATIONS = int(os.environ.get("GREENROOM_CHAOS_CONVERSATIONS", "4"))

pytestmark = [pytest.mark.server, pytest.mark.timeout(SECONDS + 240)]

ANSWER = "An answer that is not to be lost."


class Site:
    """Two nodes, each behind a relay of its own."""

    def __init__(self, stage: Stage, port: int, stack: ExitStack) -> None:
        self._stage = stage
        self._stack = stack
        self.relays: list[Relay] = []
        self.nodes: list[NodeProcess] = []
        self._ports: list[int] = []
        for number in range(2):
            near = free_ports()
            relay = Relay({near + index: port + index for index in range(5)}, delay=0.001)
            stack.callback(relay.close)
            self.relays.append(relay)
            self._ports.append(near)
            self.nodes.append(NodeProcess(stage, f"n{number}", near, ticket(stage, f"n{number}")))
            stack.callback(self.end, number)
        for node in self.nodes:
            node.await_workers()

    def end(self, number: int) -> None:
        if self.nodes[number].process.poll() is None:
            self.nodes[number].kill()

    def kill_worker(self, number: int, dice: random.Random) -> None:
        workers = self.nodes[number].workers()
        if workers:
            dice.choice(workers).kill()

    def kill_node(self, number: int, _: random.Random) -> None:
        self.nodes[number].kill()
        self.nodes[number] = NodeProcess(self._stage, f"n{number}", self._ports[number])

    def cut(self, number: int, dice: random.Random) -> None:
        self.relays[number].cut()
        time.sleep(dice.choice((0.3, 1.0, 3.0)))
        self.relays[number].heal()


def test_every_call_is_answered_and_no_answered_turn_is_lost(stage: Stage) -> None:
    dice = random.Random(15)
    port = free_ports()
    stage.play(rule("go", [Text("So. "), Think(0.3), Text(ANSWER)]), more=settings(port, host_capacity=0))
    with ExitStack() as stack:
        client = stack.enter_context(hosting(stage)).client()
        site = Site(stage, port, stack)
        answered: dict[str, int] = {}
        threads = [thread_id(client.result(client.codex("go", cwd=stage.cwd), within=60)) for _ in range(CONVERSATIONS)]
        answered.update(dict.fromkeys(threads, 1))
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            calls = {thread: client.reply(thread, "go") for thread in threads}
            happening = dice.choice((site.kill_worker, site.kill_worker, site.kill_node, site.cut))
            happening(dice.randrange(2), dice)
            for thread, call in calls.items():
                result = client.result(call, within=60)
                if result.get("isError"):
                    error = result["structuredContent"]["error"]
                    assert error["kind"] in ("worker_crashed", "start_failed", "session_unsaved"), error
                else:
                    assert text(result).endswith(ANSWER)
                    answered[thread] += 1
        assert sum(answered.values()) > CONVERSATIONS, "some went on"
        for thread, count in answered.items():
            told = [payload for kind, payload in records(stage.home.session(thread)) if kind == "response_item"]
            assert sum(ANSWER in str(item.get("content")) for item in told if item.get("role") == "assistant") >= count
    stage.kills_expected = True
    assert not stage.left_over(5.0)
