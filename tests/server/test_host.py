"""`greenroom serve`: one host for many clients at a socket, which outlives them."""

import json
import os
import signal
import stat
from pathlib import Path

from greenroom.demo.script import Stall, Text, rule
from greenroom.supervisor.startup.host_lock import NAME
from greenroom.supervisor.startup.serve import HAS_HOST
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import Host, hosting
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


def test_a_host_outlives_its_clients_and_they_share_its_conversations(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        first = host.client()
        thread = thread_id(first.result(first.codex("hello")))
        first.leave()
        second, third = host.client(), host.client()
        for client in (second, third):
            result = client.result(client.reply(thread, "hello"))
            assert (thread_id(result), text(result)) == (thread, "Good day.")
        assert len(stage.home.sessions()) == 1


def test_a_client_without_a_hello_speaks_mcp_from_its_first_byte_on(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        client = host.connect()
        client.initialize()
        assert text(client.result(client.codex("hello"))) == "Good day."


def test_a_hello_of_another_version_is_refused_with_both_versions(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        client = host.connect()
        answer = client.say_hello(version=7, program="9.9")
        assert (answer["ok"], answer["kind"], answer["version"]) == (False, "version", 1)
        assert "version 1" in answer["error"]
        assert "version 7" in answer["error"]
        assert "9.9" in answer["error"]
        assert client.ended() == []


def test_a_hello_with_another_protocol_or_home_is_refused(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        assert host.connect().say_hello(protocol="gopher")["kind"] == "protocol"
        assert host.connect().say_hello(home="0-0")["kind"] == "home"


def test_what_follows_a_hello_in_one_piece_is_not_lost(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        client = host.connect()
        client.send_bytes(b'{"protocol":"mcp","version":1}\n{"jsonrpc":"2.0","id":"p","method":"ping"}\n')
        assert client.read() == {"ok": True, **{name: client.messages[0][name] for name in ("version", "program")}}
        assert client.result("p") == {}


def test_there_is_one_host_for_a_home_and_a_second_one_says_which(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        second = Host(stage)
        assert second.wait() == HAS_HOST
        assert f"has a host already: pid {host.pid}" in stage.told()
        holder = json.loads((stage.home.path / NAME).read_bytes())
        assert (holder["pid"], holder["socket"]) == (host.pid, host.path)


def test_the_socket_of_a_host_is_for_its_user_alone_and_goes_with_it(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        host.await_socket()
        assert stat.S_IMODE(Path(host.path).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(host.path).parent.stat().st_mode) == 0o700
    assert not Path(host.path).exists()


def test_a_host_that_was_killed_leaves_its_home_to_the_next(stage: Stage) -> None:
    stage.play(HELLO)
    stage.kills_expected = True
    with hosting(stage) as host:
        host.client()
        os.kill(host.pid, signal.SIGKILL)
        host.wait()
    with hosting(stage) as host:
        until(lambda: host.process.poll() is None and Path(host.path).exists())
        client = host.client()
        assert text(client.result(client.codex("hello"))) == "Good day."


def test_turns_may_end_when_a_host_is_stopped_and_a_second_signal_ends_it_at_once(stage: Stage) -> None:
    stage.play(STALL)
    with hosting(stage) as host:
        client = host.client()
        call = client.codex("stall")
        client.event(call, "agent_message_delta")
        host.process.terminate()
        until(lambda: not Path(host.path).exists())
        assert host.process.poll() is None
        assert client.ask("ping")["result"] == {}
        host.process.terminate()
        assert kind(client.result(call)) == "turn_aborted"
        assert host.wait() == 0


def test_a_host_that_is_stopped_ends_once_its_turns_have_ended(stage: Stage) -> None:
    stage.play(STALL)
    with hosting(stage) as host:
        client = host.client()
        call = client.codex("stall")
        client.event(call, "agent_message_delta")
        host.process.terminate()
        until(lambda: not Path(host.path).exists())
        client.cancel(call)
        assert kind(client.result(call)) == "turn_aborted"
        assert host.wait() == 0


def test_a_second_client_too_many_is_refused_and_the_place_is_free_again_afterwards(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage, "-c", "greenroom.max_clients=1") as host:
        first = host.client()
        answer = host.connect().say_hello()
        assert (answer["ok"], answer["kind"]) == (False, "limit")
        assert "greenroom.max_clients" in answer["error"]
        first.leave()
        until(lambda: host.connect().say_hello()["ok"])


def test_a_client_that_says_nothing_is_let_go(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage, "-c", "greenroom.first_line_timeout_s=0.2") as host:
        silent, half = host.connect(), host.connect()
        half.send_bytes(b'{"proto')
        assert silent.ended() == half.ended() == []
        slow = host.client()
        assert slow.ask("ping")["result"] == {}
