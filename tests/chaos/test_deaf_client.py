"""A client that does not read holds up its own conversations, and nothing grows."""

import threading
import time
from collections.abc import Callable

import pytest

from greenroom.demo.script import Call, Deltas, Text, rule
from tests.support import processes
from tests.support.client import deltas, kinds, text, thread_id
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = pytest.mark.executed  # it measures memory

MEGABYTE = 1_000_000
GROWTH = 64 * MEGABYTE
PIECE = "x" * 10_000
PIECES = 5_000
REQUESTS = range(1_000, 5_200)
"""Their answers have 97 MB, half as much again as what may pile up."""
STILL = 1.5
"""Seconds without a change after which a thing stands still."""
LONGEST = 20.0
"""Seconds within which it has to."""


def greatest_growth(server: Server, seconds: float, progress: Callable[[], int] | None = None) -> int:
    """Watch the memory of a server's processes for so long, and return by how much it grew at most.

    With `progress`: until it has not changed for so long.
    """
    begin = processes.private_memory(server.tree())
    greatest, before = 0, -1
    started = since = time.monotonic()
    pause = threading.Event()
    while time.monotonic() < since + seconds:
        pause.wait(0.1)
        greatest = max(greatest, processes.private_memory(server.tree()) - begin)
        if progress and (now := progress()) != before:
            assert time.monotonic() < started + LONGEST, "it goes on and on"
            before, since = now, time.monotonic()
    return greatest


def warm(stage: Stage, server: Server) -> tuple[str, str]:
    """Open two conversations, and wait until no process is on its way."""
    threads = [thread_id(server.client.result(server.client.codex("hello"))) for _ in range(2)]
    server.settle(workers=4)
    return threads[0], threads[1]


def test_a_client_that_does_not_read_costs_no_memory_and_gets_everything_in_the_end(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]), rule("flood", [Deltas(PIECES, PIECE, whole="Done.")]))
    server = stage.serve("fork")
    thread, other = warm(stage, server)
    before = {process.pid for process in server.tree()}
    call = server.client.reply(thread, "flood")
    grown = greatest_growth(server, STILL, lambda: stage.model.statistics().bytes_written)
    written = stage.model.statistics().bytes_written
    assert written < PIECES * len(PIECE) / 2, "the model is held up"
    assert grown < GROWTH / 2, f"{grown / MEGABYTE:.0f} MB, while the model wrote {written / MEGABYTE:.0f} MB"
    assert {process.pid for process in server.tree()} == before, "nobody was killed for it"
    assert text(server.client.result(call, within=50)) == "Done."
    assert "".join(deltas(server.client.events(call))) == PIECE * PIECES
    assert kinds(server.client.events(call))[-1] == "task_complete"
    assert text(server.client.result(server.client.reply(other, "hello"))) == "Good day."


def test_a_command_that_floods_a_deaf_client_is_held_up(stage: Stage) -> None:
    stage.play(
        rule("hello", [Text("Good day.")]),
        rule("flood", [Call("shell", {"command": ["yes", PIECE], "timeout_ms": 3_000})], [Text("Enough.")]),
    )
    server = stage.serve("fork")
    thread, _ = warm(stage, server)
    call = server.client.reply(thread, "flood")
    assert greatest_growth(server, 3.0) < GROWTH
    assert text(server.client.result(call, within=50)) == "Enough."


def test_requests_of_a_deaf_client_do_not_pile_up(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    server = stage.serve("fork")
    warm(stage, server)
    begin = processes.private_memory(server.tree())
    flood = b"".join(b'{"id":%d,"method":"tools/list"}\n' % number for number in REQUESTS)
    sender = threading.Thread(target=server.client.send_bytes, args=(flood,), daemon=True)
    sender.start()
    growth = greatest_growth(server, 2.0)
    assert growth < GROWTH, f"{growth / MEGABYTE:.0f} MB since {begin / MEGABYTE:.0f}"
    assert server.client.result(REQUESTS[-1], within=40)["tools"]
    sender.join()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
