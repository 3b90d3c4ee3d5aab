"""What the end of an attempt means: the table of causes, each with the retries that it allows and the words for it."""

import json

import pytest

from greenroom.protocol.errors import ModelError, UnauthorizedError, UsageLimitError
from greenroom.workers.model.outcome.attempt import (
    BOTH,
    NEVER,
    REQUEST,
    STREAM,
    CredentialDelayed,
    HttpRefused,
    Levels,
    MalformedRequestError,
    ModelRequestError,
    RequestErrorInfo,
    SealedHistoryError,
    StreamBroken,
    Unreachable,
    error_info,
    judge,
)
from greenroom.workers.model.outcome.finish import UNKNOWN_REASON, UNREADABLE

NOW = 1_795_347_840.0
URL = "https://models.example/v1/responses"
HIGH_DEMAND = "We're currently experiencing high demand, which may cause temporary errors."
AT_CAPACITY = "Selected model is at capacity. Please try a different model."
QUOTA = "Quota exceeded. Check your plan and billing details."
NO_ROOM = (
    "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying."
)
CUT_OFF = (
    "The server cut the model's answer off at a limit of tokens. Either the model's context is full: then start a new "
    "thread. Or the server has a limit for each answer: then raise it there, or ask for less at a time."
)
NOT_INCLUDED = "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."


def refused(status: int, headers: dict[str, str] | None = None, **error: object) -> HttpRefused:
    return HttpRefused(status, headers or {}, json.dumps({"error": error}).encode() if error else b"", URL)


@pytest.mark.parametrize(
    ("outcome", "levels", "text", "info"),
    [
        (refused(400, message="bad"), NEVER, f"unexpected status 400 Bad Request: bad, url: {URL}", "other"),
        (refused(403), NEVER, f"unexpected status 403 Forbidden, url: {URL}", "other"),
        (refused(404, message="gone"), NEVER, f"unexpected status 404 Not Found: gone, url: {URL}", "other"),
        (refused(307), NEVER, f"unexpected status 307 Temporary Redirect, url: {URL}", "other"),
        (HttpRefused(499, {}, reason="Odd"), NEVER, "unexpected status 499 Odd", "other"),
        (
            refused(401, message="no key"),
            NEVER,
            f"unexpected status 401 Unauthorized: no key, url: {URL}",
            "unauthorized",
        ),
        (refused(408), BOTH, f"unexpected status 408 Request Timeout, url: {URL}", "other"),
        (refused(500, message="oops"), BOTH, HIGH_DEMAND, "internal_server_error"),
        (refused(503, message="x"), BOTH, f"unexpected status 503 Service Unavailable: x, url: {URL}", "other"),
        (refused(503, code="server_is_overloaded"), REQUEST, AT_CAPACITY, "server_overloaded"),
        (refused(503, code="slow_down"), REQUEST, AT_CAPACITY, "server_overloaded"),
        (refused(400, code="cyber_policy", message="no"), NEVER, "no", "cyber_policy"),
        (refused(400, code="context_length_exceeded"), NEVER, NO_ROOM, "context_window_exceeded"),
        (
            refused(429),
            STREAM,
            "exceeded retry limit, last status: 429 Too Many Requests",
            {"response_too_many_failed_attempts": {"http_status_code": 429}},
        ),
        (
            refused(429, {"Retry-After": "2"}, message="slow"),
            STREAM,
            "exceeded retry limit, last status: 429 Too Many Requests: slow",
            {"response_too_many_failed_attempts": {"http_status_code": 429}},
        ),
        (refused(429, code="insufficient_quota"), NEVER, QUOTA, "usage_limit_exceeded"),
        (refused(429, {"Retry-After": "2"}, type="insufficient_quota"), NEVER, QUOTA, "usage_limit_exceeded"),
        (refused(429, type="usage_not_included"), NEVER, NOT_INCLUDED, "usage_limit_exceeded"),
        (
            refused(429, type="usage_limit_reached"),
            NEVER,
            "You've hit your usage limit. Try again later.",
            "usage_limit_exceeded",
        ),
        (
            Unreachable("refused"),
            BOTH,
            "Connection failed: refused",
            {"http_connection_failed": {"http_status_code": None}},
        ),
        (
            Unreachable("certificate", permanent=True),
            NEVER,
            "Connection failed: certificate",
            {"http_connection_failed": {"http_status_code": None}},
        ),
        (StreamBroken("cut"), STREAM, "stream disconnected before completion: cut", "other"),
        (StreamBroken("", "novel"), STREAM, "stream disconnected before completion: no reason was given", "other"),
        (StreamBroken("x", "context_length_exceeded"), NEVER, NO_ROOM, "context_window_exceeded"),
        (StreamBroken("x", "length"), NEVER, CUT_OFF, "context_window_exceeded"),
        (StreamBroken("x", "insufficient_quota"), NEVER, QUOTA, "usage_limit_exceeded"),
        (StreamBroken("bad words", "invalid_prompt"), NEVER, "bad words", "other"),
        (StreamBroken("x", "server_is_overloaded"), NEVER, AT_CAPACITY, "server_overloaded"),
        (StreamBroken("x", "slow_down"), NEVER, AT_CAPACITY, "server_overloaded"),
        (StreamBroken("x", "rate_limit_exceeded"), STREAM, "rate limit exceeded: x", "rate_limit_exceeded"),
        (CredentialDelayed("broker unavailable"), STREAM, "broker unavailable", "other"),
    ],
)
def test_each_cause_has_its_verdict(
    outcome: HttpRefused | Unreachable | StreamBroken | CredentialDelayed,
    levels: Levels,
    text: str,
    info: RequestErrorInfo,
) -> None:
    verdict = judge(outcome, NOW)
    assert verdict.levels == levels
    assert str(verdict.error) == text
    assert error_info(verdict.error) == info


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (refused(401), UnauthorizedError),
        (refused(403), ModelRequestError),
        (refused(429, type="usage_limit_reached"), UsageLimitError),
        (StreamBroken("x", "insufficient_quota"), UsageLimitError),
    ],
)
def test_errors_are_of_the_one_hierarchy(outcome: HttpRefused | StreamBroken, kind: type[ModelError]) -> None:
    assert type(judge(outcome, NOW).error) is kind


@pytest.mark.parametrize(
    ("outcome", "delay"),
    [
        (refused(503, {"retry-after": "3"}), 3.0),
        (refused(500, {"RETRY-AFTER": "Sun, 22 Nov 2026 11:44:09 GMT"}), 9.0),
        (refused(429, message="Please try again in 1.5s"), 1.5),
        (refused(429, {"Retry-After": "4"}, message="Please try again in 1.5s"), 4.0),
        (refused(502), None),
        (StreamBroken("Please try again in 20ms", "rate_limit_exceeded"), 0.02),
        (StreamBroken("Please try again in 20ms"), None),
        (CredentialDelayed("x", 2.0), 2.0),
    ],
)
def test_delay_that_is_asked_for_is_found(outcome: HttpRefused | StreamBroken, delay: float | None) -> None:
    assert judge(outcome, NOW).told_delay == delay


@pytest.mark.parametrize(
    "outcome",
    [
        refused(400, message="wrong key sk-abcdefgh12345678"),
        refused(401, message="wrong key sk-abcdefgh12345678"),
        refused(429, message="wrong key sk-abcdefgh12345678"),
        Unreachable("proxy wants sk-abcdefgh12345678"),
        StreamBroken("sk-abcdefgh12345678"),
        StreamBroken("sk-abcdefgh12345678", "invalid_prompt"),
        CredentialDelayed("sk-abcdefgh12345678"),
    ],
)
def test_no_error_shows_a_credential(outcome: HttpRefused | Unreachable | StreamBroken | CredentialDelayed) -> None:
    assert "sk-" not in str(judge(outcome, NOW).error)


def test_error_of_another_part_has_plain_info() -> None:
    assert error_info(ModelError("x")) == "other"


@pytest.mark.parametrize(
    ("outcome", "sealed"),
    [
        (refused(400, code="invalid_encrypted_content", message="no"), True),
        (refused(400, message="The encrypted content gAAA... could not be verified."), True),
        (refused(400, message="bad"), False),
        (refused(404, code="invalid_encrypted_content"), False),
    ],
)
def test_reasoning_that_the_server_cannot_open_is_told_apart(outcome: HttpRefused, sealed: bool) -> None:
    verdict = judge(outcome, NOW)
    assert (verdict.levels, isinstance(verdict.error, SealedHistoryError)) == (NEVER, sealed)


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "rate_limit_error", "429", "RESOURCE_EXHAUSTED"])
def test_rate_limit_in_a_stream_is_waited_out_under_any_name(code: str) -> None:
    verdict = judge(StreamBroken("Rate limit is exceeded. Try again in 2 seconds.", code), NOW)
    assert (verdict.levels, verdict.told_delay) == (STREAM, 2.0)


@pytest.mark.parametrize("code", [UNKNOWN_REASON, UNREADABLE, "length", "content_filter"])
def test_what_the_same_request_would_only_bring_again_is_not_repeated(code: str) -> None:
    assert judge(StreamBroken("odd", code), NOW).levels == NEVER


@pytest.mark.parametrize(
    ("headers", "error", "delay"),
    [
        ({"retry-after": "3"}, {"message": "try again in 5 seconds"}, 3.0),
        ({"x-ratelimit-reset-requests": "7s"}, {"message": "try again in 5 seconds"}, 5.0),
        ({"x-ratelimit-reset-requests": "7s"}, {"message": "no", "details": [{"retryDelay": "12s"}]}, 12.0),
        ({"x-ratelimit-reset-requests": "7s"}, {"message": "no"}, 7.0),
    ],
)
def test_wait_for_a_429_is_read_from_the_header_then_the_error_then_the_limits(
    headers: dict[str, str], error: dict[str, object], delay: float
) -> None:
    assert judge(refused(429, headers, **error), NOW).told_delay == delay


def test_limits_that_a_server_always_tells_make_no_wait_after_another_error() -> None:
    assert judge(refused(503, {"x-ratelimit-reset-requests": "7s"}), NOW).told_delay is None


@pytest.mark.parametrize("status", [400, 422])
def test_request_that_the_server_calls_wrong_is_told_apart(status: int) -> None:
    assert isinstance(judge(refused(status, message="no"), NOW).error, MalformedRequestError)
