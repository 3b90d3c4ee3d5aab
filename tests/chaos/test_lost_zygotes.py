"""What starts commands and what watches over them may die or hang at any time, idle or in use, with either engine."""

import os
import signal
import sys
import time
from base64 import b64decode
from pathlib import Path

import psutil
import pytest

from greenroom.demo.script import Call, Quote, Text, rule
from tests.support import processes
from tests.support.client import text, thread_id
from tests.support.deadline import until
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = [
    pytest.mark.both_engines,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox tried here is that of Linux"),
]
LIMIT_MS = 2000
BOTH = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])


def shell(script: str, timeout_ms: int = LIMIT_MS) -> Call:
    return Call("shell", {"command": ["sh", "-c", script], "timeout_ms": timeout_ms})


ECHO = rule("go", [shell("echo confined")], [Quote()])


def zygotes(server: Server) -> list[psutil.Process]:
    return processes.named(server.tree(), "gr-zygote")


def deal(found: list[psutil.Process], number: signal.Signals) -> None:
    assert found
    for process in found:
        process.send_signal(number)
    if number == signal.SIGKILL:
        assert not processes.remaining(found, 2.0)


@BOTH
def test_zygotes_that_are_lost_while_idle_cost_no_command(stage: Stage, engine: str, number: signal.Signals) -> None:
    stage.play(ECHO)
    server = stage.serve(engine)
    server.settle(workers=2)
    thread = thread_id(server.client.result(server.client.codex("go", sandbox="read-only")))
    for _ in range(2):  # the first time it may be the shared one, the second time that of the worker
        until(lambda: zygotes(server))
        deal(zygotes(server), number)
        calls = [server.client.reply(thread, "go"), server.client.codex("go", sandbox="read-only")]
        begun_at = time.monotonic()
        for call in calls:
            assert "confined" in text(server.client.result(call, within=LIMIT_MS / 1000 + 8))
        assert time.monotonic() - begun_at < LIMIT_MS / 1000 + 8


@BOTH
def test_zygotes_that_are_lost_in_use_leave_what_runs_running(
    stage: Stage, engine: str, number: signal.Signals
) -> None:
    script = "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo over"
    stage.play(rule("wait", [shell(script, 60_000)], [Quote()]), rule("hello", [Text("Good day.")]))
    server = stage.serve(engine)
    for number_of_workers in (3, 4):  # the first workers are older than the zygote that all share
        server.client.result(server.client.codex("hello"))
        server.settle(workers=number_of_workers)
    call = server.client.codex("wait", sandbox="read-only", cwd=stage.cwd)
    server.client.event(call, "exec_command_output_delta")
    if engine == "fork":
        (shared,) = processes.named(server.fork_server().children(), "gr-zygote")
        assert processes.named(shared.children(recursive=True), "sh"), "it has started the command"
    deal(zygotes(server), number)
    (Path(stage.cwd) / "go").touch()
    assert "over" in text(server.client.result(call))


@BOTH
def test_a_command_whose_monitor_is_lost_is_answered_in_time_with_its_output(
    stage: Stage, engine: str, number: signal.Signals
) -> None:
    stage.play(rule("sleep", [shell("echo $PPID; setsid sleep 600 & sleep 600")], [Quote()]))
    server = stage.serve(engine)
    server.settle(workers=2)
    call = server.client.codex("sleep", sandbox="read-only")
    begun_at = time.monotonic()
    delta = server.client.event(call, "exec_command_output_delta")
    monitor = int(b64decode(delta["chunk"]))
    os.kill(monitor, number)
    told = text(server.client.result(call))
    assert time.monotonic() - begun_at < LIMIT_MS / 1000 + 3
    assert str(monitor) in told, "what it had written is told"
    assert ("timed out" if number == signal.SIGSTOP else "SIGKILL") in told
    until(lambda: not processes.named(server.tree(), "sleep"), within=5.0)
