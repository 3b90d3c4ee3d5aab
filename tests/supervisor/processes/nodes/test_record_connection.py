"""The connection by which session records come: its end, its limits, and what else passes it meanwhile."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.protocol.internal.records import WriteRecords
from greenroom.protocol.internal.worker.notices import CommandsEnded
from greenroom.protocol.internal.worker.operations import (
    Close,
    Interrupt,
    Operation,
)
from greenroom.protocol.internal.worker.parts import LARGEST_FRAME
from tests.supervisor.processes.nodes.record_site import LINE, META, WORKER, StuckDisk, site_at


def test_a_connection_that_ends_is_noticed_by_a_worker_that_asks_for_nothing(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.router.leave_nodes(site.address)
            assert await asyncio.to_thread(site.worker.lost.wait, 10)

    asyncio.run(scene())


def test_a_connection_that_ends_is_noticed_at_once_by_what_waits(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            try:
                lost = threading.Event()
                channel = site.begin(1, lost.set)
                began = time.monotonic()
                writing = await site.write_first(disk, channel)
                site.router.leave_nodes(site.address)
                with pytest.raises(OSError, match="has ended"):
                    await writing
                assert lost.is_set()
                assert time.monotonic() - began < 10.0, "not only after the time that a disk has"
            finally:
                disk.answers.set()

    asyncio.run(scene())


def test_a_reply_counts_that_has_come_with_the_end_of_the_connection(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            channel = site.channel

            def write() -> None:
                request = WriteRecords(number=channel._next(), commit=True, **channel._address)
                channel._send(request, META % site.id.encode())
                assert channel._end.poll(10_000), "the worker does not look before"
                channel._wait()
                with pytest.raises(OSError, match="cannot be reached"):
                    channel.write(LINE % 1, commit=False)

            writing = asyncio.create_task(site.call(write))
            await site.let_pass(1)
            await site.keeper.close(10.0)
            site.router.close()
            await writing
            assert site.path.exists()

    asyncio.run(scene())


def test_what_the_worker_is_told_while_it_waits_for_the_disk_is_handed_on(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            writing = await site.write_first(disk)
            told: list[Operation] = [
                Interrupt(conversation_id=site.id, incarnation=Incarnation(1), turn_id=TurnId("t")),
                Close(),
            ]
            for operation in told:
                assert site.router.send(WORKER, operation)
            disk.answers.set()
            await writing
            async with asyncio.timeout(10):
                while len(site.worker.received) < 2:
                    await asyncio.sleep(0.001)
            assert [received.operation for received in site.worker.received] == told

    asyncio.run(scene())


def test_messages_of_any_size_pass_the_port_that_takes_small_frames_alone(tmp_path: Path, lifeline: int) -> None:
    large = b"x" * (3 * LARGEST_FRAME + 7)

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            line = (LINE % 1).replace(b'"n"', b'"text":"%b","n"' % large)
            await site.call(lambda: site.channel.write(META % site.id.encode() + line, commit=True))
            assert site.lines()[1]["payload"]["text"].encode() == large

            def tell() -> None:
                site.worker.mailbox.begin_turn(TurnId("t"))
                site.worker.mailbox.emit(b'{"type":"%b"}' % large)
                site.worker.mailbox.notify(CommandsEnded(conversation_id=site.id, incarnation=Incarnation(1)), large)

            await site.call(tell)
            async with asyncio.timeout(10):
                while not isinstance(site.notices[-1].notice, CommandsEnded):
                    await asyncio.sleep(0.001)
            assert site.notices[-1].payload == large
            assert b"".join(site.events) == b'{"type":"%b"}' % large

    asyncio.run(scene())


def test_lines_that_the_connection_does_not_take_at_once_follow_in_their_order(tmp_path: Path, lifeline: int) -> None:
    lines = [(LINE % number).replace(b'"n"', b'"text":"%b","n"' % (b"x" * 200_000)) for number in range(100)]

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()

            def write() -> None:
                site.channel.write(META % site.id.encode(), commit=False)
                for line in lines:
                    site.channel.write(line, commit=False)
                site.channel.write(b"", commit=True)

            await site.call(write)
            assert site.numbers() == list(range(100))

    asyncio.run(scene())
