"""What a node in other hands writes and announces gives its conversations no more rights, here or anywhere."""

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import Text, rule
from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.protocol.internal.records import RecordsFailed, RecordsReply, RecordsWritten, WriteRecords
from greenroom.protocol.internal.worker.notices import Opened, OwnWorktree, TurnEnded
from greenroom.protocol.internal.worker.operations import Open, StartTurn
from greenroom.supervisor.node.identity import read_ticket
from greenroom.supervisor.processes.endpoints import key_pair
from tests.sessions.storage.test_received import MOVED, OTHER, THEIRS, event, lines, message, meta
from tests.support.client import kind, text, thread_id
from tests.support.host import Host, SocketClient, hosting
from tests.support.hostile_node import SILENCE, TIMEOUT, HostileNode, StolenWorker
from tests.support.nodes import command, free_ports, report, settings, ticket
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

HELLO: Final = rule("hello", [Text("Good day.")])
RIGHTS: Final = {"sandbox": "workspace-write", "approval-policy": "untrusted"}
"""What the call allows. The home allows everything, so that less is in force only where the call is remembered."""


def test_a_conversation_has_its_own_rights_after_it_was_on_a_node_in_other_hands(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, more=settings(port, host_capacity=0, idle_workers=1))
    with hosting(stage) as host:
        thread = asyncio.run(_lie(stage, host, port))
        assert_has_its_rights(host.client(), thread, stage)
    with hosting(stage) as host:  # which knows the conversation by its file alone
        assert_has_its_rights(host.client(), thread, stage)


def assert_has_its_rights(client: SocketClient, thread: str, stage: Stage) -> None:
    call = client.reply(thread, "hello")
    assert text(client.result(call, 60)) == "Good day."
    configured = client.event(call, "session_configured")
    assert configured["sandbox_policy"]["type"] == "workspace-write"
    assert (configured["approval_policy"], configured["cwd"]) == ("untrusted", stage.cwd)


async def _lie(stage: Stage, host: Host, port: int) -> str:
    """Run a turn as a node that says of its conversation what suits it, and is revoked then."""
    async with HostileNode(f"tcp://127.0.0.1:{port}", read_ticket(str(ticket(stage, "n1"))), key_pair()) as node:
        worker = (await node.workers(1))[0]
        await worker.greet()
        client = host.client()
        call = client.codex("hello", cwd=stage.cwd, **RIGHTS)
        opened, turn = await _given(worker)
        hostile = lines(meta("/etc", OTHER), message("hello"), MOVED, THEIRS, message("Good night.", "assistant"))
        assert isinstance(await _write(worker, opened, hostile), RecordsWritten)
        await worker.tell(_announcement(stage, opened), ANNOUNCED)
        await worker.tell(
            TurnEnded(
                conversation_id=opened.conversation_id,
                incarnation=opened.incarnation,
                turn_id=turn,
                outcome="completed",
            ),
            b'"Good night."',
        )
        result = await asyncio.to_thread(client.result, call, 20)
        assert text(result) == "Good night.", "what it says counts"
        (entry,) = (await asyncio.to_thread(report, stage))["conversations"]
        assert (entry["cwd"], entry.get("worktree"), entry["model"]) == (stage.cwd, None, "scripted")
        assert json.dumps(entry).count("/etc") == 0
        assert (await asyncio.to_thread(command, stage, "node", "revoke", "n1")).returncode == 0
        client.leave()
        return thread_id(result)


ANNOUNCED: Final = json.dumps({"type": "session_configured", "cwd": "/etc"}).encode()


def _announcement(stage: Stage, opened: Open) -> Opened:
    return Opened(
        conversation_id=opened.conversation_id,
        incarnation=opened.incarnation,
        model="dearest",
        cwd="/etc",
        session_path="/etc/passwd",
        worktree=OwnWorktree(path=str(stage.home.path), branch="main"),
    )


async def _given(worker: StolenWorker) -> tuple[Open, TurnId]:
    """Return the conversation that a worker is given, and its first turn."""
    opened = (await worker.next_operation()).operation
    started = (await worker.next_operation()).operation
    assert isinstance(opened, Open)
    assert isinstance(started, StartTurn)
    return opened, started.turn_id


async def _write(
    worker: StolenWorker, opened: Open, sent: bytes, number: int = 1, within: float = TIMEOUT
) -> RecordsReply | None:
    request = WriteRecords(
        number=number, commit=True, conversation_id=opened.conversation_id, incarnation=Incarnation(opened.incarnation)
    )
    return await worker.record(request, sent, within)


def test_a_node_that_takes_answered_turns_back_loses_its_worker_and_they_stay(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, more=settings(port, host_capacity=0, idle_workers=1))
    with hosting(stage) as host:
        asyncio.run(_take_back(stage, host, port))


async def _take_back(stage: Stage, host: Host, port: int) -> None:
    async with HostileNode(f"tcp://127.0.0.1:{port}", read_ticket(str(ticket(stage, "n1"))), key_pair()) as node:
        worker = (await node.workers(1))[0]
        await worker.greet()
        client = host.client()
        call = client.codex("hello", cwd=stage.cwd)
        opened, _ = await _given(worker)
        assert isinstance(await _write(worker, opened, lines(meta(), message("hello"), THEIRS)), RecordsWritten)
        await worker.tell(_announcement(stage, opened), ANNOUNCED)
        back = lines(event("thread_rolled_back", num_turns=9))
        reply = await _write(worker, opened, back, 2, SILENCE)
        assert isinstance(reply, RecordsFailed | None), "its connection may be cut before it hears of it"
        result = await asyncio.to_thread(client.result, call, 20)
        assert kind(result) == "worker_crashed"
        assert "its node sent what no worker sends" in str(result)
        assert isinstance(await _write(worker, opened, lines(message("late")), 3, SILENCE), RecordsFailed | None)
        (path,) = Path(stage.home.path).glob(f"sessions/*/*/*/*-{opened.conversation_id}.jsonl")
        assert [json.loads(line)["type"] for line in path.read_bytes().splitlines()] == [
            *("session_meta", "response_item", "turn_context")
        ]
