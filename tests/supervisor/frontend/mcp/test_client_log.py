"""A client that asks for the log gets it, from its level on, without secrets, and no faster than it can be read."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any, Self

import msgspec
import pytest

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.protocol.mcp.resources import LogLevel
from greenroom.runtime.log.log import MASK
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.client_log import BURST, LEVELS, MAX_TEXT, ClientLog
from greenroom.supervisor.frontend.request_queue import RequestQueue
from tests.support.client import kind
from tests.support.stage import Stage
from tests.support.virtual_time import in_virtual_time

STANDARD = {name: LEVELS[name] for name in ("debug", "info", "warning", "error", "critical")}
"""The levels that this program logs at."""
STALL = rule("stall", [CommandStep(("sh", "-c", "echo $PPID"))], [Text("hm"), Stall()])
SET = b'{"jsonrpc":"2.0","id":%d,"method":"logging/setLevel","params":{"level":"%b"}}\n'


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before = logger.level
    yield logger
    logger.setLevel(before)


class Listener:
    """A client that has asked for the log."""

    def __init__(self, level: str) -> None:
        self.lines: list[dict[str, Any]] = []
        channel = ClientChannel(self._take)
        self.peer = channel.peer
        self.answering = RequestQueue(channel)
        self.log = ClientLog(self.answering, channel)
        self.level = level.encode()

    async def __aenter__(self) -> Self:
        await self.ask()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.log.close()
        await self.answering.close("over")

    async def ask(self) -> None:
        (request,) = self.peer.receive(SET % (1, self.level))
        self.log.handlers["logging/setLevel"](request)  # type: ignore[arg-type]
        while not self.lines:
            await asyncio.sleep(0)

    async def messages(self) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [line["params"] for line in self.lines if "method" in line]

    async def _drained(self) -> None:
        pass

    def _take(self, data: bytes) -> None:
        self.lines += map(msgspec.json.decode, data.splitlines())


def test_what_is_below_the_level_is_not_told(root: logging.Logger) -> None:
    async def scene() -> None:
        async with Listener("warning") as listener:
            log = logging.getLogger("some.module")
            log.info("too small")
            log.warning("look: %s", "here", extra={"conversation_id": "c1", "unknown": 1})
            log.critical("oh")
            assert await listener.messages() == [
                {
                    "level": "warning",
                    "logger": "some.module",
                    "data": {"message": "look: here", "conversation_id": "c1"},
                },
                {"level": "critical", "logger": "some.module", "data": {"message": "oh"}},
            ]

    asyncio.run(scene())


def test_every_level_can_be_asked_for(root: logging.Logger) -> None:
    async def scene(level: LogLevel) -> None:
        async with Listener(level) as listener:
            for number in STANDARD.values():
                logging.getLogger("x").log(number, "at %d", number)
            told = [params["level"] for params in await listener.messages()]
            assert told == [name for name, number in STANDARD.items() if number >= LEVELS[level]]

    for level in LEVELS:
        asyncio.run(scene(level))


def test_secrets_are_masked_and_long_texts_cut(root: logging.Logger) -> None:
    async def scene() -> None:
        async with Listener("error") as listener:
            logging.getLogger("x").error("key sk-abcdefghijklmnop %s", "y" * 2 * MAX_TEXT)
            ((params),) = await listener.messages()
            assert params["data"]["message"].startswith(f"key {MASK} yyy")
            assert len(params["data"]["message"]) == MAX_TEXT + 1

    asyncio.run(scene())


@in_virtual_time
async def test_a_flood_is_cut_and_counted(root: logging.Logger) -> None:
    async with Listener("info") as listener:
        for number in range(BURST + 30):
            logging.getLogger("x").info("%d", number)
        told = await listener.messages()
        assert BURST <= len(told) < BURST + 10
        await asyncio.sleep(1.0)
        logging.getLogger("x").info("later")
        last = (await listener.messages())[-1]
        assert last["data"]["message"] == "later"
        assert last["data"]["left_out"] == BURST + 30 - len(told)


def test_a_client_hears_of_the_death_of_a_worker_if_it_has_asked(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    client = stage.serve(engine).client
    assert client.ask("logging/setLevel", {"level": "error"})["result"] == {}
    assert client.ask("logging/setLevel", {"level": "loud"})["error"]["code"] == -32602
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    thread = client.event(call, "session_configured")["session_id"]
    os.kill(int(client.event(call, "exec_command_end")["stdout"]), signal.SIGKILL)
    assert kind(client.result(call)) == "worker_crashed"
    told = client.until(lambda message: message.get("method") == "notifications/message")["params"]
    assert told["level"] == "error"
    assert told["data"]["conversation_id"] == thread
    assert "its worker" in told["data"]["message"]
