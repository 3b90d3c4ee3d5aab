"""A call is heard of when there is news, and at least every so often while there is none."""

import asyncio
import re
from itertools import pairwise

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.supervisor.frontend.progress import HEARTBEAT, INTERVAL, WAITING, Progress
from tests.support.client import Message
from tests.support.stage import Stage
from tests.support.virtual_time import in_virtual_time


def test_the_heartbeat_is_well_within_what_clients_are_promised() -> None:
    assert HEARTBEAT <= 15 / 1.5


@in_virtual_time
async def test_only_news_is_told_at_once() -> None:
    told: list[tuple[int, str]] = []
    signs = Progress(lambda number, doing: told.append((number, doing)))
    for doing in ("thinks", "thinks", "writes", "writes", "thinks"):
        signs.note(doing)
    assert told == [(1, "thinks")]
    await asyncio.sleep(INTERVAL)
    assert told[1:] == [(2, "thinks")], "what lay between was overtaken"
    signs.stop()


@in_virtual_time
async def test_news_are_told_at_most_four_times_a_second_and_the_latest_is_never_lost() -> None:
    told: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    signs = Progress(lambda _, doing: told.append((loop.time(), doing)))
    for number in range(100):
        signs.note(str(number))
        await asyncio.sleep(0.02)
    signs.note("last")
    await asyncio.sleep(INTERVAL)
    assert told[-1][1] == "last"
    signs.stop()
    times = [moment for moment, _ in told]
    assert all(later - earlier >= INTERVAL * 0.95 for earlier, later in pairwise(times))
    assert 2.0 / INTERVAL - 1 <= len(told) <= 2.0 / INTERVAL + 2


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


@in_virtual_time
async def test_silence_is_broken_from_the_first_moment_on() -> None:
    told: list[tuple[int, str]] = []

    def send(number: int, doing: str) -> None:
        told.append((number, doing))
        if number == 2:
            signs.note("works")
        if number == 5:
            signs.stop()

    signs = Progress(send)
    await asyncio.sleep(10 * HEARTBEAT)
    assert [number for number, _ in told] == [1, 2, 3, 4, 5], "none after the end"
    assert [doing for _, doing in told] == [WAITING, WAITING, "works", "works", "works"]


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
