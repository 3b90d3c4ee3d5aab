"""A call is heard of when there is news, and at least every so often while there is none."""

import asyncio

import pytest

from greenroom.demo.script import Stall, Text, rule
from greenroom.supervisor.frontend import progress
from greenroom.supervisor.frontend.progress import HEARTBEAT, WAITING, Progress
from tests.support.client import Message
from tests.support.loop import on_loop
from tests.support.stage import Stage


def test_the_heartbeat_is_well_within_what_clients_are_promised() -> None:
    assert HEARTBEAT <= 15 / 1.5


@on_loop
async def test_only_news_is_told_at_once() -> None:
    told: list[tuple[int, str]] = []
    signs = Progress(lambda number, doing: told.append((number, doing)))
    for doing in ("thinks", "thinks", "writes", "writes", "thinks"):
        signs.note(doing)
    assert told == [(1, "thinks"), (2, "writes"), (3, "thinks")]
    signs.stop()


def test_silence_is_broken_from_the_first_moment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT", 0.001)

    async def scene() -> None:
        told: list[tuple[int, str]] = []
        enough = asyncio.Event()

        def send(number: int, doing: str) -> None:
            told.append((number, doing))
            if number == 2:
                signs.note("works")
            if number == 5:
                signs.stop()
                enough.set()

        signs = Progress(send)
        await enough.wait()
        await asyncio.sleep(0.01)
        assert [number for number, _ in told] == [1, 2, 3, 4, 5]
        assert [doing for _, doing in told] == [WAITING, WAITING, "works", "works", "works"]

    asyncio.run(scene())


def test_numbers_rise_and_end_with_the_call(stage: Stage, engine: str) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    client = stage.serve(engine).client
    params = {"name": "codex", "arguments": {"prompt": "stall"}, "_meta": {"progressToken": "t"}}
    call = client.request("tools/call", params)
    first = client.until(_is_progress)["params"]
    assert (first["progressToken"], first["progress"]) == ("t", 1)
    assert first["message"] != WAITING
    client.cancel(call)
    assert client.result(call)["isError"] is True
    numbers = [message["params"]["progress"] for message in client.messages if _is_progress(message)]
    assert numbers == sorted(set(numbers))


def _is_progress(message: Message) -> bool:
    return message.get("method") == "notifications/progress"
