"""What a node in other hands, and who has one of its keys, gets of a real host: what its workers need, and no more."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import zmq

from greenroom.config.tables.nodes import PORTS
from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import CommandStep, Quote, Text, rule
from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId, uuid7
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot, EnvironmentValues
from greenroom.protocol.internal.broker.questions import (
    BrokerQuestion,
    GetAuth,
    GetEnvironment,
    GetMcpBearer,
    GetProviderToken,
    GetStatus,
    Hello,
    TokenCommand,
)
from greenroom.protocol.internal.node import Leave
from greenroom.protocol.internal.process import KeyPair
from greenroom.protocol.internal.records import (
    RecordsFailed,
    RecordsRequest,
    RecordsWritten,
    ResumeRecords,
    WriteRecords,
)
from greenroom.protocol.internal.worker.operations import Open
from greenroom.supervisor.node.identity import read_ticket
from greenroom.supervisor.processes.endpoints import key_pair
from tests.broker.homes import read, tokens, write
from tests.support import processes
from tests.support.client import kind, text
from tests.support.delayed_link import Relay
from tests.support.host import Host, hosting
from tests.support.hostile_node import SILENCE, HostileNode, StolenWorker, is_let_in
from tests.support.nodes import NodeProcess, command, free_ports, report, settings, ticket
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

HELLO = rule("hello", [Text("Good day.")])
LOGIN: Final = "rt-of-the-login-0123456789"
OTHER: Final = "value-of-another-variable"
DOTENV: Final = "value-of-the-env-file"
PRINTED: Final = TokenCommand(command="cat", args=("auth.json",))


KEY: Final = "value-of-the-providers-key"
LOOK: Final = """\
cat "$@" 2>/dev/null
for peer in /proc/[0-9]*; do tr '\\0' '\\n' < $peer/environ 2>/dev/null; done
echo the end
"""
"""Prints the files that it is given, and the environments of all processes that it may look into."""


def refused(code: str) -> Callable[[object], bool]:
    return lambda answer: isinstance(answer, AuthError) and answer.code == code


QUESTIONS: Final[tuple[tuple[BrokerQuestion, Callable[[object], bool]], ...]] = (
    (GetAuth(), lambda answer: isinstance(answer, BearerSnapshot) and LOGIN not in answer.token),
    (GetEnvironment(names=("OTHER_KEY", "FILE_KEY")), lambda answer: answer == EnvironmentValues(values={})),
    (GetProviderToken(command=PRINTED), refused("command_failed")),
    (GetMcpBearer(server="none", url="https://none.example"), refused("not_found")),
    (Hello(worker_id=WorkerId("w-other")), refused("forbidden")),
    (GetStatus(include_token=True), refused("forbidden")),
)
"""Asked with the key of a worker, and what the answer has to be."""


def test_who_has_a_node_gets_what_its_workers_need_and_no_more(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, more="requires_openai_auth = true" + settings(port, host_capacity=0, idle_workers=2))
    write(str(stage.home.path), tokens(LOGIN))
    (stage.home.path / ".env").write_text(f"FILE_KEY={DOTENV}\n")
    with hosting(stage, OTHER_KEY=OTHER) as host:
        asyncio.run(_try_everything(stage, host, port, ticket(stage, "n1")))


async def _try_everything(stage: Stage, host: Host, port: int, given: Path) -> None:
    shown = read_ticket(str(given))
    address = f"tcp://127.0.0.1:{port}"
    async with HostileNode(address, shown, key_pair()) as node:
        worker, idle = await node.workers(2)
        for one in (worker, idle):
            await one.greet()
        for question, is_right in QUESTIONS:
            answer = await worker.ask(question)
            assert is_right(answer), (question, answer)

        client = host.client()
        call = client.codex("hello", cwd=stage.cwd)
        holder, opened = await _opened(worker, idle)
        thread = ConversationId(opened.conversation_id)
        await _try_records(stage.home.path, holder, thread, opened.incarnation)
        await _try_keys(stage, node, worker, shown.host_key, address)
        held = read(str(stage.home.path))["tokens"]
        assert isinstance(held, dict)
        secrets = [str(held["refresh_token"]), str(held["id_token"]), OTHER, DOTENV]
        assert node.was_told(secrets) == []
        assert node.was_told([str(held["access_token"])]), "so that what is looked for would be found"

        done = await asyncio.to_thread(command, stage, "node", "revoke", "n1")
        assert (done.returncode, done.stdout) == (0, "n1 is revoked; no running host has it any more.\n")
        await node.until(Leave)
        result = await asyncio.to_thread(client.result, call, 10)
        assert kind(result) == "worker_crashed"
        for one in (worker, idle):
            assert await one.ask(GetAuth(), SILENCE) is None, "also over the connection that stands"
            assert not await is_let_in(one.spec.broker_address, one.spec.broker_key, one.spec.keys)
        late = WriteRecords(number=9, conversation_id=thread, incarnation=opened.incarnation, commit=True)
        assert await holder.record(late, b"{}\n", SILENCE) is None, "its connection was cut"
        assert not await is_let_in(address, shown.host_key, node.keys)
        fresh = await asyncio.to_thread(client.result, client.codex("hello", cwd=stage.cwd), 60)
        assert text(fresh) == "Good day.", "at home"


async def _opened(*workers: StolenWorker) -> tuple[StolenWorker, Open]:
    """Return the worker that is given a conversation."""
    waiting = {asyncio.create_task(one.next_operation()): one for one in workers}
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    (first,) = done
    operation = first.result().operation
    assert isinstance(operation, Open)
    return waiting[first], operation


async def _try_records(home: Path, worker: StolenWorker, thread: ConversationId, incarnation: Incarnation) -> None:
    """Try to read and write what is not its own, with the key that may write its own conversation."""
    other = ConversationId(uuid7())
    base = {"thread_id": other, "end_ordinal_exclusive": 5}
    meta = {"type": "session_meta", "payload": {"id": thread, "history_base": base}}
    line = json.dumps(meta, separators=(",", ":")).encode() + b"\n"
    later = Incarnation(incarnation + 1)
    requests: list[tuple[RecordsRequest, bytes]] = [
        (WriteRecords(number=1, commit=True, conversation_id=other, incarnation=incarnation), b"{}\n"),
        (ResumeRecords(number=2, conversation_id=other, incarnation=incarnation), b""),
        (ResumeRecords(number=3, conversation_id=thread, incarnation=later), b""),
    ]
    for request, lines in requests:
        reply = await worker.record(request, lines)
        assert isinstance(reply, RecordsFailed), request
        assert reply.number == request.number
    begun = WriteRecords(number=4, commit=True, conversation_id=thread, incarnation=incarnation)
    assert isinstance(await worker.record(begun, line), RecordsWritten)
    assert other.encode() not in session_file(home, thread).read_bytes(), "so that its beginning is sent to nobody"


def session_file(home: Path, thread: str) -> Path:
    (found,) = home.glob(f"sessions/*/*/*/rollout-*-{thread}.jsonl")
    return found


async def _try_keys(stage: Stage, node: HostileNode, worker: StolenWorker, host_key: str, address: str) -> None:
    """Show each key at each port: it opens those that are its own."""
    spec = worker.spec
    unused = read_ticket(str(await asyncio.to_thread(ticket, stage, "n2")))
    keys = {
        "stranger": key_pair(),
        "ticket": KeyPair(public=unused.public_key, secret=unused.secret_key),
        "node": node.keys,
        "worker": spec.keys,
    }
    ports = {
        "nodes": (address, host_key, zmq.DEALER),
        "mailbox": (spec.mailbox_address, spec.mailbox_key, zmq.DEALER),
        "broker": (spec.broker_address, spec.broker_key, zmq.DEALER),
        "changes": (spec.broadcast_address, spec.broker_key, zmq.SUB),
    }
    pairs = [(name, port) for name in keys for port in ports]
    found = await asyncio.gather(*(is_let_in(*ports[port][:2], keys[name], ports[port][2]) for name, port in pairs))
    assert {pair for pair, is_in in zip(pairs, found, strict=True) if is_in} == {
        ("ticket", "nodes"),
        ("node", "nodes"),
        *(("worker", port) for port in ports if port != "nodes"),
    }


@pytest.mark.parametrize("is_on", [False, True])
def test_a_host_listens_at_the_ports_of_the_address_that_was_named_or_at_none(stage: Stage, is_on: bool) -> None:
    port = free_ports()
    stage.play(HELLO, more=settings(port, address="127.0.0.3") if is_on else "")
    with hosting(stage) as host:
        client = host.client()
        assert text(client.result(client.codex("hello", cwd=stage.cwd))) == "Good day."
        found = processes.listening(processes.tree(host.pid))
    assert found == ({("127.0.0.3", port + index) for index in range(PORTS)} if is_on else set())


def test_a_command_on_a_node_and_the_network_to_it_see_no_secret(stage: Stage) -> None:
    port, near = free_ports(), free_ports()
    own_login = stage.user_home / ".codex" / "auth.json"
    files = [str(own_login), str(stage.home.path / "auth.json"), str(stage.home.path / ".nodes.key")]
    pool = str(stage.home.path.parent / "pool.ticket")
    state = stage.home.path.parent / "state-pool-1"
    files += [pool, *(str(state / name) for name in (".nodes.key", ".nodes.ticket", "config.toml"))]
    look = rule("look", [CommandStep(("bash", "-c", LOOK, "look", *files, str(stage.home.path / "seen")))], [Quote()])
    stage.play(
        look,
        more='env_key = "MINE_KEY"\nhttp_headers = { "X-Team" = "' + OTHER + '" }' + settings(port, host_capacity=0),
    )
    write(str(stage.home.path), tokens(LOGIN))
    own_login.parent.mkdir()
    own_login.write_text(json.dumps({"OPENAI_API_KEY": DOTENV}))
    (stage.home.path / "seen").write_text("what can be seen")
    ticket(stage, "pool", "--pool", "3")
    relay = Relay({near + index: port + index for index in range(PORTS)}, tapped=True)
    try:
        with hosting(stage, MINE_KEY=KEY) as host:
            node = NodeProcess(stage, "pool-1", near, Path(pool), more=("--name", "pool-1"))
            try:
                node.await_workers()
                client = host.client()
                call = client.codex("look", cwd=stage.cwd, sandbox="workspace-write")
                result = client.result(call, within=60)
                shown = text(result) + repr(client.event(call, "exec_command_end"))
                assert "what can be seen" in shown
                assert "the end" in shown
                (entry,) = report(stage)["conversations"]
                assert entry["node"] == "pool-1"
                (request, _) = stage.model.requests()
                assert request.credential == credential_digest(KEY)
                secrets = [KEY, LOGIN, OTHER, DOTENV]
                secrets += [
                    read_ticket(pool).secret_key,
                    json.loads((state / ".nodes.key").read_text())["keys"]["secret"],
                ]
                secrets += [json.loads((stage.home.path / ".nodes.key").read_text())["secret"]]
                assert [secret for secret in secrets if secret in shown] == []
                texts = ["what can be seen", "the end", stage.cwd]
                seen = bytes(relay.passed)
                assert [one for one in (*secrets, *texts) if one.encode() in seen] == []
                assert len(seen) > 10_000
                for kept in (state, state / "config.toml", state / ".nodes.key"):
                    assert kept.stat().st_mode & 0o077 == 0, kept
            finally:
                assert node.end() == 0
    finally:
        relay.close()
