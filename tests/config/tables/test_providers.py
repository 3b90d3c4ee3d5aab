"""Promises about model providers and their URLs."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.document import Table
from greenroom.config.section import check
from greenroom.config.tables.providers import ModelProvider, find_provider
from greenroom.protocol.errors import ConfigError


def _find(provider_id: str, environment: Mapping[str, str] | None = None, **tables: Table) -> ModelProvider:
    return find_provider(provider_id, tables, environment or {})


def test_openai_url_depends_on_the_login() -> None:
    provider = _find("openai")
    assert provider.url(chatgpt=False) == "https://api.openai.com/v1/responses"
    assert provider.url(chatgpt=True) == "https://chatgpt.com/backend-api/codex/responses"


def test_chat_provider_without_url_never_goes_to_chatgpt() -> None:
    assert ModelProvider(wire_api="chat").url(chatgpt=True) == "https://api.openai.com/v1/chat/completions"


def test_configured_url_wins_whatever_the_login() -> None:
    provider = ModelProvider(base_url="http://there/v1/")
    assert provider.url(chatgpt=True) == provider.url(chatgpt=False) == "http://there/v1/responses"


def test_openai_url_comes_from_key_then_environment() -> None:
    environment = {"OPENAI_BASE_URL": "http://environment"}
    assert find_provider("openai", {}, environment).base_url == "http://environment"
    assert find_provider("openai", {}, environment, "http://key").base_url == "http://key"
    assert find_provider("openai", {}, {"OPENAI_BASE_URL": " "}).base_url is None


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://localhost:11434/v1/chat/completions"),
        ({"CODEX_OSS_PORT": "1234"}, "http://localhost:1234/v1/chat/completions"),
        ({"CODEX_OSS_PORT": "1", "CODEX_OSS_BASE_URL": "http://gpu/v1"}, "http://gpu/v1/chat/completions"),
    ],
)
def test_oss_speaks_chat_with_the_local_server(environment: Mapping[str, str], url: str) -> None:
    assert _find("oss", environment).url(chatgpt=False) == url


def test_table_of_a_built_in_id_is_merged_over_it() -> None:
    provider = _find("openai", openai={"base_url": "http://proxy/v1", "stream_max_retries": 1})
    assert (provider.name, provider.base_url, provider.stream_max_retries) == ("OpenAI", "http://proxy/v1", 1)
    assert provider.requires_openai_auth


def test_table_beats_the_environment() -> None:
    provider = _find("openai", {"OPENAI_BASE_URL": "http://environment"}, openai={"base_url": "http://table"})
    assert provider.base_url == "http://table"


def test_provider_without_a_name_is_called_by_its_id() -> None:
    assert _find("mine", mine={"base_url": "http://x"}).name == "mine"


def test_unknown_provider_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"^Model provider `nope` not found; there are `openai`, `oss`, `ollama`, `lmstudio`, `mine`$"
    ):
        _find("nope", mine={}, oss={})


def test_responses_is_the_default_protocol() -> None:
    assert ModelProvider().wire_api == "responses"


def test_retries_are_capped() -> None:
    provider = check(ModelProvider, {"request_max_retries": 1_000, "stream_max_retries": 0})
    assert (provider.request_max_retries, provider.stream_max_retries) == (100, 0)


@pytest.mark.parametrize(
    "rival", [{"env_key": "K"}, {"experimental_bearer_token": "t"}, {"requires_openai_auth": True}]
)
def test_token_command_excludes_other_credentials(rival: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"provider auth cannot be combined with `{next(iter(rival))}`"):
        check(ModelProvider, {"auth": {"command": "token"}, **rival})


def test_conflict_with_the_built_in_provider_is_found_too() -> None:
    with pytest.raises(ConfigError, match=r"requires_openai_auth`\nin `model_providers.openai`"):
        _find("openai", openai={"auth": {"command": "token"}})


def test_credential_variables_are_those_that_hold_values_for_the_provider() -> None:
    provider = check(ModelProvider, {"env_key": "MY_KEY", "env_http_headers": {"X-Team": "TEAM", "X-Empty": ""}})
    assert provider.credential_variables == {"MY_KEY", "TEAM"}


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_query_comes_back_as_it_was_given(params: dict[str, str]) -> None:
    url = ModelProvider(base_url="http://x/v1", query_params=params).url(chatgpt=False)
    assert url.isascii()
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == params
    assert urlsplit(url).path == "/v1/responses"
