"""Workers on nodes connect to the auth broker in advance where conversations of the home need it as a rule."""

import os
from pathlib import Path

import pytest

from greenroom.supervisor.processes.nodes.credential_need import CredentialNeed

PROVIDER = 'model_provider = "own"\n[model_providers.own]\nname = "own"\nbase_url = "http://127.0.0.1:1/v1"\n'


@pytest.mark.parametrize(
    ("text", "is_expected"),
    [
        ("", True),
        (PROVIDER, False),
        (PROVIDER + 'env_key = "KEY"', True),
        (PROVIDER + "requires_openai_auth = true", True),
        (PROVIDER + 'auth = { command = "token" }', True),
        (PROVIDER + 'experimental_bearer_token = "t"', False),
        (PROVIDER + '[mcp_servers.one]\nurl = "http://127.0.0.1:1/"', True),
        ("model = ", True),
    ],
)
def test_the_default_provider_decides(tmp_path: Path, text: str, is_expected: bool) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert CredentialNeed(str(tmp_path), (), {}).expected() is is_expected


def test_overrides_count_and_another_file_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(PROVIDER)
    assert CredentialNeed(str(tmp_path), ('model_providers.own.env_key="KEY"',), {}).expected()
    need = CredentialNeed(str(tmp_path), (), {})
    assert not need.expected()
    before = os.stat(file)
    fresh = tmp_path / "fresh"
    fresh.write_text(PROVIDER + 'env_key = "KEY"')
    os.replace(fresh, file)
    assert os.stat(file).st_size != before.st_size
    assert need.expected()
    file.unlink()
    assert need.expected(), "the provider of the program wants a login"
