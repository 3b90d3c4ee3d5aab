"""Which credential is in force follows from store, environment and preference, as a table."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.credential import Credential, CredentialOwner, resolve_credential
from greenroom.broker.credential.record import AuthRecord
from greenroom.protocol.choices import PreferredAuth
from greenroom.protocol.internal.broker.body import AuthMode
from tests.broker.homes import tokens
from tests.broker.issuer import id_token


def record(key: str | None, plan: str | None = None, email: str = "user@example.com", **more: object) -> AuthRecord:
    content = tokens("refresh") if plan != "no tokens" else {}
    if plan != "no tokens":
        content["tokens"]["id_token"] = id_token(plan=plan, email=email)  # type: ignore[index]
    return AuthRecord.read(json.dumps(content | {"OPENAI_API_KEY": key} | more).encode())


@pytest.mark.parametrize(
    ("found", "chatgpt", "apikey"),
    [
        (record("sk-1", "no tokens"), "apikey", "apikey"),
        (record(None, "pro"), "chatgpt", "chatgpt"),
        (record(None, "no tokens"), "chatgpt", "chatgpt"),
        (record("sk-1", "enterprise", " Someone@OpenAI.com "), "chatgpt", "apikey"),
        *((record("sk-1", plan), "chatgpt", "apikey") for plan in ("free", "plus", "pro", "team")),
        *((record("sk-1", plan), "apikey", "apikey") for plan in ("business", "enterprise", "edu", "odd", None)),
        (record("", "no tokens"), "apikey", "apikey"),
        (record("sk-1", "pro", auth_mode="apikey"), "apikey", "apikey"),
        (record("sk-1", "enterprise", auth_mode="chatgpt"), "chatgpt", "chatgpt"),
        (record("sk-1", "no tokens", auth_mode="chatgpt"), "chatgpt", "chatgpt"),
    ],
)
def test_mode_precedence(found: AuthRecord, chatgpt: AuthMode, apikey: AuthMode) -> None:
    """Scenarios 1, 5, 6, 7, 20 and 21, and the rule that `auth_mode` wins where it is present."""
    preferences: dict[PreferredAuth, AuthMode] = {"chatgpt": chatgpt, "apikey": apikey}
    for preferred, mode in preferences.items():
        credential = resolve_credential(found, {}, preferred)
        assert credential.mode == mode
        if mode == "apikey":
            assert credential.identity.account_id is None
            assert credential.refresh_token is None


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({}, None),
        ({"OPENAI_API_KEY": ""}, None),
        ({"OPENAI_API_KEY": "  "}, None),
        ({"OPENAI_API_KEY": " sk-env\n"}, "sk-env"),
        ({"OPENAI_API_KEY": "sk-env", "CODEX_API_KEY": "sk-codex"}, "sk-codex"),
    ],
)
def test_the_environment_counts_only_without_a_store(environment: dict[str, str], key: str | None) -> None:
    """Scenario 2."""
    credential = resolve_credential(None, environment, "chatgpt")
    assert (credential.bearer.reveal() if credential.bearer else None) == key
    assert credential.mode == ("none" if key is None else "apikey")
    assert resolve_credential(record("sk-file", "no tokens"), environment, "chatgpt").source == "store"
    assert not resolve_credential(record(None, "no tokens"), environment, "chatgpt").bearer


def test_a_login_of_a_kind_that_is_not_ours_is_named() -> None:
    credential = resolve_credential(record(None, "no tokens", auth_mode="bedrockApiKey"), {}, "chatgpt")
    assert (credential.mode, credential.unusable) == ("none", "auth.json holds a login of the kind bedrockApiKey")


def test_an_identity_is_more_than_an_account() -> None:
    """K14: two members of one workspace share its account."""
    mine = CredentialOwner("chatgpt", "acc", "user-1", "a@x.y", "s1")
    assert mine.is_same(CredentialOwner("chatgpt", "acc", "user-1"))
    assert not mine.is_same(CredentialOwner("chatgpt", "acc", "user-2", "a@x.y"))
    assert not mine.is_same(CredentialOwner("chatgpt", "acc-2", "user-1"))
    assert mine.is_same(CredentialOwner("chatgpt", None, None, " A@X.Y"))
    assert mine.is_same(CredentialOwner("chatgpt", None, None, None, "s1"))
    assert not mine.is_same(CredentialOwner("chatgpt"))
    assert not mine.is_same(CredentialOwner("apikey"))
    assert mine.key(b"k") != CredentialOwner("chatgpt", "acc", "user-2", "a@x.y", "s1").key(b"k")


@given(
    st.builds(
        CredentialOwner,
        st.just("chatgpt"),
        *(st.none() | st.sampled_from(["a", "b"]) for _ in range(4)),
    ),
    st.builds(CredentialOwner, st.just("chatgpt"), *(st.none() | st.sampled_from(["a", "b"]) for _ in range(4))),
)
def test_sameness_does_not_depend_on_the_side(mine: CredentialOwner, other: CredentialOwner) -> None:
    assert mine.is_same(other) == other.is_same(mine)


def test_a_credential_does_not_show_its_secrets() -> None:
    assert "sk-1" not in repr(resolve_credential(record("sk-1", "no tokens"), {}, "apikey"))
    assert repr(Credential())


@pytest.mark.parametrize("found", [None, record("sk-1"), record(None, "pro")])
def test_a_run_of_its_own_may_prefer_the_key_of_its_environment(found: AuthRecord | None) -> None:
    environment = {"CODEX_API_KEY": " sk-env ", "OPENAI_API_KEY": "sk-other"}
    credential = resolve_credential(found, environment, "chatgpt", environment_key_first=True)
    assert (credential.mode, credential.source) == ("apikey", "env")
    assert credential.bearer is not None
    assert credential.bearer.reveal() == "sk-env"
    without = resolve_credential(found, {"OPENAI_API_KEY": "sk-other"}, "chatgpt", environment_key_first=True)
    assert without == resolve_credential(found, {"OPENAI_API_KEY": "sk-other"}, "chatgpt")
