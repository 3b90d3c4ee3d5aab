"""`greenroom app-server --attach`: the official SDKs share one host, and none of them sees a difference."""

import os
import signal
from typing import Final

import pytest

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.supervisor.startup import attach
from tests.support import processes
from tests.support.app_server import PROGRAM, AppServer
from tests.support.client import text
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.stage import Stage

pytestmark = pytest.mark.server

HELLO: Final = rule("hello", [Text("Good day.")])
STALL: Final = rule("stall", [Text("hm"), Stall()])
WHERE: Final = rule("where", [CommandStep(("pwd",))], [Text("There.")])
SDK: Final = ("--listen", "stdio://")
"""What the official Python SDK starts the program with."""


def started(stage: Stage, *arguments: str, cwd: str | None = None) -> AppServer:
    place = () if cwd is None else ("/usr/bin/env", "-C", cwd)
    server = AppServer((*place, *PROGRAM, *arguments), stage.environment(), stage.log, stage.template)
    stage.servers.append(server)
    return server


def attached(stage: Stage, *arguments: str, cwd: str | None = None) -> AppServer:
    server = started(stage, *(arguments or ("--attach",)), cwd=cwd)
    server.app.hello()
    return server


def test_clients_of_both_protocols_share_a_thread_in_one_host(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        one, other, mcp = attached(stage), attached(stage), host.client()
        assert [process.pid for process in one.tree()] == [one.pid]
        thread = one.app.start(cwd=stage.cwd)
        other.app.result(other.app.request("thread/resume", {"threadId": thread}))
        turn = one.app.say(thread, "hello")
        assert one.app.completed(turn)["status"] == other.app.completed(turn)["status"] == "completed"
        assert text(mcp.result(mcp.reply(thread, "hello"))) == "Good day."
        assert one.app.told("turn/completed", 1)["turn"]["id"] == other.app.told("turn/completed", 1)["turn"]["id"]
        assert one.leave() == other.leave() == 0
        assert host.process.poll() is None


def test_a_thread_works_in_the_directory_of_its_client(stage: Stage) -> None:
    stage.play(WHERE)
    below = stage.workspace / "below"
    below.mkdir()
    with hosting(stage) as host:
        host.await_socket()
        client = attached(stage, cwd=stage.cwd).app
        for params, place in (({}, stage.cwd), ({"cwd": "below"}, str(below)), ({"cwd": "/"}, "/")):
            turn = client.say(client.start(**params), "where")
            client.completed(turn)
            (command,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
            assert command["aggregatedOutput"] == f"{place}\n"
        thread = client.start()
        for cwd, place in (("below", str(below)), (None, str(below)), ("/", "/")):
            turn = client.say(thread, "where", cwd=cwd)
            client.completed(turn)
            (command,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
            assert command["aggregatedOutput"] == f"{place}\n"
        ran = client.result(client.request("command/exec", {"command": ["pwd"]}))
        assert ran["stdout"] == f"{stage.cwd}\n"
        resumed = client.result(client.request("thread/resume", {"threadId": thread}))
        assert resumed["cwd"] == "/"
        (skills,) = client.result(client.request("skills/list", {}))["data"]
        assert os.path.samefile(skills["cwd"], stage.cwd)


def test_the_turns_of_a_client_that_is_killed_are_ended_and_the_host_goes_on(stage: Stage) -> None:
    stage.play(HELLO, STALL)
    with hosting(stage) as host:
        witness = host.client()
        server = attached(stage)
        server.app.say(server.app.start(cwd=stage.cwd), "stall")
        server.app.told("item/agentMessage/delta")
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert text(witness.result(witness.codex("hello"))) == "Good day."
        stage.model.until(lambda statistics: statistics.streaming == 0)


@pytest.mark.parametrize("words", [("--attach", *SDK), (*SDK, "--attach=auto"), ("-c", "greenroom.attach=auto", *SDK)])
def test_every_form_of_the_option_joins_the_host(stage: Stage, words: tuple[str, ...]) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        server = attached(stage, *words)
        until(lambda: [process.pid for process in server.tree()] == [server.pid])
        assert server.leave() == 0


def test_the_file_may_say_that_the_sdks_join_the_host(stage: Stage) -> None:
    stage.play(HELLO, top='[greenroom]\nattach = "auto"\n')
    with hosting(stage) as host:
        host.await_socket()
        server = attached(stage, *SDK)
        assert processes.named(server.tree(), "gr-broker") == []
        own = attached(stage, "-c", "model=other", *SDK)
        own.settle(2)
        assert server.leave() == own.leave() == 0
    alone = attached(stage, *SDK)
    assert alone.app.completed(alone.app.say(alone.app.start(cwd=stage.cwd), "hello"))["status"] == "completed"


def test_without_a_host_or_with_options_of_a_server_attach_fails(stage: Stage) -> None:
    stage.play(HELLO)
    assert started(stage, "--attach", *SDK).wait() == attach.CANNOT
    assert started(stage, "--attach", "-c", "model=other").wait() == attach.WRONG_OPTIONS
    assert started(stage, "--attach", "--listen", "ws://127.0.0.1:0").wait() == attach.WRONG_OPTIONS
