"""A worker that is killed costs one turn of one conversation, and the caller is told at once."""

import os
import signal
import statistics
import time
from functools import partial

import psutil
import pytest

from greenroom.demo.script import Call, CommandStep, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import Client, Message, RequestId, kind, text, thread_id
from tests.support.deadline import until
from tests.support.home import stored_events
from tests.support.model import Gate, inputs, said
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = pytest.mark.both_engines

ANSWERED_WITHIN = 1.0
WHO = CommandStep(("sh", "-c", "echo $PPID"))
STALL = rule("stall", [WHO], [Text("hm"), Stall()])
HELLO = rule("hello", [Text("Good day.")])
SLEEP = rule(
    "sleep", [Call("shell", {"command": ["bash", "-c", "echo $PPID; sleep 600 & sleep 600"], "timeout_ms": 600_000})]
)


def worker_of(client: Client, call: RequestId) -> int:
    """Return the pid of the worker that runs a turn, as its first command printed it."""
    return int(client.event(call, "exec_command_end")["stdout"])


def stalled(client: Client) -> tuple[RequestId, int]:
    """Start a turn in which the model falls silent; return its call and its worker."""
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    return call, worker_of(client, call)


def killed(client: Client, call: RequestId, worker: int, number: int = signal.SIGKILL) -> tuple[Message, float]:
    """Kill a worker; return the result of its call, and how many seconds that took."""
    started = time.monotonic()
    os.kill(worker, number)
    result = client.result(call)
    return result, time.monotonic() - started


def test_killed_worker_answers_its_call(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    client = stage.serve(engine).client
    call, worker = stalled(client)
    result, took = killed(client, call, worker)
    assert kind(result) == "worker_crashed"
    error = result["structuredContent"]["error"]
    assert error["signal"] == signal.SIGKILL
    assert error["exitCode"] is None
    assert error["pid"] == worker
    assert error["resumable"] is True
    assert "SIGKILL" in text(result)
    assert "codex-reply" in text(result), "it says what to do next"
    assert result["structuredContent"]["threadId"] in text(result)
    assert took < ANSWERED_WITHIN


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_any_death_is_named(stage: Stage, number: signal.Signals) -> None:
    stage.play(STALL)
    client = stage.serve("fork").client
    call, worker = stalled(client)
    result, _ = killed(client, call, worker, number)
    assert result["structuredContent"]["error"]["signal"] == number
    assert number.name in text(result)
    stage.trouble_expected = True


def test_deaths_are_answered_within_a_moment(stage: Stage) -> None:
    stage.play(STALL)
    client = stage.serve("fork").client
    times = []
    for _ in range(10):
        call, worker = stalled(client)
        result, took = killed(client, call, worker)
        assert kind(result) == "worker_crashed"
        times.append(took)
    print(f"killed → answered: p50 {statistics.median(times) * 1e3:.1f} ms, max {max(times) * 1e3:.1f} ms")
    assert max(times) < ANSWERED_WITHIN


def test_a_death_harms_no_other_conversation(stage: Stage, engine: str) -> None:
    gate = Gate()
    model = stage.play(STALL, rule("wait", [WHO], [Text("waiting "), gate.wait, Text("done")]), HELLO)
    client = stage.serve(engine).client
    others = [client.codex("wait") for _ in range(3)]
    for other in others:
        client.until(partial(_has_begun, other))
    pids = {worker_of(client, other) for other in others}
    call, worker = stalled(client)
    result, _ = killed(client, call, worker)
    assert kind(result) == "worker_crashed"
    model.open(gate)
    for other in others:
        ended = client.result(other)
        assert text(ended) == "done"
        assert text(client.result(client.reply(thread_id(ended), "hello"))) == "Good day."
    assert all(processes.alive(pid) for pid in pids)


def _has_begun(call: RequestId, message: Message) -> bool:
    params = message.get("params", {}) if message.get("method") == "codex/event" else {}
    return bool(params) and (params["_meta"]["requestId"], params["msg"]["type"]) == (call, "agent_message")


def test_the_conversation_goes_on_after_the_death_with_what_it_was_told(stage: Stage) -> None:
    stage.play(HELLO, STALL, rule("and now", [Text("Still here.")]))
    client = stage.serve("fork").client
    thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
    call = client.reply(thread, "stall")
    client.event(call, "agent_message_delta")
    result, _ = killed(client, call, worker_of(client, call))
    assert thread_id(result) == thread
    reply = client.result(client.reply(thread, "and now"))
    assert (text(reply), thread_id(reply)) == ("Still here.", thread)
    *_, last = stage.model.requests()
    told = said(last, "user")
    assert [words for words in told if words in ("hello", "stall", "and now")] == ["hello", "stall", "and now"]
    assert "stopped the previous turn" in told[-2]
    assert stage.model.statistics().requests == 4, "nothing was asked again by itself"
    assert stored_events(stage.home.session(thread)).count("task_complete") == 2


def test_a_call_whose_outcome_is_unknown_is_said_to_be_so(stage: Stage) -> None:
    stage.play(rule("sleep", [WHO], [CommandStep(("sleep", "600"))]), HELLO)
    server = stage.serve("fork")
    call = server.client.codex("sleep")
    worker = worker_of(server.client, call)
    until(lambda: any(processes.name_of(process) == "sleep" for process in processes.marked(stage.run)))
    result, _ = killed(server.client, call, worker)
    assert not processes.remaining(_sleepers(stage), ANSWERED_WITHIN)
    assert text(server.client.result(server.client.reply(thread_id(result), "hello"))) == "Good day."
    *_, last = stage.model.requests()
    outputs = [item["output"] for item in inputs(last) if item["type"] == "function_call_output"]
    assert len(outputs) == 2
    assert "not known" in outputs[-1]


def test_the_commands_of_a_dead_worker_die_with_it(stage: Stage, engine: str) -> None:
    stage.play(SLEEP)
    server = stage.serve(engine)
    call = server.client.codex("sleep")
    delta = server.client.event(call, "exec_command_output_delta")
    assert delta["stream"] == "stdout"
    until(lambda: len(_sleepers(stage)) == 2)
    sleeping = _sleepers(stage)
    (worker,) = {pid for pid in _ancestors(sleeping[0].pid) if processes.name_of(processes.process(pid)) == "gr-worker"}
    result, _ = killed(server.client, call, worker)
    assert kind(result) == "worker_crashed"
    left = processes.remaining(sleeping, ANSWERED_WITHIN)
    for process in left:
        process.kill()
    assert not left


def _sleepers(stage: Stage) -> list[psutil.Process]:
    return processes.named(processes.marked(stage.run), "sleep")


def _ancestors(pid: int) -> list[int]:
    return [parent.pid for parent in processes.process(pid).parents()]


def test_replies_that_wait_are_run_by_the_next_process(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    client = stage.serve("fork").client
    call, worker = stalled(client)
    thread = client.event(call, "session_configured")["thread_id"]
    waiting = [client.reply(thread, "hello") for _ in range(2)]
    client.ask("ping")
    result, _ = killed(client, call, worker)
    assert kind(result) == "worker_crashed"
    assert [text(client.result(reply)) for reply in waiting] == ["Good day.", "Good day."]


def test_an_idle_worker_that_dies_is_not_missed(stage: Stage, engine: str) -> None:
    stage.play(rule("who", [WHO], [Quote()]), HELLO)
    server = stage.serve(engine)
    result = server.client.result(server.client.codex("who"))
    server.settle(workers=3)
    former = server.workers()
    for worker in former:
        worker.kill()
    until(lambda: len(server.workers()) == 2 and not set(server.workers()) & set(former))
    assert text(server.client.result(server.client.reply(thread_id(result), "hello"))) == "Good day."
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    server.settle(workers=4)


def test_a_conversation_begins_although_the_workers_that_waited_for_it_have_just_died(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork")
    server.settle(workers=2)
    fork_server, waiting = server.fork_server(), server.workers()
    fork_server.suspend()  # so that the deaths are not reported before the call
    for worker in waiting:
        worker.kill()
    assert not processes.remaining(waiting, ANSWERED_WITHIN)
    call = server.client.codex("hello")
    server.client.ask("ping")
    fork_server.resume()
    assert text(server.client.result(call)) == "Good day."


def test_a_reply_is_answered_although_its_worker_and_those_that_waited_have_just_died(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork", "-c", "greenroom.idle_workers=4")
    thread = thread_id(server.client.result(server.client.codex("hello")))
    server.settle(workers=5)
    fork_server, former = server.fork_server(), server.workers()
    fork_server.suspend()  # so that the deaths are not reported before the call
    for worker in former:
        worker.kill()
    assert not processes.remaining(former, ANSWERED_WITHIN)
    call = server.client.reply(thread, "hello")
    server.client.ask("ping")
    fork_server.resume()
    assert text(server.client.result(call)) == "Good day."


def test_a_reply_whose_idle_worker_is_dying_is_answered(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.serve(engine, "-c", "greenroom.idle_workers=0")
    client = server.client
    thread = thread_id(client.result(client.codex("hello")))
    (worker,) = server.workers()
    worker.suspend()
    call = client.reply(thread, "hello")
    client.ask("ping")  # the reply has been sent to the worker by now, which will never read it
    worker.kill()
    assert text(client.result(call)) == "Good day."
    assert [answer["id"] for answer in client.answers()].count(call) == 1


def test_a_cancelled_call_whose_worker_dies_before_it_began_is_not_begun_again(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork")
    server.settle(workers=2)
    waiting = server.workers()
    for worker in waiting:
        worker.suspend()
    call = server.client.codex("stall")
    server.client.cancel(call)
    server.client.ask("ping")
    for worker in waiting:
        worker.kill()
    assert text(server.client.result(call, within=3.0)) == "Turn aborted: interrupted"
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."


def test_a_cancelled_call_whose_worker_hangs_is_answered_and_the_worker_killed(stage: Stage, engine: str) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve(engine)
    call, worker = stalled(server.client)
    os.kill(worker, signal.SIGSTOP)
    started = time.monotonic()
    server.client.cancel(call)
    result = server.client.result(call)
    assert kind(result) == "turn_aborted"
    assert time.monotonic() - started < 10.0, "long before it counts as hung by itself"
    assert processes.ends(worker, ANSWERED_WITHIN)
    assert text(server.client.result(server.client.reply(thread_id(result), "hello"))) == "Good day."


def test_a_cancelled_call_whose_worker_hangs_before_it_began_is_answered_as_cancelled(stage: Stage) -> None:
    stage.play(STALL)
    server = stage.serve("fork")
    server.settle(workers=2)
    for worker in server.workers():
        worker.suspend()
    call = server.client.codex("stall")
    server.client.ask("ping")
    server.client.cancel(call)
    assert text(server.client.result(call, within=3.0)) == "Turn aborted: interrupted"


def test_a_worker_that_hangs_when_it_is_to_leave_is_killed_and_the_reply_answered(stage: Stage) -> None:
    stage.play(rule("who", [WHO], [Quote()]), HELLO)
    server = stage.serve("fork", "-c", "greenroom.park_after_s=0.2")
    result = server.client.result(server.client.codex("who"))
    processes.process(int(text(result))).suspend()
    assert server.client.silent(0.5), "it is asked to leave meanwhile"
    reply = server.client.reply(thread_id(result), "hello")
    assert text(server.client.result(reply, within=6.0)) == "Good day."


def test_a_worker_that_dies_again_and_again_is_given_up_for_a_while(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork")
    call, worker = stalled(server.client)
    thread = server.client.event(call, "session_configured")["thread_id"]
    for _ in range(5):
        killed(server.client, call, worker)
        call = server.client.reply(thread, "stall")
        server.client.event(call, "agent_message_delta")
        worker = worker_of(server.client, call)
    killed(server.client, call, worker)
    refused = server.client.result(server.client.reply(thread, "hello"))
    assert kind(refused) == "worker_crashed"
    assert "too often" in text(refused)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day.", "others are not affected"


def test_all_workers_killed_at_once_are_all_answered(stage: Stage, engine: str) -> None:
    stage.play(STALL, HELLO)
    server: Server = stage.serve(engine)
    calls = [stalled(server.client)[0] for _ in range(6)]
    former = server.workers()
    for worker in former:
        worker.kill()
    for call in calls:
        assert kind(server.client.result(call)) == "worker_crashed"
    until(lambda: len(set(server.workers()) - set(former)) == 2)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
