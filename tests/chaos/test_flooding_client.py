"""A client that says too much at once is told so, costs no memory that lasts, and takes nothing from what runs."""

import threading
from collections import Counter

import pytest

from greenroom.demo.script import Text, rule
from tests.support import processes
from tests.support.client import Client, Message, RequestId, text, thread_id
from tests.support.deadline import until
from tests.support.model import Gate
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = pytest.mark.executed  # it measures memory

MEGABYTE = 1_000_000
CALLS = 10_000
FEW = ("-c", "greenroom.open_calls=20", "-c", "greenroom.live_workers=4")
LASTING = 64 * MEGABYTE
"""By how much the supervisor may have grown once it is over: the allocator keeps some of what it had."""


class Guest:
    """A call that runs while other messages flood the same connection."""

    def __init__(self, stage: Stage, *flags: str) -> None:
        self.gate = Gate()
        self.model = stage.play(
            rule("hello", [Text("Good day.")]), rule("patient", [Text("Half"), self.gate.wait, Text("Whole.")])
        )
        self.server: Server = stage.serve("fork", *flags)
        self.client: Client = self.server.client
        self.thread = thread_id(self.client.result(self.client.codex("hello")))
        self.call: RequestId = self.client.codex("patient")
        self.client.event(self.call, "agent_message_delta")
        self.begin = self.memory()

    def memory(self) -> int:
        """Return the private bytes of the supervisor."""
        return processes.private_memory(self.server.tree()[:1])

    def assert_unharmed(self) -> None:
        """Let the call end; its answer and a further call are as if nothing had been."""
        self.model.open(self.gate)
        assert text(self.client.result(self.call)) == "Whole."
        assert text(self.client.result(self.client.reply(self.thread, "hello"))) == "Good day."
        until(lambda: self.memory() - self.begin < LASTING)


def told(answer: Message) -> str:
    result = answer["result"]
    return "overloaded" if result.get("isError") and "overloaded" in text(result) else text(result)


def test_ten_thousand_calls_at_once_are_each_answered(stage: Stage) -> None:
    guest = Guest(stage, *FEW)
    first = 1_000
    flood = b"".join(
        b'{"id":%d,"method":"tools/call","params":{"name":"codex","arguments":{"prompt":"hello"}}}\n' % number
        for number in range(first, first + CALLS)
    )
    sender = threading.Thread(target=guest.client.send_bytes, args=(flood,), daemon=True)
    sender.start()
    answers = [guest.client.next_answer(within=40) for _ in range(CALLS)]
    sender.join()
    assert sorted(answer["id"] for answer in answers) == list(range(first, first + CALLS))
    outcomes = Counter(told(answer) for answer in answers)
    assert outcomes.keys() == {"Good day.", "overloaded"}
    assert outcomes["Good day."] >= 19
    guest.assert_unharmed()


def test_lines_of_64_megabytes_are_served_one_after_the_other_and_one_beyond_the_limit_is_refused(
    stage: Stage,
) -> None:
    guest = Guest(stage)
    line = b'{"jsonrpc":"2.0","id":"%d","method":"ping","params":{"padding":"%b"}}\n'
    for number in range(2):
        guest.client.send_bytes(line % (number, b"x" * 64 * MEGABYTE))
        assert guest.client.answer(str(number))["result"] == {}
    arguments = b'{"prompt":5,"more":"%b"}' % (b"x" * 64 * MEGABYTE)
    guest.client.send_bytes(b'{"id":"n","method":"tools/call","params":{"name":"codex","arguments":%b}}\n' % arguments)
    refused = guest.client.result("n")
    assert text(refused).startswith("Failed to parse configuration for Codex tool: invalid type: integer `5`")
    for _ in range(270):
        guest.client.send_bytes(b"x" * MEGABYTE)
    guest.client.send_bytes(b"\n")
    refusal = guest.client.next_answer()
    assert refusal["id"] is None
    assert refusal["error"] == {"code": -32700, "message": "Parse error: the line is too long"}
    guest.assert_unharmed()
