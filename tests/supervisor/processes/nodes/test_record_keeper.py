"""Session records of a worker elsewhere: in order, once, on the disk before they are confirmed, and of its own only."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from greenroom.protocol.errors import SessionBusyError, SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId, uuid7
from greenroom.protocol.internal.records import RecordsFailed, RecordsReply, RecordsWritten
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import (
    TurnSandbox,
    TurnSettings,
)
from greenroom.sessions.storage.lock import WriterLock
from tests.supervisor.processes.nodes.record_site import LINE, META, WORKER, Site, StuckDisk, site_at


def test_lines_are_on_the_disk_when_a_commit_returns(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode(), commit=False))
            await site.call(lambda: site.channel.write(LINE % 1 + LINE % 2, commit=True))
            assert site.numbers() == [1, 2]
            assert os.stat(site.path).st_mode & 0o777 == 0o600
            with pytest.raises(SessionBusyError):
                WriterLock(str(tmp_path), site.id)
            await site.call(site.channel.close)
            WriterLock(str(tmp_path), site.id).release()

    asyncio.run(scene())


def test_only_what_is_waited_for_or_has_failed_is_answered(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            replies: list[RecordsReply] = []
            send = site.keeper._reply

            def noted(name: WorkerId, reply: RecordsReply, lines: bytes = b"") -> None:
                replies.append(reply)
                send(name, reply, lines)

            monkeypatch.setattr(site.keeper, "_reply", noted)
            (tmp_path / "sessions").write_text("in the way")
            await site.call(lambda: site.channel.write(META % site.id.encode(), commit=False))
            async with asyncio.timeout(10):
                while not replies:
                    await asyncio.sleep(0.001)
            (tmp_path / "sessions").unlink()
            with suppress(NotADirectoryError):  # where the reply has come by now
                await site.call(lambda: site.channel.write(LINE % 1, commit=False))
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            assert [(type(reply), reply.number) for reply in replies] == [(RecordsFailed, 1), (RecordsWritten, 3)]

    asyncio.run(scene())


def test_a_worker_that_was_given_up_writes_nothing(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            await site.release()
            WriterLock(str(tmp_path), site.id).release()
            before = site.path.read_bytes()
            with pytest.raises(SessionBusyError):
                await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            site.expect(incarnation=2, resume="must")
            with pytest.raises(SessionBusyError):
                await site.call(lambda: site.channel.write(LINE % 3, commit=True))
            assert site.path.read_bytes() == before

    asyncio.run(scene())


def test_a_node_makes_no_other_conversation_the_beginning_of_its_own(tmp_path: Path, lifeline: int) -> None:
    """Its next incarnation would be sent that one."""

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            other = ConversationId(uuid7())
            base = b'"history_mode":"paginated","history_base":{"thread_id":"%b","end_ordinal_exclusive":9}'
            meta = (META % site.id.encode()).replace(b'"history_mode":"legacy"', base % other.encode())
            await site.call(lambda: site.channel.write(meta + LINE % 1, commit=True))
            assert site.numbers() == [1]
            assert other.encode() not in site.path.read_bytes(), "the host writes the first line"

    asyncio.run(scene())


@pytest.mark.parametrize("resume", ["no", "must"])
def test_the_settings_of_a_turn_are_those_that_its_worker_was_sent(
    tmp_path: Path, lifeline: int, resume: Literal["no", "must"]
) -> None:
    wanted = TurnSettings(
        cwd="/host/y",
        approval_policy="on-failure",
        sandbox_policy=TurnSandbox(type="read-only"),
        model="m-2",
    )
    told = (LINE % 1).replace(b"response_item", b"turn_context").replace(b'"type":"message"', b'"turn_id":"t"')

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            call = b'{"sandbox_mode":"workspace-write","model":"m-1"}'
            site.expect(overrides=call)
            channel = site.channel
            await site.call(lambda: channel.write(META % site.id.encode() + told, commit=True))
            if resume == "must":
                await site.release()
                (tmp_path / "config.toml").write_text('sandbox_mode = "danger-full-access"\n')
                site.expect(incarnation=2, resume="must")
                channel = site.begin(2)
                await site.call(channel.resume)
            for turn in (None, wanted, None):
                site.keeper.begin_turn(WORKER, turn)
                await site.call(lambda: channel.write(told, commit=True))
            found = [line["payload"] for line in site.lines() if line["type"] == "turn_context"]
            modes = [(one["sandbox_policy"]["type"], one["model"], one["cwd"]) for one in found]
            own = ("workspace-write", "m-1", "/host/x")
            assert modes == [own, own, ("read-only", "m-2", "/host/y"), own]

    asyncio.run(scene())


def test_a_worker_is_given_up_that_sends_what_no_worker_does(tmp_path: Path, lifeline: int) -> None:
    back = b'{"type":"event_msg","payload":{"type":"thread_rolled_back","num_turns":9}}\n'

    async def refused(site: Site, work: Callable[[], object], why: str) -> None:
        with pytest.raises(SessionFileError, match=why):
            await site.call(work)
        assert site.breaches.pop(), why
        assert site.breaches == []

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            write = site.channel.write
            site.expect(ephemeral=True)
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "is not saved")
            site.expect(resume="if-saved")
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "it was not opened")
            site.expect(overrides=b'{"profile":"none"}')
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "not known on the host")
            assert not site.path.exists()

            site.expect()
            await refused(site, site.channel.resume, "without a session is resumed")
            with pytest.raises(SessionBusyError):
                await site.call(lambda: write(META % site.id.encode() + LINE % 1, commit=True))
            site.expect()
            await site.call(lambda: write(META % site.id.encode() + LINE % 1, commit=True))
            await refused(site, lambda: write(LINE % 2 + back, commit=True), "thread_rolled_back")
            assert site.numbers() == [1], "what was answered stays"
            await site.release()
            site.expect(incarnation=2, resume="must")
            channel = site.begin(2)
            await site.call(channel.resume)
            await refused(site, channel.resume, "was resumed already")
            await site.release()
            site.expect(incarnation=3, resume="must")
            channel = site.begin(3)
            await site.call(channel.resume)
            await site.call(channel.close)
            late = META % site.id.encode() + LINE % 3
            await refused(site, lambda: channel.write(late, commit=True), "that was closed")
            assert len(list((tmp_path / "sessions").rglob("*.jsonl"))) == 1

    asyncio.run(scene())


def test_no_announcement_counts_of_what_the_host_has_not_resolved(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            notice = Opened(
                conversation_id=site.id, incarnation=Incarnation(1), model="m", cwd="/etc", session_path="/etc/passwd"
            )
            assert site.keeper.announced(WORKER, notice) is None
            site.expect(resume="must")
            assert site.keeper.announced(WORKER, notice) is None, "it has not asked for what was said before"
            assert len(site.breaches) == 2
            site.expect(ephemeral=True)
            told = site.keeper.announced(WORKER, notice)
            assert told is not None
            assert (told[0].cwd, told[0].session_path) == ("/host/x", "")
            site.expect()
            told = site.keeper.announced(WORKER, notice)
            assert told is not None
            assert told[0].session_path == str(site.path)

    asyncio.run(scene())


def test_the_next_incarnation_gets_all_that_was_written(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=False))
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            await site.release()
            site.expect(incarnation=2, resume="must")
            second = site.begin(2)
            found = await site.call(second.resume)
            assert isinstance(found, tuple)
            reply, lines = found
            assert reply.path == os.path.realpath(site.path)
            assert lines == site.path.read_bytes()
            await site.call(lambda: second.write(LINE % 3, commit=True))
            assert site.numbers() == [1, 2, 3]

    asyncio.run(scene())


def test_a_conversation_that_must_exist_and_does_not_is_unknown(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect(resume="must")
            with pytest.raises(SessionUnknownError):
                await site.call(site.channel.resume)
            site.expect(resume="if-saved")
            found = await site.call(site.channel.resume)
            assert isinstance(found, tuple)
            assert found[0].path == ""

    asyncio.run(scene())


def test_a_disk_that_refuses_is_told_and_the_lines_are_kept(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            (tmp_path / "sessions").write_text("in the way")
            with pytest.raises(OSError, match="Not a directory"):
                await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            (tmp_path / "sessions").unlink()
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            assert site.numbers() == [1, 2]

    asyncio.run(scene())


def test_what_waits_is_written_before_the_keeper_closes(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            first = await site.write_first(disk)
            closing = asyncio.create_task(site.keeper.close(10.0))
            await asyncio.sleep(0)
            assert not closing.done(), "it waits for the disk, and the loop goes on"
            disk.answers.set()
            await closing
            await first
            assert site.numbers() == [1]
            WriterLock(str(tmp_path), site.id).release()

    asyncio.run(scene())


def test_a_disk_that_does_not_answer_neither_holds_up_the_end_nor_is_said_to_have_answered(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            try:
                writing = await site.write_first(disk)
                began = time.monotonic()
                await site.keeper.close(0.2)
                assert 0.2 <= time.monotonic() - began < 5.0
                with pytest.raises(OSError, match=r"before its disk had taken all records|has ended"):
                    await writing
            finally:
                disk.answers.set()

    asyncio.run(scene())
