"""The fork server and the auth broker may die at any time: what runs runs on, and what comes next works."""

import sys
import threading
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.model import Gate
from tests.support.server import Server, patched
from tests.support.stage import Stage
from tests.support.template import SEEDED

pytestmark = pytest.mark.both_engines

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox tried here is that of Linux")
HELLO = rule("hello", [Text("Good day.")])
KEY = {"MOCK_API_KEY": "the-key-of-the-provider"}
PROVIDER = 'env_key = "MOCK_API_KEY"'


def fork_servers(server: Server) -> list[psutil.Process]:
    """Return what bears the name of a fork server below the server; an orphaned worker may, until it has set its
    own."""
    return processes.named(psutil.Process(server.pid).children(), "gr-forkserver")


def test_the_death_of_the_fork_server_ends_no_conversation(stage: Stage) -> None:
    gate = Gate()
    model = stage.play(rule("wait", [Text("waiting "), gate.wait, Text("done")]), HELLO)
    server = stage.serve("fork", **SEEDED)
    call = server.client.codex("wait")
    server.client.event(call, "agent_message")
    former = server.fork_server()
    former.kill()
    assert not processes.remaining([former], 1.0)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    model.open(gate)
    result = server.client.result(call)
    assert text(result) == "done"
    assert text(server.client.result(server.client.reply(thread_id(result), "hello"))) == "Good day."
    until(lambda: [one.pid for one in fork_servers(server)] not in ([], [former.pid]))


def test_conversations_that_begin_while_the_fork_server_is_dead_begin(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork", **SEEDED)
    server.settle(workers=2)
    server.fork_server().kill()
    calls = [server.client.codex("hello") for _ in range(6)]
    assert [text(server.client.result(call)) for call in calls] == ["Good day."] * 6


@LINUX
def test_the_death_of_what_starts_commands_delays_a_command_at_most(stage: Stage) -> None:
    stage.play(rule("go", [CommandStep(("echo", "confined"))], [Quote()]))
    server = stage.serve("fork")
    server.settle(workers=2)
    begun = [server.client.result(server.client.codex("go", sandbox="read-only")) for _ in range(3)]
    former = processes.named(server.fork_server().children(), "gr-zygote")
    assert len(former) == 1, "it serves all conversations"
    former[0].kill()
    assert not processes.remaining(former, 1.0)
    replies = [server.client.reply(thread_id(result), "go") for result in begun]
    for call in (*replies, server.client.codex("go", sandbox="read-only")):
        assert "confined" in text(server.client.result(call))


@LINUX
def test_a_confined_command_outlives_the_fork_server(stage: Stage) -> None:
    script = "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo over"
    stage.play(rule("wait", [CommandStep(("sh", "-c", script))], [Quote()]))
    server = stage.serve("fork", **SEEDED)
    server.settle(workers=2)
    call = server.client.codex("wait", sandbox="read-only", cwd=stage.cwd)
    server.client.event(call, "exec_command_output_delta")
    fork_server = server.fork_server()
    fork_server.kill()
    assert not processes.remaining([fork_server], 1.0)
    (Path(stage.cwd) / "go").touch()
    assert "over" in text(server.client.result(call))


def test_the_death_of_the_broker_delays_a_request_at_most(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more=PROVIDER)
    server = stage.serve(engine, **KEY)
    thread = thread_id(server.client.result(server.client.codex("hello")))
    former = server.broker()
    former.kill()
    assert not processes.remaining([former], 1.0)
    assert text(server.client.result(server.client.reply(thread, "hello"))) == "Good day."
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    assert {request.credential for request in stage.model.requests()} == {credential_digest(KEY["MOCK_API_KEY"])}


@pytest.mark.parametrize("name", ["gr-forkserver", "gr-broker", "gr-worker"])
def test_a_server_leaves_although_its_helpers_are_dead(stage: Stage, name: str) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    server = stage.serve("fork", **SEEDED)
    server.settle(workers=2)
    call = server.client.codex("stall")
    server.client.event(call, "agent_message_delta")
    for process in processes.named(server.tree(), name):
        process.kill()
    server.client.hang_up()
    assert server.wait(2.0) == 0
    assert not stage.left_over(2.0)
    stage.trouble_expected = True


def test_nothing_is_left_of_a_worker_that_outlived_its_fork_server_and_hangs(stage: Stage) -> None:
    stage.play(rule("sleep", [CommandStep(("sh", "-c", "echo $PPID; sleep 600"))]))
    server = stage.serve("fork", **SEEDED)
    call = server.client.codex("sleep")
    delta = server.client.event(call, "exec_command_output_delta")
    worker = psutil.Process(int(b64decode(delta["chunk"])))
    server.fork_server().kill()
    until(lambda: worker.ppid() == server.pid)
    worker.suspend()
    server.client.hang_up()
    assert server.wait(3.0) == 0
    assert not stage.left_over(2.0)


CANNOT_FORK = """
import greenroom.runtime.process.launch as launch
launch.FORK_SERVER = '''
import errno, os
def refuse():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = refuse
''' + launch.FORK_SERVER
"""


def test_what_starts_commands_ends_with_the_last_worker_of_its_fork_server(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork", "-c", "greenroom.idle_workers=1", **SEEDED)
    server.settle(workers=1)
    (zygote,) = until(lambda: processes.named(server.tree(), "gr-zygote"))
    broker, fork_server = server.broker(), server.fork_server()
    broker.kill()
    assert not processes.remaining([broker], 2.0)
    until(lambda: set(processes.named(server.tree(), "gr-broker")) - {broker})  # born of the fork server that is to die
    fork_server.kill()
    assert not processes.remaining([fork_server], 2.0)
    for worker in server.workers():
        worker.kill()
    assert not processes.remaining([zygote], 5.0)


HASTY = """
from greenroom.supervisor.processes import broker_process
from greenroom.supervisor.processes.engines import fork_engine
fork_engine.TIMING = fork_engine.ForkTiming(answer=2.0)
broker_process.BROKER_TIMEOUT = 2.0
"""


@pytest.mark.parametrize("name", ["gr-forkserver", "gr-broker"])
def test_a_helper_that_hangs_is_replaced_and_the_call_answered(stage: Stage, name: str) -> None:
    stage.play(HELLO, more=PROVIDER)
    server = stage.start("-c", "greenroom.idle_workers=1", program=patched(HASTY, "mcp-server"), **KEY, **SEEDED)
    server.client.initialize()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    server.settle(workers=2)
    server.client.result(server.client.request("getAuthStatus", {}))  # so the supervisor has heard of the broker, too
    (helper,) = fork_servers(server) if name == "gr-forkserver" else [server.broker()]
    helper.suspend()
    calls = [server.client.codex("hello") for _ in range(3)]
    assert [text(server.client.result(call)) for call in calls] == ["Good day."] * 3
    assert not processes.remaining([helper], 2.0)


def test_every_call_is_answered_with_success_while_the_fork_server_is_killed_again_and_again(stage: Stage) -> None:
    """The fork server lives for 0.3 s at a time and soon for no time at all: what calls need is then spawned."""
    stage.play(HELLO)
    server = stage.serve("fork", "-c", "greenroom.park_after_s=0.1", **SEEDED)
    thread = thread_id(server.client.result(server.client.codex("hello")))
    stop = threading.Event()
    killed: set[int] = set()

    def kill_all_fork_servers() -> None:
        while not stop.wait(0.3):
            for fork_server in fork_servers(server):
                with suppress(psutil.NoSuchProcess):
                    fork_server.kill()
                killed.add(fork_server.pid)

    killer = threading.Thread(target=kill_all_fork_servers)
    killer.start()
    try:
        while len(killed) < 4:
            begin, reply = server.client.codex("hello"), server.client.reply(thread, "hello")
            for call in (begin, reply, server.client.codex("hello")):
                assert text(server.client.result(call, within=20.0)) == "Good day."
    finally:
        stop.set()
        killer.join()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    until(lambda: len(fork_servers(server)) == 1, within=30.0)
    stage.trouble_expected = True


def test_calls_fail_in_time_while_no_process_can_be_started_and_the_server_lives_on(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.start("-c", "greenroom.start_timeout_s=1.5", program=patched(CANNOT_FORK, "mcp-server"))
    server.client.initialize()
    for _ in range(2):
        refused = server.client.result(server.client.codex("hello"))
        assert kind(refused) == "start_failed"
        assert "after 1.5 s" in text(refused)
        assert "Resource temporarily unavailable" in text(refused)
    assert len(fork_servers(server)) == 1
    assert server.client.ask("tools/list")["result"]["tools"]
    assert server.leave() == 0


CANNOT_FORK_FOR_A_WHILE = """
import greenroom.runtime.process.launch as launch
launch.FORK_SERVER = '''
import errno, os, time
fork, until = os.fork, time.monotonic() + 2
def refuse():
    if time.monotonic() < until:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = refuse
''' + launch.FORK_SERVER
"""


def test_calls_wait_while_no_process_can_be_started_and_the_first_one_serves_them(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.start(program=patched(CANNOT_FORK_FOR_A_WHILE, "mcp-server"))
    server.client.initialize()
    calls = [server.client.codex("hello") for _ in range(3)]
    assert [text(server.client.result(call)) for call in calls] == ["Good day."] * 3
    stage.trouble_expected = True
