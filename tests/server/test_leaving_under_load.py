"""A server leaves before the official SDKs kill it, also with many workers whose commands and tasks are under way."""

import signal
import time
from collections.abc import Callable
from functools import partial

import pytest

from greenroom.demo.script import Call, Deltas, Text, rule
from greenroom.runtime.sockets.host_socket import socket_name
from tests.support import app_server, processes
from tests.support.client import Client, kind
from tests.support.deadline import until
from tests.support.host import SocketClient, hosting
from tests.support.modern import Modern
from tests.support.server import Server, patched
from tests.support.stage import Stage

LEAVE_WITHIN = 2.0
"""Seconds after which the official SDKs kill what they have asked to end (promise P6)."""
MANY = 10
SLEEPERS = "setsid sleep 600 & sleep 600 & echo started; sleep 600"
RUN = rule("run", [Call("shell", {"command": ["bash", "-c", SLEEPERS], "timeout_ms": 600_000})], [Text("ran")])
FLOOD = rule("flood", [Deltas(20_000, "x" * 1_000, whole="Done.")])
TASKS: dict[str, object] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
AT_ONCE = "\n[greenroom]\ntask_after_s = 0.05\ndrain_s = 0\n"


def all_run(stage: Stage) -> None:
    """Wait until each conversation runs its command."""
    wanted = 3 * MANY
    until(lambda: sum(processes.name_of(one) == "sleep" for one in processes.marked(stage.run)) == wanted, 40)


def leaves(stage: Stage, tell: Callable[[], object], wait: Callable[[float], int]) -> None:
    """Tell a server to end, and check that it does, with all that it has started."""
    started = time.monotonic()
    tell()
    assert wait(LEAVE_WITHIN) == 0
    assert not stage.left_over(max(LEAVE_WITHIN - (time.monotonic() - started), 0.1))


def part(server: Server, how: str) -> None:
    if how == "end of input":
        server.client.hang_up()
    else:
        server.signal(signal.SIGTERM)


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_an_mcp_server_with_calls_and_tasks(stage: Stage, how: str) -> None:
    stage.play(RUN, more=AT_ONCE)
    server = stage.serve("fork")
    modern = Modern(server.client, TASKS)
    calls = [server.client.codex("run") for _ in range(MANY // 2)]
    tasks = [modern.call("codex", prompt="run") for _ in range(MANY // 2)]
    assert all(modern.result(task)["resultType"] == "task" for task in tasks)
    all_run(stage)
    leaves(
        stage, server.client.hang_up if how == "end of input" else lambda: server.signal(signal.SIGTERM), server.wait
    )
    server.client.read_to_end()
    assert {kind(server.client.result(call)) for call in calls} == {"turn_aborted"}


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_an_app_server_with_turns(stage: Stage, how: str) -> None:
    stage.play(RUN)
    server = app_server.serve(stage)
    for _ in range(MANY):
        server.app.say(server.app.start(cwd=stage.cwd), "run")
    all_run(stage)
    leaves(
        stage, server.client.hang_up if how == "end of input" else lambda: server.signal(signal.SIGTERM), server.wait
    )


def test_a_host_that_lets_no_turns_end(stage: Stage) -> None:
    stage.play(RUN, more=AT_ONCE)
    with hosting(stage) as host:
        clients: list[Client] = [host.client() for _ in range(MANY)]
        calls = [client.codex("run") for client in clients]
        all_run(stage)
        leaves(stage, host.process.terminate, host.wait)
        for client, call in zip(clients, calls, strict=True):
            client.read_to_end()
            assert kind(client.result(call)) == "turn_aborted"


def test_processes_that_have_stopped_hold_up_nothing(stage: Stage) -> None:
    """Every step of the end then takes as long as it may."""
    stage.kills_expected = True
    stage.play(RUN, FLOOD, more=AT_ONCE)
    server = stage.serve("fork")
    call = server.client.codex("run")
    server.client.event(call, "exec_command_output_delta")
    server.client.codex("flood")  # and is not read
    until(lambda: len(server.workers()) >= 2)
    for process in processes.tree(server.pid):
        if process.pid != server.pid:
            process.suspend()
    leaves(stage, partial(part, server, "SIGTERM"), server.wait)


@pytest.mark.parametrize("command", ["mcp-server", "serve"])
def test_a_disk_that_does_not_answer_holds_up_nothing(stage: Stage, command: str) -> None:
    slow = "import time, greenroom.sessions.index as index; index.session_page = lambda *_: time.sleep(600)"
    stage.play(RUN, more=AT_ONCE)
    server = stage.start(program=patched(slow, command))
    client: Client = server.client
    if command == "serve":
        client = joined(stage)
    client.initialize()
    reading = client.request("resources/list")
    assert client.ask("ping")["result"] == {}
    leaves(stage, lambda: server.signal(signal.SIGTERM), server.wait)
    client.read_to_end()
    assert client.answer(reading)["error"]


def joined(stage: Stage) -> Client:
    """Return a client that has joined the host of the home."""
    path = stage.runtime / "greenroom" / socket_name(str(stage.home.path))
    until(path.exists, 20)
    return SocketClient(str(path))
