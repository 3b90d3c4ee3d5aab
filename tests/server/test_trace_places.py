"""The trace of a call is of one piece wherever the call comes from, wherever its turn runs, and whatever dies."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.demo.script import CommandStep, FailStep, First, Quote, Stall, Text, rule
from greenroom.protocol.internal.worker.notices import TurnProgress
from tests.server.test_nodes import pid_on_node, running, state_of
from tests.support.app_server import serve
from tests.support.client import kind, text, thread_id
from tests.support.collector import Collector
from tests.support.deadline import until
from tests.support.exec import ANYWHERE, run
from tests.support.host import hosting, reports
from tests.support.nodes import NodeProcess, free_ports, settings, ticket
from tests.support.openmetrics import page_at, read_page
from tests.support.stage import Stage
from tests.support.traces import outline

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

SPAN = "00f067aa0ba902b7"
LIMITED = First(1, FailStep(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}))
HELLO = rule("hello", [Text("hi")])
WORK = rule("work", [CommandStep(("echo", "here"))], [LIMITED, Quote()])
SLEEP = rule("sleep", [CommandStep(("sleep", "3600"))], [Text("never")])
STALL = rule("stall", [Text("hm"), Stall()])
WHOLE = [
    "tools/call codex-reply",
    "  greenroom.wait",
    "  invoke_agent codex",
    "    chat scripted",
    "    execute_tool shell",
    "    chat scripted",
]


def trace(number: int) -> str:
    return f"{number:032x}"


def context(number: int) -> dict[str, str]:
    """Return what a client says of its span, in a trace of its own."""
    return {"traceparent": f"00-{trace(number)}-{SPAN}-01"}


def outline_of(collector: Collector, number: int) -> list[str]:
    return outline([span for span in collector.spans if span.trace_id.hex() == trace(number)], SPAN)


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


def counted(path: Path, name: str, label: str = "") -> Counter[str]:
    """Return the sums of a metric of the server that serves its page there, by the values of a label."""
    sums: Counter[str] = Counter()
    for (sample, labels), value in read_page(page_at(str(path))).items():
        if sample == f"greenroom_{name}":
            sums[dict(labels).get(label, "")] += round(value)
    return sums


def told_of(stage: Stage) -> bool:
    """Return whether the worker of the running turn has told what it does."""
    turns = [one["turn"] for report in reports(stage) for one in report["conversations"]]
    doing = [turn["doing"] for turn in turns if turn is not None]
    return doing not in ([], [TurnProgress().doing])


def test_the_trace_of_a_turn_whose_worker_dies_is_of_one_piece_and_says_so(stage: Stage, collector: Collector) -> None:
    path = stage.runtime / "metrics"
    stage.play(HELLO, WORK, SLEEP, more=collector.settings() + f'\n[greenroom]\nmetrics_listen = "unix:{path}"\n')
    server = stage.start("--engine", "fork")
    client = server.client
    client.initialize(capabilities={"elicitation": {}})

    def call(tool: str, number: int, **arguments: object) -> int | str:
        params = {"name": tool, "arguments": {"cwd": stage.cwd, **arguments}, "_meta": context(number)}
        return client.request("tools/call", params)

    begun = client.result(call("codex", 1, prompt="hello", **{"approval-policy": "untrusted"}))
    thread = thread_id(begun)
    killed = client.request(
        "tools/call",
        {"name": "codex-reply", "arguments": {"threadId": thread, "prompt": "sleep"}, "_meta": context(2)},
    )
    asked = client.until(lambda message: message.get("method") == "elicitation/create")
    client.send({"id": asked["id"], "result": {"action": "accept", "content": {}, "decision": "approved"}})
    until(lambda: counted(path, "approval_duration_seconds_count")[""] == 1)
    (worker,) = (process for process in server.workers() if process.children())
    worker.kill()
    assert kind(client.result(killed)) == "worker_crashed"
    reply = {"name": "codex-reply", "arguments": {"threadId": thread, "prompt": "hello"}, "_meta": context(3)}
    assert text(client.result(client.request("tools/call", reply))) == "hi"
    client.hang_up()
    client.discard()
    assert server.wait() == 0
    assert outline_of(collector, 1) == [
        "tools/call codex",
        "  greenroom.wait",
        "  invoke_agent codex",
        "    chat scripted",
    ]
    assert outline_of(collector, 2) == [
        "tools/call codex-reply !worker_crashed",
        "  greenroom.wait",
        "  invoke_agent codex !worker_crashed",
        "    chat scripted",
        "    execute_tool shell !worker_crashed",
        "      greenroom.approval",
    ]
    assert outline_of(collector, 3) == [*WHOLE[:3], "    chat scripted"]


def test_a_turn_on_a_node_has_the_same_trace_also_where_the_node_is_lost(stage: Stage, collector: Collector) -> None:
    port, path = free_ports(), stage.runtime / "metrics"
    more = f'\n[greenroom]\nmetrics_listen = "unix:{path}"\n' + settings(port, host_capacity=0)
    stage.play(HELLO, WORK, STALL, more=collector.settings() + more)
    with hosting(stage) as host:
        client = host.client()
        with running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
            node.await_workers()
            until(lambda: state_of(stage, "n1") == "ready")
            thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))

            def reply(prompt: str, number: int) -> int | str:
                arguments = {"threadId": thread, "prompt": prompt}
                params = {"name": "codex-reply", "arguments": arguments, "_meta": context(number)}
                return client.request("tools/call", params)

            assert "here" in text(client.result(reply("work", 1), within=60))
            for number, end in ((2, "worker"), (3, "node")):
                stalled = reply("stall", number)
                client.event(stalled, "agent_message_delta")
                until(lambda: told_of(stage))
                if end == "worker":
                    os.kill(pid_on_node(stage, thread), signal.SIGKILL)
                else:
                    node.process.kill()
                assert kind(client.result(stalled)) == "worker_crashed"
            deaths = counted(path, "deaths_total", "cause")
            assert (deaths["SIGKILL"], set(deaths)) == (1, {"SIGKILL", "node_lost"})
            assert counted(path, "turns_total", "kind")["worker_crashed"] == 2
    assert outline_of(collector, 1) == WHOLE
    for number in (2, 3):
        assert outline_of(collector, number) == [
            "tools/call codex-reply !worker_crashed",
            "  greenroom.wait",
            "  invoke_agent codex !worker_crashed",
            "    chat scripted !worker_crashed",
        ]
    last = stage.model.requests()[-1].headers["traceparent"].split("-")
    stalled_spans = [
        span for span in collector.spans if span.trace_id.hex() == trace(3) and span.name.startswith("chat")
    ]
    assert [span.span_id.hex() for span in stalled_spans] == [last[2]], "the span that the model's server was told of"
    asked = [one.headers.get("traceparent", "") for one in stage.model.requests()]
    of_the_work = [one.split("-")[1] for one in asked].count(trace(1))
    assert of_the_work == 3, "the request, and the next one twice"
    stage.kills_expected = True


def test_clients_of_the_app_server_and_of_exec_name_their_spans(stage: Stage, collector: Collector) -> None:
    stage.play(HELLO, WORK, more=collector.settings())
    server = serve(stage)
    app = server.app
    thread = app.start(cwd=stage.cwd)
    for message in ({"trace": context(1)}, {"trace": {"traceparent": "no span"}}, {}):
        params = {"threadId": thread, "input": [{"type": "text", "text": "hello"}]}
        app.send({"id": f"{message}", "method": "turn/start", "params": params, **message})
        app.completed(app.answer(f"{message}")["result"]["turn"]["id"])
    app.hang_up()
    app.discard()
    assert server.wait() == 0
    of_turn = ["  greenroom.wait", "  invoke_agent codex", "    chat scripted"]
    assert outline_of(collector, 1) == ["turn/start", *of_turn]
    others = {span.trace_id for span in collector.spans} - {bytes.fromhex(trace(1))}
    assert len(others) == 2, "a span that is none is ignored"
    for other in others:
        assert outline([span for span in collector.spans if span.trace_id == other]) == ["turn/start", *of_turn]
    ran = run(stage, ANYWHERE, "hello", TRACEPARENT=context(2)["traceparent"])
    assert ran.status == 0, ran.err
    assert outline_of(collector, 2) == ["exec", *of_turn]
    with hosting(stage) as host:
        host.await_socket()
        ran = run(stage, ANYWHERE, "--attach", "hello", TRACEPARENT=context(3)["traceparent"])
        assert ran.status == 0, ran.err
    assert outline_of(collector, 3) == ["exec", *of_turn]
