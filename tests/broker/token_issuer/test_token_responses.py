"""An answer of the issuer is read whatever it is made of, and nothing of it that is secret gets out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.token_issuer.classify import RefreshAnswered, Unanswered
from greenroom.broker.token_issuer.token_responses import LONGEST_MESSAGE, TokenReply, granted, refused, status_text


def reply(body: object, status: int = 400, **headers: str) -> TokenReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return TokenReply(status, "Bad Request", data, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "Refresh_Token_Reused", "message": "used"}}, "refresh_token_reused"),
        ({"error": "invalid_grant", "error_description": "no"}, "invalid_grant"),
        ({"code": "token_expired"}, "token_expired"),
        ({"error": {"code": None}, "code": "outer"}, "outer"),
        ({"error": 5}, None),
        ([], None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_where_the_code_is(body: object, code: str | None) -> None:
    """Issuers put the code of an error in different members."""
    assert refused(reply(body)).code == code


def test_a_message_is_cut_and_masked() -> None:
    """A body of unknown form may contain tokens."""
    text = refused(reply({"error": {"code": "x", "message": "token eyJhbGciOi.eyJzdWIi.c2ln " + "y" * 500}})).message
    assert text is not None
    assert len(text) == LONGEST_MESSAGE
    assert "eyJ" not in text


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("²", None)])
def test_retry_after(header: str, seconds: float | None) -> None:
    assert refused(reply({}, 429, Retry_After=header)).retry_after == seconds


@pytest.mark.parametrize("lost", ["id_token", "refresh_token"])
@pytest.mark.parametrize("value", [None, 5, "", {}])
def test_one_bad_member_does_not_lose_the_others(lost: str, value: object) -> None:
    members = {"access_token": "a", "refresh_token": "r", "id_token": "i", "expires_in": 3600} | {lost: value}
    answer = granted(reply(members, 200))
    assert isinstance(answer, RefreshAnswered)
    assert getattr(answer, lost) is None
    assert answer.access_token is not None
    assert answer.access_token.reveal() == "a"


def test_a_status_in_words() -> None:
    assert status_text("token endpoint returned status", reply(b"")) == "token endpoint returned status 400 Bad Request"
    said = status_text("it said", reply({"error": {"message": "go away"}}))
    assert said == "it said 400 Bad Request: go away"


@given(
    st.binary()
    | st.dictionaries(st.sampled_from(["error", "code", "access_token"]), st.none() | st.text() | st.integers()).map(
        lambda body: json.dumps(body).encode()
    )
)
def test_any_bytes_have_an_outcome(body: bytes) -> None:
    assert isinstance(granted(reply(body, 200)), RefreshAnswered | Unanswered)
    assert refused(reply(body)).status == 400


def test_an_answer_does_not_show_itself() -> None:
    answer = reply({"access_token": "secret"}, 200)
    assert "secret" not in f"{answer!r} {granted(answer)!r}"


ODD = ["", "a\nb", "a\r\nX: y", "a\0b", "t\u00f6ken", "\ud800", " a", "a b", "a\tb", "\x7f"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["access_token", "refresh_token", "id_token"])
def test_what_no_header_can_carry_is_no_token(odd: str, name: str) -> None:
    good = {"access_token": "a", "refresh_token": "r", "id_token": "i"}
    answer = granted(reply(good | {name: odd}, 200))
    if odd == "\ud800":
        assert isinstance(answer, Unanswered | RefreshAnswered)
        return
    assert isinstance(answer, RefreshAnswered)
    assert getattr(answer, name) is None
    assert [other for other in good if getattr(answer, other) is not None] == [one for one in good if one != name]


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_without_a_usable_token_changes_nothing(odd: str) -> None:
    assert isinstance(granted(reply({"access_token": odd, "refresh_token": odd}, 200)), Unanswered)
