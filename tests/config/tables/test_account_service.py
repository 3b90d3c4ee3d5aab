"""Where requests about the account go."""

from pathlib import Path

import pytest

from greenroom.config.tables.account_service import DEFAULT, account_service, route_url
from greenroom.protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (DEFAULT, "https://chatgpt.com/backend-api/wham/usage"),
        ("https://chatgpt.com", "https://chatgpt.com/backend-api/wham/usage"),
        ("https://chat.openai.com/", "https://chat.openai.com/backend-api/wham/usage"),
        ("http://127.0.0.1:1/backend-api/", "http://127.0.0.1:1/backend-api/wham/usage"),
        ("https://a.b/x/backend-api/y", "https://a.b/x/backend-api/y/wham/usage"),
        ("https://a.b", "https://a.b/api/codex/usage"),
        ("https://a.b/api/", "https://a.b/api/api/codex/usage"),
    ],
)
def test_the_place_of_a_route_depends_on_the_kind_of_service(base: str, url: str) -> None:
    assert route_url(base, "usage") == url


def test_the_notice_about_security_is_at_the_same_place_everywhere() -> None:
    assert route_url("https://a.b", "security-setup") == "https://a.b/wham/security-setup"


def test_the_file_and_the_command_line_say_where_the_service_is(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert account_service(home) == DEFAULT
    (tmp_path / "config.toml").write_text('chatgpt_base_url = "https://a.b"\n')
    assert account_service(home) == "https://a.b"
    assert account_service(home, ["chatgpt_base_url=https://c.d"]) == "https://c.d"
    (tmp_path / "config.toml").write_text("chatgpt_base_url = 5\n")
    with pytest.raises(ConfigError, match="chatgpt_base_url"):
        account_service(home)
