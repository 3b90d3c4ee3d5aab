"""The file is read strictly and written so that nothing anybody put there is lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.record import AuthRecord, StoreError, Tokens
from tests.broker.homes import tokens
from tests.broker.issuer import id_token

STAMP = "2025-08-06T20:41:36.232376Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def encode(content: object) -> bytes:
    return json.dumps(content).encode()


def test_a_record_survives_a_round_trip() -> None:
    """Scenario 3."""
    record = AuthRecord.read(encode(tokens("refresh-1")))
    assert AuthRecord.read(record.encoded()) == record


def test_the_fixture_of_the_reference() -> None:
    """Scenario 4."""
    content = {
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": id_token(plan="pro", email="user@example.com"),
            "access_token": "access",
            "refresh_token": "refresh",
        },
        "last_refresh": STAMP,
    }
    record = AuthRecord.read(encode(content))
    assert record.tokens is not None
    assert record.tokens.claims.email == "user@example.com"
    assert record.tokens.account_id is None
    assert record.openai_api_key is None
    assert record.refreshed_at == 1754512896.232376


@pytest.mark.parametrize("missing", ["OPENAI_API_KEY", "tokens", "last_refresh", "account_id"])
def test_every_member_may_be_missing(missing: str) -> None:
    content: dict[str, Any] = tokens("refresh-1")
    content.pop(missing, None)
    content.get("tokens", {}).pop(missing, None)
    record = AuthRecord.read(encode(content))
    assert getattr(record.tokens if missing == "account_id" else record, missing.lower()) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("OPENAI_API_KEY", 5),
        ("tokens", "text"),
        ("last_refresh", 12),
        ("last_refresh", "yesterday"),
        ("last_refresh", "2025-08-06"),
        ("auth_mode", "oauth"),
        ("tokens.id_token", "junk"),
        ("tokens.id_token", None),
        ("tokens.access_token", None),
        ("tokens.refresh_token", 3),
        ("tokens.account_id", 3),
    ],
)
def test_a_wrong_member_makes_the_whole_file_invalid(path: str, value: object) -> None:
    content: dict[str, Any] = tokens("refresh-secret")
    *parents, name = path.split(".")
    holder = content[parents[0]] if parents else content
    holder[name] = value
    with pytest.raises(StoreError) as caught:
        AuthRecord.read(encode(content))
    assert name in str(caught.value)
    assert "refresh-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'"text"', b"[" * 100_000])
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(StoreError):
        AuthRecord.read(data)


@pytest.mark.parametrize(
    "text", [STAMP, "2025-08-06T20:41:36Z", "2025-08-06T20:41:36.123456789Z", "2025-08-06T22:41:36.1+02:00"]
)
def test_times_of_any_precision_and_offset(text: str) -> None:
    record = AuthRecord.read(encode({"last_refresh": text}))
    assert record.refreshed_at is not None
    assert int(record.refreshed_at) == 1754512896


def test_how_a_login_is_written() -> None:
    """Members in the order of the later releases, two-space indentation, no newline at the end."""
    held = Tokens(id_token=id_token(), access_token="a", refresh_token="r", account_id=None)
    written = AuthRecord.of_login(held, None, 0.0).encoded().decode()
    assert list(json.loads(written)) == ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh"]
    assert list(json.loads(written)["tokens"]) == ["id_token", "access_token", "refresh_token", "account_id"]
    assert written.startswith('{\n  "auth_mode": "chatgpt",\n  "OPENAI_API_KEY": null,\n  "tokens": {\n    "id_token"')
    assert written.endswith('"last_refresh": "1970-01-01T00:00:00.000000Z"\n}')


def test_how_a_key_is_written() -> None:
    """Absent members are left out, the key never is."""
    assert json.loads(AuthRecord.of_key("sk-1").encoded()) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"}


def test_a_login_keeps_only_members_that_nobody_here_knows() -> None:
    """fixed: neither the key nor the account of another login survives."""
    found = AuthRecord.read(encode(tokens("refresh-1") | {"OPENAI_API_KEY": "sk-old", "agent_identity": {"a": 1}}))
    held = Tokens(id_token=id_token(None), access_token="a", refresh_token="r", account_id=None)
    written = json.loads(AuthRecord.of_login(held, None, 0.0, found).encoded())
    assert written["OPENAI_API_KEY"] is None
    assert written["tokens"]["account_id"] is None
    assert written["agent_identity"] == {"a": 1}


def test_a_record_does_not_show_itself() -> None:
    """Records end up in logs and tracebacks."""
    record = AuthRecord.read(encode(tokens("refresh-secret") | {"personal_access_token": "at-secret"}))
    assert "secret" not in f"{record!r} {record} {record.tokens!r} {record.tokens}"


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_unknown_members_are_kept_whatever_they_are(unknown: dict[str, object]) -> None:
    unknown.pop("auth_mode", None)  # known, and of limited values
    content = unknown | tokens("refresh-1")
    assert json.loads(AuthRecord.read(encode(content)).encoded()) == content


MEMBERS = st.sampled_from(["OPENAI_API_KEY", "tokens", "last_refresh", "auth_mode", "id_token"])


@given(st.binary() | st.dictionaries(MEMBERS | st.text(max_size=3), JSON, max_size=4).map(encode))
def test_any_bytes_are_a_record_that_is_written_as_it_was_read_or_are_none(data: bytes) -> None:
    try:
        record = AuthRecord.read(data)
    except StoreError:
        return
    assert AuthRecord.read(record.encoded()) == record
    assert isinstance(json.loads(data), dict)
