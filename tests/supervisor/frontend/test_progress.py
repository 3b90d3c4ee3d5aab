"""A call is heard of when there is news, and at least every so often while there is none."""

import asyncio
import re
from itertools import pairwise

import pytest

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.supervisor.frontend import progress
from greenroom.supervisor.frontend.progress import HEARTBEAT, INTERVAL, WAITING, Progress
from tests.support.client import Message
from tests.support.loop import on_loop, until
from tests.support.stage import Stage


def test_the_heartbeat_is_well_within_what_clients_are_promised() -> None:
    assert HEARTBEAT <= 15 / 1.5


@on_loop
async def test_only_news_is_told_at_once() -> None:
    told: list[tuple[int, str]] = []
    signs = Progress(lambda number, doing: told.append((number, doing)))
    for doing in ("thinks", "thinks", "writes", "writes", "thinks"):
        signs.note(doing)
    assert told == [(1, "thinks")]
    await until(lambda: len(told) == 2)
    assert told[1] == (2, "thinks"), "what lay between was overtaken"
    signs.stop()


def test_news_are_told_at_most_four_times_a_second_and_the_latest_is_never_lost() -> None:
    async def scene() -> None:
        told: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()
        signs = Progress(lambda _, doing: told.append((loop.time(), doing)))
        end = loop.time() + 0.7
        while loop.time() < end:
            signs.note(str(loop.time()))
            await asyncio.sleep(0)
        signs.note("last")
        await until(lambda: told[-1][1] == "last")
        signs.stop()
        times = [moment for moment, _ in told]
        assert all(later - earlier >= INTERVAL * 0.95 for earlier, later in pairwise(times))
        assert len(told) <= 5

    asyncio.run(scene())


def test_a_person_sees_each_command_with_its_end(stage: Stage, engine: str) -> None:
    stage.play(
        rule(
            "work",
            [CommandStep(("sh", "-c", "sleep 0.6; exit 3"))],
            [CommandStep(("sleep", "0.6"))],
            [Text("All is\nwell.")],
        )
    )
    client = stage.serve(engine).client
    params = {
        "name": "codex",
        "arguments": {"prompt": "work", "sandbox": "danger-full-access", "approval-policy": "never"},
        "_meta": {"progressToken": "t"},
    }
    assert client.result(client.request("tools/call", params))["structuredContent"]["content"] == "All is\nwell."
    told = [message["params"]["message"] for message in client.messages if _is_progress(message)]
    steps = "\n".join(told)
    assert re.search(
        r"^running sleep 0.6; exit 3.*\nexit code 3 after 0\.[6-9] s: sleep 0.6; exit 3", steps, re.MULTILINE
    )
    assert re.search(r"^running sleep 0.6\b(?!;)", steps, re.MULTILINE)
    assert "tokens)" in steps
    numbers = [message["params"]["progress"] for message in client.messages if _is_progress(message)]
    assert numbers == sorted(set(numbers))
    assert all(len(text) <= 200 for text in told)


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
        assert [number for number, _ in told] == [1, 2, 3, 4, 5], "none after the end"
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
