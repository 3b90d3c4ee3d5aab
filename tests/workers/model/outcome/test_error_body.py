"""What servers say about refused requests: found wherever they put it, and never with a credential in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.outcome.error_body import (
    DETAIL,
    Complaint,
    find_complaint,
    read_complaint,
    redacted,
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
    ("value", "message", "cause"),
    [
        ({"error": {"message": "no", "code": 500, "type": "server_error"}}, "no", "server_error"),
        ({"error": {"message": "no", "code": 429}}, "no", "429"),
        ({"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}}, "no", "RESOURCE_EXHAUSTED"),
        ([{"error": {"message": "no", "status": "UNAVAILABLE"}}], "no", "UNAVAILABLE"),
        ({"error": [{"message": "no"}]}, "no", None),
        ({"errors": [{"message": "no", "code": "x"}]}, "no", "x"),
        ({"errors": ["no"]}, "no", None),
        ({"error": {"error": {"message": "no", "code": "x"}}}, "no", "x"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, "no", "overloaded_error"),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "no", "BadRequestError"),
        ({"error": "Bad Request", "message": "no"}, "Bad Request: no", None),
        ({"error": True, "message": "no"}, "no", None),
        ({"error": "no"}, "no", None),
        ({"detail": [{"loc": ["body"], "msg": "no"}]}, "no", None),
        ({"detail": {"message": "no"}}, "no", None),
        ({"code": 1113, "msg": "no"}, "no", "1113"),
        ({"base_resp": {"status_code": 1004, "status_msg": "no"}}, "no", "1004"),
        ({"error": {"message": "no", "code": 400, "metadata": {"raw": "why"}}}, "no: why", "400"),
        ({"object": "error"}, "", None),
    ],
)
def test_error_is_found_in_every_form_that_servers_use(value: object, message: str, cause: str | None) -> None:
    found = find_complaint(value)
    assert found is not None
    assert (found.message, found.cause) == (message, cause)


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", [], {}, {"error": None}, {"error": ""}, {"error": {}}, {"error": False}, {"choices": []},
     {"base_resp": {"status_code": 0, "status_msg": ""}}, {"errors": []}, {"type": "ping"}],
)  # fmt: skip
def test_what_tells_of_no_error_is_none(value: object) -> None:
    assert find_complaint(value) is None


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        ({"message": "no", "details": [{"@type": "x"}, RETRY_INFO]}, 12.5),
        ({"message": "try again in 2 minutes", "details": [RETRY_INFO]}, 12.5),
        ({"message": "Please retry in 12.3s."}, 12.3),
        ({"message": "no", "retry_after": 20}, 20.0),
        ({"message": "no", "metadata": {"retry_after_ms": 1500}}, 1.5),
        ({"message": "no", "retryAfter": "soon"}, None),
        ({"message": "no"}, None),
    ],
)
def test_time_to_wait_is_read_from_the_members_of_an_error_and_from_its_words(
    error: dict[str, object], delay: float | None
) -> None:
    assert read_complaint(json.dumps({"error": error}).encode()).delay == delay


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
