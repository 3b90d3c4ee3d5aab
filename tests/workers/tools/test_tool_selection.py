"""The tools of a request follow from the settings, the model and the provider."""

from pathlib import Path

import pytest

from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.tool_selection import offered_tools

OPENAI = 'model_provider = "openai"\n'
OTHER = 'model_provider = "other"\n[model_providers.other]\nbase_url = "http://127.0.0.1:9/v1"\n'


def offered(home: Path, text: str, model: str = "gpt-5.5", sandbox: str = "read-only") -> dict[str, JsonObject]:
    (home / "config.toml").write_text(f'sandbox_mode = "{sandbox}"\n{text}')
    settings = resolve_settings(str(home), [], ConversationOverrides(model=model), "/", {})
    return {str(tool.get("name", tool["type"])): tool for tool in offered_tools(settings)}


def search(home: Path, text: str, model: str = "gpt-5.5", sandbox: str = "read-only") -> JsonObject | None:
    return offered(home, text, model, sandbox).get("web_search")


def test_a_search_is_offered_where_the_server_is_known_to_have_one(tmp_path: Path) -> None:
    both = ["text", "image"]
    cached = {"type": "web_search", "external_web_access": False, "search_content_types": both}
    assert search(tmp_path, OPENAI) == cached
    assert search(tmp_path, OPENAI, sandbox="danger-full-access") == {**cached, "external_web_access": True}
    assert search(tmp_path, OPENAI, model="gpt-5.2") == {"type": "web_search", "external_web_access": False}
    assert search(tmp_path, OPENAI, model="gpt-4o") is None
    assert search(tmp_path, OPENAI, model="mystery-1") is None
    assert search(tmp_path, OTHER) is None


@pytest.mark.parametrize(
    ("top", "tables", "access", "indexed"),
    [
        ('web_search = "cached"\n', "", False, None),
        ('web_search = "indexed"\n', "", True, True),
        ('web_search = "live"\n', "", True, None),
        ("", "[tools]\nweb_search = true\n", True, None),
        ('web_search = "live"\n', "[tools]\nweb_search = false\n", True, None),
    ],
)
@pytest.mark.parametrize("model", ["gpt-5.5", "mystery-1"])
def test_what_is_configured_wins(
    tmp_path: Path, model: str, top: str, tables: str, access: bool, indexed: bool | None
) -> None:
    found = search(tmp_path, top + OTHER + tables, model)
    assert found is not None
    assert (found["external_web_access"], found.get("indexed_web_access")) == (access, indexed)


@pytest.mark.parametrize("text", ['web_search = "disabled"\n', "[tools]\nweb_search = false\n"])
def test_a_search_can_be_turned_off(tmp_path: Path, text: str) -> None:
    assert search(tmp_path, text) is None


def test_options_of_a_search_are_sent(tmp_path: Path) -> None:
    text = (
        '[tools.web_search]\nallowed_domains = ["docs.example"]\ncontext_size = "low"\n'
        'location = { country = "SE", city = "Umeå" }\n'
    )
    found = search(tmp_path, text)
    assert found is not None
    assert found["filters"] == {"allowed_domains": ["docs.example"]}
    assert found["user_location"] == {"type": "approximate", "country": "SE", "city": "Umeå"}
    assert found["search_context_size"] == "low"


def test_chat_completions_get_functions_alone(tmp_path: Path) -> None:
    text = 'web_search = "live"\nmodel_provider = "chat"\n[model_providers.chat]\nwire_api = "chat"\n'
    tools = offered(tmp_path, text)
    assert {tool["type"] for tool in tools.values()} == {"function"}
    assert list(tools) == ["exec_command", "write_stdin", "update_plan", "apply_patch", "view_image"]
