"""Whatever a client says, however damaged and in whatever order: each request gets one answer, nothing else is said."""

import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from protocol.toolset import TOOL_NAMES
from supervisor.demo.script import Command, Fail, Quote, Stall, Text, rule
from supervisor.front import Front
from tests.support.played import DEEDS, SETTLE, SETTLING, serve
from tests.support.stage import Stage

METHODS: Final = sorted(Front(lambda _: None, {})._methods)
UNKNOWN: Final = ("tools/call2", "", "notifications/initialized", "elicitation/create", "sampling/createMessage")
NOTIFICATIONS: Final = ("notifications/initialized", "notifications/progress", "ping", "tools/call", "x")
THREADS: Final = ("01990000-0000-7000-8000-000000000000", "no uuid", "")
Identity = tuple[type, object]


@dataclass(frozen=True)
class Line:
    """Something that the client says, and what it is owed for it."""

    data: bytes
    owed: tuple[Identity, ...] = ()
    """The ids under which answers must come."""
    wild: int = 0
    """How many further answers may come: for what may or may not be a request."""


def line(message: object, *owed: Identity) -> Line:
    return Line(msgspec.json.encode(message), owed)


def identity(value: object) -> Identity:
    return type(value), value


REFUSED: Final = identity(None)
ids = st.integers(0, 6) | st.sampled_from(["0", "1", "x", "", "\u00e9"]) | st.sampled_from([-1, 2**53, 2**63 - 1])
odd_ids = st.sampled_from([None, 1.5, True, [], {}, [1]])
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
greetings = st.fixed_dictionaries(
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


@st.composite
def damaged(draw: st.DrawFn) -> Line:
    """A message that was cut, or whose bytes were changed, doubled or left out. Nobody knows what it is now."""
    data = bytearray(draw(requests() | notifications() | responses()).data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        other = draw(st.integers(place, min(len(data), place + 9)))
        data[place:other] = draw(
            st.sampled_from([b"", b"\xff", b"\x00", b'"', b"{", b"]", b"\n", b"\\ud800", data[place:other] * 2])
        )
    return wild(bytes(data))


def wild(data: bytes) -> Line:
    return Line(data, wild=data.count(b"\n") + data.count(b"{") + 1)


batches = st.lists(requests() | notifications(), max_size=3).map(
    lambda members: wild(b"[" + b",".join(member.data for member in members) + b"]")
)
noise = st.binary(max_size=20).map(wild)
blanks = st.sampled_from([b"", b"\r", b"   "]).map(Line)
pauses = st.just(Line(SETTLING.rstrip(), (identity(SETTLE),)))


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


def chunks(said: bytes, seed: int) -> list[bytes]:
    """Cut at random places, which have nothing to do with the ends of lines, and after each call that settles."""
    pieces: list[bytes] = []
    for part in re.split(b"(%b)" % re.escape(SETTLING), said):
        count = 0 if part == SETTLING else min(len(part) // 50, 20)
        places = sorted(random.Random(seed).choices(range(len(part) + 1), k=count))
        pieces += [part[begin:end] for begin, end in zip([0, *places], [*places, len(part)], strict=True)]
    return [piece for piece in pieces if piece]


def check(said: list[Line], messages: list[dict[str, Any]]) -> None:
    """Check that every answer that is owed came, and no other apart from those that may come."""
    for message in messages:
        assert message["jsonrpc"] == "2.0"
        assert isinstance(message.get("method", ""), str)
        assert "method" in message or ("result" in message) != ("error" in message)
    owed = Counter(answer for one in said for answer in one.owed)
    came = Counter(identity(message["id"]) for message in messages if "method" not in message)
    assert not owed - came, "requests without an answer"
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
    run = serve(chunks(data, seed), home, {"XDG_RUNTIME_DIR": str(home), "CODEX_HOME": str(home)})
    assert run.trouble == []
    check(said, run.messages)


RULES: Final = (
    rule("talk", [Text(["1", "2", "3"])]),
    rule("ask", [Command(("echo", "may I"))], [Quote()]),
    rule("fail", [Fail(400, "no")]),
    rule("stall", [Stall()]),
    rule("", [Text("done")]),
)


@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(first=handshakes, said=conversations)
def test_so_it_is_with_real_processes(engine: str, first: Line, said: list[Line]) -> None:
    with tempfile.TemporaryDirectory() as path:
        stage = Stage(Path(path))
        try:
            stage.play(*RULES)
            server = stage.start("--engine", engine)
            server.client.send_bytes(b"".join(one.data + b"\n" for one in (first, *said)))
            assert server.leave() == 0
            check([first, *said], server.client.messages)
        finally:
            stage.strike()
