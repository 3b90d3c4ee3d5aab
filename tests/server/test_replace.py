"""`greenroom serve --replace`: a new host takes over from the one that runs, and no call is lost or answered twice."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, Think, rule
from greenroom.supervisor.startup.host_lock import NAME
from greenroom.supervisor.startup.serve import HAS_HOST
from tests.server.test_shared_rounds import ASKS, INVALID_PARAMS, asked, next_round
from tests.support.client import Client, kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import TIMEOUT, Host, hosting
from tests.support.model import Gate
from tests.support.modern import Modern
from tests.support.replacement import Asker
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


def answered_once(*clients: Client) -> None:
    """Check that each request of the clients has one answer."""
    for client in clients:
        ids = Counter(message["id"] for message in client.answers())
        assert set(ids.values()) <= {1}, ids


def serves(stage: Stage, host: Host) -> None:
    """Check that a host serves."""
    client = host.client()
    assert text(client.result(client.codex("hello"))) == "Good day."
    client.leave()


def test_calls_under_way_are_answered_and_clients_at_rest_go_on_at_the_new_host(stage: Stage) -> None:
    gate = Gate()
    stage.play(HELLO, rule("slow", [gate.wait, Text("Done at last.")]))
    with hosting(stage) as old:
        idle, busy = old.client(), old.client()
        attached = stage.start("--attach").client
        attached.initialize()
        quiet = thread_id(idle.result(idle.codex("hello")))
        taken = thread_id(attached.result(attached.codex("hello")))
        slow = busy.codex("slow")
        working = busy.event(slow, "session_configured")["session_id"]
        stage.model.until(lambda now: now.streaming == 1)
        idle.send_bytes(b'{"jsonrpc":"2.0","id":"cut","met')
        with hosting(stage, "--replace") as new:
            new.await_socket()
            assert old.process.poll() is None
            idle.send_bytes(b'hod":"ping"}\n')
            assert idle.result("cut") == {}, "what it had begun to say is known to the new host"
            assert text(idle.result(idle.reply(quiet, "hello"))) == "Good day."
            assert text(attached.result(attached.reply(taken, "hello"))) == "Good day."
            assert new.workers(), "the new host runs them"
            fresh = new.client()
            waits = fresh.reply(working, "hello")  # its file is written by the old host
            given_up = fresh.reply(working, "hello")
            fresh.cancel(given_up)
            assert kind(fresh.result(given_up)) == "turn_aborted"
            back = busy.reply(quiet, "hello")  # its file is written by the new one
            assert text(busy.result(back)) == "Good day."
            assert fresh.ask("ping")["result"] == {}
            assert not [one for one in fresh.answers() if one["id"] == waits]
            stage.model.open(gate)
            assert text(busy.result(slow)) == "Done at last."
            assert text(fresh.result(waits)) == "Good day."
            assert old.wait() == 0, "it leaves when nothing is left"
            assert text(busy.result(busy.reply(working, "hello"))) == "Good day."
            answered_once(idle, busy, fresh, attached)
            assert Path(new.path).exists()
            assert len(stage.home.sessions()) == 3
        assert not Path(new.path).exists()


def test_a_call_that_waits_for_its_user_is_continued_at_the_new_host(stage: Stage) -> None:
    """On another connection, over two questions; one that is cancelled there ends, and the old host leaves then."""
    touch = [CommandStep(("touch", "it"))], [CommandStep(("touch", "that"))], [Quote("Done: ")]
    stage.play(rule("touch", *touch), rule("slow", touch[0], [Text("hm"), Stall()]))
    with hosting(stage) as old:
        kept, left = (asked(old, stage, prompt) for prompt in ("touch", "slow"))
        with hosting(stage, "--replace") as new:
            new.await_socket()
            other = Modern(new.connect(), ASKS)
            second = other.result(other.request("tools/call", next_round(stage, kept[1])))
            assert second["resultType"] == "input_required"
            assert (stage.workspace / "it").exists()
            done = other.result(other.request("tools/call", next_round(stage, second)))
            assert (text(done), done["resultType"]) == ("Done: ", "complete")
            assert (stage.workspace / "that").exists()
            once_more = other.answer(other.request("tools/call", next_round(stage, second)))
            assert once_more["error"]["code"] == INVALID_PARAMS, "a state counts once"
            assert old.process.poll() is None
            slow = other.request("tools/call", next_round(stage, left[1], "slow"))
            stage.model.until(lambda now: now.streaming == 1)
            other.cancel(slow)
            stage.model.until(lambda now: now.streaming == 0)
            assert other.result(other.request("server/discover"))
            for client, _ in (kept, left):
                client.leave()
            assert old.wait() == 0
            answered_once(other.raw)


def test_a_host_that_has_replaced_another_is_replaced_in_turn(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as first:
        client = first.client()
        thread = thread_id(client.result(client.codex("hello")))
        with hosting(stage, "--replace") as second:
            second.await_socket()
            assert first.wait() == 0
            with hosting(stage, "--replace") as third:
                third.await_socket()
                assert second.wait() == 0
                assert text(client.result(client.reply(thread, "hello"))) == "Good day."
                answered_once(client)


def test_the_first_host_of_a_home_may_be_told_to_replace(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage, "--replace") as host:
        serves(stage, host)


def test_a_new_host_that_fails_leaves_the_old_one_serving(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as old:
        old.await_socket()
        client = old.client()
        refused = Host(stage, "--replace", "--http", "nowhere.invalid:1")
        assert refused.wait() == 1
        with Asker(stage, old) as asker:
            assert asker.ask()["type"] == "offer"
            assert len(asker.descriptors) == 2
            second = Host(stage, "--replace")
            assert second.wait() == 1
            assert f"process {os.getpid()} is replacing it at the moment" in stage.told()
        stranger = Host(stage)
        assert stranger.wait() == HAS_HOST
        assert client.ask("ping")["result"] == {}
        until(lambda: "offer" in offered(stage, old))
        serves(stage, old)
        assert Path(old.path).exists()
        with hosting(stage, "--replace") as new:
            serves(stage, new)
            assert old.wait() == 0
            assert client.ask("ping")["result"] == {}


def offered(stage: Stage, host: Host) -> str:
    with Asker(stage, host) as asker:
        return str(asker.ask())


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_of_the_hand_over_is_refused_with_both(stage: Stage, version: int) -> None:
    stage.play(HELLO)
    with hosting(stage) as old:
        old.await_socket()
        with Asker(stage, old) as asker:
            answer = asker.ask(version, "9.9")
        assert answer["answer"] == "refused"
        assert "by version 1" in answer["text"]
        assert f"by version {version}" in answer["text"]
        assert "9.9" in answer["text"]
        serves(stage, old)


def test_a_command_of_the_model_cannot_replace_its_host(stage: Stage) -> None:
    script = (
        "import socket,sys,glob\n"
        "for path in glob.glob(sys.argv[1] + '/*/control'):\n"
        "    one = socket.socket(socket.AF_UNIX); one.settimeout(20); one.connect(path); print(one.recv(4096))\n"
    )
    step = CommandStep((sys.executable, "-c", script, str(stage.runtime / "greenroom")))
    stage.play(HELLO, rule("usurp", [step], [Quote("Said: ")]))
    with hosting(stage) as host:
        client = host.client()
        said = text(client.result(client.codex("usurp", sandbox="danger-full-access", approval_policy="never")))
        assert "may not ask it" in said
        serves(stage, host)


def test_what_is_left_after_the_time_that_the_operator_allows_is_aborted(stage: Stage) -> None:
    stage.play(HELLO, STALL)
    with hosting(stage, "-c", "greenroom.replaced_s=0.5") as old:
        client = old.client()
        call = client.codex("stall")
        client.event(call, "agent_message_delta")
        with hosting(stage, "--replace") as new:
            new.await_socket()
            result = client.result(call)
            assert kind(result) == "turn_aborted"
            assert old.wait() == 0
            other = new.client()
            assert text(other.result(other.reply(thread_id(result), "hello"))) == "Good day."


def test_a_host_that_dies_after_it_was_replaced_leaves_its_conversations_to_the_new_one(stage: Stage) -> None:
    stage.kills_expected = stage.trouble_expected = True
    stage.play(HELLO, STALL)
    with hosting(stage) as old:
        client = old.client()
        call = client.codex("stall")
        thread = client.event(call, "session_configured")["session_id"]
        client.event(call, "agent_message_delta")
        with hosting(stage, "--replace") as new:
            new.await_socket()
            other = new.client()
            waits = other.reply(thread, "hello")
            assert other.ask("ping")["result"] == {}
            os.kill(old.pid, signal.SIGKILL)
            assert text(other.result(waits)) == "Good day."


def test_stopping_the_new_host_lets_the_turns_of_the_old_one_end(stage: Stage) -> None:
    gate = Gate()
    stage.play(HELLO, rule("slow", [gate.wait, Text("Done at last.")]))
    with hosting(stage) as old:
        client = old.client()
        call = client.codex("slow")
        stage.model.until(lambda now: now.streaming == 1)
        with hosting(stage, "--replace") as new:
            new.await_socket()
            new.process.terminate()
            until(lambda: not Path(new.path).exists(), TIMEOUT)
            assert client.ask("ping")["result"] == {}
            with pytest.raises(subprocess.TimeoutExpired):
                new.process.wait(0.5)  # else a service manager would end the old host with the service
            stage.model.open(gate)
            assert text(client.result(call)) == "Done at last."
            assert (old.wait(), new.wait()) == (0, 0)


def test_clients_without_a_handshake_move_with_their_streams_ended(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as old:
        raw = old.connect()
        client = Modern(raw)
        stream = client.request("subscriptions/listen", {"notifications": {"resourcesListChanged": True}})
        raw.until(lambda message: message.get("method") == "notifications/subscriptions/acknowledged")
        with hosting(stage, "--replace") as new:
            new.await_socket()
            assert client.answer(stream)["result"], "the client listens again"
            assert old.wait() == 0
            assert text(client.result(client.call("codex", prompt="hello"))) == "Good day."
            answered_once(raw)


def test_a_client_of_another_protocol_stays_with_the_old_host_and_is_disconnected_at_its_end(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage, "-c", "greenroom.replaced_s=1") as old:
        client = old.connect()
        assert client.say_hello(protocol="app-server")["ok"]
        with hosting(stage, "--replace") as new:
            new.await_socket()
            assert client.ended() == []
            assert old.wait() == 0


def test_in_the_background_it_returns_once_it_serves(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting(stage) as old:
        old.await_socket()
        client = old.client()
        started = Host(stage, "--replace", "--background")
        assert started.wait() == 0
        assert old.wait() == 0
        assert client.ask("ping")["result"] == {}
        new = psutil.Process(json.loads((stage.home.path / NAME).read_bytes())["pid"])
        new.terminate()
        psutil.wait_procs([new], TIMEOUT)
        assert not Path(old.path).exists()
        failed = Host(stage, "--background", "--http", "nowhere.invalid:1")
        assert failed.wait() == 1


def test_a_client_that_makes_one_call_after_the_other_is_answered_once_while_its_host_is_replaced(stage: Stage) -> None:
    stage.play(rule("think", [Think(0.1), Text("Thought.")]))
    with hosting(stage) as old:
        client, is_over = old.client(), threading.Event()

        def talk() -> None:
            thread = thread_id(client.result(client.codex("think")))
            while not is_over.is_set():
                assert text(client.result(client.reply(thread, "think"))) == "Thought."

        with ThreadPoolExecutor(1) as pool:
            talking = pool.submit(talk)
            with hosting(stage, "--replace") as new:
                new.await_socket()
                assert old.wait() == 0
                is_over.set()
                talking.result()
                answered_once(client)
