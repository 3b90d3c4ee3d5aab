"""Calls of a real server arrive at a collector as whole traces, and without what was said."""

import json
from collections.abc import Iterator

import pytest

from greenroom.demo.script import Call, CommandStep, FailStep, First, ScriptedUsage, Text, rule
from tests.support.collector import Collector, attributes
from tests.support.deadline import until
from tests.support.host import reports, status
from tests.support.openmetrics import page_at, read_page
from tests.support.server import Server
from tests.support.stage import Stage

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
META = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
PROMPT = "work with the-user-said-this"
ANSWER = "the-model-said-this"
KEY = "sk-a-key-for-the-collector"
WORK = rule(
    "work",
    [ScriptedUsage(input_tokens=100, output_tokens=7), CommandStep(("sh", "-c", "echo the-command-said-this > file"))],
    [First(1, FailStep(429, {"error": {"message": "the-server-said-this"}}, {"Retry-After": "0"})), Text(ANSWER)],
)
TOLD = ("the-user-said-this", ANSWER, "the-command-said-this", "the-server-said-this", KEY)


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


def work(server: Server, stage: Stage) -> None:
    """Let a turn run a command that the user approves."""
    client = server.client
    arguments = {"prompt": PROMPT, "cwd": stage.cwd, "approval-policy": "untrusted", "sandbox": "workspace-write"}
    call = client.request("tools/call", {"name": "codex", "arguments": arguments, "_meta": META})
    asked = client.until(lambda message: message.get("method") == "elicitation/create")
    client.send({"id": asked["id"], "result": {"action": "accept", "content": {}, "decision": "approved"}})
    result = client.result(call)
    assert result["structuredContent"]["content"] == ANSWER, result


def run(stage: Stage, collector: Collector, more: str = "") -> Server:
    """Let a server do that, and end it."""
    headers = ', headers = { "Authorization" = "Bearer ${COLLECTOR_KEY}" }'
    stage.play(WORK, more=collector.settings(more=more, headers=headers))
    server = stage.start("--engine", "fork", COLLECTOR_KEY=KEY)
    server.client.initialize(capabilities={"elicitation": {}})
    work(server, stage)
    server.client.hang_up()
    server.client.discard()
    assert server.wait() == 0
    return server


def test_a_call_arrives_as_one_trace_from_the_client_to_the_model(stage: Stage, collector: Collector) -> None:
    run(stage, collector, 'environment = "test"\nspan_attributes = { team = "blue" }')
    spans = collector.spans
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    names = [span.name for span in spans]
    assert names == [
        "tools/call codex",
        "greenroom.wait",
        "invoke_agent codex",
        "chat scripted",
        "execute_tool shell",
        "greenroom.approval",
        "chat scripted",
    ], names
    call, wait, agent, first, tool, approval, second = spans
    assert call.parent_span_id.hex() == SPAN
    assert call.trace_state == "vendor=1"
    parents = [one.parent_span_id for one in (wait, agent, first, second, tool, approval)]
    assert parents == [call.span_id, call.span_id, agent.span_id, agent.span_id, agent.span_id, tool.span_id]
    for outer, inner in ((call, agent), (agent, first), (agent, second), (agent, tool), (tool, approval)):
        assert outer.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.end_time_unix_nano <= outer.end_time_unix_nano
    assert first.end_time_unix_nano <= tool.start_time_unix_nano <= second.start_time_unix_nano
    heard = [request.headers.get("traceparent") for request in stage.model.requests()]
    expected = [f"00-{TRACE}-{span.span_id.hex()}-01" for span in (first, second, second)]
    assert heard == expected, "each request names its own span, also when it is repeated"
    chat = attributes(first.attributes)
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 7)
    assert attributes(second.attributes)["greenroom.attempts"] == 2
    assert {attributes(span.attributes)["team"] for span in spans} == {"blue"}
    (resource,) = {json.dumps(one, sort_keys=True) for one in collector.resources}
    assert {"service.name": "greenroom", "env": "test"}.items() <= json.loads(resource).items()
    assert [name for name, _ in collector.events] == [
        "codex.user_prompt",
        "codex.conversation_starts",
        "codex.api_request",
        "codex.sse_event",
        "codex.tool_decision",
        "codex.tool_result",
        "codex.api_request",
        "codex.api_request",
        "codex.sse_event",
    ]
    turns = collector.metrics["greenroom.turns"].sum.data_points
    counted = {attributes(point.attributes)["outcome"]: point.as_int for point in turns}
    assert counted == {"completed": 1}, "the last values are sent at the end"


def test_nothing_that_was_said_leaves_unless_the_prompt_is_asked_for(stage: Stage, collector: Collector) -> None:
    run(stage, collector)
    assert [words for words in TOLD if words.encode() in collector.raw] == []
    assert {headers["authorization"] for headers in collector.headers} == {f"Bearer {KEY}"}
    asked_for = Collector()
    try:
        run(stage, asked_for, "log_user_prompt = true")
        assert [words for words in TOLD if words.encode() in asked_for.raw] == ["the-user-said-this"]
    finally:
        asked_for.close()


def test_a_collector_that_is_not_there_costs_no_turn_and_no_end(stage: Stage) -> None:
    gone = Collector()
    settings = gone.settings()
    gone.close()
    path = stage.runtime / "metrics"
    stage.play(rule("hello", [Text("hi")]), more=settings + f'\n[greenroom]\nmetrics_listen = "unix:{path}"\n')
    times = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.5"}
    server = stage.serve("fork", **times)
    assert server.client.result(server.client.codex("hello"))["structuredContent"]["content"] == "hi"
    failed = ("greenroom_telemetry_records_total", frozenset({("signal", "spans"), ("outcome", "failed")}))
    until(lambda: read_page(page_at(str(path))).get(failed) == 4)
    (report,) = reports(stage)
    assert {"signal": "spans", "sent": 0, "failed": 4, "dropped": 0, "failure": "no connection"} in report["telemetry"]
    assert "telemetry: of 4 spans 4 not taken by the collector (no connection)" in status(stage, "status").stdout
    told = stage.told()
    assert "Failed to export spans batch" in told
    assert KEY not in told


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('exporter = "otlp"', "otel.exporter"),
        ("environment = 7", "otel.environment"),
        (
            'exporter = { otlp-http = { endpoint = "http://127.0.0.1:9/logs", headers = { a = "${NO_SUCH_KEY}" } } }',
            "NO_SUCH_KEY",
        ),
        ('exporter = { otlp-grpc = { tls = { ca-certificate = "/no/such/file" } } }', "/no/such/file"),
    ],
)
def test_a_setting_that_is_wrong_costs_telemetry_and_nothing_else(stage: Stage, table: str, said: str) -> None:
    more = f"\n[otel]\n{table}\n[greenroom]\nidle_workers = 1\n"
    stage.play(rule("hello", [Text("hi")]), more=more)
    server = stage.serve("fork")
    assert server.client.result(server.client.codex("hello"))["structuredContent"]["content"] == "hi"
    server.settle(2)
    assert said in stage.told()


def test_what_the_sdk_refuses_costs_telemetry_and_nothing_else(stage: Stage, collector: Collector) -> None:
    stage.play(rule("hello", [Text("hi")]), more=collector.settings())
    server = stage.start("--engine", "fork", OTEL_BSP_MAX_QUEUE_SIZE="1", OTEL_BLRP_MAX_QUEUE_SIZE="1")
    server.client.initialize()
    assert server.client.result(server.client.codex("hello"))["structuredContent"]["content"] == "hi"
    assert "no telemetry is sent" in stage.told()
    stage.trouble_expected = True


def test_workers_and_the_fork_server_know_nothing_of_it(stage: Stage, collector: Collector) -> None:
    """Threads of exporters are in the supervisor alone, and so is what it imports for them."""
    stage.play(rule("hello", [Call("shell", {"command": ["true"]})], [Text("hi")]), more=collector.settings())
    server = stage.serve("fork")
    server.client.result(server.client.codex("hello"))
    server.settle(3)
    for process in (server.fork_server(), server.broker(), *server.workers()):
        with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
            mapped = maps.read()
        assert "grpc" not in mapped
        assert "google" not in mapped
    assert server.fork_server().num_threads() == 1
