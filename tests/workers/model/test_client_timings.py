"""What the HTTP client measures of requests, and what it tells servers of traces."""

import asyncio

import pytest

from greenroom.protocol.errors import ModelError
from greenroom.protocol.telemetry.timings import RequestTiming, TokenUse
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.workers.model.credentials.credential import CredentialsDelayedError
from tests.workers.model.exchange import (
    DONE,
    HELLO,
    KEY,
    WHOLE,
    Answer,
    Login,
    Talk,
    breaks_after,
    hangs_up,
    holds,
    refuses,
    run,
    says,
    serving,
    talking,
)

USED = (
    b'data: {"type":"response.completed","response":{"id":"r1","usage":{"input_tokens":10,"input_tokens_details":'
    b'{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}}}\n\n'
)
SECRET = "the server repeats what it was told"


def only(talk: Talk) -> RequestTiming:
    """Return the one timing of a client."""
    (timing,) = talk.client._timings.waiting
    assert isinstance(timing, RequestTiming)
    return timing


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ((says(HELLO, DONE),), {"ok": 1}),
        ((refuses(503), says(HELLO, DONE)), {"503": 1, "ok": 1}),
        ((refuses(429, {"Retry-After": "1"}), refuses(429), says(HELLO, DONE)), {"429": 2, "ok": 1}),
        ((hangs_up, says(HELLO, DONE)), {"unreachable": 1, "ok": 1}),
        ((breaks_after(HELLO), says(HELLO, DONE)), {"broken": 1, "ok": 1}),
    ],
)
def test_every_attempt_is_counted_by_its_end(answers: tuple[Answer, ...], outcomes: dict[str, int]) -> None:
    async def scenario() -> None:
        async with serving(*answers) as server, talking(server.url) as talk:
            assert (await talk.ask())[-2:] == WHOLE
            timing = only(talk)
            assert timing.outcomes == outcomes
            assert sum(outcomes.values()) == len(server.requests)
            assert timing.error is None
            assert timing.server == server.url.split("/")[2]
            assert timing.first_token is not None
            assert 0 <= timing.first_token <= timing.seconds

    run(scenario())


def test_a_refused_request_is_kept_without_the_words_of_the_server() -> None:
    async def scenario() -> None:
        async with serving(refuses(400, message=SECRET)) as server, talking(server.url) as talk:
            with pytest.raises(ModelError, match=SECRET):
                await talk.ask()
            timing = only(talk)
            assert (timing.outcomes, timing.error, timing.first_token) == ({"400": 1}, "model_error", None)
            assert SECRET not in repr(timing)
            assert KEY.token is not None
            assert KEY.token not in repr(timing)

    run(scenario())


def test_waiting_for_a_credential_is_no_attempt() -> None:
    async def scenario() -> None:
        login = Login([KEY], delays=[CredentialsDelayedError("later", 1.0)])
        async with serving(says(HELLO, DONE)) as server, talking(server.url, login) as talk:
            assert await talk.ask() == WHOLE
            assert only(talk).outcomes == {"ok": 1}

    run(scenario())


def test_a_turn_that_is_stopped_leaves_its_request_as_cancelled() -> None:
    async def scenario() -> None:
        async with serving(holds(HELLO)) as server, talking(server.url) as talk:
            asking = asyncio.create_task(talk.ask())
            await server.asked.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            timing = only(talk)
            assert (timing.error, timing.outcomes) == ("cancelled", {"cancelled": 1})

    run(scenario())


def test_the_tokens_of_an_answer_are_kept() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO, USED)) as server, talking(server.url) as talk:
            await talk.ask()
            assert only(talk).usage == TokenUse(input=10, cached_input=4, output=5, reasoning_output=2)

    run(scenario())


def test_a_server_is_told_of_the_request_of_a_trace_and_of_nothing_without_one() -> None:
    trace = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "vendor=1")

    async def scenario() -> None:
        async with serving(says(HELLO, DONE)) as server, talking(server.url) as talk:
            await talk.ask()
            talk.client._timings.trace = trace
            await talk.ask()
            told = [(asked.headers.get("traceparent"), asked.headers.get("tracestate")) for asked in server.requests]
            timing = talk.client._timings.waiting[-1]
            assert isinstance(timing, RequestTiming)
            assert told == [(None, None), (f"00-{trace.trace_id}-{timing.span_id}-01", "vendor=1")]

    run(scenario())
