"""Endpoints: requests go where they should, carry what they must, and show no secret."""

import pytest
from msgspec.structs import replace

from greenroom.protocol.ids import ConversationId
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.transport.endpoint import ModelEndpoint, visible_url

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
ENDPOINT = ModelEndpoint(
    url="https://a.example/v1/responses?api-version=7", originator="codex_cli_rs", user_agent="codex/1"
)
KEY = Bearer("sk-very-secret-key")
LOGIN = Bearer("access-token-of-ada", account_id="acc-1", mode="chatgpt")


def test_headers_of_a_request() -> None:
    assert ENDPOINT.headers_for(KEY, ID) == {
        "authorization": "Bearer sk-very-secret-key",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "openai-beta": "responses=experimental",
        "originator": "codex_cli_rs",
        "user-agent": "codex/1",
        "session_id": ID,
        "session-id": ID,
        "thread-id": ID,
    }


def test_servers_of_chat_completions_are_not_told_what_is_of_the_other_api() -> None:
    assert replace(ENDPOINT, wire_api="chat").headers_for(KEY, ID) == {
        "authorization": "Bearer sk-very-secret-key",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "originator": "codex_cli_rs",
        "user-agent": "codex/1",
    }


def test_account_is_named_only_under_a_login() -> None:
    assert ENDPOINT.headers_for(LOGIN, ID)["chatgpt-account-id"] == "acc-1"
    assert "chatgpt-account-id" not in ENDPOINT.headers_for(Bearer("key", account_id="acc-1"), ID)


def test_nothing_is_authorised_without_a_token() -> None:
    assert "authorization" not in ENDPOINT.headers_for(Bearer(None, mode="none"), ID)


def test_headers_of_the_provider_win_except_over_the_bearer() -> None:
    endpoint = replace(ENDPOINT, headers={"User-Agent": "mine", "api-key": "k", "Authorization": "Basic x"})
    headers = endpoint.headers_for(KEY, ID)
    assert (headers["user-agent"], headers["api-key"]) == ("mine", "k")
    assert headers["authorization"] == "Bearer sk-very-secret-key"
    assert endpoint.headers_for(Bearer(None, mode="none"), ID)["authorization"] == "Basic x"


@pytest.mark.parametrize(
    ("bearer", "url"),
    [
        (KEY, "https://a.example"),
        (LOGIN, "https://b.example"),
        (replace(LOGIN, base_url_mode="apikey"), "https://a.example"),
        (replace(KEY, base_url_mode="chatgpt"), "https://b.example"),
    ],
)
def test_login_decides_where_requests_go(bearer: Bearer, url: str) -> None:
    endpoint = replace(ENDPOINT, url="https://a.example", chatgpt_url="https://b.example")
    assert endpoint.url_for(bearer) == url


def test_provider_with_a_url_of_its_own_has_only_that() -> None:
    assert ENDPOINT.url_for(LOGIN) == ENDPOINT.url


def test_secrets_are_known_and_not_shown() -> None:
    endpoint = replace(ENDPOINT, url="https://a.example/?key=hunter2hunter2", headers={"x-key": "header-secret"})
    assert set(endpoint.secrets(KEY)) == {"sk-very-secret-key", "header-secret", "hunter2hunter2"}
    shown = repr(endpoint) + repr(KEY) + repr(LOGIN)
    for secret in (*endpoint.secrets(KEY), "access-token-of-ada", "acc-1"):
        assert secret not in shown


def test_url_is_shown_without_what_is_private() -> None:
    assert visible_url("https://ada:pw@a.example:8443/v1/responses?key=1#x") == "https://a.example:8443/v1/responses"
