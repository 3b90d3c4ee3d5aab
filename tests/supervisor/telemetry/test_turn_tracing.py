"""The trace of a call is complete, in order and of one piece, and holds no text unless the settings say so."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.telemetry.timings import (
    AttemptTiming,
    DecisionTiming,
    OpenRequest,
    OpenTool,
    RequestTiming,
    Timing,
    TokenUse,
    ToolTiming,
)
from greenroom.protocol.telemetry.trace_context import TraceContext, read_trace_context
from greenroom.supervisor.conversations.state.turn import CallOrigin, ConversationTurn, Nobody
from greenroom.supervisor.telemetry.events import TelemetryEvent
from greenroom.supervisor.telemetry.otlp_binary import Pairs, log_record, pairs
from greenroom.supervisor.telemetry.record_buffer import BufferLimits, RecordBuffer, SenderIdentity
from greenroom.supervisor.telemetry.turn_records import Destination, LongestTexts
from greenroom.supervisor.telemetry.turn_tracing import MOST_UNWRITTEN, TurnTracing
from tests.protocol.telemetry.test_timings import timings
from tests.support.collector import attributes

SECRET = "sk-the-user-said-this"
ITEMS = json.dumps([{"type": "text", "text": SECRET}, {"type": "local_image", "path": f"/{SECRET}"}]).encode()
CLIENT = read_trace_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
UNSAMPLED = read_trace_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
CALL = CallOrigin("tools/call", "codex", "7", CLIENT)
FIRST, SECOND = Incarnation(1), Incarnation(2)


class Record:
    """Remembers events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: TelemetryEvent, about: Pairs, place: bytes = b"") -> None:
        told = LogRecord.FromString(log_record(b"", place, event.at, 0, (*about, *event.pairs)))
        self.events.append((event.name, attributes(told.attributes)))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [attributes for told, attributes in self.events if told == name]


class SeenSpan(NamedTuple):
    """A span as a collector gets it. Ids are in hexadecimal; that of a parent is empty where there is none."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    state: str
    kind: int
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[str]
    has_failed: bool


def seen(span: Span) -> SeenSpan:
    return SeenSpan(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes(span.attributes),
        [event.name for event in span.events],
        span.status.code == Status.STATUS_CODE_ERROR,
    )


class Scene:
    """One turn that is traced."""

    def __init__(
        self,
        origin: CallOrigin = CALL,
        *,
        sends_spans: bool = True,
        sampler: Sampler = DEFAULT_ON,
        most_unwritten: int = MOST_UNWRITTEN,
        **settings: Any,
    ) -> None:
        identity = SenderIdentity(Resource({}), InstrumentationScope("test"))
        self._buffer = RecordBuffer(identity.around_spans, BufferLimits())
        self._spans: list[Span] = []
        self._log = Record()
        spans = self._buffer if sends_spans else None
        self._tracing = TurnTracing(
            Destination(spans, self._log, **settings), sampler=sampler, most_unwritten=most_unwritten
        )
        self._buffer.before_take = self._tracing.write
        self.turn = ConversationTurn(TurnId("t"), ConversationId("c"), ITEMS, Nobody(), origin=origin)
        self.turn.accept([self._tracing])

    def start(self, incarnation: Incarnation = FIRST) -> TraceContext | None:
        return self.turn.start(incarnation)

    @property
    def waiting(self) -> int:
        return self._buffer.waiting

    @property
    def log(self) -> Record:
        self._tracing.write()
        return self._log

    @property
    def raw_spans(self) -> Sequence[Span]:
        for batch in self._buffer.take().batches:
            message = ExportTraceServiceRequest.FromString(batch.message)
            self._spans += message.resource_spans[0].scope_spans[0].spans
        return self._spans

    @property
    def spans(self) -> Sequence[SeenSpan]:
        return [seen(span) for span in self.raw_spans]

    def named(self, name: str) -> SeenSpan:
        (found,) = (span for span in self.spans if span.name == name)
        return found


def request(at: float, seconds: float = 1.0, **more: Any) -> RequestTiming:
    attempt = AttemptTiming(started_at=at, seconds=seconds, outcome="ok")
    facts: dict[str, Any] = {
        "model": "m",
        "provider": "openai",
        "server": "api.example.org:8443",
        "attempts": (attempt,),
        "outcomes": {"ok": 1},
        "first_token": 0.25,
        "usage": TokenUse(input=10, cached_input=4, output=5, reasoning_output=2),
    }
    return RequestTiming(started_at=at, seconds=seconds, **{**facts, **more})


def tool(at: float, seconds: float = 1.0, **more: Any) -> ToolTiming:
    facts: dict[str, Any] = {"name": "shell", "call_id": "call_1", "origin": "builtin", "end": "ok"}
    return ToolTiming(started_at=at, seconds=seconds, **{**facts, **more}, arguments_size=12, output_size=34)


def decision(at: float, seconds: float = 0.5, call_id: str = "call_1") -> DecisionTiming:
    return DecisionTiming(
        started_at=at, seconds=seconds, kind="command", call_id=call_id, tool="shell", by="user", verdict="approved"
    )


def test_a_call_with_a_tool_and_an_approval_is_one_trace_in_order() -> None:
    scene = Scene()
    told = scene.start()
    assert told is not None
    assert scene.turn.started_at is not None
    now = scene.turn.started_at.at
    asked = request(now, span_id="00000000000000ab")
    scene.turn.time([asked, decision(now + 1.25), tool(now + 1.0), request(now + 2.0, span_id="00000000000000ac")])
    scene.turn.succeed(b'""')
    names = [span.name for span in sorted(scene.spans, key=lambda span: (span.start, -span.end))]
    assert names == [
        "tools/call codex",
        "greenroom.wait",
        "invoke_agent codex",
        "chat m",
        "execute_tool shell",
        "greenroom.approval",
        "chat m",
    ]
    assert CLIENT is not None
    assert {span.trace_id for span in scene.spans} == {CLIENT.trace_id}
    call, agent = scene.named("tools/call codex"), scene.named("invoke_agent codex")
    run, approval = scene.named("execute_tool shell"), scene.named("greenroom.approval")
    assert call.parent == CLIENT.span_id
    assert scene.named("greenroom.wait").parent == agent.parent == call.span_id
    assert run.parent == agent.span_id
    assert approval.parent == run.span_id, "the decision is a part of the call that waited for it"
    chats = [span for span in scene.spans if span.name == "chat m"]
    assert [(span.span_id, span.parent) for span in chats] == [(f"{n:016x}", agent.span_id) for n in (0xAB, 0xAC)]
    assert told == TraceContext(CLIENT.trace_id, agent.span_id, 1, "vendor=1")
    for span in scene.spans:
        assert not span.has_failed
        assert span.start <= span.end
        assert span.state == "vendor=1"
    assert (call.kind, agent.kind, chats[0].kind) == (
        Span.SPAN_KIND_SERVER,
        Span.SPAN_KIND_INTERNAL,
        Span.SPAN_KIND_CLIENT,
    )


def test_attributes_are_those_of_the_conventions() -> None:
    scene = Scene()
    scene.start()
    scene.turn.time([request(1000.0), tool(1001.0, end="failed")], 0)
    scene.turn.succeed(b'""')
    call = scene.named("tools/call codex").attributes
    assert (call["mcp.method.name"], call["gen_ai.tool.name"], call["jsonrpc.request.id"]) == (
        "tools/call",
        "codex",
        "7",
    )
    assert call["gen_ai.conversation.id"] == "c"
    agent = scene.named("invoke_agent codex").attributes
    assert (agent["gen_ai.operation.name"], agent["greenroom.incarnation"]) == ("invoke_agent", 1)
    chat = scene.named("chat m").attributes
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "api.example.org",
        "server.port": 8443,
    }.items() <= chat.items()
    run = scene.named("execute_tool shell")
    assert run.attributes["error.type"] == "failed"
    assert run.has_failed


def test_a_client_without_a_trace_begins_one() -> None:
    scene = Scene(CallOrigin("exec"))
    scene.start()
    scene.turn.succeed(b'""')
    assert not scene.named("exec").parent
    assert len({span.trace_id for span in scene.spans}) == 1


def test_what_a_client_does_not_record_is_not_recorded_here() -> None:
    assert UNSAMPLED is not None
    scene = Scene(CallOrigin("tools/call", "codex", "7", UNSAMPLED))
    told = scene.start()
    scene.turn.time([request(1000.0, span_id="00000000000000ab"), decision(1000.0), tool(1000.0)])
    scene.turn.succeed(b'""')
    assert not scene.spans
    assert told is not None
    assert told.parent.endswith("-00"), "the servers are told so"


def test_nothing_is_told_to_servers_where_traces_are_not_sent() -> None:
    assert Scene(sends_spans=False).start() is None


def test_a_worker_that_died_at_once_leaves_a_span_and_another_follows() -> None:
    scene = Scene()
    scene.start(FIRST)
    scene.start(SECOND)
    scene.turn.succeed(b'""')
    died, finished = (span for span in scene.spans if span.name == "invoke_agent codex")
    assert died.attributes["error.type"] == "worker_crashed"
    assert [span.attributes["greenroom.incarnation"] for span in (died, finished)] == [1, 2]
    assert [span.name for span in scene.spans].count("greenroom.wait") == 1


@pytest.mark.parametrize("is_last", [True, False])
def test_a_worker_that_died_within_a_tool_call_leaves_no_span_without_its_parent(is_last: bool) -> None:
    scene = Scene()
    scene.start(FIRST)
    scene.turn.time([decision(1000.0), tool(1000.0, call_id="call_0"), decision(1001.0, call_id="call_2")])
    if is_last:
        scene.turn.fail(Failure("worker_crashed", "gone"))
    else:
        scene.start(SECOND)
        scene.turn.time([decision(1002.0), tool(1002.0)])
        scene.turn.succeed(b'""')
    spans = scene.spans
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids)
    assert [span.name for span in spans if span.parent not in ids] == ["tools/call codex"]
    agents = [span for span in spans if span.name == "invoke_agent codex"]
    assert [span.has_failed for span in agents] == ([True] if is_last else [True, False])
    run = {
        (span.attributes["gen_ai.tool.call.id"], span.parent): span.attributes.get("error.type")
        for span in spans
        if span.name == "execute_tool shell"
    }
    of_the_dead = {
        ("call_0", agents[0].span_id): None,
        ("call_1", agents[0].span_id): "worker_crashed",
        ("call_2", agents[0].span_id): "worker_crashed",
    }
    assert run == of_the_dead | ({} if is_last else {("call_1", agents[1].span_id): None})


def test_what_a_worker_did_when_it_died_has_spans_that_end_with_it() -> None:
    scene = Scene()
    scene.start(FIRST)
    asked = OpenRequest(
        started_at=1000.0, model="m", provider="openai", server="api.example.org:8443", span_id="00000000000000ab"
    )
    called = OpenTool(started_at=1001.0, name="", call_id="call_1", origin="mcp")
    scene.turn.time([], open_parts=[asked])
    scene.turn.time([request(1000.0, span_id=asked.span_id), decision(1001.5)], open_parts=[called])
    scene.start(SECOND)
    later = msgspec.structs.replace(asked, span_id="00000000000000ac")
    scene.turn.time([], open_parts=[later])
    scene.turn.fail(Failure("worker_crashed", "gone"))
    spans = scene.spans
    first, second = (span for span in spans if span.name == "invoke_agent codex")
    ended, open_one = (span for span in spans if span.name == "chat m")
    run, approval = scene.named("execute_tool mcp"), scene.named("greenroom.approval")
    assert (ended.span_id, ended.has_failed) == ("00000000000000ab", False), "it was told of twice and has one span"
    assert (open_one.span_id, open_one.parent) == ("00000000000000ac", second.span_id)
    assert (run.parent, approval.parent) == (first.span_id, run.span_id)
    for span, agent in ((run, first), (open_one, second)):
        assert span.attributes["error.type"] == "worker_crashed"
        assert (span.has_failed, span.end) == (True, agent.end)
    assert open_one.attributes["gen_ai.request.model"] == "m"
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("started", [True, False])
def test_a_failure_ends_every_open_span_with_its_kind(started: bool) -> None:
    scene = Scene()
    if started:
        scene.start()
    scene.turn.fail(Failure("worker_crashed", SECRET))
    ended = [span for span in scene.spans if span.name != "greenroom.wait"]
    assert len(ended) == (2 if started else 1)
    assert {span.attributes["error.type"] for span in ended} == {"worker_crashed"}
    assert SECRET not in everything(scene)


def test_events_have_the_names_of_the_reference() -> None:
    scene = Scene()
    scene.start()
    refused = AttemptTiming(started_at=1000.0, seconds=0.5, outcome="429")
    answered = AttemptTiming(started_at=1001.0, seconds=0.5, outcome="ok")
    asked = request(1000.0, attempts=(refused, answered), outcomes={"429": 1, "ok": 1})
    scene.turn.time([asked, decision(1002.0), tool(1002.0)])
    scene.turn.succeed(b'""')
    assert [name for name, _ in scene.log.events] == [
        "codex.user_prompt",
        "codex.api_request",
        "codex.api_request",
        "codex.sse_event",
        "codex.tool_decision",
        "codex.tool_result",
    ]
    first, second = scene.log.of("codex.api_request")
    assert (first["http.response.status_code"], first["success"], first["attempt"]) == (429, "false", 0)
    assert (second["success"], second["attempt"], second["model"]) == ("true", 1, "m")
    (done,) = scene.log.of("codex.sse_event")
    assert (done["event.kind"], done["input_token_count"], done["cached_token_count"]) == ("response.completed", 10, 4)
    (ruled,) = scene.log.of("codex.tool_decision")
    assert (ruled["tool_name"], ruled["decision"], ruled["source"]) == ("shell", "approved", "user")
    told = {event for span in scene.spans for event in span.events}
    assert told == {name for name, _ in scene.log.events}, "they are on the spans too"


@pytest.mark.parametrize("asked_for", [True, False])
def test_the_text_of_a_prompt_is_sent_where_it_is_asked_for_and_only_as_an_event(asked_for: bool) -> None:
    scene = Scene(takes_prompts=asked_for)
    scene.start()
    scene.turn.succeed(json.dumps(SECRET).encode())
    (prompt,) = scene.log.of("codex.user_prompt")
    assert prompt["prompt_length"] == len(SECRET)
    assert (prompt["text_input_count"], prompt["local_image_input_count"]) == (1, 1)
    assert prompt["prompt"] == (SECRET if asked_for else "[REDACTED]")
    assert SECRET not in everything(scene)


@given(st.lists(timings, max_size=5), st.integers(0, 3))
def test_whatever_a_worker_tells_the_trace_is_of_one_piece(told: list[Timing], dropped: int) -> None:
    scene = Scene(CallOrigin("turn/start"))
    scene.start()
    scene.turn.time(told, dropped)
    scene.turn.succeed(b'""')
    spans = scene.spans
    untold = {one.call_id for one in told if isinstance(one, DecisionTiming) and one.call_id}
    assert len(told) <= len(spans) - 3 <= len(told) + len(untold), "of the call, its wait, its turn, and of each part"
    ids = [span.span_id for span in spans]
    assert [span.name for span in spans if span.parent not in ids] == ["turn/start"]
    assert len(set(ids)) == len(ids) or any(isinstance(one, RequestTiming) and one.span_id for one in told)


def test_a_sampler_decides_which_traces_are_recorded() -> None:
    scene = Scene(CallOrigin("exec"), sampler=ALWAYS_OFF)
    told = scene.start()
    scene.turn.time([request(1000.0)])
    scene.turn.succeed(b'""')
    assert not scene.spans
    assert told is not None
    assert told.flags == 0
    assert [name for name, _ in scene.log.events] == ["codex.user_prompt", "codex.api_request", "codex.sse_event"]


def test_texts_are_cut_off_where_the_variables_of_the_sdk_say_so() -> None:
    scene = Scene(longest=LongestTexts(4, 3), extra=pairs({"team": "a long name"}, 4))
    scene.start()
    scene.turn.time([request(1000.0), tool(1000.0, call_id="call_12345")])
    scene.turn.succeed(b'""')
    texts = [value for span in scene.spans for value in span.attributes.values() if isinstance(value, str)]
    assert texts
    assert max(map(len, texts)) == 4
    told = [value for _, facts in scene.log.events for value in facts.values() if isinstance(value, str)]
    assert max(map(len, told)) == 3


def test_what_is_kept_is_written_once_there_is_much_of_it() -> None:
    scene = Scene(most_unwritten=6)
    scene.start()
    scene.turn.time([request(1000.0), tool(1000.0)])
    written = [scene.waiting]
    scene.turn.time([tool(1001.0)])
    written.append(scene.waiting)
    assert written == [0, 4], "nothing at once, and then the wait and three parts"


def test_what_cannot_be_written_is_logged_and_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.start()
    scene.turn.time([request(1000.0, model="\ud800")])
    scene.turn.time([tool(1001.0)])
    scene.turn.succeed(b'""')
    assert [span.name for span in scene.spans] == [
        "greenroom.wait",
        "execute_tool shell",
        "invoke_agent codex",
        "tools/call codex",
    ]
    assert "turn t of conversation c cannot be traced" in caplog.text


def everything(scene: Scene) -> str:
    """Return all that is on the spans."""
    return "".join(map(str, scene.raw_spans))
