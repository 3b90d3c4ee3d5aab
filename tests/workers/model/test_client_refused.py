"""The HTTP client where the server refuses: the request, or the credentials."""

import time
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from msgspec.structs import replace

from greenroom.protocol.errors import ModelError, UnauthorizedError, UsageLimitError
from greenroom.workers.model.credentials.credential import Bearer, CredentialsDelayedError
from tests.workers.model.exchange import (
    DONE,
    HELLO,
    KEY,
    LOGIN,
    SECOND_LOGIN,
    WHOLE,
    Login,
    refuses,
    run,
    says,
    serving,
    talking,
)


def test_permanent_refusal_is_not_repeated() -> None:
    async def scenario() -> None:
        async with serving(refuses(400, message="bad request")) as server, talking(server.url) as talk:
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert str(failure.value) == f"unexpected status 400 Bad Request: bad request, url: {server.url}"
            assert len(server.requests) == 1

    run(scenario())


def test_busy_server_is_asked_again_when_it_says() -> None:
    async def scenario() -> None:
        busy = refuses(503, {"Retry-After": "3"})
        async with serving(busy, says(HELLO + DONE)) as server, talking(server.url) as talk:
            assert await talk.ask() == WHOLE
            assert talk.naps == [3.0]

    run(scenario())


def test_requests_times_streams_are_tried_at_a_failing_server() -> None:
    async def scenario() -> None:
        async with (
            serving(refuses(500)) as server,
            talking(server.url, request_max_retries=1, stream_max_retries=1) as talk,
        ):
            with pytest.raises(ModelError, match="high demand"):
                await talk.ask()
            assert len(server.requests) == 4
            assert len(talk.retries) == 1

    run(scenario())


def test_redirect_is_not_followed() -> None:
    async def scenario() -> None:
        async with serving(refuses(307, {"Location": "/v1/responses"})) as server, talking(server.url) as talk:
            with pytest.raises(ModelError, match="unexpected status 307 Temporary Redirect"):
                await talk.ask()
            assert len(server.requests) == 1

    run(scenario())


def test_used_up_account_is_told_at_once() -> None:
    async def scenario() -> None:
        async with serving(refuses(429, type="usage_limit_reached")) as server, talking(server.url) as talk:
            with pytest.raises(UsageLimitError):
                await talk.ask()
            assert len(server.requests) == 1

    run(scenario())


def test_refusal_that_repeats_secrets_does_not_show_them() -> None:
    async def scenario() -> None:
        bearer = Bearer("odd_looking_token")
        answer = refuses(400, message="you sent odd_looking_token, header-secret-1 and query-secret-1")
        async with (
            serving(answer) as server,
            talking(server.url + "?k=query-secret-1", Login([bearer]), headers={"x-key": "header-secret-1"}) as talk,
        ):
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert "you sent <redacted>, <redacted> and <redacted>, url: " in str(failure.value)
            assert "secret" not in str(failure.value)

    run(scenario())


def test_endless_refusal_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async def scenario() -> None:
        async with serving(endless) as server, talking(server.url) as talk:
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert len(str(failure.value)) < 700
            await server.dropped.wait()

    run(scenario())


def test_refused_key_fails_at_once_and_nobody_is_asked_for_another() -> None:
    async def scenario() -> None:
        login = Login([KEY, SECOND_LOGIN])
        async with serving(refuses(401, message="wrong key")) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError, match="401 Unauthorized: wrong key"):
                await talk.ask()
            assert len(server.requests) == 1
            assert login.refused == []

    run(scenario())


def test_refused_login_is_renewed_and_the_request_repeated_at_once() -> None:
    async def scenario() -> None:
        login = Login([LOGIN, SECOND_LOGIN])
        async with serving(refuses(401), says(HELLO + DONE)) as server, talking(server.url, login) as talk:
            assert await talk.ask() == WHOLE
            assert [request.headers["Authorization"] for request in server.requests] == [
                "Bearer first-access-token",
                "Bearer second-access-token",
            ]
            assert login.refused == [LOGIN]
            assert (talk.naps, talk.retries) == ([], [])

    run(scenario())


def test_login_is_renewed_at_most_twice() -> None:
    async def scenario() -> None:
        login = Login([LOGIN, SECOND_LOGIN, LOGIN, SECOND_LOGIN, LOGIN])
        async with serving(refuses(401)) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError):
                await talk.ask()
            assert len(server.requests) == 3

    run(scenario())


def test_each_attempt_asks_for_its_bearer() -> None:
    async def scenario() -> None:
        login = Login([KEY])
        async with serving(refuses(503), refuses(503), says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
            assert login.asked == 3

    run(scenario())


def test_credentials_that_come_late_are_waited_for() -> None:
    async def scenario() -> None:
        login = Login([KEY], delays=[CredentialsDelayedError("auth broker unavailable", 1.5)])
        async with serving(says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
            assert talk.naps == [1.5]
            assert talk.retries[0].text == "stream error: auth broker unavailable; retrying 1/5 in 1.5s…"

    run(scenario())


def test_the_time_of_every_answer_is_passed_on() -> None:
    """Of refusals too: a clock that is off may be why a token is refused."""

    async def scenario() -> None:
        login = Login([LOGIN, replace(LOGIN, token="second-access-token")])
        async with serving(refuses(401), says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
        assert len(login.dates) == 2
        for date in login.dates:
            assert date is not None
            assert abs(time.time() - parsedate_to_datetime(date).timestamp()) < 30

    run(scenario())


def test_missing_credential_fails_at_once() -> None:
    async def scenario() -> None:
        login = Login([KEY], delays=[UnauthorizedError("Not logged in")])
        async with serving(says(DONE)) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError, match="Not logged in"):
                await talk.ask()
            assert server.requests == []

    run(scenario())


def test_renewal_that_comes_late_is_waited_for_once() -> None:
    class Overtaxed(Login):
        async def rejected(self, bearer: Bearer, status: int) -> bool:
            raise CredentialsDelayedError("issuer unavailable", 2.0)

    async def scenario() -> None:
        async with serving(refuses(401)) as server, talking(server.url, Overtaxed([LOGIN])) as talk:
            with pytest.raises(ModelError, match="issuer unavailable"):
                await talk.ask()
            assert talk.naps == [2.0]
            assert len(server.requests) == 2

    run(scenario())
