"""`greenroom mcp-server --attach`: a thin pipe to the running host, which a client does not tell from a server."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.supervisor.startup import attach
from tests.support import processes
from tests.support.client import Client, kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.server import PROGRAM, Server
from tests.support.stage import Stage

HELLO: Final = rule("hello", [Text("Good day.")])
STALL: Final = rule("stall", [Text("hm"), Stall()])
WHERE: Final = rule("where", [CommandStep(("pwd",))], [Text("There.")])
HEAVY: Final = (
    "asyncio",
    "json",
    "logging",
    "msgspec",
    "psutil",
    "pydantic",
    "re",
    "socket",
    "threading",
    "typing",
    "zmq",
)


def attached(stage: Stage, *arguments: str, program: tuple[str, ...] = PROGRAM) -> Server:
    server = stage.start("--attach", *arguments, program=program)
    server.client.initialize()
    return server


def running(client: Client) -> bool:
    """Tell whether a turn runs in the host."""
    return "running" in str(client.result(client.call("codex-list"))["structuredContent"])


def test_an_attached_client_has_its_calls_answered_by_the_host(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        server = attached(stage)
        thread = thread_id(server.client.result(server.client.codex("hello")))
        other = attached(stage)
        assert text(other.client.result(other.client.reply(thread, "hello"))) == "Good day."
        assert [process.pid for process in server.tree()] == [server.pid]
        assert server.leave() == other.leave() == 0
        assert host.process.poll() is None


def test_it_imports_nothing_heavy(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        code = f"""
import sys
from greenroom.supervisor.main import main
status = main(["mcp-server", "--attach"])
sys.stderr.write("loaded: " + " ".join(name for name in {HEAVY!r} if name in sys.modules) + "\\n")
sys.exit(status)
"""
        command = (sys.executable, "-I", "-S", "-c", f"import sys; sys.path = {sys.path!r}\n{code}")
        done = subprocess.run(command, input=b"", env=stage.environment(), capture_output=True, timeout=20, check=False)
        assert (done.returncode, done.stderr.decode().splitlines()) == (0, ["loaded: "])


def test_conversations_of_an_attached_client_work_in_its_own_directory(stage: Stage) -> None:
    stage.play(WHERE)
    below = stage.workspace / 'a "b" \\ ü'
    below.mkdir()
    with hosting(stage) as host:
        host.await_socket()
        program = ("/usr/bin/env", "-C", stage.cwd, *PROGRAM)
        client = attached(stage, program=program).client
        for arguments, place in (({}, stage.cwd), ({"cwd": below.name}, str(below)), ({"cwd": "/"}, "/")):
            call = client.codex("where", **arguments)
            client.result(call)
            assert client.event(call, "exec_command_end")["stdout"] == f"{place}\n"


def test_the_calls_of_an_attached_client_that_is_killed_are_ended_and_the_host_goes_on(stage: Stage) -> None:
    stage.play(HELLO, STALL)
    with hosting(stage) as host:
        witness = host.client()
        server = attached(stage)
        call = server.client.codex("stall")
        server.client.event(call, "agent_message_delta")
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert text(witness.result(witness.codex("hello"))) == "Good day."
        until(lambda: not running(witness))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_an_attached_client_after_its_calls_are_answered(stage: Stage, number: signal.Signals) -> None:
    stage.play(STALL)
    with hosting(stage) as host:
        host.await_socket()
        server = attached(stage)
        call = server.client.codex("stall")
        server.client.event(call, "agent_message_delta")
        server.signal(number)
        assert kind(server.client.result(call)) == "turn_aborted"
        assert server.wait() == 0


def test_an_attached_client_learns_by_its_exit_code_that_its_host_was_killed(stage: Stage) -> None:
    stage.play(HELLO)
    stage.kills_expected = True
    with hosting(stage) as host:
        host.await_socket()
        server = attached(stage)
        os.kill(host.pid, signal.SIGKILL)
        assert server.wait() == attach.HOST_ENDED
        assert "the host has ended" in server.log()
        Path(host.path).unlink()


def test_without_a_host_attach_fails_and_auto_is_a_server_of_its_own(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.start("--attach")
    assert server.wait() == attach.CANNOT
    assert "`greenroom serve` starts one" in server.log()
    stage.play(HELLO, top='[greenroom]\nattach = "auto"\n')
    server = stage.serve("fork")
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."


FORMS: Final = (
    ("--attach=auto",),
    ("--attach", "auto"),
    ("--att",),
    ("-c", "greenroom.attach='require'"),
    ("-cgreenroom.attach=auto",),
)


@pytest.mark.parametrize("words", FORMS, ids=" ".join)
def test_every_form_of_the_option_joins_the_host(stage: Stage, words: tuple[str, ...]) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        server = stage.start(*words)
        server.client.initialize()
        until(lambda: [process.pid for process in server.tree()] == [server.pid])
        assert server.leave() == 0


def test_the_file_may_say_that_every_server_joins_the_host(stage: Stage) -> None:
    stage.play(HELLO, top='[greenroom]\nattach = "require"\n')
    with hosting(stage) as host:
        host.await_socket()
        server = stage.start()
        server.client.initialize()
        assert processes.named(server.tree(), "gr-broker") == []
        assert server.leave() == 0


def test_options_that_a_host_cannot_honour_are_refused_or_make_a_server_of_its_own(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        refused = stage.start("--attach", "-c", "model=other", "--engine", "spawn")
        assert refused.wait() == attach.WRONG_OPTIONS
        assert "-c model=other, --engine spawn cannot be given to a host" in refused.log()
        own = stage.start("--attach=auto", "-c", "model_reasoning_summary=none")
        own.client.initialize()
        own.settle(2)
        assert own.leave() == 0


def test_an_attached_client_is_refused_by_a_full_host_with_the_reason(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage, "-c", "greenroom.max_clients=1") as host:
        host.client()
        server = stage.start("--attach")
        assert server.wait() == attach.CANNOT
        assert "greenroom.max_clients" in server.log()


def test_megabytes_pass_both_ways_while_the_client_reads_late(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        client = attached(stage).client
        client.send({"id": "big", "method": "x" * 300_000})
        pings = [client.request("ping") for _ in range(200)]
        assert client.answer("big")["error"]["data"]["method"] == "x" * 300_000
        assert all(client.result(ping) == {} for ping in pings)


def test_a_host_of_another_home_is_left_alone(stage: Stage, tmp_path: Path) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        Path(host.path).rename(Path(host.path).with_name("host.sock"))
        other = tmp_path / "other"
        other.mkdir()
        server = stage.start("--attach", CODEX_HOME=str(other))
        assert server.wait() == attach.CANNOT
        assert attached(stage).leave() == 0, "by the name that systemd gives it"
        Path(host.path).with_name("host.sock").rename(host.path)
