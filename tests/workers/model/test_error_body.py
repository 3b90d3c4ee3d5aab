"""What servers say about refused requests: found wherever they put it, and never with a credential in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.error_body import (
    DETAIL,
    Complaint,
    delay_in_words,
    read_complaint,
    redacted,
    retry_after,
    without,
)

NOW = 1_795_347_840.0  # 2026-11-22T11:44:00Z


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"bad request","type":"invalid_request_error"}}', "bad request"),
        (b'{"error":"model not found"}', "model not found"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":"not here"}', "not here"),
        (b" <html>502</html>\n", "<html>502</html>"),
        (b'{"error":null,"other":1}', '{"error":null,"other":1}'),
        (b"", ""),
        (b"\xff", "\ufffd"),
    ],
)
def test_message_is_found(body: bytes, message: str) -> None:
    assert read_complaint(body).message == message


def test_details_of_a_usage_limit_are_found() -> None:
    body = {"error": {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 1795400000, "code": None}}
    complaint = read_complaint(json.dumps(body).encode())
    assert (complaint.type, complaint.plan, complaint.resets_at) == ("usage_limit_reached", "plus", 1795400000)


@given(
    st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_any_body_is_read(body: bytes) -> None:
    assert isinstance(read_complaint(body), Complaint)


def test_long_body_is_cut() -> None:
    assert len(read_complaint(b"x" * 10_000).message) == DETAIL


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Sun, 22 Nov 2026 11:45:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 11:43:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("1e9", None),
        ("", None),
    ],
)
def test_retry_after_is_understood_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


def test_retry_after_in_milliseconds_wins() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}, NOW) == 0.25
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit reached. Please try again in 11.054s. Visit …", 11.054),
        ("Please try again in 28ms", 0.028),
        ("Please try again in 28.9ms.", 0.028),
        ("Please TRY AGAIN IN 3 s", 3.0),
        ("Please try again in 2 minutes", None),
        ("Please try again later", None),
    ],
)
def test_delay_is_read_from_words(message: str, seconds: float | None) -> None:
    assert delay_in_words(message) == seconds


@given(st.text(max_size=40))
def test_no_header_or_message_breaks_the_reader(text: str) -> None:
    retry_after({"retry-after": text, "retry-after-ms": text}, NOW)
    delay_in_words("try again in " + text)


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefgh12345678", "eyJhbGciOi.eyJzdWIiOi.c2ln-_x", "rt_abcdefghijklmnopqrst", "at-abcdefghijklmnopqr"],
)
def test_what_looks_like_a_credential_is_removed(secret: str) -> None:
    assert redacted(f"key {secret}, sorry") == "key <redacted>, sorry"
    assert secret not in read_complaint(json.dumps({"error": {"message": f"wrong: {secret}"}}).encode()).message


def test_bearer_is_removed_but_plain_words_stay() -> None:
    assert redacted("Authorization: Bearer 0123456789abcdef!") == "Authorization: Bearer <redacted>"
    assert redacted("Bearer token is missing") == "Bearer token is missing"


def test_known_secrets_are_removed_however_they_look() -> None:
    assert without(b"you sent hunter2hunter2 as x", ["hunter2hunter2", "x", ""]) == b"you sent <redacted> as x"
