"""Whatever a client says, however damaged and in whatever order: each request gets one answer, nothing else is said.

Requests of both eras come on one connection. In the one without a handshake a request that is given up is owed nothing.
Its ids are strings of their own, so that each answer can be held against the era of its request.
"""

import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from greenroom.demo.script import CommandStep, FailStep, Quote, Stall, Text, rule
from greenroom.protocol.mcp.handshake import MODERN_VERSION_KEY
from greenroom.protocol.mcp.stateless import CAPABILITIES_KEY, CLIENT_INFO_KEY, SERVER_INFO_KEY, TASKS
from greenroom.protocol.mcp.stateless import VERSIONS as MODERN_VERSIONS
from greenroom.protocol.mcp.toolset import TOOL_NAMES
from greenroom.supervisor.frontend.mcp.front import Front
from tests.support.played import DEEDS, SETTLE, SETTLING, WAIT, Run, Say, serve
from tests.support.stage import Stage

METHODS: Final = sorted(Front(lambda _: None, {})._methods)
UNKNOWN: Final = ("tools/call2", "", "notifications/initialized", "elicitation/create", "sampling/createMessage")
NOTIFICATIONS: Final = ("notifications/initialized", "notifications/progress", "ping", "tools/call", "x")
THREADS: Final = ("01990000-0000-7000-8000-000000000000", "no uuid", "")
MODERN_VERSION: Final = MODERN_VERSIONS[-1]
GIVEN_UP: Final = "given up"
MODERN_ID: Final = re.compile(r"m\d+")
Identity = tuple[type, object]


@dataclass(frozen=True)
class Line:
    """Something that the client says, and what it is owed for it."""

    data: bytes
    owed: tuple[Identity, ...] = ()
    """The ids under which answers must come."""
    wild: int = 0
    """How many further answers may come: for what may or may not be a request."""
    given_up: tuple[Identity, ...] = ()
    """The ids under which an answer that is owed may fail to come."""


def line(message: object, *owed: Identity) -> Line:
    return Line(msgspec.json.encode(message), owed)


def identity(value: object) -> Identity:
    return type(value), value


def joined(lines: list[Line]) -> Line:
    """Return lines that are said one after the other, as one."""
    owed = tuple(answer for one in lines for answer in one.owed)
    return Line(b"\n".join(one.data for one in lines), owed)


REFUSED: Final = identity(None)
PAUSE: Final = Line(SETTLING.rstrip(), (identity(SETTLE),))
STATE, KEY, TASK = "@state", "@key", "@task"
"""What stands for the state, the key of a question and the task that the server has named last."""
ACCEPT: Final = {"action": "accept", "content": {}}
ids = st.integers(0, 6) | st.sampled_from(["0", "1", "x", "", "\u00e9"]) | st.sampled_from([-1, 2**53, 2**63 - 1])
odd_ids: st.SearchStrategy[object] = st.sampled_from([None, 1.5, True, [], {}, [1]])
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
arguments = st.fixed_dictionaries(
    {"prompt": st.sampled_from(DEEDS) | st.text(max_size=5)},
    optional={
        "threadId": st.sampled_from(THREADS),
        "config": anything,
        "cwd": anything,
        "sandbox": st.sampled_from(["read-only", "none"]),
    },
)
tool_calls = st.fixed_dictionaries(
    {"name": st.sampled_from([*TOOL_NAMES, "other"])},
    optional={
        "arguments": arguments | anything,
        "_meta": anything | st.fixed_dictionaries({"progressToken": ids | odd_ids}),
    },
)
greetings: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {
        "protocolVersion": st.sampled_from(["2024-11-05", "2025-06-18", "2025-11-25", "1999-01-01"]) | anything,
        "clientInfo": st.just({"name": "any", "version": "1"}) | anything,
        "capabilities": st.sampled_from([{}, {"elicitation": {}}]) | anything,
    }
)


@st.composite
def requests(draw: st.DrawFn) -> Line:
    method = draw(st.sampled_from(["tools/call"] * 6 + ["initialize"] * 2 + [*METHODS, *UNKNOWN]))
    fitting = {"tools/call": tool_calls, "initialize": greetings}.get(method, st.just({}))
    message: dict[str, object] = {"jsonrpc": "2.0", "id": draw(ids), "method": method}
    if draw(st.integers(0, 9)):
        message["params"] = draw(fitting if draw(st.integers(0, 3)) else anything)
    return line(message, identity(message["id"]))


@st.composite
def unfit_requests(draw: st.DrawFn) -> Line:
    message: dict[str, object] = {"jsonrpc": "2.0", "id": draw(odd_ids), "method": draw(st.sampled_from(METHODS))}
    return line(message, REFUSED)


@st.composite
def notifications(draw: st.DrawFn) -> Line:
    return line({"method": draw(st.sampled_from(NOTIFICATIONS)), "params": draw(anything)})


@st.composite
def cancellations(draw: st.DrawFn) -> Line:
    return line({"method": "notifications/cancelled", "params": {"requestId": draw(ids | odd_ids)}})


@st.composite
def responses(draw: st.DrawFn) -> Line:
    verdict = st.sampled_from([{"action": "accept"}, {"decision": "denied"}, {"decision": "abort"}])
    said = draw(st.sampled_from(["result", "error"]))
    return line({"id": draw(ids), said: draw(verdict | anything)})


modern_ids = st.integers(0, 30).map("m{}".format)
damaged_ids = st.integers(0, 30).map("d{}".format)
capabilities = st.sampled_from(
    [{}, {"elicitation": {}}, {"elicitation": {}, "extensions": {TASKS: {}}}, {"extensions": {TASKS: {}}}]
)
envelopes = st.fixed_dictionaries({MODERN_VERSION_KEY: st.just(MODERN_VERSION), CAPABILITIES_KEY: capabilities})
odd_envelopes = st.fixed_dictionaries(
    {MODERN_VERSION_KEY: st.sampled_from([MODERN_VERSION, "2099-01-01"]) | anything},
    optional={CAPABILITIES_KEY: anything, CLIENT_INFO_KEY: anything, "progressToken": anything},
)
modern_params: Final = {
    "tools/call": tool_calls
    | st.fixed_dictionaries(
        {
            "name": st.just("codex"),
            "arguments": st.fixed_dictionaries({"prompt": st.sampled_from(DEEDS)}),
            "requestState": st.sampled_from([STATE, "x"]) | anything,
            "inputResponses": st.fixed_dictionaries({KEY: st.sampled_from([ACCEPT, {"action": "decline"}]) | anything})
            | anything,
        }
    ),
    "subscriptions/listen": st.fixed_dictionaries(
        {
            "notifications": st.fixed_dictionaries(
                {},
                optional={
                    "toolsListChanged": st.booleans(),
                    "resourcesListChanged": st.booleans(),
                    "taskIds": st.just([TASK]) | anything,
                },
            )
        }
    ),
    **dict.fromkeys(
        ("tasks/get", "tasks/update", "tasks/cancel"),
        st.fixed_dictionaries(
            {"taskId": st.sampled_from([TASK, "x"])},
            optional={"inputResponses": st.fixed_dictionaries({KEY: st.just(ACCEPT) | anything})},
        ),
    ),
}


def modern_line(request_id: str, method: str, params: dict[str, Any], envelope: object) -> Line:
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": envelope}}
    return line(message, identity(request_id))


@st.composite
def modern_requests(draw: st.DrawFn, some_ids: st.SearchStrategy[str] = modern_ids) -> Line:
    """A request of the era without a handshake, now and then with an envelope that is none."""
    often = ["tools/call"] * 4 + ["server/discover", *modern_params]
    method = draw(st.sampled_from([*often, *METHODS, *UNKNOWN]))
    params = draw(modern_params.get(method, st.just({})))
    envelope = draw(envelopes if draw(st.integers(0, 5)) else odd_envelopes)
    return modern_line(draw(some_ids), method, params, envelope)


@st.composite
def modern_calls(draw: st.DrawFn) -> Line:
    """A call that comes to a turn, and in every third case is given up."""
    called = draw(modern_ids)
    params = {"name": "codex", "arguments": {"prompt": draw(st.sampled_from(DEEDS))}}
    call = modern_line(called, "tools/call", params, draw(envelopes))
    if draw(st.integers(0, 2)):
        return call
    given_up = draw(modern_cancellations(st.just(called)))
    return Line(call.data + b"\n" + given_up.data, call.owed, given_up=given_up.given_up)


@st.composite
def modern_cancellations(draw: st.DrawFn, some_ids: st.SearchStrategy[str] = modern_ids) -> Line:
    named = draw(some_ids)
    message = {"method": "notifications/cancelled", "params": {"requestId": named}}
    return Line(msgspec.json.encode(message), given_up=(identity(named),))


@st.composite
def more_rounds(draw: st.DrawFn) -> Line:
    """A call that asks, and then the call that continues it; as a task if the client supports tasks."""
    envelope = draw(envelopes)
    params: dict[str, Any] = {"name": "codex", "arguments": {"prompt": "ask"}}
    first = modern_line(draw(modern_ids), "tools/call", params, envelope)
    responses = {KEY: {"action": draw(st.sampled_from(["accept", "decline", "cancel"]))}}
    declared = cast("dict[str, Any]", envelope[CAPABILITIES_KEY])
    if TASKS in declared.get("extensions", {}):
        answer = modern_line(draw(modern_ids), "tasks/update", {"taskId": TASK, "inputResponses": responses}, envelope)
        look = modern_line(draw(modern_ids), "tasks/get", {"taskId": TASK}, envelope)
        steps = [first, PAUSE, look, PAUSE, answer]
    else:
        more = {"requestState": STATE, "inputResponses": responses}
        steps = [first, PAUSE, modern_line(draw(modern_ids), "tools/call", {**params, **more}, envelope)]
    return joined(steps)


@st.composite
def damaged(draw: st.DrawFn) -> Line:
    """A message that was cut, or whose bytes were changed, duplicated or removed, so that its meaning is undefined."""
    data = bytearray(draw(requests() | modern_requests(damaged_ids) | notifications() | responses()).data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        other = draw(st.integers(place, min(len(data), place + 9)))
        data[place:other] = draw(
            st.sampled_from([b"", b"\xff", b"\x00", b'"', b"{", b"]", b"\n", b"\\ud800", data[place:other] * 2])
        )
    return wild(bytes(data))


def wild(data: bytes) -> Line:
    return Line(data, wild=data.count(b"\n") + data.count(b"{") + 1)


batches = st.lists(requests() | modern_requests(damaged_ids) | notifications(), max_size=3).map(
    lambda members: wild(b"[" + b",".join(member.data for member in members) + b"]")
)
noise = st.binary(max_size=20).map(wild)
blanks = st.sampled_from([b"", b"\r", b"   "]).map(Line)
pauses = st.just(PAUSE)


@st.composite
def good_calls(draw: st.DrawFn) -> Line:
    """A call that comes to a turn, and in every third case with a cancellation after it."""
    called = draw(st.integers(0, 30))
    params: dict[str, object] = {"name": "codex", "arguments": {"prompt": draw(st.sampled_from(DEEDS))}}
    if draw(st.booleans()):
        params["_meta"] = {"progressToken": called}
    call = line({"id": called, "method": "tools/call", "params": params}, identity(called))
    if draw(st.integers(0, 2)):
        return call
    cancelled = line({"method": "notifications/cancelled", "params": {"requestId": called}})
    return Line(call.data + b"\n" + cancelled.data, call.owed)


answers = st.builds(
    lambda number, verdict: line({"id": number, "result": {"action": verdict}}),
    st.integers(0, 3),
    st.sampled_from(["accept", "decline", "cancel"]),
)
conversations = st.lists(
    st.one_of(
        *[good_calls()] * 4,
        *[requests()] * 3,
        *[modern_calls()] * 3,
        *[modern_requests()] * 3,
        *(more_rounds(), modern_cancellations()),
        *(answers, pauses, damaged(), damaged()),
        *(cancellations(), notifications(), responses(), unfit_requests(), batches, noise, blanks),
    ),
    min_size=20,
    max_size=60,
)
versions = st.sampled_from(["2024-11-05", "2025-03-26", "2025-11-25"])
handshakes = versions.map(
    lambda version: line(
        {
            "id": "hello",
            "method": "initialize",
            "params": {
                "protocolVersion": version,
                "clientInfo": {"name": "any", "version": "1"},
                "capabilities": {"elicitation": {}},
            },
        },
        identity("hello"),
    )
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))  # short: addresses of sockets are
    yield path
    shutil.rmtree(path)


def chunks(said: bytes, seed: int, heard: Callable[[], bytes]) -> Iterator[bytes]:
    """Cut at random places, which have nothing to do with the ends of lines, and after each call that settles."""
    for part in re.split(b"(%b)" % re.escape(SETTLING), said):
        filled = fill(part, heard())
        count = 0 if part == SETTLING else min(len(filled) // 50, 20)
        places = sorted(random.Random(seed).choices(range(len(filled) + 1), k=count))
        pieces = (filled[begin:end] for begin, end in zip([0, *places], [*places, len(filled)], strict=True))
        yield from (piece for piece in pieces if piece)


def fill(said: bytes, heard: bytes) -> bytes:
    """Put in what the server has named last."""
    for sign, name in ((STATE, rb'"requestState":'), (KEY, rb'"inputRequests":\{'), (TASK, rb'"taskId":')):
        if named := re.findall(name + rb'"([^"]+)"', heard):
            said = said.replace(sign.encode(), named[-1])
    return said


def check(said: list[Line], messages: list[dict[str, Any]]) -> None:
    """Check that every answer that is owed came, and no other apart from those that may come."""
    for message in messages:
        assert message["jsonrpc"] == "2.0"
        assert isinstance(message.get("method", ""), str)
        assert "method" in message or ("result" in message) != ("error" in message)
    owed = Counter(answer for one in said for answer in one.owed)
    given_up = Counter(answer for one in said for answer in one.given_up)
    came = Counter(identity(message["id"]) for message in messages if "method" not in message)
    assert not owed - came - given_up, "requests without an answer"
    assert (came - owed).total() <= sum(one.wild for one in said), "answers that nobody asked for"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(first=st.none() | handshakes, said=conversations, seed=st.integers(0, 99), cut=st.booleans())
def test_every_request_is_answered_once_and_nothing_else_is_said(
    home: Path, first: Line | None, said: list[Line], seed: int, cut: bool
) -> None:
    said = said if first is None else [first, *said]
    if cut:
        *said, last = said
        data = b"".join(one.data + b"\n" for one in said) + last.data[: len(last.data) // 2]
        said.append(wild(last.data))
    else:
        data = b"".join(one.data + b"\n" for one in said)
    run = play(partial(chunks, data, seed), home)
    check(said, run.messages)
    check_form(run.messages)


def play(say: Say, home: Path) -> Run:
    run = serve(say, home, {"XDG_RUNTIME_DIR": str(home), "CODEX_HOME": str(home)})
    assert run.trouble == []
    return run


def check_form(messages: list[dict[str, Any]]) -> None:
    """Check that each result has the form of the era in which it was asked for."""
    for message in messages:
        if "result" in message and MODERN_ID.fullmatch(str(message["id"])):
            assert message["result"]["resultType"] in ("complete", "input_required", "task")
            assert SERVER_INFO_KEY in message["result"]["_meta"]
        elif message.get("id") in (SETTLE, "hello"):
            assert "resultType" not in message["result"]


class Patient:
    """A client without a handshake that waits for answers: one call is given up, one asks, one becomes a task."""

    def __init__(self, heard: Callable[[], bytes]) -> None:
        self._heard = heard
        self._said = 0

    def say(self) -> Iterator[bytes]:
        asks: dict[str, object] = {"elicitation": {}}
        takes_tasks = {**asks, "extensions": {TASKS: {}}}
        question: dict[str, Any] = {"name": "codex", "arguments": {"prompt": "ask"}}
        yes = {"inputResponses": {KEY: ACCEPT}}
        yield self._line(asks, "tools/call", {"name": "codex", "arguments": {"prompt": "stall"}}, GIVEN_UP)
        yield msgspec.json.encode({"method": "notifications/cancelled", "params": {"requestId": GIVEN_UP}}) + b"\n"
        yield from self._request(asks, "tools/call", question)
        yield from self._request(asks, "tools/call", {**question, "requestState": STATE, **yes})
        yield from self._request(takes_tasks, "tools/call", question)
        while b'"status":"input_required"' not in self._heard():
            yield from self._request(takes_tasks, "tasks/get", {"taskId": TASK})
        yield from self._request(takes_tasks, "tasks/update", {"taskId": TASK, **yes})
        while b'"status":"completed"' not in self._heard():
            yield from self._request(takes_tasks, "tasks/get", {"taskId": TASK})

    def _request(self, known: object, method: str, params: dict[str, Any]) -> Iterator[bytes]:
        self._said += 1
        request = f"m{self._said}"
        yield self._line(known, method, params, request)
        while b'"id":"%b"' % request.encode() not in self._heard():
            yield WAIT

    def _line(self, known: object, method: str, params: dict[str, Any], request: str) -> bytes:
        envelope = {MODERN_VERSION_KEY: MODERN_VERSION, CAPABILITIES_KEY: known}
        return fill(modern_line(request, method, params, envelope).data, self._heard()) + b"\n"


def test_who_is_played_comes_to_rounds_and_tasks(home: Path) -> None:
    """Else the promise above could be kept by refusals alone."""
    run = play(lambda heard: Patient(heard).say(), home)
    check_form(run.messages)
    results: list[Any] = [message["result"] for message in run.messages if "result" in message]
    forms = [result["resultType"] for result in results]
    assert forms[:3] == ["input_required", "complete", "task"]
    assert not [message for message in run.messages if "error" in message]
    assert GIVEN_UP not in [message.get("id") for message in run.messages], "nothing is said to who wants nothing"


RULES: Final = (
    rule("talk", [Text(["1", "2", "3"])]),
    rule("ask", [CommandStep(("echo", "may I"))], [Quote()]),
    rule("fail", [FailStep(400, "no")]),
    rule("stall", [Stall()]),
    rule("", [Text("done")]),
)


def drawn(count: int) -> list[list[Line]]:
    """Return some conversations, the same ones each time.

    They are drawn beforehand: where processes take part, what has failed may pass when it is repeated, and then
    Hypothesis would not show the failure.
    """
    examples: list[list[Line]] = []

    @settings(max_examples=count, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(first=handshakes, said=conversations)
    def collect(first: Line, said: list[Line]) -> None:
        examples.append([first, *said])

    collect()
    return examples


def test_so_it_is_with_real_processes(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    for said in drawn(3):
        server = stage.start("--engine", engine)
        server.client.send_bytes(b"".join(one.data + b"\n" for one in said))
        assert server.leave() == 0, stage.told()
        check(said, server.client.messages)
