"""`greenroom serve`: one host for many clients at a socket, which outlives them."""

import json
import os
import signal
import stat
from pathlib import Path

from greenroom.demo.script import Deltas, Stall, Text, rule
from greenroom.supervisor.startup.host_lock import NAME
from greenroom.supervisor.startup.serve import HAS_HOST
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import Host, clients, hosting, status
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])
FLOOD = rule("flood", [Deltas(20_000, "x" * 1_000, whole="Done.")])


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


def test_clients_of_both_protocols_share_the_socket(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as host:
        client = host.connect()
        assert client.say_hello(protocol="app-server")["ok"]
        client.expects_current_form = False
        client.request("initialize", {"clientInfo": {"name": "sdk", "title": None, "version": "1"}})
        assert "userAgent" in client.next_answer()["result"]
        assert host.client().ask("ping")["result"] == {}


def test_status_lists_the_clients_and_each_can_be_interrupted_or_disconnected(stage: Stage) -> None:
    stage.play(HELLO, STALL)
    with hosting(stage) as host:
        one, other = host.client(), host.client()
        calls = [client.codex("stall") for client in (one, other)]
        for client, call in zip((one, other), calls, strict=True):
            client.event(call, "agent_message_delta")
        first, second = clients(stage)
        assert first["id"] != second["id"]
        assert {first["pid"], second["pid"]} == {os.getpid()}
        assert (first["name"], first["protocol"], first["open_calls"]) == ("promises", "2025-06-18", 1)
        shown = status(stage, "status", "--instance", str(host.pid)).stdout
        assert "2 clients" in shown
        assert first["id"] in shown
        assert status(stage, "interrupt", first["id"]).returncode == 0
        assert kind(one.result(calls[0])) == "turn_aborted"
        assert one.ask("ping")["result"] == {}
        assert status(stage, "kill", second["id"]).returncode == 0
        assert kind(other.result(calls[1])) == "turn_aborted"
        other.ended()
        until(lambda: [client["id"] for client in clients(stage)] == [first["id"]])
        assert one.ask("ping")["result"] == {}
        refused = status(stage, "interrupt", first["id"])
        assert "no turn of" in refused.stderr


def test_stop_lets_turns_end(stage: Stage) -> None:
    stage.play(STALL)
    with hosting(stage, "-c", "greenroom.drain_s=0.3") as host:
        client = host.client()
        call = client.codex("stall")
        client.event(call, "agent_message_delta")
        stopped = status(stage, "stop", "--instance", str(host.pid))
        assert (stopped.returncode, host.wait()) == (0, 0)
        assert kind(client.result(call)) == "turn_aborted"


def test_one_client_cannot_take_the_calls_of_all(stage: Stage) -> None:
    stage.play(STALL)
    with hosting(stage, "-c", "greenroom.client_calls=1", "-c", "greenroom.open_calls=2") as host:
        greedy, other, last = host.client(), host.client(), host.client()
        call = greedy.codex("stall")
        greedy.event(call, "agent_message_delta")
        assert "overloaded: 1 calls" in text(greedy.result(greedy.codex("stall")))
        call = other.codex("stall")
        other.event(call, "agent_message_delta")
        assert "overloaded" in text(last.result(last.codex("stall"))), "there are two calls of all clients"


def test_a_client_that_does_not_read_is_let_go_and_holds_nobody_up(stage: Stage) -> None:
    stage.play(HELLO, FLOOD)
    with hosting(stage, "-c", "greenroom.slow_client_s=1") as host:
        deaf, other = host.client(), host.client()
        deaf.codex("flood")
        until(lambda: _is_let_go(stage) or any((client["waiting"] or 0) > 1024 * 1024 for client in clients(stage)))
        assert text(other.result(other.codex("hello"))) == "Good day."
        until(lambda: _is_let_go(stage) and len(clients(stage)) == 1, 30.0)
        assert text(other.result(other.codex("hello"))) == "Good day."


def _is_let_go(stage: Stage) -> bool:
    """Tell whether a client that did not read has been let go, which happens between two looks on a busy machine."""
    return "greenroom.slow_client_s" in stage.told()
